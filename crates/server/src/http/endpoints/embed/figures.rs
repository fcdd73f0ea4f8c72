//! Figures of a stego image, as JSON or as headers.

use std::borrow::Cow;

use api::headers;
use api::images::{Base64, CoverInfo, EmbedAnswer};
use axum::http::HeaderMap;
use stego::{EmbedReport, Note};

use super::order::Order;
use crate::http::answer;

pub(super) const PNG: &str = "image/png";

fn cover_info(report: &EmbedReport) -> CoverInfo {
    let cover = &report.info;
    CoverInfo {
        width: cover.width,
        height: cover.height,
        channels: cover.channels.count() as u8,
        bit_depth: cover.depth.bits(),
        bits: report.bits.as_u8(),
        capacity_bytes: report.capacity_bytes,
    }
}

/// Figures of a stego image.
pub(super) struct EmbedFigures {
    cover: CoverInfo,
    secret_size_bytes: u64,
    payload_size_bytes: u64,
    psnr_db: Option<f64>,
    notes: Vec<Note>,
}

impl EmbedFigures {
    /// Collects the figures of the image described by `report`.
    pub(super) fn of(report: &EmbedReport, order: &Order) -> Self {
        Self {
            cover: cover_info(report),
            secret_size_bytes: order.secret_len_bytes(),
            payload_size_bytes: report.payload_bytes,
            psnr_db: report.psnr_db.is_finite().then_some(report.psnr_db),
            notes: report.notes.clone(),
        }
    }

    /// Returns the JSON answer, with the image.
    pub(super) fn answer<'a>(self, request_id: &'a str, stego_image: &'a [u8]) -> EmbedAnswer<'a> {
        EmbedAnswer {
            request_id: Cow::Borrowed(request_id),
            cover_info: self.cover,
            secret_size_bytes: self.secret_size_bytes,
            payload_size_bytes: self.payload_size_bytes,
            psnr_db: self.psnr_db,
            notes: self.notes.iter().map(ToString::to_string).collect(),
            mark_id: None,
            stego_image_b64: Base64(Cow::Borrowed(stego_image)),
        }
    }

    /// As headers of the image itself.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        let figures = [
            (headers::WIDTH, u64::from(self.cover.width)),
            (headers::HEIGHT, u64::from(self.cover.height)),
            (headers::CHANNELS, u64::from(self.cover.channels)),
            (headers::BIT_DEPTH, u64::from(self.cover.bit_depth)),
            (headers::BITS, u64::from(self.cover.bits)),
            (headers::CAPACITY_BYTES, self.cover.capacity_bytes),
            (headers::SECRET_SIZE_BYTES, self.secret_size_bytes),
            (headers::PAYLOAD_SIZE_BYTES, self.payload_size_bytes),
        ];
        for (name, figure) in figures {
            answer::insert(&mut map, name, &figure.to_string());
        }
        if let Some(psnr_db) = self.psnr_db {
            answer::insert(&mut map, headers::PSNR_DB, &format!("{psnr_db:.2}"));
        }
        answer::insert_notes(&mut map, &self.notes);
        answer::insert(&mut map, "content-disposition", "inline; filename=\"stego.png\"");
        map
    }
}

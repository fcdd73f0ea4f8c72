//! What is told of a stego image: in JSON, or in headers.

use axum::http::HeaderMap;
use serde::Serialize;
use stego::{BitsPerSample, Cover, Embedded, ImageInfo, Note, Spliced, SplicedPng};
use utoipa::ToSchema;

use super::super::answer;
use super::order::Order;

pub(super) const PNG: &str = "image/png";

/// A stego image and the figures about it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct EmbedAnswer<'a> {
    /// The request's id.
    request_id: &'a str,
    /// The cover.
    cover_info: CoverInfo,
    /// Length of the secret in bytes.
    secret_size_bytes: u64,
    /// Length of what is carried, in bytes: a header, the name, and the secret, compressed where that helps.
    payload_size_bytes: u64,
    /// Peak signal-to-noise ratio against the cover in decibels; null if no sample changed.
    psnr_db: Option<f64>,
    /// The stego image: a PNG in base64.
    #[serde(serialize_with = "answer::base64")]
    #[schema(value_type = String)]
    stego_image_b64: &'a [u8],
    /// What the user should know.
    notes: Vec<String>,
    /// The mark that tells this copy from others; null in an unlabelled embed.
    mark_id: Option<String>,
}

/// A cover and what it carries.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CoverInfo {
    width: u32,
    height: u32,
    /// Samples of a pixel, alpha included.
    channels: u8,
    /// Bits of a sample: 8 or 16.
    bit_depth: u8,
    /// Bits carried per sample.
    bits: u8,
    /// The longest secret in bytes that fits at these bits if it does not compress.
    capacity_bytes: u64,
}

impl CoverInfo {
    fn new(cover: &ImageInfo, bits: BitsPerSample, capacity_bytes: u64) -> Self {
        Self {
            width: cover.width,
            height: cover.height,
            channels: cover.channels.count() as u8,
            bit_depth: cover.depth.bits(),
            bits: bits.as_u8(),
            capacity_bytes,
        }
    }
}

/// What is known of a stego image besides its bytes.
pub(super) struct Figures {
    cover: CoverInfo,
    secret_size_bytes: u64,
    payload_size_bytes: u64,
    psnr_db: Option<f64>,
    notes: Vec<Note>,
}

impl Figures {
    /// Of an image that was made in one piece.
    pub(super) fn of_embedded(embedded: &Embedded, cover: &Cover, order: &Order) -> Self {
        Self {
            cover: CoverInfo::new(&cover.info(), order.options.bits, embedded.capacity_bytes),
            secret_size_bytes: order.secret_len_bytes(),
            payload_size_bytes: embedded.payload_bytes,
            psnr_db: embedded.psnr_db.is_finite().then_some(embedded.psnr_db),
            notes: embedded.notes.clone(),
        }
    }

    /// Of an image in parts.
    pub(super) fn of_spliced(spliced: &Spliced, cover: &Cover, order: &Order) -> Self {
        Self {
            cover: CoverInfo::new(&cover.info(), order.options.bits, spliced.capacity_bytes),
            secret_size_bytes: order.secret_len_bytes(),
            payload_size_bytes: spliced.payload_bytes,
            psnr_db: spliced.psnr_db.is_finite().then_some(spliced.psnr_db),
            notes: spliced.notes.clone(),
        }
    }

    /// Of an image that keeps parts of its cover's file.
    pub(super) fn of_spliced_png(spliced: &SplicedPng, order: &Order) -> Self {
        Self {
            cover: CoverInfo::new(&spliced.info, order.options.bits, spliced.capacity_bytes),
            secret_size_bytes: order.secret_len_bytes(),
            payload_size_bytes: spliced.payload_bytes,
            psnr_db: spliced.psnr_db.is_finite().then_some(spliced.psnr_db),
            notes: spliced.notes.clone(),
        }
    }

    /// As JSON, with the image in it.
    pub(super) fn answer<'a>(self, request_id: &'a str, stego_image: &'a [u8]) -> EmbedAnswer<'a> {
        EmbedAnswer {
            request_id,
            cover_info: self.cover,
            secret_size_bytes: self.secret_size_bytes,
            payload_size_bytes: self.payload_size_bytes,
            psnr_db: self.psnr_db,
            stego_image_b64: stego_image,
            notes: self.notes.iter().map(ToString::to_string).collect(),
            mark_id: None,
        }
    }

    /// As headers of the image itself.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let figures = [
            ("x-stego-width", u64::from(self.cover.width)),
            ("x-stego-height", u64::from(self.cover.height)),
            ("x-stego-channels", u64::from(self.cover.channels)),
            ("x-stego-bit-depth", u64::from(self.cover.bit_depth)),
            ("x-stego-bits", u64::from(self.cover.bits)),
            ("x-stego-capacity-bytes", self.cover.capacity_bytes),
            ("x-stego-secret-size-bytes", self.secret_size_bytes),
            ("x-stego-payload-size-bytes", self.payload_size_bytes),
        ];
        for (name, figure) in figures {
            answer::insert(&mut headers, name, &figure.to_string());
        }
        if let Some(psnr_db) = self.psnr_db {
            answer::insert(&mut headers, "x-stego-psnr-db", &format!("{psnr_db:.2}"));
        }
        answer::insert_notes(&mut headers, &self.notes);
        answer::insert(&mut headers, "content-disposition", "inline; filename=\"stego.png\"");
        headers
    }
}

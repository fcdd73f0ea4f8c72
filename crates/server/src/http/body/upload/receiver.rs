//! The body of an upload, counted against the body limit, the shared memory and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use multer::Multipart;
use tokio::time::{Instant, timeout_at};

use super::error::{MAX_STRUCTURE_BYTES, UploadError};
use super::fields::{Fields, Look};
use super::parts::{Received, collect};
use crate::budget::{Budget, Share};
use crate::data_plane::DataPlane;
use crate::http::body::encoding;
use crate::pace::{Allowance, Pacing};

/// Bytes that are read and discarded of a refused request.
const MAX_DISCARDED_BYTES: u64 = 1 << 30;
/// Time limit for discarding.
const MAX_DISCARDING: Duration = Duration::from_secs(10);

/// Resource bounds of one upload.
pub(super) struct Bounds {
    /// Account of the memory that the upload keeps.
    pub(super) memory: Share,
    pub(super) max_bytes: u64,
    pub(super) pacing: Pacing,
    pub(super) deadline: Instant,
}

impl Bounds {
    pub(super) fn of(data: &DataPlane, deadline: Instant) -> Self {
        let limits = &data.config;
        Self {
            memory: Budget::empty_share(&data.transfer_memory),
            max_bytes: limits.max_body_bytes,
            pacing: Pacing::new(limits, &data.transfer_memory),
            deadline,
        }
    }
}

/// Position of the parser, shared with the stream that feeds the parser.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// True inside a field, false in the form's structure.
    pub(super) in_field: AtomicBool,
    /// True while the file's bytes are passed on and not kept.
    pub(super) passing: AtomicBool,
    /// True if nobody on the way could read the body.
    pub(super) is_confidential: bool,
}

/// Reads a body and accounts for the bytes.
pub(super) struct Receiver {
    body: BodyDataStream,
    pub(super) memory: Share,
    received_bytes: u64,
    max_bytes: u64,
    pacing: Pacing,
    allowance: Allowance,
    deadline: Instant,
    /// True once the body was polled: hyper has then sent `100 Continue` to a client that expects it.
    pub(super) asked: bool,
    place: Arc<Place>,
    structure_bytes: usize,
}

impl Receiver {
    pub(super) fn new(body: Body, bounds: Bounds, is_confidential: bool) -> Self {
        let Bounds { memory, max_bytes, pacing, deadline } = bounds;
        Self {
            body: body.into_data_stream(),
            memory,
            received_bytes: 0,
            max_bytes,
            allowance: pacing.allowance(),
            pacing,
            deadline,
            asked: false,
            place: Arc::new(Place { is_confidential, ..Place::default() }),
            structure_bytes: 0,
        }
    }

    pub(super) async fn form(
        &mut self,
        headers: &HeaderMap,
        known: Fields,
        look: Option<&mut dyn Look>,
    ) -> Result<Received, UploadError> {
        encoding::check_body(headers)?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|kind| multer::parse_boundary(kind).ok()).ok_or_else(|| {
            UploadError::NotMultipart { found: content_type.map_or("missing".to_owned(), quoted) }
        })?;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(needed_bytes) = announced.filter(|&bytes: &u64| bytes > self.max_bytes) {
            return Err(UploadError::BodyTooLarge { needed_bytes, max_bytes: self.max_bytes });
        }
        let room_bytes = announced.unwrap_or(self.max_bytes);
        let place = Arc::clone(&self.place);
        let chunks = stream::try_unfold(self, |receiver| async move {
            // The parser buffers everything that is ready before parsing; the yield makes it parse in
            // between.
            tokio::task::yield_now().await;
            Ok::<_, UploadError>(receiver.next_chunk().await?.map(|chunk| (chunk, receiver)))
        });
        collect(Multipart::new(chunks.boxed(), boundary), known, room_bytes, &place, look).await
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        self.asked = true;
        let asked = Instant::now();
        let idle_until = asked + self.allowance.left();
        let until = idle_until.min(self.deadline);
        let chunk = match timeout_at(until, self.body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(chunk)) => chunk.map_err(UploadError::Broken)?,
            Err(_) if idle_until < self.deadline => return Err(UploadError::Stalled),
            Err(_) => return Err(UploadError::TooSlow),
        };
        self.allowance.settle(asked.elapsed(), chunk.len() as u64, self.pacing.rate());
        self.received_bytes += chunk.len() as u64;
        debug_assert!(self.allowance.left() <= self.pacing.allowance().left(), "waiting earns nothing");
        if self.received_bytes > self.max_bytes {
            return Err(UploadError::BodyTooLarge {
                needed_bytes: self.received_bytes,
                max_bytes: self.max_bytes,
            });
        }
        if self.place.passing.load(Ordering::Relaxed) {
            // Other fields retain less than a line of text each.
            self.memory.give_back();
        } else {
            self.memory.grow(chunk.len() as u64)?;
        }
        self.structure_bytes =
            if self.place.in_field.load(Ordering::Relaxed) { 0 } else { self.structure_bytes + chunk.len() };
        if self.structure_bytes > MAX_STRUCTURE_BYTES {
            return Err(UploadError::EndlessStructure);
        }
        Ok(Some(chunk))
    }

    /// Reads and discards the rest of the body, within bounds.
    pub(super) async fn discard_rest(&mut self) {
        let until = Instant::now() + MAX_DISCARDING;
        let mut discarded_bytes = 0;
        while discarded_bytes < MAX_DISCARDED_BYTES {
            let idle_until = Instant::now() + self.pacing.allowance().left();
            match timeout_at(until.min(idle_until), self.body.next()).await {
                Ok(Some(Ok(chunk))) => discarded_bytes += chunk.len() as u64,
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
    }
}

/// True for a client that expects `100 Continue` and sends no body once refused (RFC 9110, section 10.1.1).
pub(super) fn waits_for_permission(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

/// Quotes a header's value, cut to 64 characters.
fn quoted(text: &str) -> String {
    format!("`{}`", text.chars().take(64).collect::<String>())
}

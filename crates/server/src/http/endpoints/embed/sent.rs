//! Embedding into an uploaded cover.

use std::sync::Arc;

use bytes::Bytes;
use stego::{ImageFile, Limits};
use tokio::time::Instant;

use super::figures::{EmbedFigures, PNG};
use super::order::Order;
use super::pieces;
use crate::budget::CountedBytes;
use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::answer::{Answer, base64_len};
use crate::work::Work;

/// Embeds into the cover in `file`, on a pixel thread.
pub(super) async fn embed(
    data: &Arc<DataPlane>,
    order: Order,
    file: CountedBytes,
    start_by: Instant,
) -> Result<Answer, Problem> {
    Work::new(data, start_by).measure_and_run(Job { order, file }, Job::memory_bytes, Job::run).await
}

struct Job {
    order: Order,
    file: CountedBytes,
}

impl Job {
    /// Returns the memory needed, by the cover's header; refuses a job above the limits.
    fn memory_bytes(&self, limits: &Limits) -> Result<u64, Problem> {
        let cover = ImageFile::open(&self.file, limits)?;
        let info = cover.info();
        // The image may be as long as the cover's file: its compressed size has no fixed relation to its
        // samples.
        let image_len_bytes = info.decoded_bytes().max(self.file.len() as u64);
        let json_bytes =
            if self.order.as_png { 0 } else { self.file.len() as u64 + base64_len(image_len_bytes) };
        let memory_bytes =
            cover.embed_memory_bytes(self.order.secret_len_bytes(), &self.order.options) + json_bytes;
        let memory_bytes = self.order.without_derivation(memory_bytes);
        info.check_memory(memory_bytes, limits)?;
        Ok(memory_bytes + info.doubtful_memory_bytes())
    }

    /// Embeds; kept parts of the file are sent from the upload's memory.
    fn run(self, limits: &Limits) -> Result<Answer, Problem> {
        let Self { order, file } = self;
        let file = Bytes::from_owner(file);
        let cover = ImageFile::open(&file, limits)?.with_checked_pixels(order.checked.as_ref());
        let image = stego::embed(cover, &order.secret(), &order.options, limits)?;
        let figures = EmbedFigures::of(&image.report, &order);
        if order.as_png {
            let body = pieces(image.parts, &file);
            return Ok(Answer { media_type: PNG, headers: figures.headers(), body });
        }
        let image = image.into_vec();
        let request_id = Arc::clone(&order.request_id);
        drop((file, order));
        Answer::json(&figures.answer(&request_id, &image))
    }
}

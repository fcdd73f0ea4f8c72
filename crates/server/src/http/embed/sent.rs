//! Embedding into a cover that was sent: in a PNG that allows it all but the first rows is kept as it came; anything else is
//! decoded, and all of it is encoded anew.

use std::sync::Arc;

use bytes::Bytes;
use stego::{Cover, Limits, PngPart, SplicedPng, probe};
use tokio::time::Instant;

use super::super::answer::{Answer, Piece, base64_len};
use super::super::problem::Problem;
use super::figures::{Figures, PNG};
use super::order::Order;
use crate::app::App;
use crate::budget::CountedBytes;
use crate::work::Work;

/// Embeds into the cover in `file`, on a pixel thread.
pub(super) async fn embed(
    app: &Arc<App>,
    order: Order,
    file: CountedBytes,
    start_by: Instant,
) -> Result<Answer, Problem> {
    Work::new(app, start_by).measure_and_run(Job { order, file }, Job::memory_bytes, Job::run).await
}

struct Job {
    order: Order,
    file: CountedBytes,
}

impl Job {
    /// What the work will take in memory, by the cover's header; what can never fit is refused.
    fn memory_bytes(&self, limits: &Limits) -> Result<u64, Problem> {
        let info = probe(&self.file, limits)?;
        // The image may be as long as the cover's file, whose compressed pixels have no set relation to its samples.
        let image_len_bytes = info.decoded_bytes().max(self.file.len() as u64);
        let json_bytes =
            if self.order.as_png { 0 } else { self.file.len() as u64 + base64_len(image_len_bytes) };
        let memory_bytes = info.embed_memory_bytes(self.order.secret_len_bytes()) + json_bytes;
        info.check_memory(memory_bytes, limits)?;
        Ok(memory_bytes + info.doubtful_memory_bytes())
    }

    /// Each file that was sent is dropped as soon as it is not needed any more.
    fn run(self, limits: &Limits) -> Result<Answer, Problem> {
        let Self { order, file } = self;
        if let Some(spliced) = stego::embed_into_png(&file, &order.secret(), &order.options, limits)? {
            return spliced_answer(spliced, &order, file);
        }
        let cover = Cover::decode(&file, limits)?;
        drop(file);
        let embedded = stego::embed(&cover, &order.secret(), &order.options, limits)?;
        let figures = Figures::of_embedded(&embedded, &cover, &order);
        let (request_id, as_png) = (Arc::clone(&order.request_id), order.as_png);
        drop((cover, order));
        if as_png {
            let body = vec![embedded.png.into()];
            return Ok(Answer { media_type: PNG, headers: figures.headers(), body });
        }
        Answer::json(&figures.answer(&request_id, &embedded.png))
    }
}

/// The answer with parts of the cover's file, which are sent as they lie in memory.
fn spliced_answer(spliced: SplicedPng, order: &Order, file: CountedBytes) -> Result<Answer, Problem> {
    let figures = Figures::of_spliced_png(&spliced, order);
    if !order.as_png {
        let image = spliced.to_png(&file);
        drop(file);
        return Answer::json(&figures.answer(&order.request_id, &image));
    }
    let file = Bytes::from_owner(file);
    let piece = |part| match part {
        PngPart::New(bytes) => Piece::Own(bytes),
        PngPart::Kept(range) => Piece::Shared(file.slice(range)),
    };
    Ok(Answer {
        media_type: PNG,
        headers: figures.headers(),
        body: spliced.parts.into_iter().map(piece).collect(),
    })
}

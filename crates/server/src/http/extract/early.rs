//! What an image carries, found while it still arrives.
//!
//! A secret lies in the first rows of a PNG, and what follows them need not be kept. So the beginning is looked at as it grows,
//! and once the secret is there the rest only passes by. Whatever cannot be told for certain from a beginning is left to those
//! who have the whole file.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stego::{ContainerError, ExtractError, Extracted, ImageError, ImageFile, ImageFormat, Limits, Note};
use tokio::time::Instant;

use super::super::problem::Problem;
use super::super::upload::Look;
use super::memory_bytes;
use super::png_end::PngEnd;
use crate::app::App;
use crate::budget::Share;
use crate::work::Work;

/// Looks at the image in an upload.
pub(super) struct Early {
    app: Arc<App>,
    start_by: Instant,
    /// Whether a longer beginning may tell more.
    looks_on: bool,
    end: PngEnd,
    outcome: Option<Result<Found, Problem>>,
}

/// A secret, and the memory that it takes.
pub(super) struct Found {
    pub(super) extracted: Extracted,
    pub(super) memory: Share,
}

/// What a beginning tells.
enum Told {
    /// All there is to know.
    Found(Extracted),
    /// That nothing will be found.
    Refused(Problem),
    /// Nothing so far.
    TooShort(Vec<u8>),
    /// Nothing for certain, and a longer one will not do so either.
    Uncertain(Vec<u8>),
}

impl Early {
    /// For an upload whose work has to begin before `start_by`.
    pub(super) fn new(app: &Arc<App>, start_by: Instant) -> Self {
        Self { app: Arc::clone(app), start_by, looks_on: true, end: PngEnd::new(), outcome: None }
    }

    /// What was found, or why nothing will be, once the whole upload has passed by. `None`: ask the file itself.
    pub(super) fn outcome(self) -> Option<Result<Found, Problem>> {
        let mut found = match self.outcome? {
            Ok(found) => found,
            Err(problem) => return Some(Err(problem)),
        };
        let notes = &mut found.extracted.notes;
        // The beginning ended where we cut it.
        notes.retain(|note| *note != Note::CutOffBelowPayload);
        if !self.end.has_passed() {
            notes.push(Note::CutOffBelowPayload);
        }
        Some(Ok(found))
    }

    /// The bytes again where they are still needed.
    async fn look_into(&mut self, so_far: Vec<u8>) -> Result<Option<Vec<u8>>, Problem> {
        // The upload counts them, too; but it may end while a thread has them.
        let mut memory = self.app.transfer_memory.empty_share();
        if memory.grow(so_far.len() as u64).is_err() {
            self.looks_on = false;
            return Ok(Some(so_far));
        }
        let measure = |(file, _): &(Vec<u8>, Share), limits: &Limits| match may_tell(file, limits) {
            Ok(true) => memory_bytes(file, limits, true),
            Ok(false) | Err(_) => Ok(0),
        };
        let run =
            |(file, _memory): (Vec<u8>, Share), limits: &Limits| Ok::<_, Problem>(told_by(file, limits));
        match Work::new(&self.app, self.start_by).measure_and_run((so_far, memory), measure, run).await? {
            Told::TooShort(file) => Ok(Some(file)),
            Told::Uncertain(file) => {
                self.looks_on = false;
                Ok(Some(file))
            }
            Told::Refused(problem) => Err(problem),
            Told::Found(extracted) => {
                let mut memory = self.app.transfer_memory.empty_share();
                memory.grow(extracted.secret.len() as u64)?;
                self.outcome = Some(Ok(Found { extracted, memory }));
                Ok(None)
            }
        }
    }
}

impl Look for Early {
    fn pass(&mut self, bytes: &[u8]) {
        self.end.pass(bytes);
    }

    fn look(&mut self, so_far: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>> {
        async move {
            if !self.looks_on {
                return Some(so_far);
            }
            // A node without a place or memory for this keeps no more of it; the answer comes once the rest has passed.
            self.look_into(so_far).await.unwrap_or_else(|problem| {
                self.outcome = Some(Err(problem));
                None
            })
        }
        .boxed()
    }
}

/// Whether the beginning of a file can tell what it carries: its rows come one after the other, and the first ones claim
/// something.
fn may_tell(file: &[u8], limits: &Limits) -> Result<bool, ExtractError> {
    let file = ImageFile::open(file, limits)?;
    let claimed = file.claimed_lengths_bytes(limits)?;
    let info = file.info();
    Ok(info.format == ImageFormat::Png && !info.interlaced && claimed != (0, 0))
}

/// On a pixel thread.
fn told_by(file: Vec<u8>, limits: &Limits) -> Told {
    let outcome = match may_tell(&file, limits) {
        Ok(true) => stego::extract(&file, limits),
        Ok(false) => return Told::Uncertain(file),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(extracted) => Told::Found(extracted),
        Err(ExtractError::Image(ImageError::Truncated { .. })) => Told::TooShort(file),
        Err(
            error @ (ExtractError::LossyFormat { .. }
            | ExtractError::Image(ImageError::Stopped(_))
            | ExtractError::Container(ContainerError::Stopped(_))),
        ) => Told::Refused(error.into()),
        Err(_) => Told::Uncertain(file),
    }
}

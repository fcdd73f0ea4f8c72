//! Extraction from an image during its upload.
//!
//! A secret lies in the first rows of a PNG. The beginning is inspected while it grows; once the secret is
//! found, the rest is counted and not kept. Anything undecidable by the beginning is left to extraction from
//! the whole file.

use std::sync::Arc;

use api::fields;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use stego::{ContainerError, ExtractError, Extracted, ImageError, ImageFile, ImageFormat, Limits, Note};
use tokio::time::Instant;

use super::png_end::PngEnd;
use crate::budget::Share;
use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::body::upload::Look;
use crate::work::Work;

/// Computes the memory of an extraction from a file; the flag is true for an answer in bytes.
type Measure = fn(&[u8], &Limits, bool) -> Result<u64, Problem>;

/// Inspects the image in an upload.
pub(super) struct Early {
    data: Arc<DataPlane>,
    measure: Measure,
    start_by: Instant,
    /// True while a longer beginning may decide more.
    looks_on: bool,
    end: PngEnd,
    outcome: Option<Result<Found, Problem>>,
}

/// A secret and the account of its memory.
pub(super) struct Found {
    pub(super) extracted: Extracted,
    pub(super) memory: Share,
}

/// Result of inspecting a beginning.
enum Told {
    /// The payload, complete.
    Found(Extracted),
    /// A final refusal.
    Refused(Problem),
    /// Undecided; a longer beginning is needed.
    TooShort(Vec<u8>),
    /// Undecided, and undecidable from any beginning.
    Uncertain(Vec<u8>),
}

impl Early {
    /// For an upload whose work has to begin before `start_by`.
    pub(super) fn new(data: &Arc<DataPlane>, measure: Measure, start_by: Instant) -> Self {
        Self { data: Arc::clone(data), measure, start_by, looks_on: true, end: PngEnd::new(), outcome: None }
    }

    /// Returns the outcome once the whole upload has passed; `None` if the whole file has to be read.
    pub(super) fn outcome(self) -> Option<Result<Found, Problem>> {
        let mut found = match self.outcome? {
            Ok(found) => found,
            Err(problem) => return Some(Err(problem)),
        };
        let notes = &mut found.extracted.notes;
        // The beginning was cut off here, not by the sender.
        notes.retain(|note| *note != Note::CutOffBelowPayload);
        if !self.end.has_passed() {
            notes.push(Note::CutOffBelowPayload);
        }
        Some(Ok(found))
    }

    /// Inspects the beginning on a pixel thread, and returns the bytes if still needed.
    async fn look_into(&mut self, so_far: Vec<u8>) -> Result<Option<Vec<u8>>, Problem> {
        // The upload counts these bytes too, but may end while a thread holds them.
        let mut memory = self.data.transfer_memory.empty_share();
        if memory.grow(so_far.len() as u64).is_err() {
            self.looks_on = false;
            return Ok(Some(so_far));
        }
        let whole = self.measure;
        let measure = move |(file, _): &(Vec<u8>, Share), limits: &Limits| match may_tell(file, limits) {
            Ok(true) => whole(file, limits, true),
            Ok(false) | Err(_) => Ok(0),
        };
        let run =
            |(file, _memory): (Vec<u8>, Share), limits: &Limits| Ok::<_, Problem>(told_by(file, limits));
        match Work::new(&self.data, self.start_by).measure_and_run((so_far, memory), measure, run).await? {
            Told::TooShort(file) => Ok(Some(file)),
            Told::Uncertain(file) => {
                self.looks_on = false;
                Ok(Some(file))
            }
            Told::Refused(problem) => Err(problem),
            Told::Found(extracted) => {
                let mut memory = self.data.transfer_memory.empty_share();
                memory.grow(extracted.secret.len() as u64)?;
                self.outcome = Some(Ok(Found { extracted, memory }));
                Ok(None)
            }
        }
    }
}

impl Look for Early {
    fn field(&self) -> &'static str {
        fields::FILE
    }

    /// A sealed payload is spread over the whole image.
    fn keyed(&mut self) {
        self.looks_on = false;
    }

    fn pass<'a>(&'a mut self, chunk: &'a Bytes) -> BoxFuture<'a, ()> {
        self.end.pass(chunk);
        ready(()).boxed()
    }

    fn look(&mut self, so_far: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>> {
        async move {
            if !self.looks_on {
                return Some(so_far);
            }
            // Without a pixel thread or memory for the work, nothing more is kept; the answer follows once
            // the rest has passed.
            self.look_into(so_far).await.unwrap_or_else(|problem| {
                self.outcome = Some(Err(problem));
                None
            })
        }
        .boxed()
    }
}

/// True if a beginning can decide: rows in order (a PNG without interlacing), and a payload announced by the
/// first rows.
fn may_tell(file: &[u8], limits: &Limits) -> Result<bool, ExtractError> {
    let file = ImageFile::open(file, limits)?;
    let claimed = file.claimed_lengths_bytes(limits)?;
    let info = file.info();
    Ok(info.format == ImageFormat::Png && !info.interlaced && claimed != (0, 0))
}

/// Extracts from a beginning, on a pixel thread.
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

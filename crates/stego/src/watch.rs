//! Observation of work under way: progress, and the decision to continue.
//!
//! The library has no clock; callers may have one. All long work checks its [`Watch`] every few milliseconds.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// An image file becomes samples; counted in bytes of the file.
    Decode,
    /// A secret is deflated or inflated; counted in bytes of the secret.
    Compress,
    /// The positions of a sealed payload are drawn; counted in positions.
    Draw,
    /// The changes of a stego image are chosen by their costs: counted in rows of the image, then in bits of
    /// the payload.
    Choose,
    /// A stego image is written; counted in rows.
    Encode,
    /// A stego image is read, or read back, or a cover is examined; counted in rows.
    Read,
    /// Two images are compared; counted in rows of each channel.
    Compare,
}

/// Progress of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Kind of work.
    pub stage: Stage,
    /// Completed part of the work.
    pub done: u64,
    /// All of the work; 0 if not known.
    pub total: u64,
}

/// Told of progress every few milliseconds; may end the work by breaking.
type Look = dyn Fn(Progress) -> ControlFlow<()> + Send + Sync;

/// An observer that receives the progress of work and may end it. The default continues all work.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Look>>);

/// The work was ended by a [`Watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was stopped before it was done")]
pub struct Stopped;

impl Stopped {
    /// The stable name of the error, for programs.
    pub(crate) const CODE: &str = "stopped";
}

impl Watch {
    /// Creates a watch that calls `look`. The calls are frequent and on the working thread, so `look` must be
    /// quick; after a first break `look` must break on every later call.
    pub fn new(look: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    /// Reports the progress of the work, and decides on continuation.
    pub(crate) fn check(&self, stage: Stage, done: u64, total: u64) -> Result<(), Stopped> {
        match &self.0 {
            Some(look) if look(Progress { stage, done, total }).is_break() => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// Replaces the error of a decoder by a stop if the watch ended the work: decoders wrap a stop in their
    /// own errors.
    pub(crate) fn or_stopped<T, E: From<Stopped>>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_err() {
            self.check(Stage::Decode, 1, 0)?;
        }
        outcome
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}

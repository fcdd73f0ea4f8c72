//! Looking in on work under way: how far it is, and whether it shall go on.
//!
//! The library has no clock; whoever calls it may have one. All work that can take long asks its [`Watch`]
//! every few milliseconds.

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
    /// A stego image is written; counted in rows.
    Encode,
    /// A stego image is read, or read back; counted in rows.
    Read,
    /// Two images are compared; counted in rows of each channel.
    Compare,
}

/// Progress of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Kind of work.
    pub stage: Stage,
    /// Part of the work that is done.
    pub done: u64,
    /// All of the work; 0 if not known.
    pub total: u64,
}

/// Told of progress every few milliseconds; may end the work by breaking.
type Look = dyn Fn(Progress) -> ControlFlow<()> + Send + Sync;

/// Is told how far work is and may end it. The default one lets everything go on.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Look>>);

/// The work was ended by its [`Watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was stopped before it was done")]
pub struct Stopped;

impl Stopped {
    /// The stable name of the error, for programs.
    pub(crate) const CODE: &str = "stopped";
}

impl Watch {
    /// A watch that calls `look`, which is quick: it is called often, on the thread that works. Once it
    /// breaks it goes on breaking.
    pub fn new(look: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    /// Tells how far the work is, and whether it goes on.
    pub(crate) fn check(&self, stage: Stage, done: u64, total: u64) -> Result<(), Stopped> {
        match &self.0 {
            Some(look) if look(Progress { stage, done, total }).is_break() => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// Result of a decoder. Decoders hide a stop in errors of their own: here it is told as one.
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

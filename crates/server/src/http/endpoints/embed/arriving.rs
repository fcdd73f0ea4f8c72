//! Check of a cover's compressed pixels during its upload.
//!
//! `verify=file` inflates a PNG to its end. The check inflates the upload in batches on a pixel thread, so
//! that little remains after the last byte. Without a thread or memory, or for a file without such a check,
//! the embed checks the pixels instead.

use std::sync::Arc;

use api::fields;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stego::{ArrivingPng, CheckedPixels, Limits, Verify};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::order::parse_verify;
use crate::budget::Share;
use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::body::upload::Look;
use crate::work::Work;

/// Size of a batch, in bytes.
const BATCH_BYTES: usize = 256 << 10;
/// Maximum number of bytes waiting for a thread; beyond, the upload waits.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Upper estimate of the memory of one check: waiting bytes, one chunk beyond, a batch in work, and the
/// inflater with its window.
const HELD_BYTES: u64 = 3 << 20;

/// First bytes of every PNG (third edition, 5.2).
const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// Inspects the cover in an upload.
pub(super) struct ArrivingCover {
    data: Arc<DataPlane>,
    start_by: Instant,
    state: State,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

enum State {
    /// Less than a batch arrived.
    Before,
    Idle(Box<Check>),
    Running(AbortOnDropHandle<Option<Box<Check>>>),
    /// Left to the embed.
    GivenUp,
}

/// A check and the account of its memory.
struct Check {
    png: ArrivingPng,
    /// True while further bytes make a difference.
    goes_on: bool,
    _memory: Share,
}

impl ArrivingCover {
    /// For an upload whose work has to begin before `start_by`.
    pub(super) fn new(data: &Arc<DataPlane>, start_by: Instant) -> Self {
        Self { data: Arc::clone(data), start_by, state: State::Before, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Returns the checked pixels once the whole upload has passed; `None` if the embed has to check them.
    pub(super) async fn checked(mut self) -> Option<CheckedPixels> {
        self.settle().await;
        self.run_waiting();
        self.settle().await;
        match self.state {
            State::Idle(check) => check.png.finish(),
            State::Before | State::Running(_) | State::GivenUp => None,
        }
    }

    async fn take(&mut self, chunk: &Bytes) {
        let is_decided = matches!(&self.state, State::Idle(check) if !check.goes_on);
        if is_decided || matches!(self.state, State::GivenUp) {
            return;
        }
        self.waiting.push(chunk.clone());
        self.waiting_bytes += chunk.len();
        debug_assert_eq!(self.waiting.iter().map(Bytes::len).sum::<usize>(), self.waiting_bytes);
        // A cover of less than a batch is checked by the embed in no time, and nothing is reserved for it.
        if matches!(self.state, State::Before) && self.waiting_bytes >= BATCH_BYTES {
            self.state = self.begin().map_or(State::GivenUp, State::Idle);
        }
        let is_due = self.waiting_bytes >= BATCH_BYTES && self.is_free();
        if is_due || self.waiting_bytes >= MAX_WAITING_BYTES {
            self.settle().await;
            self.run_waiting();
        }
    }

    /// Reserves the memory of a check. None for another format, and while memory is scarce: it is for uploads
    /// and answers first.
    fn begin(&self) -> Option<Box<Check>> {
        let budget = &self.data.transfer_memory;
        let is_png = self.waiting.iter().flatten().take(SIGNATURE.len()).eq(SIGNATURE);
        if !is_png || budget.used_bytes() > budget.total_bytes() / 2 {
            return None;
        }
        let mut memory = budget.empty_share();
        memory.grow(HELD_BYTES).ok()?;
        let png = ArrivingPng::new(self.data.limits.clone());
        Some(Box::new(Check { png, goes_on: true, _memory: memory }))
    }

    fn give_up(&mut self) {
        self.state = State::GivenUp;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// True unless a batch is in work.
    fn is_free(&self) -> bool {
        match &self.state {
            State::Running(running) => running.is_finished(),
            State::Before | State::Idle(_) | State::GivenUp => true,
        }
    }

    /// Waits for the batch in work.
    async fn settle(&mut self) {
        if let State::Running(running) = &mut self.state {
            let check = running.await.ok().flatten();
            self.state = check.map_or(State::GivenUp, State::Idle);
        }
        if matches!(self.state, State::GivenUp) {
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
    }

    /// Gives the waiting bytes to a pixel thread.
    fn run_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.state, State::GivenUp) {
            State::Idle(check) => {
                let batch = std::mem::take(&mut self.waiting);
                self.waiting_bytes = 0;
                let work = Work::new(&self.data, self.start_by);
                let running = async move { work.run((check, batch), 0, run).await.ok() };
                self.state = State::Running(AbortOnDropHandle::new(tokio::spawn(running)));
            }
            other => self.state = other,
        }
    }
}

/// Checks a batch, on a pixel thread.
fn run((mut check, batch): (Box<Check>, Vec<Bytes>), limits: &Limits) -> Result<Box<Check>, Problem> {
    for bytes in batch {
        check.goes_on = check.goes_on && check.png.push(&bytes, &limits.watch)?;
    }
    Ok(check)
}

impl Look for ArrivingCover {
    fn field(&self) -> &'static str {
        fields::COVER
    }

    fn text(&mut self, name: &'static str, text: &str) {
        if name == fields::VERIFY && matches!(parse_verify(text), Ok(Verify::Payload)) {
            self.give_up();
        }
    }

    /// With a key nothing of the cover's file is kept.
    fn keyed(&mut self) {
        self.give_up();
    }

    fn pass<'a>(&'a mut self, chunk: &'a Bytes) -> BoxFuture<'a, ()> {
        self.take(chunk).boxed()
    }
}

//! Derivation of keys from passphrases and key files: a fixed number at a time, each with its memory, on
//! threads of their own and in an order that is fair to callers.
//!
//! A derivation costs a tenth of a second of a processor and 64 MiB by intent. Requests that guess
//! passphrases must not keep others waiting: [`queue`] has the rules.

mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stego::{DerivedKey, Salt, SealingKey};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::config::LimitsConfig;
use crate::pool::lower_priority;
pub(crate) use queue::Caller;
use queue::{Admitted, FairQueue};

/// Lanes of a derivation, which run in parallel.
const LANES: usize = 4;
/// Estimate of a derivation's duration before the first one ended.
const FIRST_ESTIMATE: Duration = Duration::from_millis(150);

/// The threads that derive keys, and who waits for them.
pub(crate) struct Derivations {
    threads: rayon::ThreadPool,
    at_once: usize,
    state: Mutex<State>,
}

struct State {
    running: usize,
    queue: FairQueue<oneshot::Sender<Slot>>,
    /// Derivations so far.
    done: u64,
    /// Moving average of a derivation's duration.
    usual: Duration,
}

/// Figures of the derivations, for the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DerivationFigures {
    /// Derivations in progress.
    #[cfg_attr(not(test), expect(dead_code, reason = "the memory tells it"))]
    pub running: usize,
    /// Requests that wait for one.
    pub waiting: usize,
    /// Derivations so far.
    pub done: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
}

/// Reason why a key was not derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeriveError {
    /// The queue, or the caller's part of it, is full.
    #[error("too many requests with a passphrase or key file are waiting (limits.key_queue)")]
    Full {
        /// Time after which a place is likely.
        retry_after: Duration,
    },
    /// No turn came before the deadline.
    #[error("no key derivation was possible within limits.request_timeout_ms (limits.key_derivations)")]
    Late {
        /// Time after which a turn is likely.
        retry_after: Duration,
    },
    /// The derivation panicked.
    #[error("the derivation of a key panicked")]
    Panicked,
}

impl Derivations {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub(crate) fn new(limits: &LimitsConfig) -> Result<Arc<Self>, rayon::ThreadPoolBuildError> {
        let at_once = limits.key_derivations();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads((LANES * at_once).min(cores.max(at_once)))
            .thread_name(|i| format!("key-{i}"))
            .start_handler(|_| lower_priority())
            .build()?;
        let queue = FairQueue::new(limits.key_queue);
        let state = Mutex::new(State { running: 0, queue, done: 0, usual: FIRST_ESTIMATE });
        Ok(Arc::new(Self { threads, at_once, state }))
    }

    /// Derives the keys of the stego image with this salt, in the turn of `caller`, which has to come before
    /// `start_by`. A derivation that has begun is awaited.
    ///
    /// # Errors
    /// A [`DeriveError`] without a turn.
    pub(crate) async fn derive(
        self: &Arc<Self>,
        caller: Caller,
        (key, salt): (SealingKey, Salt),
        start_by: Instant,
    ) -> Result<DerivedKey, DeriveError> {
        let slot = match self.slot(caller)? {
            Turn::Now(slot) => slot,
            Turn::Later(turn) => match timeout_at(start_by, turn).await {
                Ok(Ok(slot)) => slot,
                // Displaced by a caller with fewer places.
                Ok(Err(_)) => return Err(DeriveError::Full { retry_after: self.state().wait(self.at_once) }),
                Err(_) => return Err(DeriveError::Late { retry_after: self.state().wait(self.at_once) }),
            },
        };
        let (answer, answered) = oneshot::channel();
        let span = tracing::Span::current();
        self.threads.spawn(move || {
            let started = Instant::now();
            let derive = AssertUnwindSafe(|| span.in_scope(|| key.derive(salt)));
            let derived = catch_unwind(derive);
            slot.took(started.elapsed());
            drop(slot);
            let _ = answer.send(derived);
        });
        answered.await.ok().and_then(Result::ok).ok_or(DeriveError::Panicked)
    }

    /// Figures at this moment.
    pub(crate) fn figures(&self) -> DerivationFigures {
        let state = self.state();
        DerivationFigures {
            running: state.running,
            waiting: state.queue.len(),
            done: state.done,
            memory_bytes: state.running as u64 * SealingKey::DERIVE_MEMORY_BYTES,
        }
    }

    fn slot(self: &Arc<Self>, caller: Caller) -> Result<Turn, DeriveError> {
        let mut state = self.state();
        state.queue.remove_gone(oneshot::Sender::is_closed);
        if state.running < self.at_once && state.queue.len() == 0 {
            state.running += 1;
            state.queue.charge(caller);
            drop(state);
            return Ok(Turn::Now(Slot { of: Arc::clone(self), is_held: true }));
        }
        let (turn, waiting) = oneshot::channel();
        match state.queue.push(caller, turn) {
            Admitted::Yes => Ok(Turn::Later(waiting)),
            Admitted::Displacing(other) => {
                drop(state);
                drop(other);
                Ok(Turn::Later(waiting))
            }
            Admitted::No(_) => Err(DeriveError::Full { retry_after: state.wait(self.at_once) }),
        }
    }

    /// Gives a slot that became free to the next caller who still waits.
    fn release(self: &Arc<Self>) {
        let mut state = self.state();
        debug_assert!((1..=self.at_once).contains(&state.running), "a slot is released once");
        while let Some((caller, turn)) = state.queue.pop() {
            match turn.send(Slot { of: Arc::clone(self), is_held: true }) {
                Ok(()) => {
                    state.queue.charge(caller);
                    return;
                }
                Err(mut unused) => unused.is_held = false,
            }
        }
        state.running -= 1;
    }

    /// Locks the state. It is never left half changed, so a poisoned lock is harmless.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Time in which all who wait have had their turn.
    fn wait(&self, at_once: usize) -> Duration {
        let ahead = (self.queue.len() + self.running).div_ceil(at_once.max(1));
        self.usual * u32::try_from(ahead).unwrap_or(u32::MAX)
    }
}

enum Turn {
    Now(Slot),
    Later(oneshot::Receiver<Slot>),
}

/// The right to derive one key; passed on when dropped.
struct Slot {
    of: Arc<Derivations>,
    is_held: bool,
}

impl Slot {
    /// Counts a derivation.
    fn took(&self, time: Duration) {
        let mut state = self.of.state();
        state.done += 1;
        state.usual = state.usual.mul_f64(0.875) + time.mul_f64(0.125);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_held {
            self.of.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivations(key_queue: usize) -> Arc<Derivations> {
        Derivations::new(&LimitsConfig { key_derivations: 1, key_queue, ..LimitsConfig::default() }).unwrap()
    }

    fn caller(last: u8) -> Caller {
        Caller::new(Some([10, 0, 0, last].into()), false)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn key() -> (SealingKey, Salt) {
        (SealingKey::new(Some("a passphrase"), None).unwrap(), Salt([7; 16]))
    }

    #[tokio::test]
    async fn a_slot_is_passed_on_to_who_waits_and_not_to_who_left() {
        let derivations = derivations(4);
        let Ok(Turn::Now(first)) = derivations.slot(caller(1)) else { panic!("free") };
        let Ok(Turn::Later(left)) = derivations.slot(caller(2)) else { panic!("taken") };
        let Ok(Turn::Later(waiting)) = derivations.slot(caller(3)) else { panic!("taken") };
        drop(left);
        drop(first);
        let second = waiting.await.unwrap();
        assert_eq!((derivations.figures().running, derivations.figures().waiting), (1, 0));
        // A turn that came and was never taken goes on too.
        let Ok(Turn::Later(unread)) = derivations.slot(caller(4)) else { panic!("taken") };
        drop(second);
        drop(unread);
        assert_eq!(derivations.figures().running, 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_with_the_time_to_wait() {
        let derivations = derivations(1);
        let Ok(Turn::Now(_held)) = derivations.slot(caller(1)) else { panic!("free") };
        let Ok(Turn::Later(_waiting)) = derivations.slot(caller(1)) else { panic!("taken") };
        let refused = derivations.derive(caller(1), key(), soon()).await.unwrap_err();
        assert_eq!(refused, DeriveError::Full { retry_after: 2 * FIRST_ESTIMATE });
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_ends_at_the_deadline() {
        let derivations = derivations(1);
        let Ok(Turn::Now(_held)) = derivations.slot(caller(1)) else { panic!("free") };
        let late = derivations.derive(caller(2), key(), Instant::now()).await.unwrap_err();
        assert!(matches!(late, DeriveError::Late { .. }), "{late}");
        assert!(matches!(derivations.slot(caller(2)), Ok(Turn::Later(_))));
    }

    #[tokio::test]
    async fn a_derivation_is_counted() {
        let derivations = derivations(1);
        let (_, salt) = key();
        let derived = derivations.derive(caller(1), key(), soon()).await.unwrap();
        assert_eq!(derived.salt(), salt);
        assert_eq!((derivations.figures().done, derivations.figures().running), (1, 0));
    }
}

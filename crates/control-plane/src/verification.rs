//! Wait of a started node for its peers' word about its data directory, before it promises anything.
//!
//! A node cannot tell by itself that its directory was put back from an earlier copy. Until every other
//! configured node that answers in time has told the mark that it remembers, the node neither votes, stands
//! for election nor acknowledges anything. Later answers are compared too, but not waited for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::timing::VERIFIED_WITHIN;
use crate::world::clock;

/// The wait of one opened storage.
pub(crate) struct Verification {
    /// Peers that have not answered.
    awaited: Mutex<BTreeSet<String>>,
    deadline: Instant,
    done: watch::Sender<bool>,
}

impl Verification {
    /// Begins to wait for `peers`. Without any, the wait is over.
    pub(crate) fn begin(peers: impl IntoIterator<Item = String>, now: Instant) -> Self {
        let awaited: BTreeSet<String> = peers.into_iter().collect();
        let done = watch::Sender::new(awaited.is_empty());
        Self { awaited: Mutex::new(awaited), deadline: now + VERIFIED_WITHIN, done }
    }

    /// Records that a peer has told what it remembers.
    pub(crate) fn heard(&self, peer: &str) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.remove(peer) && awaited.is_empty() {
            self.done.send_replace(true);
        }
    }

    /// True once every peer has answered, or the time is up.
    pub(crate) fn is_done(&self, now: Instant) -> bool {
        *self.done.borrow() || now >= self.deadline
    }

    /// Waits for [`Self::is_done`].
    pub(crate) async fn done(&self) {
        let mut done = self.done.subscribe();
        let all = async {
            // The sender lives as long as the verification.
            let _ = done.wait_for(|done| *done).await;
        };
        if clock::timeout_at(self.deadline, all).await.is_err() {
            self.done.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_waits_for_every_peer_that_answers_in_time() {
        let start = Instant::now();
        let begin = |peers: &[&str]| Verification::begin(peers.iter().map(|peer| (*peer).to_owned()), start);
        assert!(begin(&[]).is_done(start), "a node without peers waits for nobody");
        let waiting = begin(&["n2", "n3"]);
        waiting.heard("n2");
        waiting.heard("n2");
        waiting.heard("n9");
        let last = start + VERIFIED_WITHIN - Duration::from_millis(1);
        assert!(!waiting.is_done(last));
        assert!(waiting.is_done(start + VERIFIED_WITHIN), "a peer that is down delays no further");
        waiting.heard("n3");
        assert!(waiting.is_done(start));
    }
}

//! Suspicion of the leader: the failure detector, the evidence that is held, and candidacies.
//!
//! The rules are those of [`crate::detector`] and [`crate::campaign`]; this module owns their state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use crate::campaign::Campaigns;
use crate::detector::{Detector, ProbeLimits};

/// State of the suspicion against the leader.
pub(crate) struct Suspicion {
    detector: Mutex<Detector>,
    campaigns: Mutex<Campaigns>,
    /// Number of times that evidence against the leader arrived or was renewed.
    evidence: watch::Sender<u64>,
    /// Held while Raft gives up a lease because of evidence.
    giving_up_lease: tokio::sync::Mutex<()>,
    /// True while the leader is asked once more.
    asking: AtomicBool,
}

impl Suspicion {
    /// Creates the state without evidence against any of `peers`.
    pub(crate) fn new(limits: ProbeLimits, peers: impl IntoIterator<Item = String>) -> Self {
        Self {
            detector: Mutex::new(Detector::new(limits, peers)),
            campaigns: Mutex::default(),
            evidence: watch::Sender::new(0),
            giving_up_lease: tokio::sync::Mutex::default(),
            asking: AtomicBool::new(false),
        }
    }

    /// Locks the failure detector. Held for moments only.
    pub(crate) fn detector(&self) -> MutexGuard<'_, Detector> {
        self.detector.lock().expect("no panic while it is held")
    }

    /// Locks the state of campaigns. Held for moments only.
    pub(crate) fn campaigns(&self) -> MutexGuard<'_, Campaigns> {
        self.campaigns.lock().expect("no panic while it is held")
    }

    /// Returns a receiver of evidence that arrives or is renewed from now on.
    pub(crate) fn watch_evidence(&self) -> watch::Receiver<u64> {
        self.evidence.subscribe()
    }

    /// Notifies the receivers of evidence that arrived or was renewed.
    pub(crate) fn announce_evidence(&self) {
        self.evidence.send_modify(|count| *count += 1);
    }

    /// Begins to ask the leader once more. False while another attempt is in progress.
    pub(crate) fn begin_to_ask(&self) -> bool {
        !self.asking.swap(true, Ordering::Relaxed)
    }

    /// Ends an attempt to ask the leader.
    pub(crate) fn end_asking(&self) {
        self.asking.store(false, Ordering::Relaxed);
    }

    /// Begins to give up a lease; none while another attempt is in progress.
    pub(crate) fn begin_to_give_up_lease(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.giving_up_lease.try_lock().ok()
    }
}

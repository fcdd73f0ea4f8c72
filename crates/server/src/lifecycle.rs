//! Start, graceful stop and isolation of one node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use control_plane::ControlPlane;
use tokio_util::sync::CancellationToken;

use crate::drills::{Isolation, IsolationState};

/// State of the node's life, from its start to the end of its stop.
pub(crate) struct Lifecycle {
    /// Start of the node.
    pub started: Instant,
    /// True if fault drills are enabled.
    pub fault_injection: bool,
    control: ControlPlane,
    draining: CancellationToken,
    /// True if the process restarts after the stop.
    restarts: AtomicBool,
    isolation: IsolationState,
}

/// Action after a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterStop {
    /// The process ends.
    End,
    /// The process executes itself anew.
    Restart,
}

impl Lifecycle {
    /// Lifecycle of a node that starts now.
    pub(crate) fn new(control: ControlPlane, fault_injection: bool) -> Self {
        Self {
            started: Instant::now(),
            fault_injection,
            control,
            draining: CancellationToken::new(),
            restarts: AtomicBool::new(false),
            isolation: IsolationState::default(),
        }
    }

    /// Begins the graceful stop: the node reports the drain, and leadership is transferred while requests in
    /// flight finish. The latest call determines the action after the stop.
    pub(crate) fn begin_stop(&self, then: AfterStop) {
        self.restarts.store(then == AfterStop::Restart, Ordering::Relaxed);
        if self.is_draining() {
            return;
        }
        self.draining.cancel();
        let control = self.control.clone();
        tokio::spawn(async move { control.hand_over().await });
    }

    /// Returns the action after the stop.
    pub(crate) fn after_stop(&self) -> AfterStop {
        if self.restarts.load(Ordering::Relaxed) { AfterStop::Restart } else { AfterStop::End }
    }

    /// True once the node is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Token that is cancelled when the stop begins.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Starts a drill: isolates the node until it is restored, or until another drill replaces this one.
    /// Returns the drill's number.
    pub(crate) fn isolate(&self, isolation: Isolation) -> u64 {
        self.isolation.begin(isolation, || self.control.pause())
    }

    /// Ends any isolation drill.
    pub(crate) fn restore(&self) {
        self.isolation.end(|| self.control.resume());
    }

    /// Ends the drill with this number. True if it was still active.
    pub(crate) fn restore_from(&self, number: u64) -> bool {
        self.isolation.end_only(number, || self.control.resume())
    }

    /// True while a drill isolates the node from clients and nodes.
    pub(crate) fn is_paused(&self) -> bool {
        self.isolation.is(Isolation::FromAll)
    }
}

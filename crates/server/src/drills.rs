//! Effects of a fault drill on this node: isolation until ended, and faults of the whole process.

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tracing::warn;

/// Delay before the process dies or stops, for the drill's answer to be sent.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_millis(50);

/// Peers that a drill isolates the node from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Clients and the other nodes: the node seems dead.
    FromAll,
    /// The other nodes only, as in a partition.
    FromNodes,
}

/// The active isolation drill, if any.
#[derive(Debug, Default)]
pub(crate) struct IsolationState {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    isolation: Option<Isolation>,
    /// Number of the latest drill: a timer ends only its own drill.
    number: u64,
}

impl IsolationState {
    /// Begins a drill in place of the previous one, and returns its number. `apply` runs under the lock,
    /// before the drill can be ended.
    pub(crate) fn begin(&self, isolation: Isolation, apply: impl FnOnce()) -> u64 {
        let mut state = self.lock();
        state.number += 1;
        state.isolation = Some(isolation);
        apply();
        state.number
    }

    /// Ends any active drill. `undo` runs in any case, and must be harmless without a drill.
    pub(crate) fn end(&self, undo: impl FnOnce()) {
        let mut state = self.lock();
        state.isolation = None;
        undo();
    }

    /// Ends the drill with this number, and no later one. True if it was active.
    pub(crate) fn end_only(&self, number: u64, undo: impl FnOnce()) -> bool {
        let mut state = self.lock();
        let is_active = state.number == number && state.isolation.is_some();
        if is_active {
            state.isolation = None;
            undo();
        }
        is_active
    }

    /// True if a drill of this kind is active.
    pub(crate) fn is(&self, isolation: Isolation) -> bool {
        self.lock().isolation == Some(isolation)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this")
    }
}

/// Ends this process as kill -9 does, after a grace period for the answer.
pub(crate) fn crash() {
    tokio::spawn(async {
        tokio::time::sleep(ANSWER_GRACE).await;
        let _ = kill_process(getpid(), Signal::KILL);
    });
}

/// Stops the whole process for `duration`, like a machine that hangs, after a grace period for the answer. A
/// stopped process cannot wake itself: a helper process stops and wakes it, which fixes the order of both.
///
/// # Errors
/// If the helper cannot be started; then nothing hangs.
pub(crate) fn hang(duration: Duration) -> io::Result<()> {
    let pid = getpid();
    let (grace, seconds, pid) = (ANSWER_GRACE.as_secs_f64(), duration.as_secs_f64(), pid.as_raw_nonzero());
    // If this process is killed meanwhile, the signal reaches no process, or one that is not stopped.
    let script = format!("sleep {grace:.3}; kill -STOP {pid}; sleep {seconds:.3}; kill -CONT {pid}");
    let mut helper = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    tokio::task::spawn_blocking(move || {
        // Waited for, so that no zombie remains.
        let _ = helper.wait();
        warn!("hang ended; process continued");
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_ends_its_own_drill_and_no_later_one() {
        let drills = IsolationState::default();
        let first = drills.begin(Isolation::FromAll, || ());
        let second = drills.begin(Isolation::FromNodes, || ());
        assert!(!drills.is(Isolation::FromAll) && drills.is(Isolation::FromNodes));
        assert!(!drills.end_only(first, || unreachable!("another drill is active")));
        assert!(drills.is(Isolation::FromNodes));
        assert!(drills.end_only(second, || ()));
        assert!(!drills.is(Isolation::FromNodes));
        let third = drills.begin(Isolation::FromAll, || ());
        drills.end(|| ());
        assert!(!drills.end_only(third, || unreachable!("it was ended by hand")));
    }
}

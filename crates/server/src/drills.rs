//! What a fault drill does to this node: what stands until it is ended, and what happens to the process as a whole.

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tracing::warn;

/// The answer to a drill has this long to leave before the process dies or stops.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(50);

/// From whom a drill cuts the node off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// From clients and from the other nodes: it plays dead.
    FromAll,
    /// From the other nodes only, as in a partition.
    FromNodes,
}

/// The drill that cuts the node off at the moment, if one does.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    isolation: Option<Isolation>,
    /// Of the latest drill: a timer knows by it whether its own still stands.
    number: u64,
}

impl Standing {
    /// Begins a drill in place of the one before, and gives its number. `apply` runs before anybody else may end it.
    pub(crate) fn begin(&self, isolation: Isolation, apply: impl FnOnce()) -> u64 {
        let mut state = self.lock();
        state.number += 1;
        state.isolation = Some(isolation);
        apply();
        state.number
    }

    /// Ends whatever drill stands. `undo` runs in any case: it does no harm where nothing is to be undone.
    pub(crate) fn end(&self, undo: impl FnOnce()) {
        let mut state = self.lock();
        state.isolation = None;
        undo();
    }

    /// Ends the drill of this number, and no later one. Whether it stood.
    pub(crate) fn end_only(&self, number: u64, undo: impl FnOnce()) -> bool {
        let mut state = self.lock();
        let stands = state.number == number && state.isolation.is_some();
        if stands {
            state.isolation = None;
            undo();
        }
        stands
    }

    /// Whether a drill of this kind stands.
    pub(crate) fn is(&self, isolation: Isolation) -> bool {
        self.lock().isolation == Some(isolation)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this")
    }
}

/// Ends this process as kill -9 does, once the answer has left.
pub(crate) fn crash() {
    tokio::spawn(async {
        tokio::time::sleep(LAST_WORDS).await;
        let _ = kill_process(getpid(), Signal::KILL);
    });
}

/// Stops the whole process for this long, as a machine that hangs, once the answer has left. A stopped process cannot
/// wake itself: a helper does, which also stops it, so that the one never comes before the other.
///
/// # Errors
/// When the helper cannot be started. Then nothing hangs.
pub(crate) fn hang(duration: Duration) -> io::Result<()> {
    let pid = getpid();
    let (words, seconds, pid) = (LAST_WORDS.as_secs_f64(), duration.as_secs_f64(), pid.as_raw_nonzero());
    // Should this process be killed meanwhile, the helper wakes nobody, or a process that was not asleep.
    let script = format!("sleep {words:.3}; kill -STOP {pid}; sleep {seconds:.3}; kill -CONT {pid}");
    let mut helper = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    tokio::task::spawn_blocking(move || {
        // Waited for, so that it does not stay in the process table.
        let _ = helper.wait();
        warn!("a drill is over: this process goes on");
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_ends_its_own_drill_and_no_later_one() {
        let standing = Standing::default();
        let first = standing.begin(Isolation::FromAll, || ());
        let second = standing.begin(Isolation::FromNodes, || ());
        assert!(!standing.is(Isolation::FromAll) && standing.is(Isolation::FromNodes));
        assert!(!standing.end_only(first, || unreachable!("another one stands")));
        assert!(standing.is(Isolation::FromNodes));
        assert!(standing.end_only(second, || ()));
        assert!(!standing.is(Isolation::FromNodes));
        let third = standing.begin(Isolation::FromAll, || ());
        standing.end(|| ());
        assert!(!standing.end_only(third, || unreachable!("it was ended by hand")));
    }
}

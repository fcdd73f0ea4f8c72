//! Stop of the control plane, and wakeups of its background tasks.

use std::time::Duration;

use crate::world::clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Signals to the background tasks.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Cancelled when the node stops.
    stopping: CancellationToken,
    /// Wakes the background tasks after a change.
    changed: Notify,
}

impl Signals {
    /// Stops the background tasks.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// True once the node stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Returns the token that is cancelled when the node stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Runs `work` unless the node stops before the end; returns none then.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stopping.run_until_cancelled(work).await
    }

    /// Waits for `pause`. False if the node stops.
    pub(crate) async fn sleep(&self, pause: Duration) -> bool {
        self.unless_stopped(clock::sleep(pause)).await.is_some()
    }

    /// Waits for a change, at most for `limit`. False if the node stops.
    pub(crate) async fn sleep_until_changed(&self, limit: Duration) -> bool {
        let changed = async {
            let _ = clock::timeout(limit, self.changed.notified()).await;
        };
        self.unless_stopped(changed).await.is_some()
    }

    /// Wakes the tasks that wait for a change.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }
}

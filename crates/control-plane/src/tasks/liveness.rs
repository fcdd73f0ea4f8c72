//! Liveness check of a leader's Raft. A leader with a hung disk answers probes for ever, from memory: its
//! reports state the time for which nothing has happened.

use std::sync::Arc;

use crate::observer::Observer;
use crate::signals::Signals;
use crate::timing::LIVENESS_CHECK_INTERVAL;

/// Checks the liveness of Raft repeatedly while the local node leads, until the stop.
pub(crate) async fn run(observer: Arc<Observer>, signals: Arc<Signals>) {
    while signals.sleep(LIVENESS_CHECK_INTERVAL).await {
        let seen = observer.observe();
        if let Some(node) = seen.node.as_ref().filter(|_| seen.leads()) {
            let _ = signals.unless_stopped(node.check_liveness()).await;
        }
    }
}

//! Liveness check of a leader's Raft. A leader with a hung disk answers probes for ever, from memory: its
//! reports state the time for which nothing has happened.

use std::sync::Arc;

use crate::core::Core;
use crate::timing::LIVENESS_CHECK_INTERVAL;

/// Checks the liveness of Raft repeatedly while the local node leads, until the stop.
pub(crate) async fn run(core: Arc<Core>) {
    while core.stopping.run_until_cancelled(tokio::time::sleep(LIVENESS_CHECK_INTERVAL)).await.is_some() {
        let moment = core.moment();
        if let Some(node) = moment.node.as_ref().filter(|_| moment.leads()) {
            let _ = core.stopping.run_until_cancelled(node.ask_for_pulse()).await;
        }
    }
}

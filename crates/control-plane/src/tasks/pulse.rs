//! Whether the Raft of a leader still does something. A leader whose disk hangs answers probes for ever, for they are
//! answered from memory: so it says in them for how long nothing has happened.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Asks Raft for a sign of life again and again while this node leads, until it stops.
pub(crate) async fn run(core: Arc<Core>) {
    while core.stopping.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        let moment = core.moment();
        if let Some(node) = moment.node.as_ref().filter(|_| moment.leads()) {
            let _ = core.stopping.run_until_cancelled(node.ask_for_pulse()).await;
        }
    }
}

//! Events and log lines derived from changes of state.

use std::sync::Arc;

use api::events::EventKind;
use api::status::Role;
use openraft::async_runtime::watch::WatchReceiver;
use tracing::{info, warn};

use crate::core::Core;
use crate::timing::{CHANGE_CHECK_INTERVAL, CHANGE_CHECK_SOON};

/// Number of short pauses after each change.
const SOON: u32 = 10;

#[derive(Default, PartialEq)]
struct Seen {
    role: Option<Role>,
    leader: Option<String>,
    voters: Vec<String>,
    learners: Vec<String>,
}

/// Waits for a possible change. True if Raft reported a change.
async fn changed(core: &Core, soon: bool) -> bool {
    let pause = if soon { CHANGE_CHECK_SOON } else { CHANGE_CHECK_INTERVAL };
    let Some(node) = core.node.load_full() else {
        tokio::time::sleep(pause).await;
        return false;
    };
    let mut metrics = node.watch();
    // A Raft that ended reports no more changes; its successor is checked after the pause.
    let changed = async {
        if metrics.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::time::timeout(pause, changed).await.is_ok()
}

/// Watches for changes until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut seen = Seen::default();
    let mut soon = 0;
    loop {
        let Some(changed) = core.stopping.run_until_cancelled(changed(&core, soon > 0)).await else { return };
        soon = if changed { SOON } else { soon.saturating_sub(1) };
        let moment = core.moment();
        core.note_progress(&moment);
        let term = moment.term();
        let (voters, learners) = moment.names();
        let leader = moment.leader_name();
        let now = Seen { role: Some(moment.standing.role), leader, voters, learners };
        if now.role != seen.role {
            let role = moment.standing.role;
            info!(?role, term, "role changed");
            core.events.tell(EventKind::Role { role, term });
        }
        if now.leader != seen.leader {
            match &now.leader {
                Some(leader) => info!(leader, term, "leader changed"),
                None => warn!(term, "no leader"),
            }
            core.events.tell(EventKind::Leader { leader_id: now.leader.clone(), term });
        }
        if (&now.voters, &now.learners) != (&seen.voters, &seen.learners) {
            info!(voters = now.voters.join(", "), learners = now.learners.join(", "), "membership changed");
            let (voters, learners) = (now.voters.clone(), now.learners.clone());
            core.events.tell(EventKind::Members { voters, learners });
        }
        if now != seen {
            core.changed.notify_waiters();
            seen = now;
        }
    }
}

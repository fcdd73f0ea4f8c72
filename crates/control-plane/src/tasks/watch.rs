//! Events and log lines derived from changes of state.

use std::sync::Arc;

use api::events::EventKind;
use api::status::Role;
use openraft::async_runtime::watch::WatchReceiver;
use tracing::{info, warn};

use crate::events::Events;
use crate::observer::Observer;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::timing::{CHANGE_CHECK_INTERVAL, CHANGE_CHECK_SOON};
use crate::world::{self, Note, clock};

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
async fn changed(raft: &RaftSlot, soon: bool) -> bool {
    let pause = if soon { CHANGE_CHECK_SOON } else { CHANGE_CHECK_INTERVAL };
    let Some(node) = raft.node() else {
        clock::sleep(pause).await;
        return false;
    };
    let mut metrics = node.watch();
    // A Raft that ended reports no more changes; its successor is checked after the pause.
    let changed = async {
        if metrics.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    clock::timeout(pause, changed).await.is_ok()
}

/// Watches for changes until the node stops.
pub(crate) async fn run(
    observer: Arc<Observer>,
    raft: Arc<RaftSlot>,
    events: Arc<Events>,
    signals: Arc<Signals>,
) {
    let mut seen = Seen::default();
    let mut soon = 0;
    loop {
        let Some(changed) = signals.unless_stopped(changed(&raft, soon > 0)).await else { return };
        soon = if changed { SOON } else { soon.saturating_sub(1) };
        let now = observer.observe();
        observer.note_lag(&now);
        let term = now.term();
        let (voters, learners) = now.names();
        let leader = now.leader_name();
        let state = Seen { role: Some(now.leadership.role), leader, voters, learners };
        if state.role != seen.role {
            let role = now.leadership.role;
            if role == Role::Leader {
                let last = now.node.as_ref().and_then(|node| node.last_log_id());
                world::note(Note::Leads { term, last: last.as_ref() });
            }
            info!(?role, term, "role changed");
            events.publish(EventKind::Role { role, term });
        }
        if state.leader != seen.leader {
            match &state.leader {
                Some(leader) => info!(leader, term, "leader changed"),
                None => warn!(term, "no leader"),
            }
            events.publish(EventKind::Leader { leader_id: state.leader.clone(), term });
        }
        if (&state.voters, &state.learners) != (&seen.voters, &seen.learners) {
            info!(
                voters = state.voters.join(", "),
                learners = state.learners.join(", "),
                "membership changed"
            );
            let (voters, learners) = (state.voters.clone(), state.learners.clone());
            events.publish(EventKind::Members { voters, learners });
        }
        if state != seen {
            signals.wake();
            seen = state;
        }
    }
}

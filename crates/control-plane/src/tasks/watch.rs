//! Turns what changes into events and log lines.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::core::Core;
use crate::status::{EventKind, Role};

/// Between two looks. Roles change by time alone (an acknowledgement that gets too old), so nobody can wake this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Default, PartialEq)]
struct Seen {
    role: Option<Role>,
    leader: Option<String>,
    voters: Vec<String>,
    learners: Vec<String>,
}

/// Watches until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut seen = Seen::default();
    while core.stopping.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        let moment = core.moment();
        let term = moment.metrics.as_ref().map_or(0, |metrics| metrics.current_term);
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

//! Reconciliation of the membership with the configuration, on the leader. The module `membership` decides,
//! and this module acts.

use std::sync::Arc;

use openraft::ChangeMembers;
use tracing::{info, warn};

use crate::core::{Core, Moment};
use crate::ids::RaftId;
use crate::membership::{Step, View, next_step};
use crate::raft::node::Node;
use crate::timing::{MEMBERSHIP_CHANGE_WITHIN, MEMBERSHIP_CHECK_INTERVAL};

/// Reconciles the membership with the configuration whenever the local node leads, until the stop.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let woken = async {
            let _ = tokio::time::timeout(MEMBERSHIP_CHECK_INTERVAL, core.changed.notified()).await;
        };
        if core.stopping.run_until_cancelled(woken).await.is_none() {
            return;
        }
        let moment = core.moment();
        if moment.standing.leader != Some(moment.identity.raft_id) {
            continue;
        }
        #[cfg(test)]
        if core.hold_membership.load(std::sync::atomic::Ordering::Relaxed) {
            continue;
        }
        if let (Some(node), Some(step)) = (moment.node.clone(), decide(&core, &moment)) {
            let changed = tokio::time::timeout(MEMBERSHIP_CHANGE_WITHIN, carry_out(&node, step)).await;
            if changed.is_err() {
                warn!("the change of the membership is not done yet");
            }
        }
    }
}

fn decide(core: &Core, moment: &Moment) -> Option<Step> {
    let membership = moment.membership()?;
    let (names, present, caught_up) = (core.names(), core.present(moment), core.caught_up(moment));
    next_step(&View { configured: &names, membership: &membership, present: &present, caught_up: &caught_up })
}

async fn carry_out(node: &Node, step: Step) {
    let list = |ids: &std::collections::BTreeSet<RaftId>| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let changed = match step {
        Step::FinishJoint { voters } => {
            info!(voters = list(&voters), "finishing a change of voters that was begun earlier");
            node.raft.change_membership(voters, false).await
        }
        Step::ChangeVoters { voters } => {
            info!(voters = list(&voters), "changing the voters, in one step");
            node.raft.change_membership(voters, false).await
        }
        Step::Forget { learners } => {
            info!(learners = list(&learners), "forgetting learners that were replaced");
            node.raft.change_membership(ChangeMembers::RemoveNodes(learners), false).await
        }
    };
    if let Err(error) = changed {
        warn!(%error, "the membership was not changed; it is tried again");
    }
}

//! A leader that is about to stop hands over first, so that nobody has to wait for a timer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::ServerState;
use tracing::{info, warn};

use crate::core::Core;
use crate::raft::Node;
use crate::types::RaftId;

/// How long one voter may take to begin: a transfer that has not by then will not.
const BEGIN_WITHIN: Duration = Duration::from_millis(300);
/// How long the new leader may take to be heard.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Hands leadership to another voter, if this node leads. Without one that answers nothing can be done.
pub(crate) async fn hand_over(core: &Arc<Core>) {
    let moment = core.moment();
    let Some(node) = moment.node.clone().filter(|_| moment.leads()) else { return };
    for (name, id) in successors(core) {
        info!(to = name, "handing leadership over");
        if transfer(core, &node, id).await {
            info!(to = name, "leadership handed over");
            return;
        }
        warn!(to = name, "it did not take over");
    }
}

/// Voters that answer, the one with the longest log first.
fn successors(core: &Core) -> Vec<(String, RaftId)> {
    let moment = core.moment();
    let peers = core.peers.all();
    let mut voters: Vec<_> = peers
        .into_iter()
        .filter(|(_, peer)| peer.is_healthy(moment.now))
        .filter_map(|(name, peer)| Some((peer.report?, name)))
        .filter(|(report, _)| moment.is_voter(report.raft_id))
        .map(|(report, name)| (report.last_log_id, name, report.raft_id))
        .collect();
    voters.sort_by_key(|voter| std::cmp::Reverse(voter.0));
    voters.into_iter().map(|(_, name, id)| (name, id)).collect()
}

async fn transfer(core: &Core, node: &Node, to: RaftId) -> bool {
    let vote = node.metrics().vote;
    if node.raft.trigger().transfer_leader(to).await.is_err() {
        return false;
    }
    // A higher vote: the other one campaigns.
    if !until(BEGIN_WITHIN, || node.metrics().vote > vote).await {
        return false;
    }
    // The port stays open until the new leader is heard: to vanish before would look like a death.
    until(HEARD_WITHIN, || {
        let moment = core.moment();
        node.metrics().state != ServerState::Leader
            && moment.standing.leader.is_some_and(|id| id != moment.identity.raft_id)
    })
    .await
}

async fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

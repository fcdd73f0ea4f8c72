//! Truth of status documents: what the nodes tell of each other, compared with what the world knows.

use std::sync::Arc;
use std::time::Duration;

use api::status::{ClusterStatus, Role};

use crate::cluster::{Cluster, name_of};

/// Interval between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Silence after which a document tells of it: half a second for a probe, one for an append.
const TOLD_WITHIN: Duration = Duration::from_millis(1500);
/// Silence of a majority after which no quorum is claimed: an election is no outage for a second.
const NO_QUORUM_WITHIN: Duration = Duration::from_millis(2500);

/// Compares the status documents of all nodes with the world, as long as the run lasts.
pub(crate) async fn watch(cluster: Arc<Cluster>) {
    loop {
        cluster.sleep(LOOK_INTERVAL).await;
        let now = cluster.world.executor.now();
        // A node that is stopped looks at no clock.
        for node in (0..cluster.size()).filter(|node| cluster.runs(*node)) {
            let Some(status) = cluster.status(node) else { continue };
            let silence =
                |peer| now.saturating_sub(cluster.world.network.heard_at(peer, node).unwrap_or_default());
            if let Some(untruth) = untruth(&status, node, cluster.size(), silence) {
                let facts = format!("n{}: {untruth}", node + 1);
                cluster.world.invariants().violate("status documents are true", now, facts);
            }
        }
    }
}

/// Returns a statement of a document that is not true.
fn untruth(
    status: &ClusterStatus,
    node: usize,
    nodes: usize,
    silence: impl Fn(usize) -> Duration,
) -> Option<String> {
    let leaders: Vec<&String> =
        status.nodes.iter().filter(|row| row.role == Role::Leader).map(|row| &row.id).collect();
    if leaders.iter().any(|leader| Some(*leader) != status.leader_id.as_ref()) {
        return Some(format!("{leaders:?} lead, leader_id is {:?}", status.leader_id));
    }
    for peer in (0..nodes).filter(|peer| *peer != node && silence(*peer) >= TOLD_WITHIN) {
        let row = status.nodes.iter().find(|row| row.id == name_of(peer));
        if let Some(row) = row.filter(|row| row.healthy || row.role != Role::Unknown) {
            return Some(format!("{} is silent, and shown as {:?}, {:?}", row.id, row.role, row.health));
        }
        if status.leader_id == Some(name_of(peer)) {
            return Some(format!("n{} is silent, and shown as the leader", peer + 1));
        }
    }
    let reached = (0..nodes).filter(|peer| *peer == node || silence(*peer) < NO_QUORUM_WITHIN).count();
    // A cluster of one voter needs no peer.
    let alone = 2 * reached <= nodes && status.voters.len() == nodes;
    (alone && status.quorum).then(|| "reaches no majority, and claims a quorum".to_owned())
}

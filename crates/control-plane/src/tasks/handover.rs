//! Leadership transfers, which avoid an election timeout: before a leader stops, at an operator's request,
//! and while the leader's disk hangs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api::status::Role;
use openraft::ServerState;
use tracing::{error, info, warn};

use crate::core::{Core, Moment};
use crate::errors::{TransferError, Transferred};
use crate::ids::RaftId;
use crate::peers::Peer;
use crate::raft::node::Node;
use crate::timing::{
    STUCK_AFTER, STUCK_CHECK_INTERVAL, STUCK_TRANSFER_RETRY_AFTER, TRANSFER_BEGINS_WITHIN,
    TRANSFER_CHECK_INTERVAL, TRANSFER_HEARD_WITHIN,
};

/// Candidate for a leadership transfer.
struct Successor {
    name: String,
    id: RaftId,
}

/// Transfers leadership whenever the local node leads with a blocked Raft or disk, until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut pause = STUCK_CHECK_INTERVAL;
    while core.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = STUCK_CHECK_INTERVAL;
        let moment = core.moment();
        let stuck = moment.stuck();
        let term = moment.term();
        // A deposed leader learns of its successor from peers: the new vote is not stored before the disk
        // recovers.
        if stuck < STUCK_AFTER || leader_after(&core, term).is_some() {
            continue;
        }
        error!(
            stuck_ms = stuck.as_millis() as u64,
            "this leader's disk or Raft hangs; handing leadership over"
        );
        if hand_over(&core, None).await.is_err() {
            pause = STUCK_TRANSFER_RETRY_AFTER;
        }
    }
}

/// Transfers leadership as [`hand_over`], for a leader that continues after a failure. openraft never takes a
/// failed transfer back, and the leader refuses writes from then on: its Raft is started anew.
pub(crate) async fn transfer(core: &Arc<Core>, to: Option<&str>) -> Result<Transferred, TransferError> {
    let result = hand_over(core, to).await;
    if matches!(result, Err(TransferError::NotTaken { .. }))
        && core.moment().leads()
        && let Some(node) = core.node.load_full()
    {
        warn!("nobody took over; starting this node's Raft anew");
        core.restart_wanted.store(true, Ordering::Relaxed);
        let _ = node.raft.shutdown().await;
    }
    result
}

/// Transfers leadership to `to`, or to the first voter that takes over, if the local node leads.
///
/// # Errors
/// [`TransferError`], never [`TransferError::Control`]. After [`TransferError::NotTaken`] the local node may
/// refuse writes.
pub(crate) async fn hand_over(core: &Arc<Core>, to: Option<&str>) -> Result<Transferred, TransferError> {
    let _one_at_a_time = core.handing_over.lock().await;
    let moment = core.moment();
    let me = core.options.me.clone();
    let term = moment.term();
    if to == Some(&me) {
        return Ok(Transferred { from: me.clone(), to: me, term });
    }
    let Some(node) = moment.node.clone().filter(|_| moment.leads()) else {
        return Err(TransferError::NoSuccessor { reason: format!("{me} does not lead any more") });
    };
    let successors = successors(core, &moment, to)?;
    let mut tried = Vec::new();
    for Successor { name, id } in successors {
        info!(to = name, "handing leadership over");
        if let Some((to, term)) = transfer_to(core, &node, id).await {
            info!(to, term, "leadership handed over");
            return Ok(Transferred { from: me, to, term });
        }
        warn!(to = name, "it did not take over");
        tried.push(name);
    }
    Err(TransferError::NotTaken { to: tried.join(", "), leader: me })
}

/// Returns the possible successors: healthy voters that have caught up, the longest log first.
fn successors(core: &Core, moment: &Moment, to: Option<&str>) -> Result<Vec<Successor>, TransferError> {
    if let Some(name) = to.filter(|name| !core.names().iter().any(|known| known == name)) {
        return Err(TransferError::UnknownNode { name: name.to_owned() });
    }
    let peers = core.peers.all();
    let caught_up = core.caught_up(moment);
    let wanted = peers.into_iter().filter(|(name, _)| to.is_none_or(|to| to == name));
    let (mut fit, mut reasons) = (Vec::new(), Vec::new());
    for (name, peer) in wanted {
        match fitness(moment, &peer, &caught_up) {
            Ok((progress, id)) => fit.push((progress, Successor { name, id })),
            Err(reason) => reasons.push((name, reason)),
        }
    }
    if fit.is_empty() {
        return Err(match (to, reasons.pop()) {
            (Some(_), Some((name, reason))) => TransferError::Unfit { name, reason: reason.to_owned() },
            (_, last) => {
                reasons.extend(last);
                let all = reasons.iter().map(|(name, reason)| format!("{name} {reason}"));
                let reason = all.collect::<Vec<_>>().join(", ");
                TransferError::NoSuccessor {
                    reason: if reason.is_empty() { "there is no other node".to_owned() } else { reason },
                }
            }
        });
    }
    fit.sort_by_key(|(progress, _)| std::cmp::Reverse(*progress));
    Ok(fit.into_iter().map(|(_, successor)| successor).collect())
}

/// Returns the log index replicated to a peer and the peer's Raft id, or the reason against the peer as a
/// leader.
fn fitness(
    moment: &Moment,
    peer: &Peer,
    caught_up: &std::collections::BTreeSet<RaftId>,
) -> Result<(Option<u64>, RaftId), &'static str> {
    let report = peer.report.as_ref().filter(|_| peer.is_healthy(moment.now)).ok_or("does not answer")?;
    let id = report.raft_id;
    if !moment.is_voter(id) {
        return Err("has no vote");
    }
    if !caught_up.contains(&id) {
        return Err("is behind");
    }
    if report.storage_full.is_some() {
        return Err("has a full disk");
    }
    let replication = moment.metrics.as_ref().and_then(|metrics| metrics.replication.as_ref());
    let matched = replication.and_then(|replication| replication.get(&id)?.as_ref().map(|id| id.index));
    Ok((matched, id))
}

/// Transfers leadership to one voter. Returns name and term of the new leader.
async fn transfer_to(core: &Core, node: &Node, to: RaftId) -> Option<(String, u64)> {
    let vote = node.vote();
    let term = vote.leader_id.term;
    node.raft.trigger().transfer_leader(to).await.ok()?;
    // A higher vote means a candidacy. A node with a blocked disk cannot store the vote, and learns of it
    // from peers.
    let began = || (node.vote() > vote || leader_after(core, term).is_some()).then_some(());
    until(TRANSFER_BEGINS_WITHIN, began).await?;
    // The port stays open until the new leader is heard: an earlier end would look like a failure.
    until(TRANSFER_HEARD_WITHIN, || {
        let moment = core.moment();
        let other = moment.standing.leader.filter(|id| *id != moment.identity.raft_id);
        let heard = other.filter(|_| moment.metrics.as_ref().is_some_and(|m| m.state != ServerState::Leader));
        let heard = heard.and_then(|id| Some((moment.name_of(id)?, moment.metrics.as_ref()?.current_term)));
        heard.or_else(|| leader_after(core, term).filter(|_| moment.stuck() >= STUCK_AFTER))
    })
    .await
}

/// Returns the peer that reports leadership in a term later than `term`.
fn leader_after(core: &Core, term: u64) -> Option<(String, u64)> {
    let now = Instant::now();
    core.peers.all().into_iter().find_map(|(name, peer)| {
        let report = peer.recent_report(now)?;
        (report.role == Role::Leader && report.term > term).then_some((name, report.term))
    })
}

async fn until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let met = condition();
        if met.is_some() || Instant::now() > deadline {
            return met;
        }
        tokio::time::sleep(TRANSFER_CHECK_INTERVAL).await;
    }
}

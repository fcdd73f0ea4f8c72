//! Leadership transfers, which avoid an election timeout: before a leader stops, at an operator's request,
//! and while the leader's disk hangs.

use std::sync::Arc;
use std::time::Duration;

use api::status::Role;
use openraft::ServerState;
use tracing::{error, info, warn};

use crate::errors::{TransferError, Transferred};
use crate::ids::RaftId;
use crate::observation::Observation;
use crate::observer::Observer;
use crate::peers::Peer;
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::timing::{
    STUCK_AFTER, STUCK_CHECK_INTERVAL, STUCK_TRANSFER_RETRY_AFTER, TRANSFER_BEGINS_WITHIN,
    TRANSFER_CHECK_INTERVAL, TRANSFER_HEARD_WITHIN,
};
use crate::world::clock;

/// Candidate for a leadership transfer.
struct Successor {
    name: String,
    id: RaftId,
}

/// Leadership transfers of the local node, one at a time.
pub(crate) struct Transfers {
    observer: Arc<Observer>,
    raft: Arc<RaftSlot>,
    signals: Arc<Signals>,
    /// Held during a transfer.
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Transfers {
    /// Creates the transfers, none in progress.
    pub(crate) fn new(observer: Arc<Observer>, raft: Arc<RaftSlot>, signals: Arc<Signals>) -> Self {
        Self { observer, raft, signals, one_at_a_time: tokio::sync::Mutex::default() }
    }

    /// Prevents transfers as long as the guard lives, for tests.
    #[cfg(test)]
    pub(crate) fn prevent(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.one_at_a_time.try_lock().expect("no transfer in progress")
    }

    /// Transfers leadership whenever the local node leads with a blocked Raft or disk, until the node stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pause = STUCK_CHECK_INTERVAL;
        while self.signals.sleep(pause).await {
            pause = STUCK_CHECK_INTERVAL;
            let seen = self.observer.observe();
            let stuck = seen.stuck();
            let term = seen.term();
            // A deposed leader learns of its successor from peers: the new vote is not stored before the disk
            // recovers.
            if stuck < STUCK_AFTER || self.leader_after(term).is_some() {
                continue;
            }
            error!(
                stuck_ms = stuck.as_millis() as u64,
                "disk or Raft of this leader blocked; leadership transfer started"
            );
            if self.hand_over(None).await.is_err() {
                pause = STUCK_TRANSFER_RETRY_AFTER;
            }
        }
    }

    /// Transfers leadership as [`Self::hand_over`], for a leader that continues after a failure. openraft
    /// never takes a failed transfer back, and the leader refuses writes from then on: its Raft is started
    /// anew.
    pub(crate) async fn transfer(&self, to: Option<&str>) -> Result<Transferred, TransferError> {
        let result = self.hand_over(to).await;
        if matches!(result, Err(TransferError::NotTaken { .. }))
            && self.observer.observe().leads()
            && let Some(node) = self.raft.node()
        {
            warn!("leadership transfer failed; Raft restarted");
            self.raft.request_restart();
            let _ = node.raft.shutdown().await;
        }
        result
    }

    /// Transfers leadership to `to`, or to the first voter that takes over, if the local node leads.
    ///
    /// # Errors
    /// [`TransferError`], never [`TransferError::Control`]. After [`TransferError::NotTaken`] the local node
    /// may refuse writes.
    pub(crate) async fn hand_over(&self, to: Option<&str>) -> Result<Transferred, TransferError> {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let seen = self.observer.observe();
        let me = self.observer.me().to_owned();
        let term = seen.term();
        if to == Some(&me) {
            return Ok(Transferred { from: me.clone(), to: me, term });
        }
        let Some(node) = seen.node.clone().filter(|_| seen.leads()) else {
            return Err(TransferError::NoSuccessor { reason: format!("{me} does not lead any more") });
        };
        let successors = self.successors(&seen, to)?;
        let mut tried = Vec::new();
        for Successor { name, id } in successors {
            info!(to = name, "leadership transfer started");
            if let Some((to, term)) = self.transfer_to(&node, id).await {
                debug_assert!(term > seen.term(), "a new leader has a term of its own");
                info!(to, term, "leadership transferred");
                return Ok(Transferred { from: me, to, term });
            }
            warn!(to = name, "leadership transfer timed out");
            tried.push(name);
        }
        Err(TransferError::NotTaken { to: tried.join(", "), leader: me })
    }

    /// Returns the possible successors: healthy voters that have caught up, the longest log first.
    fn successors(&self, seen: &Observation, to: Option<&str>) -> Result<Vec<Successor>, TransferError> {
        if let Some(name) = to.filter(|name| !self.observer.names().iter().any(|known| known == name)) {
            return Err(TransferError::UnknownNode { name: name.to_owned() });
        }
        let peers = self.observer.peers().all();
        let caught_up = self.observer.caught_up(seen);
        let wanted = peers.into_iter().filter(|(name, _)| to.is_none_or(|to| to == name));
        let (mut fit, mut reasons) = (Vec::new(), Vec::new());
        for (name, peer) in wanted {
            match fitness(seen, &peer, &caught_up) {
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

    /// Transfers leadership to one voter. Returns name and term of the new leader.
    async fn transfer_to(&self, node: &Node, to: RaftId) -> Option<(String, u64)> {
        let vote = node.vote();
        let term = vote.leader_id.term;
        node.raft.trigger().transfer_leader(to).await.ok()?;
        // A higher vote means a candidacy. A node with a blocked disk cannot store the vote, and learns of it
        // from peers.
        let began = || (node.vote() > vote || self.leader_after(term).is_some()).then_some(());
        until(TRANSFER_BEGINS_WITHIN, began).await?;
        // The port stays open until the new leader is heard: an earlier end would look like a failure.
        until(TRANSFER_HEARD_WITHIN, || {
            let seen = self.observer.observe();
            let other = seen.leadership.leader.filter(|id| *id != seen.identity.raft_id);
            let heard =
                other.filter(|_| seen.metrics.as_ref().is_some_and(|m| m.state != ServerState::Leader));
            let heard = heard.and_then(|id| Some((seen.name_of(id)?, seen.metrics.as_ref()?.current_term)));
            heard.or_else(|| self.leader_after(term).filter(|_| seen.stuck() >= STUCK_AFTER))
        })
        .await
    }

    /// Returns the peer that reports leadership in a term later than `term`.
    fn leader_after(&self, term: u64) -> Option<(String, u64)> {
        let now = clock::now();
        self.observer.peers().all().into_iter().find_map(|(name, peer)| {
            let report = peer.recent_report(now)?;
            (report.role == Role::Leader && report.term > term).then_some((name, report.term))
        })
    }
}

/// Returns the log index replicated to a peer and the peer's Raft id, or the reason against the peer as a
/// leader.
fn fitness(
    seen: &Observation,
    peer: &Peer,
    caught_up: &std::collections::BTreeSet<RaftId>,
) -> Result<(Option<u64>, RaftId), &'static str> {
    let report = peer.report.as_ref().filter(|_| peer.is_healthy(seen.now)).ok_or("does not answer")?;
    let id = report.raft_id;
    if !seen.is_voter(id) {
        return Err("has no vote");
    }
    if !caught_up.contains(&id) {
        return Err("is behind");
    }
    if report.storage_full.is_some() {
        return Err("has a full disk");
    }
    let replication = seen.metrics.as_ref().and_then(|metrics| metrics.replication.as_ref());
    let matched = replication.and_then(|replication| replication.get(&id)?.as_ref().map(|id| id.index));
    Ok((matched, id))
}

async fn until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = clock::now() + limit;
    loop {
        let met = condition();
        if met.is_some() || clock::now() > deadline {
            return met;
        }
        clock::sleep(TRANSFER_CHECK_INTERVAL).await;
    }
}

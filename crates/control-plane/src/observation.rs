//! Facts about the local node's Raft at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::status::Role;
use openraft::{Instant as _, RaftMetrics, ServerState};

use crate::identity::Identity;
use crate::ids::RaftId;
use crate::leadership::{Leadership, RaftFacts};
use crate::raft::node::Node;
use crate::types::{StoredMembership, TypeConfig};

/// Facts about the local node's Raft, all of one moment.
pub(crate) struct Observation {
    /// Time of the observation.
    pub now: Instant,
    /// Identity of the data directory.
    pub identity: Identity,
    /// The running Raft.
    pub node: Option<Arc<Node>>,
    /// Metrics of the running Raft.
    pub metrics: Option<RaftMetrics<TypeConfig>>,
    /// Role of the node and known leader.
    pub leadership: Leadership,
}

impl Observation {
    /// Observes the Raft of a node with this identity. `leader_denied` is true if the probes contradict the
    /// leader in the stored vote.
    pub(crate) fn of(
        now: Instant,
        identity: Identity,
        node: Option<Arc<Node>>,
        leader_denied: impl FnOnce(&RaftMetrics<TypeConfig>) -> bool,
    ) -> Self {
        let metrics = node.as_ref().map(|node| node.metrics());
        let leadership = match (&node, &metrics) {
            (Some(node), Some(metrics)) if identity.superseded_by.is_none() => {
                let denied = leader_denied(metrics);
                facts(identity.raft_id, metrics, node.append_age(now), denied).leadership()
            }
            _ => Leadership { role: Role::Learner, leader: None },
        };
        let (leads, me) = (leadership.role == Role::Leader, Some(identity.raft_id));
        debug_assert!(!leads || leadership.leader == me, "a leader names itself");
        Self { now, identity, node, metrics, leadership }
    }

    /// True if the local node is the leader, acknowledged by a quorum.
    pub(crate) fn is_leader(&self) -> bool {
        self.leadership.leader == Some(self.identity.raft_id)
    }

    /// Returns the effective membership; none before the node has received one.
    pub(crate) fn membership(&self) -> Option<Arc<StoredMembership>> {
        let metrics = self.metrics.as_ref()?;
        let membership = &metrics.membership_config;
        let is_known = membership.membership().nodes().next().is_some();
        is_known.then(|| Arc::clone(membership))
    }

    /// True if the local Raft leads, acknowledged or not.
    pub(crate) fn leads(&self) -> bool {
        self.metrics.as_ref().is_some_and(|metrics| metrics.state == ServerState::Leader)
    }

    /// Returns the Raft term; 0 before the first.
    pub(crate) fn term(&self) -> u64 {
        self.metrics.as_ref().map_or(0, |metrics| metrics.current_term)
    }

    /// Returns the time for which Raft or the disk of a leading node has been blocked; zero if the node does
    /// not lead.
    pub(crate) fn stuck(&self) -> Duration {
        let node = self.node.as_ref().filter(|_| self.leads());
        node.map_or(Duration::ZERO, |node| node.stuck(self.now))
    }

    /// Returns the size of the largest voter set in the node's log or applied state.
    pub(crate) fn largest_voter_set(&self) -> usize {
        let applied = self.node.as_ref().map_or(0, |node| node.state.largest_voter_set());
        // After a power loss the applied state may be behind the log.
        let membership = self.membership();
        let configs = membership.iter().flat_map(|m| m.membership().get_joint_config());
        configs.map(BTreeSet::len).max().unwrap_or(0).max(applied)
    }

    /// Returns the index up to which the node knows the log to be committed.
    pub(crate) fn committed_index(&self) -> Option<u64> {
        self.metrics.as_ref()?.local_committed.map(|id| id.index)
    }

    /// True if the log has an entry.
    pub(crate) fn has_log(&self) -> bool {
        self.metrics.as_ref().is_some_and(|metrics| metrics.last_log_index.is_some())
    }

    /// Returns the index of the last applied entry.
    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.node.as_ref()?.state.last_applied().map(|id| id.index)
    }

    /// True if `id` is a voter.
    pub(crate) fn is_voter(&self, id: RaftId) -> bool {
        self.membership()
            .is_some_and(|membership| membership.membership().voter_ids().any(|voter| voter == id))
    }

    /// Returns the name of a member.
    pub(crate) fn name_of(&self, id: RaftId) -> Option<String> {
        self.membership()?.membership().get_node(&id).map(|member| member.name.clone())
    }

    /// Returns the name of the leader, if certain enough.
    pub(crate) fn leader_name(&self) -> Option<String> {
        self.leadership.leader.and_then(|leader| self.name_of(leader))
    }

    /// Returns the settled voters and learners: by the committed membership, and during a joint change by the
    /// configuration before. An uncommitted change may not happen, and a future voter carries no decision
    /// yet.
    pub(crate) fn settled(&self) -> (BTreeSet<RaftId>, BTreeSet<RaftId>) {
        let Some(metrics) = &self.metrics else { return Default::default() };
        let membership = metrics.committed_membership_config.membership();
        let voters = membership.get_joint_config().first().cloned().unwrap_or_default();
        let learners = membership.nodes().map(|(id, _)| *id).filter(|id| !voters.contains(id)).collect();
        (voters, learners)
    }

    /// Returns the names of voters and of learners.
    pub(crate) fn names(&self) -> (Vec<String>, Vec<String>) {
        let name = |id: &RaftId| self.name_of(*id).unwrap_or_else(|| id.to_string());
        let sorted = |ids: BTreeSet<RaftId>| {
            let mut names: Vec<String> = ids.iter().map(name).collect();
            names.sort();
            names
        };
        let (voters, learners) = self.settled();
        (sorted(voters), sorted(learners))
    }
}

fn facts(
    me: RaftId,
    metrics: &RaftMetrics<TypeConfig>,
    append_age: Option<Duration>,
    leader_denied: bool,
) -> RaftFacts {
    let voters: Vec<RaftId> = metrics.membership_config.membership().voter_ids().collect();
    debug_assert!(!voters.contains(&RaftId::UNKNOWN), "an unknown id never votes");
    RaftFacts {
        me,
        state: metrics.state,
        voted_leader: metrics.current_leader,
        acked_age: metrics.last_quorum_acked.as_ref().map(|at| at.elapsed()),
        append_age,
        leader_denied,
        voter: voters.contains(&me),
        only_voter: voters == [me],
    }
}

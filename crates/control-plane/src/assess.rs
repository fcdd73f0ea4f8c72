//! Status document, computed from one node's view by rules without a clock.
//!
//! The rules hold for every view; [`ClusterStatus::contradictions`] states their consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::status::{ClusterStatus, Health, NodeStatus, Role};

use crate::format::Activated;
use crate::ids::{ClusterId, RaftId};
use crate::message::Report;
use crate::peers::ClockOffset;
use crate::status::NodeAddress;
use crate::timing::{ELECTION_GRACE, HEALTHY_WITHIN, HEARD_WITHIN};

/// Knowledge of one node about the cluster at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Configured name of the cluster.
    pub cluster_name: String,
    /// Cluster that the node belongs to.
    pub cluster_id: Option<ClusterId>,
    /// Cluster to which the node's own cluster gave way.
    pub superseded_by: Option<ClusterId>,
    /// Name of the node.
    pub me: String,
    /// Raft term.
    pub term: u64,
    /// Name of the leader, if certain enough ([`crate::leadership`]).
    pub leader: Option<String>,
    /// Age of the latest moment at which a leader was known.
    pub leader_age: Option<Duration>,
    /// Voters of each configuration of the effective membership: one, or two during a joint change.
    pub configs: Vec<BTreeSet<RaftId>>,
    /// Names of the settled voters by id.
    pub voters: BTreeMap<RaftId, String>,
    /// Names of the settled learners.
    pub learners: Vec<String>,
    /// Hash of the node's configuration.
    pub config_hash: String,
    /// Activated version of the formats.
    pub activated: Activated,
    /// Bytes of the deduplication table, and the limit.
    pub key_bytes: (u64, u64),
    /// Every configured node, in the configuration's order.
    pub nodes: Vec<NodeView>,
}

/// Knowledge of one configured node.
#[derive(Debug, Clone)]
pub(crate) struct NodeView {
    /// Configured address.
    pub address: NodeAddress,
    /// Latest report, however old.
    pub report: Option<Arc<Report>>,
    /// Age of the latest answer to a probe; none: never heard.
    pub answered_age: Option<Duration>,
    /// True if the node's port has refused a connection since the latest answer.
    pub port_refused: bool,
    /// Cause of a recent failed handshake with the node.
    pub handshake_failure: Option<String>,
    /// True if the node is behind the leader and does not advance ([`crate::lag`]).
    pub lagging: bool,
    /// Entries by which the node is behind the leader.
    pub behind: u64,
    /// Offset of the node's clock, while the node is heard.
    pub clock: Option<ClockOffset>,
    /// True if the local node has found that the node's data directory went back in time.
    pub reverted: bool,
}

impl View {
    /// Returns the status document, without notices.
    pub(crate) fn assess(&self) -> ClusterStatus {
        let mut voters: Vec<String> = self.voters.values().cloned().collect();
        voters.sort();
        ClusterStatus {
            cluster_name: self.cluster_name.clone(),
            cluster_id: self.cluster_id.map(|id| id.to_string()),
            node_id: self.me.clone(),
            term: self.term,
            format_version: self.activated.version.number(),
            leader_id: self.leader().cloned(),
            quorum: self.quorum(),
            voters,
            learners: self.learners.clone(),
            notices: Vec::new(),
            nodes: self.nodes.iter().map(|node| self.row(node)).collect(),
        }
    }

    /// Returns the leader. None while the local node reaches no majority of the voters, even if the latest
    /// append or acknowledgement is younger than the loss, and none while the leader's row denies the
    /// leadership: the results of the probes may be younger than `self.leader`.
    pub(crate) fn leader(&self) -> Option<&String> {
        let denied = |node: &NodeView| {
            Some(&node.address.name) == self.leader.as_ref()
                && matches!(self.health(node), Health::Refused | Health::ForeignCluster)
        };
        self.leader.as_ref().filter(|_| {
            self.superseded_by.is_none() && self.reaches_a_majority() && !self.nodes.iter().any(denied)
        })
    }

    fn reaches_a_majority(&self) -> bool {
        let answers =
            |health: Health| health.is_healthy() || matches!(health, Health::Lagging | Health::StorageFailed);
        let reached = self.ids_of(answers);
        self.configs.iter().all(|config| has_majority(config, &reached))
    }

    /// Returns the Raft ids of the nodes with a wanted health.
    fn ids_of(&self, wanted: impl Fn(Health) -> bool) -> BTreeSet<RaftId> {
        let nodes = self.nodes.iter().filter(|node| wanted(self.health(node)));
        nodes.filter_map(|node| known(node.report.as_ref()?.raft_id)).collect()
    }

    /// True if a quorum of the voters is healthy, and a leader is known or was a moment ago: an election is
    /// not an outage.
    pub(crate) fn quorum(&self) -> bool {
        let led = self.leader().is_some() || self.leader_age.is_some_and(|age| age < ELECTION_GRACE);
        // Before the first membership is committed there is no set of voters for a quorum.
        led && self.superseded_by.is_none() && !self.voters.is_empty() && self.missing_voters().is_none()
    }

    /// True once the local node can read its identity.
    pub(crate) fn is_identified(&self) -> bool {
        let me = self.nodes.iter().find(|node| node.address.name == self.me);
        me.and_then(|me| known(me.report.as_ref()?.raft_id)).is_some()
    }

    /// Returns the unhealthy voters, if too few healthy voters remain for a quorum.
    pub(crate) fn missing_voters(&self) -> Option<MissingVoters> {
        let present = self.ids_of(Health::is_healthy);
        // The settled voters count too: their replacement is not committed yet.
        let settled: BTreeSet<RaftId> = self.voters.keys().copied().collect();
        let settled = Some(&settled).filter(|settled| !settled.is_empty());
        let config = self.configs.iter().chain(settled).find(|config| !has_majority(config, &present))?;
        let name = |id: &RaftId| self.voters.get(id).cloned().unwrap_or_else(|| format!("voter {id}"));
        let (healthy, missing): (BTreeSet<RaftId>, BTreeSet<RaftId>) =
            config.iter().partition(|id| present.contains(id));
        let sorted =
            |ids: BTreeSet<RaftId>| ids.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect();
        debug_assert!(healthy.len() <= config.len() / 2, "a quorum is there");
        Some(MissingVoters {
            needed: config.len() / 2 + 1,
            healthy: sorted(healthy),
            missing: sorted(missing),
        })
    }

    /// Returns the health of a node, by the most specific reason.
    pub(crate) fn health(&self, node: &NodeView) -> Health {
        let answers = node.answered_age.is_some_and(|age| age < HEALTHY_WITHIN);
        let Some(report) = node.report.as_ref().filter(|_| answers && !node.port_refused) else {
            return match node {
                node if node.port_refused => Health::Refused,
                node if node.handshake_failure.is_some() => Health::HandshakeFailed,
                _ => Health::Silent,
            };
        };
        if report.diverged.is_some() {
            return Health::HistoryDiverged;
        }
        if report.reverted || node.reverted {
            return Health::Reverted;
        }
        if report.storage_failure.is_some() {
            return Health::StorageFailed;
        }
        // In a cluster that gave way, the rows are judged by the remaining cluster.
        let ours = self.superseded_by.or(self.cluster_id);
        if ours.is_some() && report.cluster_id.is_some() && report.cluster_id != ours {
            return Health::ForeignCluster;
        }
        match self.votes(node) {
            true if node.lagging => Health::Lagging,
            true => Health::Ok,
            false => Health::NotVoting,
        }
    }

    /// True for a settled voter. Known from the log, also for an absent node.
    fn votes(&self, node: &NodeView) -> bool {
        match node.report.as_ref().and_then(|report| known(report.raft_id)) {
            Some(id) => self.voters.contains_key(&id),
            None => self.voters.values().any(|voter| *voter == node.address.name),
        }
    }

    /// Returns the role of a node. Only the leader's row shows [`Role::Leader`]: an unconfirmed claim to lead
    /// shows as a candidate.
    fn role(&self, node: &NodeView) -> Role {
        if self.leader() == Some(&node.address.name) {
            return Role::Leader;
        }
        let heard = !node.port_refused && node.answered_age.is_some_and(|age| age < HEARD_WITHIN);
        match node.report.as_ref().filter(|_| heard).map(|report| report.role) {
            None => Role::Unknown,
            Some(Role::Leader) => Role::Candidate,
            Some(role) => role,
        }
    }

    fn row(&self, node: &NodeView) -> NodeStatus {
        let health = self.health(node);
        let heard = node.answered_age.is_some_and(|age| age < HEARD_WITHIN);
        let recent = node.report.as_ref().filter(|_| heard);
        let NodeAddress { name, ip, http_port, raft_port } = &node.address;
        let mut row = NodeStatus {
            id: name.clone(),
            ip: ip.to_string(),
            http_port: *http_port,
            raft_port: *raft_port,
            raft_id: node.report.as_ref().and_then(|report| Some(known(report.raft_id)?.to_string())),
            role: self.role(node),
            healthy: health.is_healthy(),
            health,
            voter: self.votes(node),
            last_heard_ms: node.answered_age.map(|age| age.as_millis() as u64),
            ..NodeStatus::default()
        };
        if let Some(report) = recent {
            row.last_log_index = report.last_log_id.map(|id| id.index);
            row.applied_index = report.applied_index;
            row.version = Some(report.version.clone());
            row.same_config = Some(report.config_hash == self.config_hash);
            report.figures.write_to(&mut row);
        }
        row
    }
}

/// Returns the id; none if its node cannot read its directory.
fn known(id: RaftId) -> Option<RaftId> {
    (id != RaftId::UNKNOWN).then_some(id)
}

/// True if more than half of the voters in `config` are among `present`.
fn has_majority(config: &BTreeSet<RaftId>, present: &BTreeSet<RaftId>) -> bool {
    config.intersection(present).count() > config.len() / 2
}

/// Lack of healthy voters for a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingVoters {
    /// Number of healthy voters required for a quorum.
    pub needed: usize,
    /// Names of the healthy voters.
    pub healthy: Vec<String>,
    /// Names of the unhealthy voters.
    pub missing: Vec<String>,
}

#[cfg(test)]
pub(crate) mod tests;

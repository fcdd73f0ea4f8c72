//! The local node's knowledge about the cluster, and the facts derived from it without waiting.

mod leading;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api::status::{ClusterStatus, Role};
use openraft::RaftMetrics;

use crate::assess::{NodeView, View};
use crate::catalog::Catalog;
use crate::format::Announcement;
use crate::identity::{DataDir, Identity};
use crate::ids::{ClusterId, RaftId};
use crate::lag::Lag;
use crate::message::Report;
use crate::network::Pause;
use crate::notices::{FirstSeen, Situation};
use crate::observation::Observation;
use crate::options::Options;
use crate::peers::{Peer, Peers};
use crate::raft::slot::RaftSlot;
use crate::status::{MemberInfo, Members, NodeAddress};
use crate::storage::StorageFailure;
use crate::timing::STUCK_AFTER;
use crate::types::TypeConfig;
use crate::world::clock;

/// Knowledge of the local node: its own Raft, and the results of the probes.
pub(crate) struct Observer {
    options: Arc<Options>,
    data: Arc<DataDir>,
    raft: Arc<RaftSlot>,
    /// Results of the probes.
    peers: Peers,
    /// Drill that keeps the node silent towards its peers.
    pause: Pause,
    /// Start time of each condition that holds.
    notices: FirstSeen,
    /// Lag of the local applied state.
    lag: Mutex<Lag>,
    /// Conflict with another cluster met among the configured nodes; none without a conflict.
    conflict: Mutex<Option<String>>,
    started: Instant,
    /// Time at which a leader was last known, in milliseconds after `started`, plus one; 0: never.
    leader_known_at: AtomicU64,
}

impl Observer {
    /// Creates the knowledge of a node that has not heard any peer.
    pub(crate) fn new(
        options: Arc<Options>,
        data: Arc<DataDir>,
        raft: Arc<RaftSlot>,
        peers: Peers,
        pause: Pause,
    ) -> Self {
        Self {
            options,
            data,
            raft,
            peers,
            pause,
            notices: FirstSeen::default(),
            lag: Mutex::default(),
            conflict: Mutex::default(),
            started: clock::now(),
            leader_known_at: AtomicU64::new(0),
        }
    }

    /// Returns the name of the local node.
    pub(crate) fn me(&self) -> &str {
        &self.options.me
    }

    /// Returns the configuration of the local node.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the results of the probes.
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the identity of the local node.
    pub(crate) fn identity(&self) -> Identity {
        self.data.identity()
    }

    /// Returns the path of the data directory.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Returns the format versions that the local release reads.
    pub(crate) fn announcement(&self) -> Announcement {
        Announcement::of_this_release(self.identity().raft_id, self.options.version)
    }

    /// Observes the local Raft.
    pub(crate) fn observe(&self) -> Observation {
        let now = clock::now();
        let denied = |metrics: &RaftMetrics<TypeConfig>| self.leader_denied(metrics, now);
        let seen = Observation::of(now, self.data.identity(), self.raft.node(), denied);
        if seen.leadership.leader.is_some() {
            let ms = now.saturating_duration_since(self.started).as_millis() as u64;
            self.leader_known_at.fetch_max(ms + 1, Ordering::Relaxed);
        }
        seen
    }

    /// True if the probes contradict the leadership of the leader in the stored vote.
    fn leader_denied(&self, metrics: &RaftMetrics<TypeConfig>, now: Instant) -> bool {
        let Some(leader) = metrics.current_leader else { return false };
        let member = metrics.membership_config.membership().get_node(&leader);
        let peer = member.and_then(|member| self.peers.get(&member.name));
        peer.is_some_and(|peer| peer.denies_leading(leader, metrics.current_term, now))
    }

    /// True if a quorum of the voters is healthy, and a leader is known or was until a moment ago.
    pub(crate) fn has_quorum(&self, seen: &Observation) -> bool {
        self.view(seen).quorum()
    }

    /// Returns the time since a leader was last known.
    fn leader_age(&self, now: Instant) -> Option<Duration> {
        let ms = self.leader_known_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.started + Duration::from_millis(ms)))
    }

    /// Returns the committed index of the leader; none without a known leader, since no node is behind then.
    pub(crate) fn committed_index(&self, seen: &Observation) -> Option<u64> {
        if seen.is_leader() {
            return seen.committed_index();
        }
        let peer = self.peers.get(&seen.leader_name()?)?;
        peer.recent_report(seen.now)?.committed_index
    }

    /// Records the progress of the local applied state.
    pub(crate) fn note_lag(&self, seen: &Observation) {
        let committed = self.committed_index(seen);
        let mut lag = self.lag();
        lag.observe(seen.applied_index(), committed, seen.now);
    }

    /// Returns the report of the local node for a peer that sent a probe.
    pub(crate) fn report(&self, asking: RaftId) -> Report {
        self.report_at(&self.observe(), asking)
    }

    fn report_at(&self, seen: &Observation, asking: RaftId) -> Report {
        let membership = seen.membership();
        let failure = self.storage_failure(seen);
        let needs_release = failure.as_ref().and_then(|failure| failure.needs_release.clone());
        let reverted = failure.as_ref().is_some_and(|failure| failure.reverted);
        let diverged = self.raft.diverged().map(|diverged| diverged.divergence);
        Report {
            raft_id: seen.identity.raft_id,
            // A cluster adopted without any log entry is not reported: it may be gone, and the asking node
            // may found another one. If the log cannot be read, the cluster is reported, so that no other
            // cluster is founded beside it.
            cluster_id: seen
                .identity
                .cluster_id
                .filter(|_| seen.node.is_none() || seen.has_log() || seen.identity.founder),
            largest_voter_set: seen.largest_voter_set(),
            role: seen.leadership.role,
            voter: seen.is_voter(seen.identity.raft_id),
            lists_sender: membership.as_ref().is_some_and(|m| m.membership().get_node(&asking).is_some()),
            term: seen.term(),
            leader: seen.leader_name(),
            last_log_id: seen.node.as_ref().and_then(|node| node.last_log_id()),
            applied_index: seen.applied_index(),
            config_hash: self.options.config_hash.clone(),
            version: self.options.version.to_owned(),
            stuck_ms: seen.stuck().as_millis() as u64,
            committed_index: seen.committed_index(),
            storage_failure: failure.as_ref().map(|failure| failure.cause()),
            storage_remedy: failure.map(|failure| failure.remedy),
            storage_full: seen.node.as_ref().and_then(|node| Some(node.shortage()?.to_string())),
            snapshot_trouble: seen
                .node
                .as_ref()
                .and_then(|node| Some(node.disk.snapshot_trouble()?.to_string())),
            clock_ms: (self.options.clock_ms)(),
            announcement: Some(self.announcement()),
            needs_release,
            mark: seen.node.as_ref().map(|node| node.log.own_mark()),
            marks: seen.node.as_ref().map(|node| node.directories.marks()),
            reverted: reverted && diverged.is_none(),
            diverged,
            figures: (self.options.figures)(),
        }
    }

    /// Returns the failure of the local storage: a failure that ended Raft, or a write that hangs or is
    /// refused.
    fn storage_failure(&self, seen: &Observation) -> Option<StorageFailure> {
        self.raft.failure().or_else(|| {
            let node = seen.node.as_ref()?;
            let stuck = node.stuck(seen.now).max(node.disk.unfinished_for(seen.now));
            if stuck < STUCK_AFTER {
                return node.disk.trial_failure();
            }
            let dir = self.data.path();
            let hangs = format!("a write to the disk has not ended for {:.1} s", stuck.as_secs_f32());
            Some(StorageFailure::other(dir, dir, hangs))
        })
    }

    /// Returns the cluster of the local node if its directory may be replaced: a leader answers, which rests
    /// on the others alone while the local node takes no part, and no other directory has lost anything.
    pub(crate) fn cluster_without_us(&self) -> Option<ClusterId> {
        let now = clock::now();
        let peers = self.peers.all();
        let reports: Vec<_> = peers.values().filter_map(|peer| peer.recent_report(now)).collect();
        let identity = self.data.identity();
        let remembers =
            |report: &Report| report.marks.as_ref().is_some_and(|marks| marks.of(identity.raft_id).is_some());
        // A directory of the time before the node joined does not name the cluster; its peers do.
        let told = || reports.iter().find(|report| remembers(report)).and_then(|report| report.cluster_id);
        let cluster = identity.cluster_id.or(identity.joins).or_else(told)?;
        let ours = || reports.iter().filter(|report| report.cluster_id == Some(cluster));
        let is_only = ours().all(|report| !report.reverted && report.diverged.is_none());
        let is_led = ours().any(|report| report.role == Role::Leader);
        (is_only && is_led).then_some(cluster)
    }

    /// Returns the cluster as seen by the local node now.
    pub(crate) fn status(&self) -> ClusterStatus {
        let seen = self.observe();
        let view = self.view(&seen);
        let situation = Situation {
            view: &view,
            conflict: self.conflict().clone(),
            joint: view.configs.len() > 1,
            waiting_for: self.waiting_for(&seen),
        };
        let mut conditions = situation.conditions();
        conditions.extend((self.options.conditions)());
        let status = ClusterStatus {
            notices: self.notices.stamp(conditions, (self.options.clock_ms)()),
            ..view.assess()
        };
        debug_assert_eq!(status.contradictions(), [""; 0], "{status:?}");
        status
    }

    /// Collects the facts from which the status is computed.
    pub(crate) fn view(&self, seen: &Observation) -> View {
        let peers = self.peers.all();
        let (voters, learners) = seen.settled();
        let name = |id: RaftId| seen.name_of(id).unwrap_or_else(|| id.to_string());
        let mut learners: Vec<String> = learners.into_iter().map(name).collect();
        learners.sort();
        let membership = seen.membership();
        let key_bytes = seen.node.as_ref().map(|node| node.state.catalog(Catalog::remembered_bytes));
        View {
            cluster_name: self.options.cluster_name.clone(),
            cluster_id: seen.identity.cluster_id,
            superseded_by: seen.identity.superseded_by,
            me: self.options.me.clone(),
            term: seen.term(),
            leader: seen.leader_name(),
            leader_age: self.leader_age(seen.now),
            configs: membership.map_or_else(Vec::new, |m| m.membership().get_joint_config().clone()),
            voters: voters.into_iter().map(|id| (id, name(id))).collect(),
            learners,
            config_hash: self.options.config_hash.clone(),
            activated: seen.node.as_ref().map(|node| node.state.activated()).unwrap_or_default(),
            key_bytes: (key_bytes.unwrap_or_default(), self.options.idempotency_bytes),
            nodes: self.options.nodes.iter().map(|address| self.node_view(address, seen, &peers)).collect(),
        }
    }

    fn node_view(
        &self,
        address: &NodeAddress,
        seen: &Observation,
        peers: &BTreeMap<String, Peer>,
    ) -> NodeView {
        if address.name == self.options.me {
            let lag = self.lag();
            return NodeView {
                address: address.clone(),
                report: Some(Arc::new(self.report_at(seen, seen.identity.raft_id))),
                // In a drill the node counts as unreachable to itself as well.
                answered_age: (!self.pause.is_paused()).then_some(Duration::ZERO),
                port_refused: false,
                handshake_failure: None,
                lagging: lag.is_lagging(seen.now),
                behind: lag.behind(),
                clock: None,
                reverted: false,
            };
        }
        let peer = peers.get(&address.name).cloned().unwrap_or_default();
        NodeView {
            address: address.clone(),
            answered_age: peer.answered_at.map(|at| seen.now.saturating_duration_since(at)),
            port_refused: peer.port_closed,
            handshake_failure: peer.failure.clone().filter(|_| peer.refuses(seen.now)),
            lagging: peer.lag.is_lagging(seen.now),
            behind: peer.lag.behind(),
            clock: peer.clock.filter(|_| peer.is_healthy(seen.now)),
            reverted: seen
                .node
                .as_ref()
                .zip(peer.report.as_ref())
                .is_some_and(|(node, report)| node.directories.is_reverted(report.raft_id)),
            report: peer.report,
        }
    }

    /// Returns the members of the cluster, as far as known to the local node.
    pub(crate) fn members(&self) -> Members {
        let seen = self.observe();
        let membership = seen.membership();
        let (voters, _) = seen.settled();
        let nodes = membership.iter().flat_map(|m| m.membership().nodes());
        let members = nodes.map(|(id, member)| MemberInfo {
            name: member.name.clone(),
            raft_id: *id,
            voter: voters.contains(id),
        });
        Members {
            cluster_id: seen.identity.cluster_id,
            members: members.collect(),
            joint: membership.as_ref().is_some_and(|m| m.membership().get_joint_config().len() > 1),
            waiting_for: self.waiting_for(&seen),
        }
    }

    /// Returns the names of the configured nodes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.options.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Records the conflict with another cluster, or its end. True for a new conflict.
    pub(crate) fn note_conflict(&self, conflict: Option<String>) -> bool {
        let mut known = self.conflict();
        let is_new = conflict.is_some() && *known != conflict;
        *known = conflict;
        is_new
    }

    fn conflict(&self) -> MutexGuard<'_, Option<String>> {
        self.conflict.lock().expect("no panic while it is held")
    }

    fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().expect("no panic while it is held")
    }
}

//! State shared by the parts of the control plane, and the facts derived from the state without waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api::status::{ClusterStatus, Role};
use arc_swap::ArcSwapOption;
use openraft::{Instant as _, RaftMetrics, ServerState};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::admission::Rooms;
use crate::assess::{NodeView, View};
use crate::campaign::Campaigns;
use crate::detector::{Detector, Rules};
use crate::events::Events;
use crate::format::{self, Announcement, FormatVersion};
use crate::identity::{DataDir, Identity};
use crate::ids::RaftId;
use crate::membership;
use crate::message::Report;
use crate::network::{Links, Pause, Register};
use crate::notices::{Board, Situation};
use crate::options::Options;
use crate::peers::{Peer, Peers};
use crate::progress::Progress;
use crate::raft::node::Node;
use crate::secret::ClusterSecret;
use crate::standing::{Facts, Standing};
use crate::status::{MemberInfo, Members, NodeAddress};
use crate::storage::StorageFailure;
use crate::timing::STUCK_AFTER;
use crate::types::{StoredMembership, TypeConfig};

/// Largest distance to the leader's last log index, in entries, at which a log counts as caught up.
const CAUGHT_UP_WITHIN: u64 = 100;

/// State shared by all parts of the control plane.
pub(crate) struct Core {
    pub options: Options,
    pub secret: ClusterSecret,
    pub data: DataDir,
    pub links: Links,
    pub peers: Peers,
    pub events: Events,
    /// Start time of each condition that holds.
    notices: Board,
    /// Progress of the local applied state.
    progress: Mutex<Progress>,
    /// The running Raft; none while the storage is being reopened.
    pub node: ArcSwapOption<Node>,
    /// Failure that ended Raft or keeps the storage from opening; none while Raft runs.
    pub failure: Mutex<Option<StorageFailure>>,
    /// Cancelled when the node stops.
    pub stopping: CancellationToken,
    /// Wakes the background tasks after a change.
    pub changed: Notify,
    /// Number of times that evidence against the leader arrived or was renewed.
    pub evidence: watch::Sender<u64>,
    detector: Mutex<Detector>,
    campaigns: Mutex<Campaigns>,
    /// Held while Raft gives up a lease because of evidence.
    pub suspecting: tokio::sync::Mutex<()>,
    /// Held during a leadership transfer.
    pub handing_over: tokio::sync::Mutex<()>,
    /// Held by the leader while admitting a node or activating a version: neither may overtake the other in
    /// the log.
    pub changing_formats: tokio::sync::Mutex<()>,
    /// True if Raft was ended by request, not by a failure, and is to be started anew.
    pub restart_wanted: AtomicBool,
    /// Drill that keeps the node silent towards its peers.
    pub pause: Pause,
    /// Conflict with another cluster met among the configured nodes; none without a conflict.
    pub stranger: Mutex<Option<String>>,
    /// Permits for writes in flight.
    pub places: Arc<Semaphore>,
    /// Permits for linearizable reads in flight.
    pub read_places: Arc<Semaphore>,
    /// Register of inbound connections from other nodes.
    pub port: ArcSwapOption<Register>,
    /// Keeps a node under test from changing the membership.
    #[cfg(test)]
    pub hold_membership: AtomicBool,
    started: Instant,
    /// Time at which a leader was last known, in milliseconds after `started`, plus one; 0: never.
    leader_known_at: AtomicU64,
}

impl Core {
    pub(crate) fn new(
        options: Options,
        secret: ClusterSecret,
        data: DataDir,
        links: Links,
        pause: Pause,
    ) -> Self {
        let others = options.nodes.iter().filter(|node| node.name != options.me);
        let others: Vec<String> = others.map(|node| node.name.clone()).collect();
        let rules =
            Rules { interval: options.timing.probe_interval, failures: options.timing.probe_failures };
        Self {
            peers: Peers::new(others.clone()),
            detector: Mutex::new(Detector::new(rules, others)),
            campaigns: Mutex::default(),
            evidence: watch::Sender::new(0),
            suspecting: tokio::sync::Mutex::default(),
            handing_over: tokio::sync::Mutex::default(),
            changing_formats: tokio::sync::Mutex::default(),
            restart_wanted: AtomicBool::new(false),
            events: Events::new(options.me.clone(), options.clock_ms),
            notices: Board::default(),
            progress: Mutex::default(),
            node: ArcSwapOption::empty(),
            failure: Mutex::new(None),
            stopping: CancellationToken::new(),
            changed: Notify::new(),
            pause,
            stranger: Mutex::new(None),
            places: Arc::new(Semaphore::new(options.descriptors.writes())),
            read_places: Arc::new(Semaphore::new(options.descriptors.reads())),
            port: ArcSwapOption::empty(),
            #[cfg(test)]
            hold_membership: AtomicBool::new(false),
            started: Instant::now(),
            leader_known_at: AtomicU64::new(0),
            options,
            secret,
            data,
            links,
        }
    }

    /// Returns the identity of the local node.
    pub(crate) fn identity(&self) -> Identity {
        self.data.identity()
    }

    /// Returns the format version activated by the cluster, as far as the local node has applied.
    pub(crate) fn activated(&self) -> FormatVersion {
        self.node.load().as_ref().map_or(FormatVersion::FIRST, |node| node.state.activated_version())
    }

    /// Returns the format versions that the local release reads.
    pub(crate) fn announcement(&self) -> Announcement {
        Announcement::of_this_release(self.identity().raft_id, self.options.version)
    }

    /// Records a storage failure, or its end. True if a failure was recorded before.
    pub(crate) fn fail(&self, failure: Option<StorageFailure>) -> bool {
        let mut known = self.failure.lock().expect("no panic while it is held");
        std::mem::replace(&mut *known, failure).is_some()
    }

    /// Locks the failure detector. Held for moments only.
    pub(crate) fn detector(&self) -> MutexGuard<'_, Detector> {
        self.detector.lock().expect("no panic while it is held")
    }

    /// Locks the state of campaigns. Held for moments only.
    pub(crate) fn campaigns(&self) -> MutexGuard<'_, Campaigns> {
        self.campaigns.lock().expect("no panic while it is held")
    }

    /// Takes a snapshot of the state of Raft.
    pub(crate) fn moment(&self) -> Moment {
        let now = Instant::now();
        let identity = self.data.identity();
        let node = self.node.load_full();
        let metrics = node.as_ref().map(|node| node.metrics());
        let standing = match (&node, &metrics) {
            (Some(node), Some(metrics)) if identity.gave_way_to.is_none() => {
                let denied = self.leader_denied(metrics, now);
                facts(identity.raft_id, metrics, node.append_age(now), denied).standing()
            }
            _ => Standing { role: Role::Learner, leader: None },
        };
        if standing.leader.is_some() {
            let ms = now.saturating_duration_since(self.started).as_millis() as u64;
            self.leader_known_at.fetch_max(ms + 1, Ordering::Relaxed);
        }
        Moment { now, identity, node, metrics, standing }
    }

    /// True if the probes contradict the leadership of the leader in the stored vote.
    fn leader_denied(&self, metrics: &RaftMetrics<TypeConfig>, now: Instant) -> bool {
        let Some(leader) = metrics.current_leader else { return false };
        let member = metrics.membership_config.membership().get_node(&leader);
        let peer = member.and_then(|member| self.peers.get(&member.name));
        peer.is_some_and(|peer| peer.denies_leading(leader, metrics.current_term, now))
    }

    /// True if a quorum of the voters is healthy, and a leader is known or was until a moment ago.
    pub(crate) fn has_quorum(&self, moment: &Moment) -> bool {
        self.view(moment, &self.peers.all()).quorum()
    }

    /// Returns the time since a leader was last known.
    fn leader_age(&self, now: Instant) -> Option<Duration> {
        let ms = self.leader_known_at.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.started + Duration::from_millis(ms)))
    }

    /// Returns the committed index of the leader; none without a known leader, since no node is behind then.
    pub(crate) fn committed_index(&self, moment: &Moment) -> Option<u64> {
        if moment.standing.leader == Some(moment.identity.raft_id) {
            return moment.committed_index();
        }
        let peer = self.peers.get(&moment.leader_name()?)?;
        peer.recent_report(moment.now)?.committed_index
    }

    /// Records the progress of the local applied state.
    pub(crate) fn note_progress(&self, moment: &Moment) {
        let committed = self.committed_index(moment);
        let mut progress = self.progress.lock().expect("no panic while it is held");
        progress.observe(moment.applied_index(), committed, moment.now);
    }

    /// Returns the report of the local node for a peer that sent a probe.
    pub(crate) fn report(&self, asking: RaftId) -> Report {
        self.report_at(&self.moment(), asking)
    }

    fn report_at(&self, moment: &Moment, asking: RaftId) -> Report {
        let membership = moment.membership();
        let failure = self.storage_failure(moment);
        let needs_release = failure.as_ref().and_then(|failure| failure.needs_release.clone());
        Report {
            raft_id: moment.identity.raft_id,
            // A cluster adopted without any log entry is not reported: it may be gone, and the asking node
            // may found another one. If the log cannot be read, the cluster is reported, so that no other
            // cluster is founded beside it.
            cluster_id: moment
                .identity
                .cluster_id
                .filter(|_| moment.node.is_none() || moment.has_log() || moment.identity.founder),
            largest_voter_set: moment.largest_voter_set(),
            role: moment.standing.role,
            voter: moment.is_voter(moment.identity.raft_id),
            knows_you: membership.as_ref().is_some_and(|m| m.membership().get_node(&asking).is_some()),
            term: moment.term(),
            leader: moment.leader_name(),
            last_log_id: moment.node.as_ref().and_then(|node| node.last_log_id()),
            applied_index: moment.applied_index(),
            config_hash: self.options.config_hash.clone(),
            version: self.options.version.to_owned(),
            stuck_ms: moment.stuck().as_millis() as u64,
            committed_index: moment.committed_index(),
            storage_failure: failure.as_ref().map(|failure| failure.cause()),
            storage_remedy: failure.map(|failure| failure.remedy),
            storage_full: moment.node.as_ref().and_then(|node| Some(node.shortage()?.to_string())),
            snapshot_trouble: moment
                .node
                .as_ref()
                .and_then(|node| Some(node.room.snapshot_trouble()?.to_string())),
            clock_ms: (self.options.clock_ms)(),
            announcement: Some(self.announcement()),
            needs_release,
            figures: (self.options.figures)(),
        }
    }

    /// Returns the failure of the local storage: a failure that ended Raft, or a write that hangs or is
    /// refused.
    fn storage_failure(&self, moment: &Moment) -> Option<StorageFailure> {
        let failed = self.failure.lock().expect("no panic while it is held").clone();
        failed.or_else(|| {
            let node = moment.node.as_ref()?;
            let stuck = node.stuck(moment.now).max(node.room.unfinished_for(moment.now));
            if stuck < STUCK_AFTER {
                return node.room.trial_failure();
            }
            let dir = self.data.path();
            let hangs = format!("a write to the disk has not ended for {:.1} s", stuck.as_secs_f32());
            Some(StorageFailure::other(dir, dir, hangs))
        })
    }

    /// Returns the cluster as seen by the local node now.
    pub(crate) fn status(&self) -> ClusterStatus {
        let moment = self.moment();
        let view = self.view(&moment, &self.peers.all());
        let situation = Situation {
            view: &view,
            stranger: self.stranger.lock().expect("no panic while it is held").clone(),
            joint: view.configs.len() > 1,
            waiting_for: self.waiting_for(&moment),
        };
        let mut conditions = situation.conditions();
        conditions.extend((self.options.conditions)());
        ClusterStatus { notices: self.notices.stamp(conditions, (self.options.clock_ms)()), ..view.assess() }
    }

    /// Collects the facts from which the status is computed.
    pub(crate) fn view(&self, moment: &Moment, peers: &BTreeMap<String, Peer>) -> View {
        let (voters, learners) = moment.settled();
        let name = |id: RaftId| moment.name_of(id).unwrap_or_else(|| id.to_string());
        let mut learners: Vec<String> = learners.into_iter().map(name).collect();
        learners.sort();
        let membership = moment.membership();
        View {
            cluster_name: self.options.cluster_name.clone(),
            cluster_id: moment.identity.cluster_id,
            gave_way_to: moment.identity.gave_way_to,
            me: self.options.me.clone(),
            term: moment.term(),
            leader: moment.leader_name(),
            leader_age: self.leader_age(moment.now),
            configs: membership.map_or_else(Vec::new, |m| m.membership().get_joint_config().clone()),
            voters: voters.into_iter().map(|id| (id, name(id))).collect(),
            learners,
            config_hash: self.options.config_hash.clone(),
            activated: moment.node.as_ref().map(|node| node.state.activated()).unwrap_or_default(),
            nodes: self.options.nodes.iter().map(|address| self.node_view(address, moment, peers)).collect(),
        }
    }

    fn node_view(&self, address: &NodeAddress, moment: &Moment, peers: &BTreeMap<String, Peer>) -> NodeView {
        if address.name == self.options.me {
            let progress = self.progress.lock().expect("no panic while it is held");
            return NodeView {
                address: address.clone(),
                report: Some(Arc::new(self.report_at(moment, moment.identity.raft_id))),
                // In a drill the node counts as unreachable to itself as well.
                answered_age: (!self.pause.is_paused()).then_some(Duration::ZERO),
                port_refused: false,
                handshake_failure: None,
                lagging: progress.is_lagging(moment.now),
                behind: progress.behind(),
                clock: None,
            };
        }
        let peer = peers.get(&address.name).cloned().unwrap_or_default();
        NodeView {
            address: address.clone(),
            answered_age: peer.answered_at.map(|at| moment.now.saturating_duration_since(at)),
            port_refused: peer.port_closed,
            handshake_failure: peer.failure.clone().filter(|_| peer.refuses(moment.now)),
            lagging: peer.progress.is_lagging(moment.now),
            behind: peer.progress.behind(),
            clock: peer.clock.filter(|_| peer.is_healthy(moment.now)),
            report: peer.report,
        }
    }

    /// Returns the members of the cluster, as far as known to the local node.
    pub(crate) fn members(&self) -> Members {
        let moment = self.moment();
        let membership = moment.membership();
        let (voters, _) = moment.settled();
        let nodes = membership.iter().flat_map(|m| m.membership().nodes());
        let members = nodes.map(|(id, member)| MemberInfo {
            name: member.name.clone(),
            raft_id: *id,
            voter: voters.contains(id),
        });
        Members {
            cluster_id: moment.identity.cluster_id,
            members: members.collect(),
            joint: membership.as_ref().is_some_and(|m| m.membership().get_joint_config().len() > 1),
            waiting_for: self.waiting_for(&moment),
        }
    }

    /// Returns the names of nodes that have to join and catch up before all become voters together.
    pub(crate) fn waiting_for(&self, moment: &Moment) -> Vec<String> {
        let Some(membership) = moment.membership() else { return Vec::new() };
        let names = self.names();
        let present = self.present(moment);
        let voters =
            membership.membership().voter_ids().map(|id| (id, moment.name_of(id))).collect::<Vec<_>>();
        let caught_up = self.caught_up(moment);
        let view = membership::View {
            configured: &names,
            membership: &membership,
            present: &present,
            caught_up: &caught_up,
        };
        let mut waiting = membership::waiting_for(&view);
        waiting.retain(|name| !voters.iter().any(|(_, voter)| voter.as_ref() == Some(name)));
        waiting
    }

    /// Returns the next version that the local node, as the leader, may activate.
    pub(crate) fn next_format(&self, moment: &Moment, node: &Node) -> Option<format::Step> {
        let membership = moment.membership()?;
        let membership = membership.membership();
        let members = membership.nodes().map(|(id, member)| (*id, member.name.clone())).collect();
        let peers = self.peers.all();
        let reports = peers.values().filter_map(|peer| peer.recent_report(moment.now));
        let own = [(moment.identity.raft_id, self.announcement())];
        let heard = reports.map(|report| (report.raft_id, report.announced())).chain(own).collect();
        let announced = node.state.catalog(|catalog| catalog.announcements().clone());
        format::next_step(&format::View {
            activated: node.state.activated_version(),
            latest: FormatVersion::LATEST,
            configured: &self.names(),
            members: &members,
            joint: membership.get_joint_config().len() > 1,
            announced: &announced,
            heard: &heard,
        })
    }

    /// Applies `judge` to the disk space of the voters, as reported in probes.
    pub(crate) fn with_rooms<T>(
        &self,
        moment: &Moment,
        node: &Node,
        judge: impl FnOnce(&Rooms<'_>) -> T,
    ) -> T {
        let me = moment.identity.raft_id;
        let membership = moment.membership();
        let configs =
            membership.as_ref().map(|m| m.membership().get_joint_config().clone()).unwrap_or_default();
        let peers = self.peers.all();
        let healthy = peers.values().filter(|peer| peer.is_healthy(moment.now));
        let reports = healthy.filter_map(|peer| peer.report.as_ref());
        let reports: Vec<_> = reports.filter(|report| report.storage_failure.is_none()).collect();
        let mut present: BTreeSet<RaftId> = reports.iter().map(|report| report.raft_id).collect();
        let full = reports.iter().filter(|report| report.storage_full.is_some()).map(|report| report.raft_id);
        let mut full: BTreeSet<RaftId> = full.collect();
        present.insert(me);
        if node.shortage().is_some() {
            full.insert(me);
        }
        judge(&Rooms { configs: &configs, present: &present, full: &full })
    }

    /// Returns the reason why the leader refuses writes for want of disk space.
    pub(crate) fn refuses_writes(&self, moment: &Moment, node: &Node) -> Option<String> {
        let dir = self.data.path().display();
        if let Some(shortage) = node.shortage() {
            return Some(format!("{} has no room for changes in {dir}: {shortage}", self.options.me));
        }
        if self.with_rooms(moment, node, |rooms| rooms.admit()) {
            return None;
        }
        let peers = self.peers.all();
        let full = peers.iter().filter(|(_, peer)| {
            peer.recent_report(moment.now).is_some_and(|report| report.storage_full.is_some())
        });
        let names: Vec<&str> = full.map(|(name, _)| name.as_str()).collect();
        Some(format!("too many voters have no room for changes: {}", names.join(", ")))
    }

    /// Returns the names of the configured nodes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.options.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Returns the id of each present node, the local node included.
    pub(crate) fn present(&self, moment: &Moment) -> BTreeMap<String, RaftId> {
        let mut present = self.peers.present(moment.now);
        present.insert(self.options.me.clone(), moment.identity.raft_id);
        present
    }

    /// Returns the members whose log is about as long as the leader's: by replication on the leader, by
    /// probes elsewhere.
    pub(crate) fn caught_up(&self, moment: &Moment) -> BTreeSet<RaftId> {
        let Some(metrics) = &moment.metrics else { return BTreeSet::new() };
        let enough = metrics.last_log_index.unwrap_or(0).saturating_sub(CAUGHT_UP_WITHIN);
        let mut ids = BTreeSet::from([moment.identity.raft_id]);
        if let Some(replication) = &metrics.replication {
            let matched = replication
                .iter()
                .filter(|(_, matched)| matched.as_ref().is_some_and(|id| id.index >= enough));
            ids.extend(matched.map(|(id, _)| *id));
        } else {
            let peers = self.peers.all();
            let reports = peers.values().filter_map(|peer| peer.recent_report(moment.now));
            let enough = |report: &&Arc<Report>| report.last_log_id.is_some_and(|id| id.index >= enough);
            ids.extend(reports.filter(enough).map(|report| report.raft_id));
        }
        ids
    }
}

/// Snapshot of one node's Raft state.
pub(crate) struct Moment {
    pub now: Instant,
    pub identity: Identity,
    pub node: Option<Arc<Node>>,
    pub metrics: Option<RaftMetrics<TypeConfig>>,
    pub standing: Standing,
}

impl Moment {
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
    fn has_log(&self) -> bool {
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
        self.standing.leader.and_then(|leader| self.name_of(leader))
    }

    /// Returns the settled voters and learners: by the committed membership, and during a joint change by the
    /// configuration before. An uncommitted change may not happen, and a future voter carries no decision
    /// yet.
    fn settled(&self) -> (BTreeSet<RaftId>, BTreeSet<RaftId>) {
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
) -> Facts {
    let voters: Vec<RaftId> = metrics.membership_config.membership().voter_ids().collect();
    Facts {
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

//! Ways of a node into a cluster: founding, or joining as a learner. Also the rules for meeting another
//! cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::events::EventKind;
use openraft::errors::{ClientWriteError, RaftError};
use tracing::{debug, error, info, warn};

use crate::events::Events;
use crate::format::Announcement;
use crate::identity::{DataDir, DataDirError};
use crate::ids::{ClusterId, RaftId};
use crate::message::{Call, Envelope, Refused, Reply, Report};
use crate::network::{Delivery, Links};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::options::Bootstrap;
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::tasks::formats::Formats;
use crate::timing::{FOUND_AFTER, JOIN_CHECK_INTERVAL, JOIN_RETRY_AFTER, JOIN_WITHIN, WAITING_LOGGED_AFTER};
use crate::types::Member;
use crate::world::{self, Note, clock};

/// The task that makes the node a member of a cluster, and the leader's part in it.
pub(crate) struct Joining {
    pub observer: Arc<Observer>,
    pub raft: Arc<RaftSlot>,
    pub data: Arc<DataDir>,
    pub links: Links,
    pub formats: Arc<Formats>,
    pub events: Arc<Events>,
    pub signals: Arc<Signals>,
}

impl Joining {
    /// Makes the node a member of a cluster, and keeps checking until the stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let started = clock::now();
        let mut waiting = String::new();
        loop {
            let pause = match self.advance(started).await {
                Ok(pause) => pause,
                Err(error) => {
                    error!(%error, "cannot write the data directory");
                    JOIN_RETRY_AFTER
                }
            };
            self.log_waiting(started, &mut waiting);
            if !self.signals.sleep(pause).await {
                return;
            }
        }
    }

    async fn advance(&self, started: Instant) -> Result<Duration, DataDirError> {
        let seen = self.observer.observe();
        let Some(node) = seen.node.clone() else { return Ok(JOIN_RETRY_AFTER) };
        if seen.identity.superseded_by.is_some() {
            return Ok(JOIN_RETRY_AFTER);
        }
        if !node.may_promise() {
            return Ok(JOIN_CHECK_INTERVAL);
        }
        let now = seen.now;
        let reports = self.reports(now);
        let asked_long_enough = clock::since(started) >= FOUND_AFTER;
        let Some(cluster) = seen.identity.cluster_id else {
            let only = seen.identity.joins;
            if let Some(found) = cluster_to_join(&reports, only) {
                info!(cluster = %found, "cluster adopted from a peer");
                self.data.adopt(found)?;
            } else if only.is_none()
                && self.may_found()
                && asked_long_enough
                && !self.observer.peers().all().values().any(|peer| peer.refuses(now))
                // A peer with an unreadable directory may belong to a cluster.
                && reports.values().all(|report| report.raft_id != RaftId::UNKNOWN)
            {
                self.found_cluster(&node).await?;
            }
            return Ok(JOIN_CHECK_INTERVAL);
        };
        // Without an entry in the log, the node has cast no vote and acknowledged nothing: it may still join
        // another cluster. Raft itself is asked, since its metrics are empty until Raft has started.
        let is_unused = !node.raft.is_initialized().await.unwrap_or(true);
        if !is_unused && seen.identity.joins.is_some() {
            self.data.joined()?;
        }
        let only = seen.identity.joins;
        if is_unused && let Some(found) = cluster_to_join(&reports, only).filter(|found| *found != cluster) {
            let own_is_there = reports.values().any(|report| report.cluster_id == Some(cluster));
            if !own_is_there {
                info!(cluster = %found, "cluster adopted from a peer: no member of the previous cluster answers");
                self.data.adopt(found)?;
                return Ok(JOIN_CHECK_INTERVAL);
            }
        }
        if is_unused && seen.identity.founder && asked_long_enough {
            // The node stopped between founding the cluster and writing the first entry.
            self.initialize(&node).await;
        }
        self.meet_foreign_clusters(cluster, seen.largest_voter_set(), &reports)?;
        if needs_to_join(&seen.identity.raft_id, cluster, &seen, &reports) {
            self.ask_to_join(cluster, &reports).await;
            return Ok(JOIN_RETRY_AFTER);
        }
        Ok(if is_unused { JOIN_CHECK_INTERVAL } else { JOIN_RETRY_AFTER })
    }

    fn reports(&self, now: Instant) -> BTreeMap<String, Arc<Report>> {
        let peers = self.observer.peers().all();
        peers
            .into_iter()
            .filter_map(|(name, peer)| Some((name, Arc::clone(peer.recent_report(now)?))))
            .collect()
    }

    /// True for the first configured node, unless the configuration forbids founding.
    fn may_found(&self) -> bool {
        let first =
            self.observer.options().nodes.first().is_some_and(|node| node.name == self.observer.options().me);
        first && self.observer.options().bootstrap == Bootstrap::Auto
    }

    async fn found_cluster(&self, node: &Node) -> Result<(), DataDirError> {
        let cluster = ClusterId::mint();
        self.data.found(cluster)?;
        world::note(Note::Founds);
        warn!(
            cluster = %cluster,
            "no peer belongs to a cluster. Becoming LEADER anyway: founding a cluster of one voter"
        );
        self.initialize(node).await;
        Ok(())
    }

    /// Makes the local node the only voter. Safe to repeat: openraft refuses once the log has an entry.
    async fn initialize(&self, node: &Node) {
        let member = Member { name: self.observer.me().to_owned() };
        let members = BTreeMap::from([(self.observer.identity().raft_id, member)]);
        if let Err(refused) = node.raft.initialize(members).await {
            debug!(%refused, "not initialized");
        }
    }

    /// Asks the leader, as far as known from the peers, for admission.
    async fn ask_to_join(&self, cluster: ClusterId, reports: &BTreeMap<String, Arc<Report>>) {
        let same = reports.iter().filter(|(_, report)| report.cluster_id == Some(cluster));
        let leads = |report: &Report| report.role == api::status::Role::Leader;
        let Some((leader, _)) = same.clone().find(|(_, report)| leads(report)) else { return };
        let body = Call::Join {
            name: self.observer.me().to_owned(),
            announcement: Some(self.observer.announcement()),
        };
        let version = self.raft.activated();
        let envelope = Envelope { version, cluster, from: self.observer.identity().raft_id, to: None, body };
        let deadline = clock::now() + JOIN_WITHIN;
        match self.links.call::<_, Reply>(leader, &envelope, Delivery::AtLeastOnce, deadline).await {
            Ok(Reply::Joined) => debug!(leader, "admitted as a member"),
            Ok(Reply::Refused(refused)) => warn!(leader, %refused, "admission refused"),
            Ok(other) => warn!(leader, ?other, "unexpected answer to the request to join"),
            Err(error) => debug!(leader, %error, "request to join unanswered"),
        }
    }

    /// Admits a node as a learner, on the leader, unless the node does not read the activated format version.
    pub(crate) async fn admit_learner(
        &self,
        node: &Node,
        id: RaftId,
        name: &str,
        announcement: Option<Announcement>,
    ) -> Reply {
        if !self.observer.options().nodes.iter().any(|known| known.name == name) {
            let (name, on) = (name.to_owned(), self.observer.me().to_owned());
            warn!(name, "request to join refused: node not configured here");
            return Reply::Refused(Refused::NotConfigured { name, on });
        }
        let seen = self.observer.observe();
        if seen.name_of(id).is_some_and(|known| known == name) {
            return Reply::Joined;
        }
        // Only the process at the configured address is the node of the name.
        if self.observer.peers().present(seen.now).get(name) != Some(&id) {
            let reason = format!("Raft id {id} does not answer at the address of {name}");
            return Reply::Refused(Refused::NotReady(reason));
        }
        let Ok(_changing) = clock::timeout(JOIN_WITHIN, self.formats.lock()).await else {
            return Reply::Refused(Refused::NotReady(
                "a change of the format version is in progress".to_owned(),
            ));
        };
        let announcement = announcement.filter(|announcement| announcement.raft_id == id);
        if let Err(refused) = self.formats.admit(node, name, id, announcement).await {
            warn!(name, %id, %refused, "request to join refused");
            return Reply::Refused(refused);
        }
        let member = Member { name: name.to_owned() };
        let added = clock::timeout(JOIN_WITHIN, node.raft.add_learner(id, member, false)).await;
        let Ok(added) = added else {
            return Reply::Refused(Refused::NoQuorum("the membership was not changed in time".to_owned()));
        };
        match added {
            Ok(_) => {
                info!(name, %id, "node admitted as a learner");
                self.signals.wake();
                Reply::Joined
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Reply::Refused(Refused::NotLeader { leader: self.observer.observe().leader_name() })
            }
            Err(error) => Reply::Refused(Refused::NotReady(error.to_string())),
        }
    }

    /// Handles peers of another cluster: a cluster that ever had more than one voter stays.
    fn meet_foreign_clusters(
        &self,
        own: ClusterId,
        own_largest: usize,
        reports: &BTreeMap<String, Arc<Report>>,
    ) -> Result<(), DataDirError> {
        let foreign = reports
            .iter()
            .filter_map(|(name, report)| Some((name, report, report.cluster_id?)))
            .filter(|(_, _, cluster)| *cluster != own);
        let mut conflict = None;
        for (name, report, other) in foreign {
            match (own_largest > 1, report.largest_voter_set > 1) {
                (false, true) => {
                    self.data.supersede_by(other)?;
                    let seen = self.observer.observe();
                    let condition = crate::notices::foreign(&self.observer.view(&seen));
                    let message = condition.map(|condition| condition.message).unwrap_or_default();
                    error!(peer = name, own = %own, other = %other, "{message}");
                    self.events.publish(EventKind::Notice {
                        code: api::notices::FOREIGN_CLUSTER.to_owned(),
                        message,
                    });
                    return Ok(());
                }
                (true, false) => {
                    conflict = Some(format!(
                        "{name} belongs to another cluster ({other}), which has one voter and gives way to this one ({own})"
                    ));
                }
                _ => {
                    conflict = Some(format!(
                        "{name} belongs to another cluster ({other}) than this node ({own}), and neither gives way: decide \
                         which one stays, and move the data directories of the other one's nodes away"
                    ));
                }
            }
        }
        if self.observer.note_conflict(conflict.clone())
            && let Some(message) = conflict
        {
            error!("{message}");
            let code = api::notices::FOREIGN_CLUSTER_MET.to_owned();
            self.events.publish(EventKind::Notice { code, message });
        }
        Ok(())
    }

    /// Logs the condition for which a node without a cluster or a quorum waits: once, and after each change.
    fn log_waiting(&self, started: Instant, logged: &mut String) {
        let seen = self.observer.observe();
        if !seen.identity.is_known()
            || seen.identity.superseded_by.is_some()
            || clock::since(started) < WAITING_LOGGED_AFTER
        {
            return;
        }
        let joined = seen.identity.cluster_id.is_some();
        let view = self.observer.view(&seen);
        let waits_for = if !joined {
            crate::notices::not_joined(&view).message
        } else if !view.quorum() {
            crate::notices::no_quorum(&view).message
        } else {
            String::new()
        };
        if *logged == waits_for {
            return;
        }
        if joined && !waits_for.is_empty() {
            warn!(
                "no quorum: {waits_for}; embed and extract work without one. To try this node alone, without the others: \
                 server --single (or ./RESTART_CLUSTER.sh {} --single), on a data directory of its own",
                self.observer.options().me
            );
        } else if !waits_for.is_empty() {
            info!("{waits_for}");
        }
        *logged = waits_for;
    }
}

/// Returns the cluster of the peers; of several, the cluster with the largest voter set. With `only`, no
/// other cluster is joined.
fn cluster_to_join(reports: &BTreeMap<String, Arc<Report>>, only: Option<ClusterId>) -> Option<ClusterId> {
    let known = reports.values().filter_map(|report| Some((report.largest_voter_set, report.cluster_id?)));
    let known = known.filter(|(_, cluster)| only.is_none_or(|only| only == *cluster));
    known.max_by_key(|(largest, _)| *largest).map(|(_, cluster)| cluster)
}

fn needs_to_join(
    me: &RaftId,
    cluster: ClusterId,
    seen: &Observation,
    reports: &BTreeMap<String, Arc<Report>>,
) -> bool {
    let is_member = seen.membership().is_some_and(|m| m.membership().get_node(me).is_some());
    let leaders = reports
        .values()
        .filter(|report| report.cluster_id == Some(cluster) && report.role == api::status::Role::Leader);
    // The leader's report counts: the local node may have been replaced while it was away.
    let forgotten = leaders.clone().any(|report| !report.lists_sender);
    forgotten || !is_member
}

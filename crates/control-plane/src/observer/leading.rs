//! Facts for the decisions of a leader: the membership, the formats, and the disk space of the voters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Observer;
use crate::admission::VoterSpace;
use crate::format::{self, FormatVersion};
use crate::ids::RaftId;
use crate::membership;
use crate::message::Report;
use crate::observation::Observation;
use crate::raft::node::Node;

/// Largest distance to the leader's last log index, in entries, at which a log counts as caught up.
const CAUGHT_UP_WITHIN: u64 = 100;

impl Observer {
    /// Returns the names of nodes that have to join and catch up before all become voters together.
    pub(crate) fn waiting_for(&self, seen: &Observation) -> Vec<String> {
        let Some(membership) = seen.membership() else { return Vec::new() };
        let names = self.names();
        let present = self.present(seen);
        let voters = membership.membership().voter_ids().map(|id| (id, seen.name_of(id))).collect::<Vec<_>>();
        let caught_up = self.caught_up(seen);
        let view = membership::MembershipFacts {
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
    pub(crate) fn next_format(&self, seen: &Observation, node: &Node) -> Option<format::ProposedActivation> {
        let membership = seen.membership()?;
        let membership = membership.membership();
        let members = membership.nodes().map(|(id, member)| (*id, member.name.clone())).collect();
        let peers = self.peers.all();
        let reports = peers.values().filter_map(|peer| peer.recent_report(seen.now));
        let own = [(seen.identity.raft_id, self.announcement())];
        let heard = reports.map(|report| (report.raft_id, report.announced())).chain(own).collect();
        let announced = node.state.catalog(|catalog| catalog.announcements().clone());
        format::next_step(&format::FormatFacts {
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
    pub(crate) fn with_voter_space<T>(
        &self,
        seen: &Observation,
        node: &Node,
        judge: impl FnOnce(&VoterSpace<'_>) -> T,
    ) -> T {
        let me = seen.identity.raft_id;
        let membership = seen.membership();
        let configs =
            membership.as_ref().map(|m| m.membership().get_joint_config().clone()).unwrap_or_default();
        let peers = self.peers.all();
        let healthy = peers.values().filter(|peer| peer.is_healthy(seen.now));
        let reports = healthy.filter_map(|peer| peer.report.as_ref());
        let reports: Vec<_> = reports.filter(|report| report.storage_failure.is_none()).collect();
        let mut present: BTreeSet<RaftId> = reports.iter().map(|report| report.raft_id).collect();
        let full = reports.iter().filter(|report| report.storage_full.is_some()).map(|report| report.raft_id);
        let mut full: BTreeSet<RaftId> = full.collect();
        present.insert(me);
        if node.shortage().is_some() {
            full.insert(me);
        }
        judge(&VoterSpace { configs: &configs, present: &present, full: &full })
    }

    /// Returns the reason why the leader refuses writes for lack of disk space.
    pub(crate) fn refuses_writes(&self, seen: &Observation, node: &Node) -> Option<String> {
        let dir = self.data.path().display();
        if let Some(shortage) = node.shortage() {
            return Some(format!("{} has no room for changes in {dir}: {shortage}", self.options.me));
        }
        if self.with_voter_space(seen, node, |space| space.admit()) {
            return None;
        }
        let peers = self.peers.all();
        let full = peers.iter().filter(|(_, peer)| {
            peer.recent_report(seen.now).is_some_and(|report| report.storage_full.is_some())
        });
        let names: Vec<&str> = full.map(|(name, _)| name.as_str()).collect();
        Some(format!("too many voters have no room for changes: {}", names.join(", ")))
    }

    /// Returns the id of each present node, the local node included.
    pub(crate) fn present(&self, seen: &Observation) -> BTreeMap<String, RaftId> {
        let mut present = self.peers.present(seen.now);
        present.insert(self.options.me.clone(), seen.identity.raft_id);
        present
    }

    /// Returns the members whose log is about as long as the leader's: by replication on the leader, by
    /// probes elsewhere.
    pub(crate) fn caught_up(&self, seen: &Observation) -> BTreeSet<RaftId> {
        let Some(metrics) = &seen.metrics else { return BTreeSet::new() };
        let enough = metrics.last_log_index.unwrap_or(0).saturating_sub(CAUGHT_UP_WITHIN);
        let mut ids = BTreeSet::from([seen.identity.raft_id]);
        if let Some(replication) = &metrics.replication {
            let matched = replication
                .iter()
                .filter(|(_, matched)| matched.as_ref().is_some_and(|id| id.index >= enough));
            ids.extend(matched.map(|(id, _)| *id));
        } else {
            let peers = self.peers.all();
            let reports = peers.values().filter_map(|peer| peer.recent_report(seen.now));
            let enough = |report: &&Arc<Report>| report.last_log_id.is_some_and(|id| id.index >= enough);
            ids.extend(reports.filter(enough).map(|report| report.raft_id));
        }
        ids
    }
}

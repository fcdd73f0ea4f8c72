//! Observations of a cluster: statuses, logs, and waits for conditions.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use api::status::agreement::agreed_if_complete;
use local_cluster::{Reply, Watcher, read_log};

use super::{Cluster, Role, Status};
use crate::wait::{DEADLINE, wait_at_most};

/// Time limit for a node's answer about itself; a slower node counts as silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Lines of each log shown on a test failure.
const LINES_SHOWN: usize = 40;

impl Cluster {
    /// Status document of node `i`; `None` if the node does not run, is paused or does not answer within a
    /// second.
    ///
    /// # Panics
    ///
    /// If the document contradicts itself.
    pub fn status(&self, i: usize) -> Option<Status> {
        let reply = self.get(i, "/cluster/status").filter(|reply| reply.status == 200)?;
        let status: Status = serde_json::from_slice(&reply.body).ok()?;
        let contradictions = status.contradictions();
        assert!(contradictions.is_empty(), "{contradictions:?} in the status of {}: {status:#?}", self.id(i));
        Some(status)
    }

    /// Sends `GET path` to node `i`; `None` if the node does not run, is paused or does not answer within a
    /// second.
    pub fn get(&self, i: usize, path: &str) -> Option<Reply> {
        let member = &self.members[i];
        if member.node.is_paused() || !member.is_running() {
            return None;
        }
        local_cluster::get(self.address(i), path, ANSWER_LIMIT)
    }

    /// Returns the node that claims to lead; of two, the node with the later term.
    pub fn leader(&self) -> Option<usize> {
        let leads = |i: &usize| {
            let status = self.status(*i)?;
            let id = self.id(*i);
            let leads = status.leader_id.as_deref() == Some(id) && status.role(id) == Role::Leader;
            leads.then_some((status.term, *i))
        };
        (0..self.len()).filter_map(|i| leads(&i)).max().map(|(_, i)| i)
    }

    /// Waits until a node leads, and returns its index.
    ///
    /// # Panics
    ///
    /// If no node leads within a minute.
    pub fn wait_for_leader(&self) -> usize {
        self.wait_until("a leader", DEADLINE, Self::leader)
    }

    /// Waits until every node reports the same: one leader, a quorum, all voters and all healthy. Returns the
    /// leader.
    ///
    /// # Panics
    ///
    /// If not within a minute, or at once if a node has ended.
    pub fn wait_all_healthy(&self) -> usize {
        self.wait_until("every node to be healthy", DEADLINE, |cluster| {
            for member in &cluster.members {
                assert!(member.is_running(), "{} is not running\n{}", member.id, cluster.report());
            }
            cluster.whole()
        })
    }

    /// Returns the leader, if all nodes name the same leader and report every node as a healthy voter.
    fn whole(&self) -> Option<usize> {
        let statuses: Vec<Status> = (0..self.len()).map(|i| self.status(i)).collect::<Option<_>>()?;
        let know_all = statuses.iter().all(|status| status.nodes.len() == self.len());
        let agreed = agreed_if_complete(&statuses).ok().filter(|_| know_all)?;
        self.index(&agreed.leader_id)
    }

    /// Polls each of `nodes` every `interval` for its view of the cluster.
    pub fn watch(&self, nodes: &[usize], interval: Duration) -> Watcher {
        let names = (0..self.len()).map(|i| self.id(i).to_owned()).collect();
        let nodes: Vec<_> = nodes.iter().map(|&i| (i, self.address(i))).collect();
        Watcher::start(&nodes, names, interval)
    }

    /// Waits until `condition` gives a value.
    ///
    /// # Panics
    ///
    /// If not within `limit`: the message has `what`, every node's status and the end of every log.
    pub fn wait_until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        wait_at_most(limit, || condition(self))
            .unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}\n{}", self.report()))
    }

    /// Returns everything logged by node `i`, over all its processes.
    pub fn log(&self, i: usize) -> String {
        read_log(self.members[i].log_path(), 0)
    }

    /// Returns everything logged by node `i` since its last start; empty after a kill.
    pub fn log_since_start(&self, i: usize) -> String {
        let node = &self.members[i].node;
        node.process().map(|_| node.log_since_start()).unwrap_or_default()
    }

    /// Returns the length of node `i`'s log so far, for [`Cluster::log_from`].
    pub fn log_len_bytes(&self, i: usize) -> u64 {
        fs::metadata(self.members[i].log_path()).map_or(0, |log| log.len())
    }

    /// Returns the log of node `i` after the first `position` bytes.
    pub fn log_from(&self, i: usize, position: u64) -> String {
        read_log(self.members[i].log_path(), position)
    }

    /// True if node `i` has ever logged `text`.
    pub fn log_contains(&self, i: usize, text: &str) -> bool {
        self.log(i).contains(text)
    }

    /// Describes every node's state and status, and the end of its log.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for (i, member) in self.members.iter().enumerate() {
            let status = match self.get(i, "/cluster/status") {
                Some(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
                None => "no answer".to_owned(),
            };
            let log = self.log(i);
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            let _ = writeln!(
                report,
                "--- {} at {}: {}\nstatus: {status}\nlog, the last {} of {} lines:\n{}",
                member.id,
                self.address(i),
                member.state(),
                shown.len(),
                lines.len(),
                shown.join("\n")
            );
        }
        report
    }
}

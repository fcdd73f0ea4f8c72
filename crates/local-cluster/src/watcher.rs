//! Polling of several nodes' views of their cluster, each from a thread of its own.
//!
//! Only changes are kept, each with the time of the answer, so that the first time of a condition can be
//! found afterwards. A node that does not answer changes nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::status::ClusterStatus;
use api::status::agreement::unanimous;

use crate::http::Connection;

/// Time limit for an answer; later answers count as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Minimum pause between two attempts to reach an unreachable node.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Maximum number of changes kept; further changes are dropped.
const MAX_CHANGES: usize = 100_000;

/// A node's view of the cluster, when different from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Time of the answer.
    pub at: Instant,
    /// Index of the node.
    pub node: usize,
    /// The node's term.
    pub term: u64,
    /// The leader, as known to the node.
    pub leader: Option<usize>,
    /// True if the node reports a quorum.
    pub quorum: bool,
}

/// Threads that poll nodes, ended when dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    changes: Vec<Sighting>,
    answers: u64,
    stopped: bool,
}

/// Returns the first time at which all of `nodes` named the same leader, accepted by `wanted`, and the
/// leader.
pub fn agreed(
    changes: &[Sighting],
    nodes: &[usize],
    wanted: impl Fn(usize) -> bool,
) -> Option<(usize, Instant)> {
    let mut leaders: Vec<Option<usize>> = vec![None; nodes.len()];
    for change in changes {
        let Some(place) = nodes.iter().position(|&node| node == change.node) else { continue };
        leaders[place] = change.leader;
        if let Some(leader) = unanimous(leaders.iter().copied()).filter(|&leader| wanted(leader)) {
            return Some((leader, change.at));
        }
    }
    None
}

impl Watcher {
    /// Polls each of `nodes` every `interval`, over persistent connections. `names` are the ids of all nodes
    /// of the cluster; a node's index is its place there.
    pub fn start(nodes: &[(usize, SocketAddr)], names: Vec<String>, interval: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let names: Arc<[String]> = names.into();
        let threads = nodes.iter().map(|&(node, address)| {
            debug_assert!(node < names.len(), "node {node} has no name");
            let (shared, names) = (Arc::clone(&shared), Arc::clone(&names));
            std::thread::spawn(move || watch(node, address, &names, interval, &shared))
        });
        Self { threads: threads.collect(), shared }
    }

    /// Waits until `condition` gives a value for all changes so far; `None` after `limit`.
    pub fn wait<T>(&self, limit: Duration, condition: impl Fn(&[Sighting]) -> Option<T>) -> Option<T> {
        let until = Instant::now() + limit;
        let mut seen = self.shared.seen();
        loop {
            let value = condition(&seen.changes);
            let left = until.saturating_duration_since(Instant::now());
            if value.is_some() || left.is_zero() {
                return value;
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns all changes so far, in order of time.
    pub fn changes(&self) -> Vec<Sighting> {
        self.shared.seen().changes.clone()
    }

    /// Returns the number of answers so far.
    pub fn answers(&self) -> u64 {
        self.shared.seen().answers
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.seen().stopped = true;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, node: usize, names: &[String], status: &ClusterStatus) {
        let name = status.leader_id.as_deref();
        let leader = name.and_then(|name| names.iter().position(|other| other == name));
        let mut seen = self.seen();
        // Under the lock, so that times are in order.
        let new = Sighting { at: Instant::now(), node, term: status.term, leader, quorum: status.quorum };
        seen.answers += 1;
        let last = seen.changes.iter().rev().find(|change| change.node == node);
        if last.is_none_or(|last| Sighting { at: new.at, ..*last } != new) && seen.changes.len() < MAX_CHANGES
        {
            seen.changes.push(new);
            self.changed.notify_all();
        }
    }
}

fn watch(node: usize, address: SocketAddr, names: &[String], interval: Duration, shared: &Shared) {
    let mut open = None;
    while !shared.seen().stopped {
        let due = Instant::now() + interval;
        let connection = open.take().or_else(|| Connection::open(address, ANSWER_LIMIT).ok());
        open = connection.and_then(|mut connection| {
            let reply = connection.get("/cluster/status").ok().filter(|reply| reply.status == 200)?;
            shared.note(node, names, &serde_json::from_slice(&reply.body).ok()?);
            Some(connection)
        });
        let due = if open.is_some() { due } else { due.max(Instant::now() + RECONNECT_PAUSE) };
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(term: u64, leader: Option<&str>) -> ClusterStatus {
        let leader_id = leader.map(str::to_owned);
        ClusterStatus { term, quorum: leader_id.is_some(), leader_id, ..ClusterStatus::default() }
    }

    #[test]
    fn only_changes_are_kept() {
        let names = ["n1", "n2"].map(str::to_owned);
        let shared = Shared::default();
        for (node, term, leader) in [
            (0, 1, Some("n1")),
            (0, 1, Some("n1")),
            (1, 1, Some("n1")),
            (0, 1, None),
            (0, 2, None),
            (1, 1, Some("n1")),
            (0, 2, Some("somebody else")),
        ] {
            shared.note(node, &names, &status(term, leader));
        }
        let seen = shared.seen();
        let told: Vec<_> = seen.changes.iter().map(|c| (c.node, c.term, c.leader, c.quorum)).collect();
        assert_eq!(
            told[..4],
            [(0, 1, Some(0), true), (1, 1, Some(0), true), (0, 1, None, false), (0, 2, None, false)]
        );
        assert_eq!((told.len(), seen.answers), (5, 7), "the last one says that there is a quorum");
        assert!(seen.changes.is_sorted_by_key(|change| change.at));
    }

    #[test]
    fn nodes_agree_when_the_last_of_them_does() {
        let start = Instant::now();
        let change = |at_ms, node, leader| Sighting {
            at: start + Duration::from_millis(at_ms),
            node,
            term: 1,
            leader,
            quorum: true,
        };
        let changes = [
            change(0, 1, Some(0)),
            change(1, 2, Some(0)),
            change(2, 1, Some(1)),
            change(3, 0, Some(2)),
            change(4, 2, Some(2)),
            change(5, 1, Some(2)),
            change(6, 1, None),
        ];
        let check = |nodes: &[usize], old: usize, expected: Option<(usize, u64)>| {
            let found = agreed(&changes, nodes, |leader| leader != old);
            assert_eq!(found, expected.map(|(leader, ms)| (leader, start + Duration::from_millis(ms))));
        };
        check(&[1, 2], 0, Some((2, 5)));
        check(&[1, 2], 2, Some((0, 1)));
        check(&[1], 0, Some((1, 2)));
        check(&[0, 1, 2], 0, Some((2, 5)));
        check(&[1, 2, 3], 0, None);
    }
}

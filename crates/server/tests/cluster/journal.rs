//! Continuous writes under all faults, and checks of the acknowledged writes.

use std::time::{Duration, Instant};

use local_cluster::{
    Acknowledged, Journal, JournalEntry, SettingsWriter, WriterPlan, lost_writes, repeat_write,
    repeated_versions,
};
use testkit::{Cluster, Connection};

use crate::request::LIMIT;

/// Minimum interval between two writes of a client: short enough for a write in flight at any fault, long
/// enough to check every write afterwards.
const PACE: Duration = Duration::from_millis(40);
/// Settings written in turn by each client.
const SETTINGS: usize = 5;
/// Acknowledgements to wait for as evidence of progress.
const GOING_ON: usize = 3;
/// Time after which a persistent client gives up a write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
/// Time limit of a persistent client for a node's answer.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Threads that repeat writes.
const REPEATERS: usize = 8;

/// Clients, one per node, each writing settings in turn until stopped.
pub(crate) struct Writers {
    writers: Vec<SettingsWriter>,
}

impl Writers {
    /// Starts one client per node. Once for a cluster: the keys would repeat.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let through = |i| vec![(i, cluster.address(i))];
        Self::start_with(cluster, |i| WriterPlan { nodes: through(i), ..plan(cluster, i) })
    }

    /// Like [`Writers::start`], with retries at the next node under the same key, as clients of a cluster do.
    pub(crate) fn start_persistent(cluster: &Cluster) -> Self {
        Self::start_with(cluster, |first| WriterPlan {
            attempt_limit: ATTEMPT_LIMIT,
            retry_pause: PACE,
            give_up_after: Some(GIVE_UP_AFTER),
            ..plan(cluster, first)
        })
    }

    fn start_with(cluster: &Cluster, plan: impl Fn(usize) -> WriterPlan) -> Self {
        Self { writers: (0..cluster.len()).map(|i| SettingsWriter::start(plan(i))).collect() }
    }

    /// Waits until new writes are acknowledged through node `through`.
    pub(crate) fn wait_going_on(&self, cluster: &Cluster, through: usize) {
        let now = Instant::now();
        let is_later = |write: &&JournalEntry| write.node == through && write.sent >= now;
        cluster.wait_until(&format!("writes through {}", cluster.id(through)), LIMIT, |_| {
            let later = self.writers.iter().map(|writer| {
                writer.with_journal(|journal| journal.writes.iter().rev().filter(is_later).count())
            });
            (later.sum::<usize>() >= GOING_ON).then_some(())
        });
    }

    /// Stops the writers and merges their journals.
    pub(crate) fn stop(self) -> Journal {
        self.writers.iter().for_each(SettingsWriter::end);
        let mut all = Journal::default();
        for journal in self.writers.into_iter().map(SettingsWriter::stop) {
            all.writes.extend(journal.writes);
            all.unanswered.extend(journal.unanswered);
        }
        all
    }
}

/// Plan of client `i`: its own node first, a single attempt.
pub(crate) fn plan(cluster: &Cluster, i: usize) -> WriterPlan {
    let nodes = (0..cluster.len()).map(|n| (i + n) % cluster.len());
    WriterPlan {
        nodes: nodes.map(|n| (n, cluster.address(n))).collect(),
        token: cluster.admin_token().to_owned(),
        settings: (0..SETTINGS).map(|which| format!("note.{i}-{which}")).collect(),
        key_prefix: i.to_string(),
        rotates: false,
        pace: PACE,
        attempt_limit: LIMIT,
        retry_pause: Duration::ZERO,
        give_up_after: None,
    }
}

/// Checks that every acknowledged write exists, once, on every node: no two writes made the same version of a
/// setting, every node has the version or a later one, and a repeated write gets the same answer, without
/// being applied anew.
pub(crate) fn check(cluster: &Cluster, writes: &[JournalEntry]) {
    assert!(!writes.is_empty());
    let acknowledged = writes.iter().map(|write| &write.acknowledged);
    let mut defects = repeated_versions(acknowledged.collect::<Vec<&Acknowledged>>());
    for i in 0..cluster.len() {
        let lost =
            Connection::open(cluster.address(i), LIMIT).and_then(|mut node| lost_writes(&mut node, writes));
        defects.extend(
            lost.unwrap_or_else(|error| vec![error.to_string()])
                .into_iter()
                .map(|lost| format!("node {i}: {lost}")),
        );
    }
    std::thread::scope(|scope| {
        let parts = writes.chunks(writes.len().div_ceil(REPEATERS)).enumerate();
        let threads: Vec<_> = parts.map(|(n, part)| scope.spawn(move || repeat(cluster, n, part))).collect();
        defects.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    assert_eq!(defects, [""; 0], "{}", cluster.report());
}

/// Repeats writes through a node; returns the answers that differ from the first ones.
fn repeat(cluster: &Cluster, n: usize, writes: &[JournalEntry]) -> Vec<String> {
    let mut node = Connection::open(cluster.address(n % cluster.len()), LIMIT).unwrap();
    let again = |write| repeat_write(&mut node, cluster.admin_token(), write).unwrap();
    writes.iter().filter_map(again).collect()
}

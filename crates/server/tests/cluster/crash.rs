//! kill -9 of all nodes, repeatedly: acknowledged writes exist exactly once.

use std::time::{Duration, Instant};

use local_cluster::{JournalEntry, SettingsWriter, WriterPlan};
use testkit::{Cluster, ClusterBuilder};

use crate::journal::{self, Writers, plan};
use crate::request::LIMIT;

const CLIENTS: usize = 8;
/// Acknowledged writes of a round before all nodes are killed.
const WRITES: usize = 40;

/// Rounds; a measurement sets more.
fn rounds() -> usize {
    std::env::var("STEG_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_all_nodes_are_killed() {
    // Room for the keys of many rounds.
    let mut cluster = ClusterBuilder::new()
        .set("storage.snapshot_every", 50)
        .set("limits.idempotency_bytes", 1 << 30)
        .start();
    cluster.wait_all_healthy();
    let cluster_id = cluster.status(0).unwrap().cluster_id;
    let mut term = 0;
    for round in 0..rounds() {
        let before = (0..3).filter_map(|i| cluster.status(i)).map(|status| status.term).max().unwrap();
        assert!(before >= term, "the term went back from {term} to {before}");
        term = before;
        let acknowledged = write_until_killed(&mut cluster, round);
        cluster.start(round % 3);
        cluster.start((round + 1) % 3);
        let started = Instant::now();
        cluster.wait_for_leader();
        let leader_after_ms = started.elapsed().as_millis();
        cluster.start((round + 2) % 3);
        cluster.wait_all_healthy();
        assert_eq!(cluster.status(round % 3).unwrap().cluster_id, cluster_id);
        eprintln!("round {round}: {} acknowledged, a leader after {leader_after_ms} ms", acknowledged.len());
        journal::check(&cluster, &acknowledged);
    }
}

/// Kills of one node for each round above.
const KILLS: usize = 4;

/// A directory that keeps what was synced is never behind its mark, whatever ends the process.
#[test]
fn a_kill_is_not_taken_for_a_directory_that_went_back() {
    let mut cluster = ClusterBuilder::new().set("storage.snapshot_every", 50).start();
    cluster.wait_all_healthy();
    let ids = |cluster: &Cluster| {
        cluster.status(0).map(|status| status.nodes.iter().map(|row| row.raft_id.clone()).collect::<Vec<_>>())
    };
    let before = ids(&cluster);
    let writers = Writers::start_persistent(&cluster);
    for round in 0..KILLS * rounds() {
        cluster.kill(round % 3);
        cluster.start(round % 3);
        cluster.wait_all_healthy();
    }
    writers.wait_going_on(&cluster, 0);
    assert_eq!(ids(&cluster), before);
    for i in 0..3 {
        assert!(!cluster.log_contains(i, "went back in time"), "{}", cluster.log(i));
    }
    journal::check(&cluster, &writers.stop().writes);
}

fn write_until_killed(cluster: &mut Cluster, round: usize) -> Vec<JournalEntry> {
    let writers: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let key_prefix = format!("{round}-{client}");
            SettingsWriter::start(WriterPlan {
                key_prefix,
                rotates: true,
                pace: Duration::ZERO,
                ..plan(cluster, client)
            })
        })
        .collect();
    cluster.wait_until("writes", LIMIT, |_| {
        let counts = writers.iter().map(|writer| writer.with_journal(|journal| journal.writes.len()));
        (counts.sum::<usize>() >= WRITES).then_some(())
    });
    writers.iter().for_each(SettingsWriter::end);
    cluster.kill_all();
    writers.into_iter().flat_map(|writer| writer.stop().writes).collect()
}

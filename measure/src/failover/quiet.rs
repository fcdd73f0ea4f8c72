//! Periods without a fault that justifies an election: no election may take place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder, Net, Sighting, Watcher};

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, must_post, must_put, others, settle};
use super::report::CaseReport;
use super::rounds::{LogMarks, Slowest, repeat};

/// Interval between requests to every node.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Time limit for the first answer of each node.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// Number of busy loops, at normal priority.
const LOOPS: usize = 24;
/// Lost packets, in percent.
const LOSS: u8 = 5;
/// Time from one gap to the next.
const GAP_EVERY: Duration = Duration::from_secs(5);
/// Shortest and longest gap, in milliseconds.
const GAP_MS: std::ops::Range<u64> = 100..250;
/// Rate of the link to a follower that needs a snapshot.
const SLOW_KBIT: u32 = 3000;
/// Notes written while that follower is cut off, of [`NOTE_BYTES`] each, under [`NOTES`] keys.
const NOTES_WRITTEN: usize = 4000;
const NOTES: usize = 1000;
const NOTE_BYTES: usize = 4000;
/// Time limit for the follower to catch up.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(600);
/// Least pause between two false alarms; evidence expires in the meantime.
const BETWEEN_ALARMS: Duration = Duration::from_millis(300);
/// Duration of a disk stall.
const STALL: Duration = Duration::from_millis(300);

pub(super) fn idle(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let length = Duration::from_secs(60 * bench.minutes);
    observe(bench, rounds, report, |_, watcher| {
        stay_for(watcher, length);
        Ok(())
    })
}

pub(super) fn busy(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let length = Duration::from_secs(60 * bench.minutes);
    observe(bench, rounds, report, |_, watcher| {
        let _loops = BusyLoops::start();
        stay_for(watcher, length);
        Ok(())
    })
}

pub(super) fn loss(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    ensure!(Net::available(), "network namespaces are needed: Linux, root, ip and nft");
    let length = Duration::from_secs(60 * bench.minutes);
    observe_with(bench, ClusterBuilder::in_namespaces, rounds, report, |cluster, watcher| {
        cluster.net().lose_at_random(LOSS);
        stay_for(watcher, length);
        cluster.net().heal();
        Ok(())
    })
}

pub(super) fn gaps(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    ensure!(Net::available(), "network namespaces are needed: Linux, root, ip and nft");
    let length = Duration::from_secs(60 * bench.minutes);
    observe_with(bench, ClusterBuilder::in_namespaces, rounds, report, |cluster, watcher| {
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < length {
            let leader = watcher.changes().iter().rev().find_map(|change| change.leader);
            let gap = GAP_MS.start + number * 37 % (GAP_MS.end - GAP_MS.start);
            cluster.net().isolate(leader.context("no node names a leader")?);
            std::thread::sleep(Duration::from_millis(gap));
            cluster.net().heal();
            stay_for(watcher, GAP_EVERY);
            number += 1;
        }
        Ok(())
    })
}

pub(super) fn snapshot(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    ensure!(Net::available(), "network namespaces are needed: Linux, root, ip and nft");
    let set = |builder: ClusterBuilder| builder.set("storage.snapshot_every", 50).in_namespaces();
    observe_with(bench, set, rounds, report, |cluster, _| {
        let leader = cluster.wait_all_healthy();
        let behind = others(cluster, leader)[0];
        cluster.net().isolate(behind);
        let note = "x".repeat(NOTE_BYTES);
        for number in 0..NOTES_WRITTEN {
            must_put(cluster, leader, &format!("note.n{}", number % NOTES), &json!({ "value": note }))?;
        }
        cluster.net().throttle(behind, SLOW_KBIT);
        cluster.net().heal();
        cluster.wait_until("the follower to have caught up", CAUGHT_UP_WITHIN, |cluster| {
            let status = cluster.status(behind)?;
            let applied = |i: usize| status.node(cluster.id(i))?.applied_index;
            (applied(behind)? >= applied(leader)?).then_some(())
        });
        Ok(())
    })
}

pub(super) fn false_alarms(bench: &Bench, alarms: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    observe(bench, 1, report, |cluster, watcher| {
        let follower = others(cluster, cluster.wait_all_healthy())[0];
        drill(cluster, watcher, follower, alarms, &json!({ "action": "false_alarm" }), BETWEEN_ALARMS)
    })
}

pub(super) fn stall_leader(bench: &Bench, stalls: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    observe(bench, 1, report, |cluster, watcher| {
        let leader = cluster.wait_all_healthy();
        drill(cluster, watcher, leader, stalls, &stall(), 2 * STALL)
    })
}

pub(super) fn stall_follower(bench: &Bench, stalls: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    observe(bench, 1, report, |cluster, watcher| {
        let follower = others(cluster, cluster.wait_all_healthy())[0];
        drill(cluster, watcher, follower, stalls, &stall(), 2 * STALL)
    })
}

fn stall() -> Value {
    json!({ "action": "stall_disk", "for_ms": STALL.as_millis() as u64 })
}

/// Runs `happen` while every node is asked continuously, and counts the terms that began meanwhile.
fn observe(
    bench: &Bench,
    rounds: u32,
    report: &mut CaseReport,
    happen: impl Fn(&Cluster, &Watcher) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    observe_with(bench, |builder| builder, rounds, report, happen)
}

/// Same as [`observe`], for a cluster that `set` configures.
fn observe_with(
    bench: &Bench,
    set: impl Fn(ClusterBuilder) -> ClusterBuilder,
    rounds: u32,
    report: &mut CaseReport,
    happen: impl Fn(&Cluster, &Watcher) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let start = || BenchCluster::quiet(set(bench.cluster().flags(["--enable-fault-injection"])).start());
    repeat(report, rounds, start, |subject, report, number| {
        let cluster = &subject.cluster;
        settle(cluster);
        let marks = LogMarks::now(cluster);
        let all: Vec<usize> = (0..cluster.len()).collect();
        let watcher = cluster.watch(&all, ASK_EVERY);
        let begun = Instant::now();
        let first = watcher.wait(SEEN_WITHIN, |changes| terms_of_all(changes, all.len()));
        let first = first.context("not every node was seen")?;
        happen(cluster, &watcher)?;
        // All nodes are healthy again, and every node was asked.
        settle(cluster);
        let last = (0..cluster.len()).filter_map(|i| cluster.status(i)).map(|status| status.term).max();
        let terms = last.context("no node reports its term")?.saturating_sub(first);
        let changes = watcher.changes();
        report.add("terms", terms as f64);
        report.add("times without a leader", without_leader(&changes) as f64);
        report.add("answers", watcher.answers() as f64);
        if terms > 0 {
            slowest.consider(terms as f64, number, || marks.since(cluster, begun, &changes));
        }
        Ok(())
    });
    slowest.write(report);
    Ok(())
}

/// Returns the term of a cluster, once each node was seen.
fn terms_of_all(changes: &[Sighting], nodes: usize) -> Option<u64> {
    let terms = (0..nodes).map(|node| changes.iter().rev().find(|change| change.node == node));
    terms.map(|change| change.map(|change| change.term)).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Counts the reports of a node without a known leader.
fn without_leader(changes: &[Sighting]) -> usize {
    changes.iter().filter(|change| change.leader.is_none()).count()
}

/// Waits for the given time.
fn stay_for(watcher: &Watcher, length: Duration) {
    // The condition never holds, so that the wait lasts until the time limit.
    let _ = watcher.wait(length, |_| None::<()>);
}

/// Repeats a drill on a node, each time after recovery of the cluster and at least `pause` after the last.
fn drill(
    cluster: &Cluster,
    watcher: &Watcher,
    node: usize,
    times: u32,
    action: &Value,
    pause: Duration,
) -> anyhow::Result<()> {
    for number in 1..=times {
        let begun = Instant::now();
        must_post(cluster, node, "/admin/fail", action)?;
        stay_for(watcher, pause.saturating_sub(begun.elapsed()));
        cluster.wait_all_healthy();
        ensure!(cluster.node(node).is_running(), "the node is gone after drill {number}");
    }
    Ok(())
}

/// Threads that spin until dropped.
struct BusyLoops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..LOOPS).map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_in_the_highest_term_of_its_nodes() {
        let at = Instant::now();
        let change = |node, term, leader| Sighting { at, node, term, leader, quorum: true };
        let changes = [change(0, 3, Some(0)), change(1, 3, Some(0)), change(0, 4, None)];
        assert_eq!(terms_of_all(&changes, 2), Some(4));
        assert_eq!(terms_of_all(&changes, 3), None);
        assert_eq!(without_leader(&changes), 1);
    }
}

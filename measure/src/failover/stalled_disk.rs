//! A leader with a hanging disk and a responsive process: the time until writes are acknowledged again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, must_post, others, settle};
use super::report::{CaseReport, ms};
use super::rounds::{LogMarks, Slowest, repeat};
use super::writer::OneWrite;

/// Duration of the stall, longer than any round.
const STALL_MS: u64 = 60_000;
/// Interval between requests to the other nodes for the leader.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Time limit of an attempt to write before the next attempt; the resolution of the figure.
const ATTEMPT_LIMIT: Duration = Duration::from_millis(500);

pub(super) fn flush_hung(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let set = || BenchCluster::quiet(bench.cluster().flags(["--enable-fault-injection"]).start());
    repeat(report, rounds, set, |subject, report, number| {
        let cluster = &mut subject.cluster;
        let old = settle(cluster);
        let marks = LogMarks::now(cluster);
        let writes = others(cluster, old)
            .into_iter()
            .map(|i| OneWrite::prepare(cluster, i, &format!("note.stall-{number}-{i}"), ATTEMPT_LIMIT));
        let writes = writes.collect::<anyhow::Result<Vec<_>>>()?;
        let watcher = cluster.watch(&others(cluster, old), ASK_EVERY);
        let stalled = Instant::now();
        must_post(cluster, old, "/admin/fail", &json!({ "action": "stall_disk", "for_ms": STALL_MS }))?;
        for write in &writes {
            write.go();
        }
        let mut took = Duration::ZERO;
        for write in writes {
            took = took.max(write.finish()?.0.saturating_duration_since(stalled));
        }
        report.add("first write ms", ms(took));
        let seen = watcher.changes();
        drop(watcher);
        cluster.restart(old);
        settle(cluster);
        slowest.consider(ms(took), number, || marks.since(cluster, stalled, &seen));
        Ok(())
    });
    slowest.write(report);
    Ok(())
}

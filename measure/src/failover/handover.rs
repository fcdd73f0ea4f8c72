//! Transfer of leadership while clients embed and write: the longest write during the transfer, without
//! failed requests.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::Cluster;

use super::bench::Bench;
use super::bench_cluster::{must_post, others, settle};
use super::load::Load;
use super::load_kill::add;
use super::report::{CaseReport, ms};
use super::rounds::{Fixture, repeat};
use super::writer::{CheckedWriter, Unanswered};

/// Clients that embed during the transfer.
const CLIENTS: u32 = 4;
/// Fewest writes between two transfers.
const WRITES_BETWEEN: usize = 5;
/// Time limit for the writes between two transfers.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// A cluster with embedding clients and a writer, from the first transfer to the last.
struct InUse {
    load: Option<Load>,
    writer: Option<CheckedWriter>,
    cluster: Cluster,
}

pub(super) fn handover(bench: &Bench, handovers: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let set = || InUse::start(bench);
    repeat(report, handovers, set, |fixture, report, number| fixture.hand_over(report, number));
    Ok(())
}

impl InUse {
    fn start(bench: &Bench) -> anyhow::Result<Self> {
        let cluster = bench.cluster().start();
        settle(&cluster);
        let load = Load::endless(bench, &cluster, CLIENTS)?;
        let writer = CheckedWriter::start(&cluster, "note.handover", Unanswered::Wrong);
        Ok(Self { load: Some(load), writer: Some(writer), cluster })
    }

    fn hand_over(&self, report: &mut CaseReport, number: u32) -> anyhow::Result<()> {
        let (cluster, writer) = (&self.cluster, self.writer.as_ref().context("writes ended before")?);
        let leader = cluster.wait_all_healthy();
        written_since(cluster, writer, writer.count());
        let before = writer.mark();
        let to = others(cluster, leader)[number as usize % 2];
        // In two of four rounds the leader chooses the successor.
        let named = (number / 2).is_multiple_of(2);
        let body = if named { json!({ "to": cluster.id(to) }) } else { json!({ "to": null }) };
        let asked = Instant::now();
        let answer = must_post(cluster, leader, "/cluster/leader-transfers", &body)?;
        report.add("handover ms", ms(asked.elapsed()));
        // Seen by all nodes, not only by the two leaders.
        let new = cluster.wait_all_healthy();
        let settled = Instant::now();
        // The writes in flight are complete after further writes.
        written_since(cluster, writer, before.0);
        let longest = writer.longest_between(asked, settled).context("no write was in flight")?;
        report.add("longest write ms", ms(longest));
        ensure!(answer["from"] == cluster.id(leader), "leadership transferred by another node: {answer}");
        ensure!(!named || answer["to"] == cluster.id(to), "leadership transferred to another node: {answer}");
        ensure!(answer["to"] == cluster.id(new), "{} leads after {answer}", cluster.id(new));
        let wrong = writer.wrong_since(before);
        ensure!(wrong.is_empty(), "writes failed: {wrong:?}");
        Ok(())
    }
}

impl Fixture for InUse {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn end(&mut self, report: &mut CaseReport) -> anyhow::Result<()> {
        if let Some(writer) = self.writer.take() {
            report.add("failed writes", writer.stop().1.len() as f64);
        }
        if let Some(load) = self.load.take() {
            let run = load.stop()?;
            add(report, &run);
            report.note(format!("load: {run}"));
            ensure!(run.failed == 0, "not every request succeeded: {run}");
        }
        Ok(())
    }
}

/// Waits until at least [`WRITES_BETWEEN`] more writes than `before` are acknowledged.
fn written_since(cluster: &Cluster, writer: &CheckedWriter, before: usize) {
    cluster.wait_until("writes to go on", WRITTEN_WITHIN, |_| {
        (writer.count() >= before + WRITES_BETWEEN).then_some(())
    });
}

//! Rounds of a case: what goes wrong in one does not end the others.

use std::collections::BinaryHeap;
use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use testkit::{Cluster, Sighting};

use super::flush;
use super::report::{CaseReport, ms};

/// After as many failed rounds one after the other there is nothing left to learn.
const MAX_FAILED_IN_A_ROW: u32 = 5;
/// How many of the slowest rounds are kept with their logs.
const SLOWEST_KEPT: usize = 3;

/// What rounds take place on.
pub(super) trait Scene {
    fn cluster(&self) -> &Cluster;

    /// After the last round: what went on beside the rounds ends, and is held against what it must be.
    fn end(&mut self, report: &mut CaseReport) -> anyhow::Result<()>;
}

/// Does `round` for each round's number, on a scene that `set` makes; on a new one after a round that failed.
pub(super) fn repeat<S: Scene>(
    report: &mut CaseReport,
    rounds: u32,
    set: impl Fn() -> anyhow::Result<S>,
    mut round: impl FnMut(&mut S, &mut CaseReport, u32) -> anyhow::Result<()>,
) {
    let mut scene = None;
    let mut failed_in_a_row = 0;
    for number in 1..=rounds {
        report.begin_round();
        let result = scene.take().map_or_else(|| caught(&set), Ok).and_then(|mut ready: S| {
            let mut result = caught(|| round(&mut ready, report, number));
            report.see_log_commit(flush::log_commit_ms(ready.cluster()));
            if result.is_err() || number == rounds {
                let ended = caught(|| ready.end(report));
                result = result.and(ended);
            }
            match &result {
                Ok(()) => scene = Some(ready),
                Err(error) => keep_logs(report, ready.cluster(), number, error),
            }
            result
        });
        eprintln!("{} {number}/{rounds}: {}", report.name(), report.told_in_round());
        match result {
            Ok(()) => failed_in_a_row = 0,
            Err(error) => {
                failed_in_a_row += 1;
                report.fail(number, &error);
            }
        }
        if failed_in_a_row == MAX_FAILED_IN_A_ROW {
            report
                .note(format!("given up after round {number}: {failed_in_a_row} failed one after the other"));
            break;
        }
    }
}

/// The testkit panics where a cluster does not do what it should; here that is one round's failure.
fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(anyhow!("{}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")))
    })
}

fn keep_logs(report: &mut CaseReport, cluster: &Cluster, number: u32, why: &anyhow::Error) {
    let folder = report.folder().join(format!("round-{number}"));
    let kept = fs::create_dir_all(&folder).context("cannot make a folder for logs").and_then(|()| {
        fs::write(folder.join("why.txt"), format!("{why:?}\n\n{}", cluster.report()))?;
        for i in 0..cluster.len() {
            fs::write(folder.join(format!("{}.log", cluster.id(i))), cluster.log(i))?;
        }
        Ok(())
    });
    match kept {
        Ok(()) => report.note(format!("round {number} failed; its logs are in {}", folder.display())),
        Err(error) => report.note(format!("round {number} failed, and its logs are lost: {error:#}")),
    }
}

/// Where each node's log was at a moment.
pub(super) struct LogMarks {
    at: Instant,
    /// The same moment by the clock of the logs.
    time: Timestamp,
    positions: Vec<u64>,
}

impl LogMarks {
    pub(super) fn now(cluster: &Cluster) -> Self {
        let positions = (0..cluster.len()).map(|i| cluster.log_len_bytes(i)).collect();
        Self { at: Instant::now(), time: Timestamp::now(), positions }
    }

    /// What all nodes have logged since, and what was seen of them after the clock of the round was started.
    pub(super) fn since(&self, cluster: &Cluster, clock_start: Instant, seen: &[Sighting]) -> String {
        let start = self.time + clock_start.saturating_duration_since(self.at);
        let mut text = format!("the clock starts at {start}\n");
        for Sighting { at, node, term, leader, quorum } in seen.iter().filter(|seen| seen.at >= clock_start) {
            let (after_ms, leader) =
                (ms(*at - clock_start), leader.map_or("nobody", |leader| cluster.id(leader)));
            let id = cluster.id(*node);
            let _ = writeln!(text, "{after_ms:9.1} ms: {id} names {leader}, term {term}, quorum {quorum}");
        }
        for (i, &position) in self.positions.iter().enumerate() {
            let _ = writeln!(text, "--- {}\n{}", cluster.id(i), cluster.log_from(i, position));
        }
        text
    }
}

/// The slowest rounds so far, each with what the nodes logged in it.
#[derive(Default)]
pub(super) struct Slowest(BinaryHeap<std::cmp::Reverse<(u64, u32, String)>>);

impl Slowest {
    /// Keeps a round if it is one of the slowest.
    pub(super) fn offer(&mut self, took_ms: f64, number: u32, logs: impl FnOnce() -> String) {
        let took_us = (took_ms * 1e3) as u64;
        if self.0.len() == SLOWEST_KEPT && self.0.peek().is_some_and(|fastest| took_us <= fastest.0.0) {
            return;
        }
        self.0.push(std::cmp::Reverse((took_us, number, logs())));
        if self.0.len() > SLOWEST_KEPT {
            self.0.pop();
        }
    }

    /// Writes them to files, slowest first, and notes where.
    pub(super) fn write(self, report: &mut CaseReport) {
        for (place, std::cmp::Reverse((took_us, number, logs))) in
            self.0.into_sorted_vec().into_iter().enumerate()
        {
            let path = report.folder().join(format!("slowest-{}.log", place + 1));
            let took_ms = took_us as f64 / 1e3;
            let text = format!("round {number}: {took_ms:.1} ms\n{logs}");
            match write(&path, &text) {
                Ok(()) => report.note(format!("{took_ms:.1} ms in round {number}: {}", path.display())),
                Err(error) => report.note(format!("cannot write {}: {error}", path.display())),
            }
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, text)
}

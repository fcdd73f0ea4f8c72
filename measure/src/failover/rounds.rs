//! Rounds of a case; a failed round does not end the following rounds.

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

/// Failed rounds in a row after which the case is given up.
const MAX_FAILED_IN_A_ROW: u32 = 5;
/// Number of the slowest rounds kept with their logs.
const SLOWEST_KEPT: usize = 3;

/// Environment of the rounds.
pub(super) trait Fixture {
    fn cluster(&self) -> &Cluster;

    /// Ends the activity beside the rounds after the last round, and checks the results.
    fn end(&mut self, report: &mut CaseReport) -> anyhow::Result<()>;
}

/// Runs `round` for each number, on a fixture made by `set`, and on a new fixture after a failed round.
pub(super) fn repeat<S: Fixture>(
    report: &mut CaseReport,
    rounds: u32,
    set: impl Fn() -> anyhow::Result<S>,
    mut round: impl FnMut(&mut S, &mut CaseReport, u32) -> anyhow::Result<()>,
) {
    let mut fixture = None;
    let mut failed_in_a_row = 0;
    for number in 1..=rounds {
        report.begin_round();
        let result = fixture.take().map_or_else(|| caught(&set), Ok).and_then(|mut ready: S| {
            let mut result = caught(|| round(&mut ready, report, number));
            report.see_log_commit(flush::log_commit_ms(ready.cluster()));
            if result.is_err() || number == rounds {
                let ended = caught(|| ready.end(report));
                result = result.and(ended);
            }
            match &result {
                Ok(()) => fixture = Some(ready),
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

/// Turns a panic into an error: the testkit panics on a misbehaving cluster, and only the round fails.
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

/// Position of each node's log at a point in time.
pub(super) struct LogMarks {
    at: Instant,
    /// The same time on the clock of the logs.
    time: Timestamp,
    positions: Vec<u64>,
}

impl LogMarks {
    pub(super) fn now(cluster: &Cluster) -> Self {
        let positions = (0..cluster.len()).map(|i| cluster.log_len_bytes(i)).collect();
        Self { at: Instant::now(), time: Timestamp::now(), positions }
    }

    /// Returns the logs of all nodes since the marks, and the sightings since the start of the round's clock.
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

/// The slowest rounds so far, each with the logs of the nodes.
#[derive(Default)]
pub(super) struct Slowest(BinaryHeap<std::cmp::Reverse<(u64, u32, String)>>);

impl Slowest {
    /// Keeps a round if among the slowest.
    pub(super) fn consider(&mut self, took_ms: f64, number: u32, logs: impl FnOnce() -> String) {
        let took_us = (took_ms * 1e3) as u64;
        if self.0.len() == SLOWEST_KEPT && self.0.peek().is_some_and(|fastest| took_us <= fastest.0.0) {
            return;
        }
        self.0.push(std::cmp::Reverse((took_us, number, logs())));
        if self.0.len() > SLOWEST_KEPT {
            self.0.pop();
        }
    }

    /// Writes the rounds to files, slowest first, and notes the paths.
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

//! Figures of a case, the check against the bounds, and the output.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::case::{At, Bound, Case, Limit, Strictness};

/// Cost of a flush on this machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flush {
    pub(super) median_ms: f64,
    pub(super) p95_ms: f64,
}

/// Result of a case.
pub(super) struct CaseReport {
    case: &'static Case,
    /// Folder of the kept logs of the case.
    folder: PathBuf,
    started: Instant,
    took: Duration,
    rounds: u32,
    failed: Vec<(u32, String)>,
    figures: Vec<(&'static str, Vec<f64>)>,
    /// Figures of the current round.
    latest: Vec<(&'static str, f64)>,
    notes: Vec<String>,
    flush: Flush,
    log_commits_ms: Vec<f64>,
}

impl CaseReport {
    pub(super) fn new(case: &'static Case, folder: PathBuf, flush: Flush) -> Self {
        Self {
            case,
            folder,
            started: Instant::now(),
            took: Duration::ZERO,
            rounds: 0,
            failed: Vec::new(),
            figures: Vec::new(),
            latest: Vec::new(),
            notes: Vec::new(),
            flush,
            log_commits_ms: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.case.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn begin_round(&mut self) {
        self.rounds += 1;
        self.latest.clear();
    }

    /// Adds a value of a figure.
    pub(super) fn add(&mut self, figure: &'static str, value: f64) {
        self.latest.push((figure, value));
        match self.figures.iter_mut().find(|(name, _)| *name == figure) {
            Some((_, values)) => values.push(value),
            None => self.figures.push((figure, vec![value])),
        }
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    pub(super) fn fail(&mut self, round: u32, why: &anyhow::Error) {
        let why = format!("{why:#}");
        let first_line = why.lines().next().unwrap_or_default().to_owned();
        self.failed.push((round, first_line));
    }

    pub(super) fn see_log_commit(&mut self, median_ms: Option<f64>) {
        self.log_commits_ms.extend(median_ms);
    }

    /// Formats the figures of the current round, as progress for the user.
    pub(super) fn told_in_round(&self) -> String {
        let told = self.latest.iter().map(|(name, value)| format!("{name} {value:.1}"));
        told.collect::<Vec<_>>().join(", ")
    }

    /// Finishes after the last round: the report is also stored as a file, with every value.
    pub(super) fn finish(&mut self) {
        self.took = self.started.elapsed();
        let path = self.folder.join("report.json");
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&path, format!("{:#}\n", self.to_json())));
        if let Err(error) = written {
            self.note(format!("cannot write {}: {error}", path.display()));
        }
    }

    /// True if no round failed and every mandatory bound held.
    pub(super) fn is_well(&self) -> bool {
        self.failed.is_empty() && self.verdicts().all(|(bound, _, held)| held || bound.is_aim())
    }

    pub(super) fn to_json(&self) -> Value {
        let figures = self.figures.iter().map(|(name, values)| {
            let s = Summary::of(values);
            json!({
                "figure": name, "n": s.n, "min": s.min, "median": s.median, "p95": s.p95, "p99": s.p99,
                "max": s.max, "values": values,
            })
        });
        let bounds = self.verdicts().map(|(bound, limit, held)| {
            let strictness = if bound.is_aim() { "aim" } else { "must" };
            json!({
                "figure": bound.figure, "at": bound.at.name(), "limit": limit, "kind": strictness,
                "held": held,
            })
        });
        let failed = self.failed.iter().map(|(round, why)| json!({ "round": round, "why": why }));
        json!({
            "case": self.case.name, "rounds": self.rounds, "failed": failed.collect::<Vec<_>>(),
            "duration_s": self.took.as_secs_f64(), "flush_ms": self.flush.median_ms, "flush_p95_ms": self.flush.p95_ms,
            "log_commit_ms": median(&self.log_commits_ms), "figures": figures.collect::<Vec<_>>(),
            "bounds": bounds.collect::<Vec<_>>(), "notes": self.notes,
        })
    }

    /// Returns each bound with its limit on this machine, and true if the bound held. A missing figure holds
    /// no bound.
    fn verdicts(&self) -> impl Iterator<Item = (&'static Bound, f64, bool)> {
        self.case.bounds.iter().map(|bound| {
            let limit = match bound.limit {
                Limit::Fixed(limit) => limit,
                Limit::Flushes { count, plus_ms } => count * self.flush.median_ms + plus_ms,
            };
            let values = self.figures.iter().find(|(name, _)| *name == bound.figure);
            let held = values.is_some_and(|(_, values)| Summary::of(values).at(bound.at) <= limit);
            (bound, limit, held)
        })
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = median(&self.log_commits_ms).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        writeln!(f, "{}: {}", self.case.name, self.case.about)?;
        writeln!(
            f,
            "  {} rounds, {} failed, {:.0} s; a flush takes {:.1} ms, p95 {:.1}",
            self.rounds,
            self.failed.len(),
            self.took.as_secs_f64(),
            self.flush.median_ms,
            self.flush.p95_ms
        )?;
        let heads = ["n", "min", "median", "p95", "p99", "max", "flush", "commit"];
        write!(f, "  {:<24}", "")?;
        heads.iter().try_for_each(|head| write!(f, "{head:>9}"))?;
        writeln!(f)?;
        for (name, values) in &self.figures {
            let s = Summary::of(values);
            write!(f, "  {name:<24}{:>9}", s.n)?;
            [s.min, s.median, s.p95, s.p99, s.max].iter().try_for_each(|value| write!(f, "{value:>9.1}"))?;
            writeln!(f, "{:>9.1}{commit:>9}", self.flush.median_ms)?;
        }
        for (bound, limit, held) in self.verdicts() {
            let kind = if bound.is_aim() { "aim " } else { "must" };
            let verdict = if held { "held" } else { "MISSED" };
            writeln!(f, "  {kind} {} {} <= {limit:.1}: {verdict}", bound.figure, bound.at.name())?;
        }
        self.failed.iter().try_for_each(|(round, why)| writeln!(f, "  round {round} failed: {why}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

impl Flush {
    /// Summarizes the times of single flushes in milliseconds.
    pub(super) fn of(times_ms: &[f64]) -> Self {
        let Summary { median: median_ms, p95: p95_ms, .. } = Summary::of(times_ms);
        Self { median_ms, p95_ms }
    }
}

impl Bound {
    fn is_aim(&self) -> bool {
        self.strictness == Strictness::Aim
    }
}

impl At {
    fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::P99 => "p99",
            Self::Max => "max",
        }
    }
}

/// Statistics of a figure's values. Percentiles are nearest ranks: measured values.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Summary {
    n: usize,
    min: f64,
    median: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let place = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Self {
            n: sorted.len(),
            min: rank(0.0),
            median: median(values).unwrap_or(f64::NAN),
            p95: rank(0.95),
            p99: rank(0.99),
            max: rank(1.0),
        }
    }

    fn at(&self, at: At) -> f64 {
        match at {
            At::Median => self.median,
            At::P99 => self.p99,
            At::Max => self.max,
        }
    }
}

/// Returns the middle value, or the mean of the two middle values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Returns a duration in milliseconds.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;

    #[test]
    fn figures_are_summed_up() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let expected = Summary { n: 100, min: 1.0, median: 50.5, p95: 95.0, p99: 99.0, max: 100.0 };
        assert_eq!(Summary::of(&values), expected);
        let one = Summary::of(&[7.0]);
        assert_eq!((one.min, one.median, one.p99, one.max), (7.0, 7.0, 7.0, 7.0));
        assert!(Summary::of(&[]).max.is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn a_case_is_well_when_its_figures_are_there_and_within_bounds() {
        let case = CASES.iter().find(|case| case.name == "kill").unwrap();
        let mut report = CaseReport::new(case, PathBuf::new(), Flush::of(&[4.0]));
        assert!(!report.is_well(), "no figures");
        report.begin_round();
        report.add("new leader ms", 16.0);
        report.add("first write ms", 30.0);
        assert!(report.is_well(), "{report}");
        assert_eq!(report.told_in_round(), "new leader ms 16.0, first write ms 30.0");
        report.begin_round();
        report.add("new leader ms", 201.0);
        assert!(!report.is_well() && report.to_string().contains("must new leader ms max <= 200.0: MISSED"));
        let json = report.to_json();
        assert_eq!((&json["figures"][0]["n"], &json["bounds"][1]["held"]), (&2.into(), &false.into()));
    }
}

//! A case and the bounds of its figures.

use super::bench::Bench;
use super::report::CaseReport;

/// Statistic of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Median,
    P99,
    Max,
}

/// Function that runs a case for a number of rounds.
type Run = fn(&Bench, u32, &mut CaseReport) -> anyhow::Result<()>;

/// A case of the measurement.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Default number of rounds.
    pub(super) rounds: u32,
    pub(super) about: &'static str,
    pub(super) bounds: &'static [Bound],
    pub(super) run: Run,
}

/// Upper bound of a figure.
pub(super) struct Bound {
    pub(super) figure: &'static str,
    pub(super) at: At,
    pub(super) limit: Limit,
    pub(super) strictness: Strictness,
}

/// Limit of a bound.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    Fixed(f64),
    /// Time of `count` flushes on this machine plus a fixed time.
    Flushes {
        count: f64,
        plus_ms: f64,
    },
}

/// Consequence of a missed bound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Must,
    Aim,
}

impl Case {
    /// True if `name` is the name of the case, or the group, which is the part before a slash.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.split_once('/').is_some_and(|(group, _)| group == name)
    }
}

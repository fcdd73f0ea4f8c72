//! Figures of many runs.

use std::fmt;
use std::time::{Duration, Instant};

use crate::faults::{Fault, FaultCounts};
use crate::invariants::Counters;
use crate::run::Run;

/// Figures of many runs.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Number of seeds.
    pub seeds: u64,
    /// Seeds with a broken invariant.
    pub failed: Vec<u64>,
    simulated: Duration,
    began: Instant,
    operations: u64,
    unknown: u64,
    polls: u64,
    faults: FaultCounts,
    elected: FaultCounts,
    most_elected: FaultCounts,
    /// Seeds in which each kind of fault occurred.
    seeds_with_fault: FaultCounts,
    seeds_with: Vec<(&'static str, u64)>,
}

impl Default for Summary {
    #[expect(clippy::disallowed_methods, reason = "the time taken by the machine")]
    fn default() -> Self {
        Self {
            seeds: 0,
            failed: Vec::new(),
            simulated: Duration::ZERO,
            began: Instant::now(),
            operations: 0,
            unknown: 0,
            polls: 0,
            faults: FaultCounts::default(),
            elected: FaultCounts::default(),
            most_elected: FaultCounts::default(),
            seeds_with_fault: FaultCounts::default(),
            seeds_with: Counters::default().named().map(|(name, _)| (name, 0)).to_vec(),
        }
    }
}

impl Summary {
    /// Adds a run.
    pub fn add(&mut self, run: &Run) {
        self.seeds += 1;
        self.simulated += run.simulated;
        self.operations += run.operations;
        self.unknown += run.unknown;
        self.polls += run.polls;
        for (kind, count) in run.faults.iter().enumerate() {
            self.faults[kind] += count;
            self.elected[kind] += run.elected[kind];
            if *count == 1 {
                self.most_elected[kind] = self.most_elected[kind].max(run.elected[kind]);
            }
            self.seeds_with_fault[kind] += u64::from(*count > 0);
        }
        for ((_, seeds), (_, count)) in self.seeds_with.iter_mut().zip(run.counters.named()) {
            *seeds += u64::from(count > 0);
        }
        if run.violation.is_some() {
            self.failed.push(run.seed);
        }
    }
}

impl fmt::Display for Summary {
    #[expect(clippy::disallowed_methods, reason = "the time taken by the machine")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.began.elapsed();
        let hours = self.simulated.as_secs_f64() / 3600.0;
        writeln!(
            f,
            "{} seeds, {hours:.2} simulated hours in {:.0} s ({:.0} times real time); {} operations, {} unknown",
            self.seeds,
            taken.as_secs_f64(),
            self.simulated.as_secs_f64() / taken.as_secs_f64().max(0.001),
            self.operations,
            self.unknown,
        )?;
        let share = |seeds: u64| 100.0 * seeds as f64 / self.seeds.max(1) as f64;
        for (index, kind) in Fault::ALL.iter().enumerate().filter(|(index, _)| self.faults[*index] > 0) {
            let count = self.faults[index];
            writeln!(
                f,
                "  fault {kind:<15} {count:>8} times, in {:5.1} % of the seeds; leaders elected after one: {:.2}, at most {}",
                share(self.seeds_with_fault[index]),
                self.elected[index] as f64 / count as f64,
                self.most_elected[index],
            )?;
        }
        for (name, seeds) in &self.seeds_with {
            writeln!(f, "  {name:<33} in {:5.1} % of the seeds", share(*seeds))?;
        }
        match self.failed.as_slice() {
            [] => write!(f, "no invariant broken"),
            failed => write!(f, "{} seeds broke an invariant: {failed:?}", failed.len()),
        }
    }
}

//! Report of a drill as a value. Its JSON form is read by programs: members are added, never renamed or
//! removed. The suffix of a name is the unit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::buckets::{Bucket, buckets};
use super::options::{DrillOptions, FaultKind};
use super::records::Records;
use super::timeline::{Phases, StepReport, check_read_back, longest_gap, phases, refine_crash, step_report};
use super::writer::EVERY;
use crate::flag_values::Output;
use crate::plan::{Mode, Model};
use crate::stats::Stats;

/// Result of a drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrillReport {
    pub(super) kind: FaultKind,
    /// True if nothing failed, nothing was lost and the cluster has a leader.
    pub(super) passed: bool,
    /// The reasons for a failed drill.
    pub(super) problems: Vec<String>,
    /// The faults in order: a single fault, or a fault per node of a rolling restart.
    pub(super) steps: Vec<StepReport>,
    pub(super) leader_before: Option<String>,
    pub(super) leader_after: Option<String>,
    pub(super) load: AppliedLoad,
    pub(super) requests: RequestsReport,
    pub(super) writes: WritesReport,
    /// Latency of requests before, during and after the fault.
    pub(super) latency: Phases,
    /// Slices of 10 ms around the fault; in a rolling restart around the last fault, which hits the leader.
    pub(super) buckets: Vec<Bucket>,
}

/// The applied load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct AppliedLoad {
    pub(super) mode: Mode,
    pub(super) num_clients: u32,
    /// Requests per second that were due; `null` in the closed model.
    pub(super) intended_rate: Option<f64>,
    pub(super) secret_bytes: usize,
    pub(super) write_every_ms: u64,
    pub(super) before_ms: u64,
    pub(super) after_ms: u64,
    /// `null` for a fault without a planned end.
    pub(super) fault_duration_ms: Option<u64>,
    /// True if a crashed node is started again from outside.
    pub(super) expects_return: bool,
}

/// Outcome of the requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RequestsReport {
    pub(super) total: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// Calls that were sent again.
    pub(super) retried: u64,
    /// Failed requests by kind, and an example message of each kind.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) error_examples: BTreeMap<String, String>,
}

/// Outcome of the writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct WritesReport {
    pub(super) acknowledged: u64,
    /// Writes not acknowledged in time, with an unknown outcome.
    pub(super) failed: u64,
    /// The longest time without an acknowledgement.
    pub(super) longest_gap_ms: Option<f64>,
    /// True if an acknowledged write was not found at the end.
    pub(super) lost: bool,
}

impl DrillReport {
    pub(super) fn new(options: &DrillOptions, mut records: Records, stats: &Stats) -> Self {
        if options.kind == FaultKind::Crash {
            for step in &mut records.steps {
                refine_crash(step, &records.seen);
            }
        }
        let read_back = check_read_back(&records.writes, &records.read_back);
        let faults: Vec<_> = records.steps.iter().map(|step| step.fault).collect();
        let problems = problems(&records, stats, &read_back);
        Self {
            kind: options.kind,
            passed: problems.is_empty(),
            problems,
            steps: (0..records.steps.len()).map(|index| step_report(&records, index)).collect(),
            leader_before: records.steps.first().map(|step| step.leader.clone()),
            leader_after: records.final_leader.clone(),
            load: AppliedLoad::new(options),
            requests: RequestsReport::new(stats),
            writes: WritesReport::new(&records, read_back.is_err()),
            latency: phases(&records.samples, &faults),
            buckets: faults.last().map(|&fault| buckets(&records.samples, fault)).unwrap_or_default(),
        }
    }

    /// True if no request failed, no acknowledged write was lost, and the cluster had a leader at the end.
    pub fn is_success(&self) -> bool {
        self.passed
    }

    /// Renders the report in the given form, with a line end.
    ///
    /// # Errors
    /// If the JSON cannot be written, which is impossible for a report: all its keys are texts.
    pub fn render(&self, output: Output) -> anyhow::Result<String> {
        Ok(match output {
            Output::Text => self.to_text(),
            Output::Json => serde_json::to_string_pretty(self)? + "\n",
        })
    }
}

fn problems(records: &Records, stats: &Stats, read_back: &Result<(), String>) -> Vec<String> {
    let mut problems = records.problems.clone();
    match stats.failed {
        0 if stats.succeeded == 0 => problems.push("no request was sent".to_owned()),
        0 => {}
        failed => problems.push(format!("{failed} of {} requests failed", stats.total())),
    }
    if records.writes.iter().all(|write| write.version.is_none()) {
        problems.push("no write was acknowledged".to_owned());
    }
    problems.extend(read_back.as_ref().err().cloned());
    if records.final_leader.is_none() {
        problems.push("the nodes do not name one leader at the end".to_owned());
    }
    problems
}

impl AppliedLoad {
    fn new(options: &DrillOptions) -> Self {
        let settings = &options.settings;
        let ms = |duration: std::time::Duration| duration.as_millis() as u64;
        Self {
            mode: settings.mode,
            num_clients: settings.plan.num_clients,
            intended_rate: match settings.plan.model {
                Model::Open { rate, .. } => Some(rate),
                Model::Closed => None,
            },
            secret_bytes: settings.secrets.len_bytes(),
            write_every_ms: ms(EVERY),
            before_ms: ms(options.before),
            after_ms: ms(options.after),
            fault_duration_ms: options.kind.has_duration().then(|| ms(options.fault_duration)),
            expects_return: options.expects_return,
        }
    }
}

impl RequestsReport {
    fn new(stats: &Stats) -> Self {
        let errors = || stats.errors.iter().map(|(kind, error)| (kind.clone(), error));
        Self {
            total: stats.total(),
            succeeded: stats.succeeded,
            failed: stats.failed,
            retried: stats.retries,
            errors: errors().map(|(kind, error)| (kind, error.count)).collect(),
            error_examples: errors().map(|(kind, error)| (kind, error.example.clone())).collect(),
        }
    }
}

impl WritesReport {
    fn new(records: &Records, lost: bool) -> Self {
        let acknowledged = records.writes.iter().filter(|write| write.version.is_some()).count();
        let gap = longest_gap(&records.writes, records.writes_ended);
        Self {
            acknowledged: acknowledged as u64,
            failed: (records.writes.len() - acknowledged) as u64,
            longest_gap_ms: gap.map(|gap| (gap.as_secs_f64() * 10_000.0).round() / 10.0),
            lost,
        }
    }
}

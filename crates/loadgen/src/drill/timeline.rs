//! Figures derived from the records of a drill: times, phases, gaps. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use client::EventKind;
use client::agreement::unanimous;
use local_cluster::Acknowledged;
use serde::Serialize;
use tokio::time::Instant;

use super::records::{KEY, ReadBack, Records, Seen, Sign, Step, Write};
use crate::run::Sample;

/// Time after a fault in which requests count as during the fault.
const DURING: Duration = Duration::from_secs(1);
/// Largest distance of the first sign of a crash from the announced time.
const CRASH_WITHIN: Duration = Duration::from_secs(1);

/// Consequences of a fault, in milliseconds after the fault; `None` if an event did not happen or was not
/// seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct StepReport {
    /// The node that failed.
    pub(super) node_id: String,
    pub(super) was_leader: bool,
    /// Time of the fault, in milliseconds after the start of the load.
    pub(super) fault_at_ms: f64,
    /// Time until another node reported the failed node as missing.
    pub(super) detection_ms: Option<f64>,
    /// The node that reported first.
    pub(super) detected_by: Option<String>,
    /// The basis of the report: the evidence of a suspicion, or `probes`.
    pub(super) evidence: Option<String>,
    /// Time until the first node named another leader.
    pub(super) election_ms: Option<f64>,
    /// Time until all other nodes named the same leader.
    pub(super) agreed_ms: Option<f64>,
    pub(super) new_leader_id: Option<String>,
    pub(super) new_term: Option<u64>,
    /// Time until the first acknowledgement of a write sent after the fault.
    pub(super) first_write_ms: Option<f64>,
    /// Time until the fault was ended from outside.
    pub(super) ended_ms: Option<f64>,
    /// Time until all nodes were healthy again.
    pub(super) well_ms: Option<f64>,
}

/// Returns the time between two instants, in milliseconds rounded to a tenth.
pub(super) fn ms_between(from: Instant, to: Instant) -> f64 {
    let ms = |duration: Duration| (duration.as_secs_f64() * 10_000.0).round() / 10.0;
    if to >= from { ms(to - from) } else { -ms(from - to) }
}

/// Sets the time of a crash to the first sign, either the broken event stream of the node or a report by
/// another node, which is more exact than the announced time.
pub(super) fn refine_crash(step: &mut Step, seen: &[Seen]) {
    let announced = step.fault;
    let near = |at: Instant| at.max(announced) - at.min(announced) < CRASH_WITHIN;
    let is_sign = |seen: &&Seen| match seen.what {
        Sign::Lost => seen.by == step.node_id,
        Sign::Event(_) => seen.by != step.node_id && evidence(step, seen).is_some(),
    };
    if let Some(first) = seen.iter().filter(is_sign).map(|seen| seen.at).filter(|at| near(*at)).min() {
        step.fault = first;
    }
}

/// Reports the consequences of the step with the given index, until the next step.
pub(super) fn step_report(records: &Records, index: usize) -> StepReport {
    let step = &records.steps[index];
    let until = records.steps.get(index + 1).map(|next| next.fault);
    let after = |at: Instant| ms_between(step.fault, at);
    let seen: Vec<_> = records
        .seen
        .iter()
        .filter(|seen| seen.at >= step.fault && until.is_none_or(|until| seen.at < until))
        .filter(|seen| seen.by != step.node_id)
        .collect();
    let detection = seen.iter().find_map(|seen| Some((seen, evidence(step, seen)?)));
    let election = if step.was_leader() { election(records, step, &seen) } else { Election::default() };
    StepReport {
        node_id: step.node_id.clone(),
        was_leader: step.was_leader(),
        fault_at_ms: ms_between(records.started, step.fault),
        detection_ms: detection.as_ref().map(|(seen, _)| after(seen.at)),
        detected_by: detection.as_ref().map(|(seen, _)| seen.by.clone()),
        evidence: detection.map(|(_, evidence)| evidence),
        election_ms: election.first.map(after),
        agreed_ms: election.agreed.map(after),
        new_leader_id: election.leader,
        new_term: election.term,
        first_write_ms: first_write(&records.writes, step.fault).map(after),
        ended_ms: step.ended.map(after),
        well_ms: step.healthy_at.map(after),
    }
}

/// Returns the basis on which an event reports the failed node as missing; `None` for other events.
fn evidence(step: &Step, seen: &Seen) -> Option<String> {
    match &seen.what {
        Sign::Event(EventKind::Suspicion { peer, evidence }) if *peer == step.node_id => {
            Some(evidence.clone())
        }
        Sign::Event(EventKind::Peer { peer, healthy: false, .. }) if *peer == step.node_id => {
            Some("probes".to_owned())
        }
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Election {
    first: Option<Instant>,
    agreed: Option<Instant>,
    leader: Option<String>,
    term: Option<u64>,
}

/// Finds the leader named by the other nodes, with the times of the first naming and of agreement.
fn election(records: &Records, step: &Step, seen: &[&Seen]) -> Election {
    let others = || records.node_ids.iter().filter(|id| **id != step.node_id);
    let mut named = BTreeMap::new();
    let mut election = Election::default();
    for seen in seen {
        let Sign::Event(EventKind::Leader { leader_id, term }) = &seen.what else { continue };
        let Some(leader) = leader_id.as_ref().filter(|id| **id != step.node_id && *term > step.term) else {
            named.remove(&seen.by);
            continue;
        };
        election.first.get_or_insert(seen.at);
        named.insert(&seen.by, leader);
        election.leader = Some(leader.clone());
        election.term = Some(*term);
        if unanimous(others().map(|id| named.get(id))).is_some() {
            election.agreed = Some(seen.at);
            return election;
        }
    }
    election
}

/// Returns the first acknowledgement of a write sent after the fault.
fn first_write(writes: &[Write], fault: Instant) -> Option<Instant> {
    let sent_after = |write: &&Write| write.version.is_some() && write.sent >= fault;
    writes.iter().filter(sent_after).map(|write| write.answered).min()
}

/// Returns the longest time without an acknowledgement while writes were being sent.
pub(super) fn longest_gap(writes: &[Write], ended: Instant) -> Option<Duration> {
    let mut moments: Vec<_> =
        writes.iter().filter(|write| write.version.is_some()).map(|write| write.answered).collect();
    moments.sort_unstable();
    let last = *moments.last()?;
    moments.push(ended.max(last));
    moments.windows(2).map(|pair| pair[1] - pair[0]).max()
}

/// Checks that the last acknowledged write is still present or overwritten by a later one.
///
/// # Errors
/// The kind of loss, as text.
pub(super) fn check_read_back(writes: &[Write], read_back: &ReadBack) -> Result<(), String> {
    let acknowledged = writes.iter().filter_map(|write| Some((write.version?, &write.value)));
    let Some((version, value)) = acknowledged.max_by_key(|(version, _)| *version) else { return Ok(()) };
    let last = Acknowledged { setting: KEY.to_owned(), version, value: value.clone() };
    match read_back {
        ReadBack::Failed(why) => Err(format!("the last acknowledged write cannot be read back: {why}")),
        ReadBack::Found { version, value } => {
            last.compare(Some((*version, value))).map(drop).map_err(|lost| lost.to_string())
        }
    }
}

/// Latency of the succeeded requests of a phase, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct PhaseReport {
    /// Requests of the phase, including failed requests.
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// The three phases: requests completed before the first fault, requests in flight between a fault and a
/// second later, and all others.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Phases {
    pub(super) before: PhaseReport,
    pub(super) during: PhaseReport,
    pub(super) after: PhaseReport,
}

pub(super) fn phases(samples: &[Sample], faults: &[Instant]) -> Phases {
    let first = faults.first().copied();
    let is_before = |sample: &Sample| first.is_none_or(|first| sample.answered < first);
    let is_during = |sample: &Sample| {
        faults.iter().any(|&fault| sample.answered >= fault && sample.begun < fault + DURING)
    };
    let of = |wanted: &dyn Fn(&Sample) -> bool| phase(samples.iter().filter(|sample| wanted(sample)));
    let phases = Phases {
        before: of(&is_before),
        during: of(&is_during),
        after: of(&|sample| !is_before(sample) && !is_during(sample)),
    };
    let counted = [phases.before, phases.during, phases.after].map(|phase| phase.requests);
    debug_assert_eq!(counted.iter().sum::<u64>(), samples.len() as u64, "each request counts once");
    phases
}

fn phase<'a>(samples: impl Iterator<Item = &'a Sample>) -> PhaseReport {
    let (succeeded, failed): (Vec<&Sample>, Vec<&Sample>) = samples.partition(|sample| sample.succeeded);
    let mut latencies: Vec<_> = succeeded.iter().map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        // The smallest latency not exceeded by at least `share` of the requests.
        let rank = (share * latencies.len() as f64).ceil() as usize;
        let latency = latencies.get(rank.max(1) - 1)?;
        Some((latency.as_secs_f64() * 10_000.0).round() / 10.0)
    };
    PhaseReport {
        requests: (succeeded.len() + failed.len()) as u64,
        failed: failed.len() as u64,
        p50_ms: quantile(0.50),
        p99_ms: quantile(0.99),
    }
}

#[cfg(test)]
mod tests;

//! What the notes of a drill come to: moments, phases, gaps. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use client::EventKind;
use serde::Serialize;
use tokio::time::Instant;

use super::records::{ReadBack, Records, Seen, Sign, Step, Write};
use crate::run::Sample;

/// How long after a fault requests count as during it.
const DURING: Duration = Duration::from_secs(1);
/// How far the first sign of a crash may be from when the crash was announced.
const CRASH_WITHIN: Duration = Duration::from_secs(1);

/// What followed one fault, in milliseconds after it; `None` where it did not happen or was not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct StepReport {
    /// The node that failed.
    pub(super) node_id: String,
    pub(super) was_leader: bool,
    /// When it failed, in milliseconds after the start of the load.
    pub(super) fault_at_ms: f64,
    /// Until another node told that it misses it.
    pub(super) detection_ms: Option<f64>,
    /// Which node that was.
    pub(super) detected_by: Option<String>,
    /// What it went by: the evidence of a suspicion, or `probes`.
    pub(super) evidence: Option<String>,
    /// Until the first node named another leader.
    pub(super) election_ms: Option<f64>,
    /// Until all others named the same leader.
    pub(super) agreed_ms: Option<f64>,
    pub(super) new_leader_id: Option<String>,
    pub(super) new_term: Option<u64>,
    /// Until the first acknowledgement of a write that was sent after the fault.
    pub(super) first_write_ms: Option<f64>,
    /// Until the fault was ended from outside.
    pub(super) ended_ms: Option<f64>,
    /// Until all nodes were well again.
    pub(super) well_ms: Option<f64>,
}

/// From one moment to another, in milliseconds to one decimal.
pub(super) fn ms_between(from: Instant, to: Instant) -> f64 {
    let ms = |duration: Duration| (duration.as_secs_f64() * 10_000.0).round() / 10.0;
    if to >= from { ms(to - from) } else { -ms(from - to) }
}

/// A node that crashed did so when its stream of events broke, or another node noticed, whichever was seen first: that is
/// closer than what it announced.
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

/// What followed the step with this index, until the next one.
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
        well_ms: step.well.map(after),
    }
}

/// By what an event tells that the failed node is missed.
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

/// Who is named as the leader by the others, and since when: by the first of them, and by all.
fn election(records: &Records, step: &Step, seen: &[&Seen]) -> Election {
    let others = records.node_ids.iter().filter(|id| **id != step.node_id).count();
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
        if named.len() == others && named.values().all(|other| *other == leader) {
            election.agreed = Some(seen.at);
            return election;
        }
    }
    election
}

/// The first acknowledgement of a write that was sent after the fault.
fn first_write(writes: &[Write], fault: Instant) -> Option<Instant> {
    let sent_after = |write: &&Write| write.version.is_some() && write.sent >= fault;
    writes.iter().filter(sent_after).map(|write| write.answered).min()
}

/// The longest time without an acknowledgement while there were writes to acknowledge.
pub(super) fn longest_gap(writes: &[Write], ended: Instant) -> Option<Duration> {
    let mut moments: Vec<_> =
        writes.iter().filter(|write| write.version.is_some()).map(|write| write.answered).collect();
    moments.sort_unstable();
    let last = *moments.last()?;
    moments.push(ended.max(last));
    moments.windows(2).map(|pair| pair[1] - pair[0]).max()
}

/// Whether what was acknowledged last is still there; otherwise what is wrong. A later version is fine: a write without an
/// answer may have been done, and somebody else may write.
pub(super) fn check_read_back(writes: &[Write], read_back: &ReadBack) -> Result<(), String> {
    let acknowledged = writes.iter().filter_map(|write| Some((write.version?, &write.value)));
    let Some((version, value)) = acknowledged.max_by_key(|(version, _)| *version) else { return Ok(()) };
    match read_back {
        ReadBack::Failed(why) => Err(format!("the last acknowledged write cannot be read back: {why}")),
        ReadBack::Found { version: found, .. } if *found < version => Err(format!(
            "an acknowledged write is lost: version {version} was acknowledged, {found} is there"
        )),
        ReadBack::Found { version: found, value: other } if *found == version && other != value => {
            Err(format!("an acknowledged write is lost: version {version} has another value"))
        }
        ReadBack::Found { .. } => Ok(()),
    }
}

/// Latency of the succeeded requests of a phase, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct PhaseReport {
    /// Requests of the phase, those that failed included.
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// The three phases: requests that were over before the first fault, those under way between a fault and a second later,
/// and all others.
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
    Phases {
        before: of(&is_before),
        during: of(&is_during),
        after: of(&|sample| !is_before(sample) && !is_during(sample)),
    }
}

fn phase<'a>(samples: impl Iterator<Item = &'a Sample>) -> PhaseReport {
    let (succeeded, failed): (Vec<&Sample>, Vec<&Sample>) = samples.partition(|sample| sample.succeeded);
    let mut latencies: Vec<_> = succeeded.iter().map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        // The smallest latency that at least this share of the requests stayed within.
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

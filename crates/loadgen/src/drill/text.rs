//! Report of a drill as text for people.

use std::fmt::Write as _;

use super::buckets::compact;
use super::options::FaultKind;
use super::report::DrillReport;
use super::timeline::StepReport;

/// Most rows of the table around the fault, so that the report fits on a screen.
const MAX_ROWS: usize = 20;

impl DrillReport {
    pub(super) fn to_text(&self) -> String {
        let mut sections = vec![self.header()];
        sections.extend(self.steps.iter().map(|step| self.moments(step)));
        sections.extend([self.bucket_table(), self.totals(), self.error_table(), self.verdict()]);
        sections.retain(|section| !section.is_empty());
        sections.join("\n")
    }

    fn header(&self) -> String {
        let who = match self.steps.as_slice() {
            [step] => format!(" of {}", with_role(step)),
            steps => format!(" of {} nodes", steps.len()),
        };
        let load = &self.load;
        let clients = match load.intended_rate {
            Some(rate) => format!("{rate} requests/s due"),
            None => format!("{} clients", load.num_clients),
        };
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let lasts = load.fault_duration_ms.map(|ms| format!("{} s of it, ", seconds(ms))).unwrap_or_default();
        format!(
            "drill   {}{who}\nload    {}, {clients}, {} byte secrets; a write every {} ms\nphases  {} s before the fault, \
             {lasts}{} s from it on\n",
            self.kind.as_str(),
            load.mode.as_str(),
            load.secret_bytes,
            load.write_every_ms,
            seconds(load.before_ms),
            seconds(load.after_ms),
        )
    }

    fn moments(&self, step: &StepReport) -> String {
        let id = &step.node_id;
        let named = |id: &Option<String>| id.clone().unwrap_or_else(|| "unknown".to_owned());
        let mut rows = vec![match &step.evidence {
            Some(evidence) => {
                (step.detection_ms, format!("{} suspects {id} ({evidence})", named(&step.detected_by)))
            }
            None => (None, format!("no other node reported {id} as missing")),
        }];
        if step.was_leader {
            let leader = named(&step.new_leader_id);
            let term = step.new_term.map(|term| format!(" in term {term}")).unwrap_or_default();
            rows.push((step.election_ms, format!("one node names {leader} as the leader{term}")));
            rows.push((step.agreed_ms, format!("all other nodes name {leader} as the leader")));
        }
        rows.push((step.first_write_ms, "first acknowledged write that was sent after the fault".to_owned()));
        if step.ended_ms.is_some() {
            rows.push((step.ended_ms, "end of the fault".to_owned()));
        }
        rows.push(match (self.kind, self.load.expects_return) {
            (FaultKind::Crash, false) => (None, format!("{id} stays down until it is started")),
            _ => (step.well_ms, "all nodes are healthy again".to_owned()),
        });
        // Events that did not happen come last.
        rows.sort_by(|a, b| a.0.unwrap_or(f64::INFINITY).total_cmp(&b.0.unwrap_or(f64::INFINITY)));
        let mut text = format!(
            "{}, {:.1} s after the start\n  ms after the fault\n",
            with_role(step),
            step.fault_at_ms / 1000.0
        );
        for (ms, what) in rows {
            let ms = ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {ms:>18}  {what}");
        }
        text
    }

    fn bucket_table(&self) -> String {
        let Some(last) = self.steps.last() else { return String::new() };
        let mut text = format!("requests around the fault of {}\n", last.node_id);
        let _ = writeln!(text, "  {:>12}  {:>6}  {:>8}  {:>6}", "ms after it", "sent", "answered", "failed");
        for row in compact(self.buckets.clone(), MAX_ROWS) {
            let span = format!("{} to {}", row.from_ms, row.to_ms);
            let _ = writeln!(text, "  {span:>12}  {:>6}  {:>8}  {:>6}", row.sent, row.answered, row.failed);
        }
        text
    }

    fn totals(&self) -> String {
        let (requests, writes, latency) = (&self.requests, &self.writes, &self.latency);
        let gap = writes.longest_gap_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        let lost = if writes.lost { "one was lost" } else { "none lost" };
        let mut text = format!(
            "requests  {} of {} succeeded, {} failed, {} sent again\nwrites    {} acknowledged, {} failed, {lost}, \
             longest gap {gap}\n\n",
            requests.succeeded,
            requests.total,
            requests.failed,
            requests.retried,
            writes.acknowledged,
            writes.failed,
        );
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let phases = [latency.before, latency.during, latency.after];
        let rows: [(&str, [String; 3]); 4] = [
            ("latency", ["before", "during", "after"].map(str::to_owned)),
            ("requests", phases.map(|phase| phase.requests.to_string())),
            ("p50 ms", phases.map(|phase| ms(phase.p50_ms))),
            ("p99 ms", phases.map(|phase| ms(phase.p99_ms))),
        ];
        for (name, [before, during, after]) in rows {
            let _ = writeln!(text, "{name:<10}{before:>9}{during:>9}{after:>9}");
        }
        text
    }

    fn error_table(&self) -> String {
        let errors = &self.requests.errors;
        if errors.is_empty() {
            return String::new();
        }
        let width = errors.keys().map(String::len).max().unwrap_or(0);
        let row = |(kind, count): (&String, &u64)| {
            let example = self.requests.error_examples.get(kind).map_or("", String::as_str);
            format!("{count:>7}  {kind:width$}  {example}\n")
        };
        format!("errors, with the first of each kind\n{}", errors.iter().map(row).collect::<String>())
    }

    fn verdict(&self) -> String {
        let leads = self.leader_after.as_ref().map(|id| format!("; {id} leads")).unwrap_or_default();
        if self.passed {
            return format!("passed{leads}\n");
        }
        format!("failed: {}{leads}\n", self.problems.join("; "))
    }
}

fn with_role(step: &StepReport) -> String {
    let role = if step.was_leader { "the leader" } else { "a follower" };
    format!("{}, {role}", step.node_id)
}

#[cfg(test)]
mod tests;

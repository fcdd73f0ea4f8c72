//! Invariants of the protocol, checked as facts become known.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use control_plane::world::Note;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// Simulated time.
    pub at: Duration,
    /// The facts that contradict each other.
    pub facts: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken at {:.6} s: {}", self.invariant, self.at.as_secs_f64(), self.facts)
    }
}

/// Number of rare events in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// A node became leader.
    pub leaders: u64,
    /// A node removed entries from the end of its log.
    pub truncations: u64,
    /// A node took its state from a leader's snapshot.
    pub installed_snapshots: u64,
    /// A leader found the joint change of an earlier leader.
    pub resumed_changes: u64,
}

impl Counters {
    /// Returns the numbers with their names.
    pub fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("leader change", self.leaders.saturating_sub(1)),
            ("tail of a log truncated", self.truncations),
            ("snapshot installed", self.installed_snapshots),
            ("joint change resumed", self.resumed_changes),
        ]
    }
}

/// Facts about all nodes, and the first violation.
#[derive(Default)]
pub(crate) struct Invariants {
    pub violation: Option<Violation>,
    /// Applied entries by index: term, content, and the node that applied the entry first.
    applied: BTreeMap<u64, (u64, String, usize)>,
    /// Leaders by term.
    leaders: BTreeMap<u64, usize>,
    pub counters: Counters,
}

impl Invariants {
    /// Takes note of a fact, and compares it with earlier facts.
    pub(crate) fn note(&mut self, at: Duration, node: usize, note: &Note<'_>) {
        match note {
            Note::Applied(entry) => self.applied(at, node, entry),
            Note::Leads { term } => self.leads(at, node, *term),
            Note::Truncated => self.counters.truncations += 1,
            Note::Installed => self.counters.installed_snapshots += 1,
            Note::ResumesChange => self.counters.resumed_changes += 1,
            Note::Voted(_) => {}
        }
    }

    /// Records a violation, unless there was one before.
    pub(crate) fn violate(&mut self, invariant: &'static str, at: Duration, facts: String) {
        self.violation.get_or_insert(Violation { invariant, at, facts });
    }

    /// State machine safety: the entry at an index is the same on all nodes.
    fn applied(&mut self, at: Duration, node: usize, entry: &control_plane::Entry) {
        let (index, term) = (entry.log_id.index, entry.log_id.leader_id.term);
        let content = entry.payload.to_string();
        match self.applied.get(&index) {
            None => drop(self.applied.insert(index, (term, content, node))),
            Some((earlier, other, by)) if (*earlier, other) != (term, &content) => {
                let facts = format!(
                    "entry {index}: n{} applied {other} of term {earlier}, n{} {content} of term {term}",
                    by + 1,
                    node + 1
                );
                self.violate("state machine safety", at, facts);
            }
            Some(_) => {}
        }
    }

    /// Election safety: one leader in a term.
    fn leads(&mut self, at: Duration, node: usize, term: u64) {
        self.counters.leaders += 1;
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            let facts = format!("n{} and n{} lead in term {term}", leader + 1, node + 1);
            self.violate("election safety", at, facts);
        }
    }
}

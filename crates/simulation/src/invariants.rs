//! Invariants of the protocol, checked as facts become known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use control_plane::world::Note;
use control_plane::{LogId, RaftId, Vote};

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
    /// A node set aside a data directory that had lost votes or entries.
    pub set_aside: u64,
    /// The first configured node, its disk lost, reached nobody and founded a cluster of one voter. The run
    /// ends there: only an operator can take the node back.
    pub foreign_clusters: u64,
}

impl Counters {
    /// Returns the numbers with their names.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("leader change", self.leaders.saturating_sub(1)),
            ("tail of a log truncated", self.truncations),
            ("snapshot installed", self.installed_snapshots),
            ("joint change resumed", self.resumed_changes),
            ("data directory set aside", self.set_aside),
            ("foreign cluster founded", self.foreign_clusters),
        ]
    }
}

/// Entries by which the log of a member that becomes a voter may be behind the leader's.
const MAX_BEHIND: u64 = 200;

/// State that a node has promised to find after a start.
#[derive(Debug, Clone, Copy, Default)]
struct Promises {
    /// Term and candidate of the latest vote.
    promised: (u64, Option<RaftId>),
    /// Index of the last durable entry.
    durable: u64,
    /// Index of the last entry of the latest installed snapshot.
    installed: u64,
}

/// Faults that have effects on a node.
#[derive(Debug, Clone, Copy, Default)]
struct Disturbance {
    /// Faults that have not ended.
    faults: u32,
    /// End of the effects of earlier faults.
    until: Duration,
}

/// Term and index of an entry.
type Position = (u64, u64);

fn position(id: &LogId) -> Position {
    (id.leader_id.term, id.index)
}

/// Hash of a text.
fn digest(text: &dyn fmt::Display) -> u64 {
    struct Digest(DefaultHasher);
    impl fmt::Write for Digest {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut digest = Digest(DefaultHasher::new());
    let _ = write!(digest, "{text}");
    digest.0.finish()
}

/// Facts about all nodes, and the first violation.
#[derive(Default)]
pub(crate) struct Invariants {
    pub violation: Option<Violation>,
    /// Applied entries by index: term, content, and the node that applied the entry first.
    applied: BTreeMap<u64, (u64, String, usize)>,
    /// Entries of all logs: the entry before, and the digest of the content.
    logged: BTreeMap<Position, (Option<Position>, u64)>,
    /// Leaders by term.
    leaders: BTreeMap<u64, usize>,
    /// Faults that have effects on each node.
    disturbances: BTreeMap<usize, Disturbance>,
    pub counters: Counters,
    /// True while the latest applied membership is a joint one.
    pub joint: bool,
    promises: BTreeMap<usize, Promises>,
    /// Nodes whose data directory was put back from a copy, and not replaced since.
    went_back: BTreeSet<usize>,
    founded: bool,
}

impl Invariants {
    /// Takes note of a fact, and compares it with earlier facts.
    pub(crate) fn note(&mut self, at: Duration, node: usize, note: &Note<'_>) {
        match note {
            Note::Founds => {
                self.counters.foreign_clusters += u64::from(std::mem::replace(&mut self.founded, true));
            }
            Note::Applied { id, content, is_joint } => {
                self.joint = is_joint.unwrap_or(self.joint);
                self.applied(at, node, id, content.to_string());
            }
            Note::Appended { previous, id, content } => {
                self.appended(at, node, *previous, id, digest(content))
            }
            Note::Campaigns { against } => self.campaigns(at, node, *against),
            Note::ChangesVoters { added, last } => self.changes_voters(at, added, *last),
            Note::Leads { term, last } => self.leads(at, node, *term, last.map_or(0, |id| id.index)),
            // The latest counts: a node that voted for one candidate follows another that was elected.
            Note::Promised(vote) => {
                self.node(node).promised = (vote.leader_id.term, Some(vote.leader_id.voted_for));
            }
            Note::Durable { index } => self.node(node).durable = self.node(node).durable.max(*index),
            Note::Opened { vote, last } => self.opened(at, node, *vote, *last),
            Note::Truncated { from } => {
                self.counters.truncations += 1;
                let durable = &mut self.node(node).durable;
                *durable = (*durable).min(from.saturating_sub(1));
            }
            Note::Installed { index } => {
                self.counters.installed_snapshots += 1;
                self.node(node).installed = *index;
            }
            // A new directory has promised nothing.
            Note::SetAside => {
                self.counters.set_aside += 1;
                self.forget(node);
                if !self.went_back.remove(&node) {
                    let facts = format!("n{} replaced a directory that kept what was synced", node + 1);
                    self.violate("directories are kept", at, facts);
                }
            }
            Note::ResumesChange => self.counters.resumed_changes += 1,
        }
    }

    /// Records a violation, unless there was one before.
    pub(crate) fn violate(&mut self, invariant: &'static str, at: Duration, facts: String) {
        self.violation.get_or_insert(Violation { invariant, at, facts });
    }

    /// State machine safety: the entry at an index is the same on all nodes.
    fn applied(&mut self, at: Duration, node: usize, id: &LogId, content: String) {
        let (index, term) = (id.index, id.leader_id.term);
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

    /// Log matching: an entry has the same content in all logs, and the same entry before it.
    fn appended(&mut self, at: Duration, node: usize, previous: Option<&LogId>, id: &LogId, content: u64) {
        let entry = (previous.map(position), content);
        let earlier = *self.logged.entry(position(id)).or_insert(entry);
        if earlier != entry {
            let facts = format!("n{} appended {id} as {entry:?}, an earlier log has {earlier:?}", node + 1);
            self.violate("log matching", at, facts);
        }
    }

    /// Suspicion has a cause: a fault at the leader or at the node that suspects it.
    fn campaigns(&mut self, at: Duration, node: usize, against: u64) {
        let Some(leader) = self.leaders.get(&against).copied() else { return };
        if !self.is_disturbed(leader, at) && !self.is_disturbed(node, at) {
            let facts = format!("n{} campaigns against n{}, leader of term {against}", node + 1, leader + 1);
            self.violate("suspicion has a cause", at, facts);
        }
    }

    /// Members become voters once their log has caught up.
    fn changes_voters(&mut self, at: Duration, added: &[&str], last: u64) {
        let added: BTreeSet<usize> = added
            .iter()
            .filter_map(|name| name.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1))
            .collect();
        for node in added {
            let Promises { durable, installed, .. } = *self.node(node);
            let held = durable.max(installed);
            if held + MAX_BEHIND < last {
                let facts = format!("n{} becomes a voter with entries up to {held} of {last}", node + 1);
                self.violate("voters hold the log", at, facts);
            }
        }
    }

    /// Records that a fault at a node begins.
    pub(crate) fn disturb(&mut self, node: usize) {
        self.disturbances.entry(node).or_default().faults += 1;
    }

    /// Records that a fault at a node ends, with effects until `until`.
    pub(crate) fn calm(&mut self, node: usize, until: Duration) {
        let disturbance = self.disturbances.entry(node).or_default();
        disturbance.faults -= 1;
        disturbance.until = disturbance.until.max(until);
    }

    fn is_disturbed(&self, node: usize, at: Duration) -> bool {
        self.disturbances.get(&node).is_some_and(|known| known.faults > 0 || at < known.until)
    }

    /// Durability: a node that starts finds its vote and its entries.
    fn opened(&mut self, at: Duration, node: usize, vote: Option<&Vote>, last: Option<&LogId>) {
        let found = vote.map_or((0, None), |vote| (vote.leader_id.term, Some(vote.leader_id.voted_for)));
        let index = last.map_or(0, |id| id.index);
        let Promises { promised, durable, .. } = *self.node(node);
        if found.0 < promised.0 || (found.0 == promised.0 && found.1 != promised.1) {
            let facts = format!("n{} was bound to {promised:?}, and found {found:?}", node + 1);
            self.violate("votes are durable", at, facts);
        }
        if index < durable {
            let facts = format!("n{} had entries up to {durable}, and found {index}", node + 1);
            self.violate("entries are durable", at, facts);
        }
    }

    /// Records that a node has lost its data directory.
    pub(crate) fn wiped(&mut self, node: usize) {
        self.went_back.remove(&node);
        self.forget(node);
    }

    /// Forgets what a node has promised, since its data directory is another.
    fn forget(&mut self, node: usize) {
        *self.node(node) = Promises::default();
    }

    /// Records that the data directory of a node was put back from a copy.
    pub(crate) fn went_back(&mut self, node: usize) {
        self.went_back.insert(node);
        self.forget(node);
    }

    fn node(&mut self, node: usize) -> &mut Promises {
        self.promises.entry(node).or_default()
    }

    /// Election safety: one leader in a term. Leader completeness: its log has all that was applied anywhere.
    fn leads(&mut self, at: Duration, node: usize, term: u64, last: u64) {
        if let Some((applied, ..)) = self.applied.last_key_value().filter(|(applied, _)| **applied > last) {
            let facts = format!(
                "n{} leads in term {term} with entries up to {last}; {applied} was applied",
                node + 1
            );
            self.violate("leader completeness", at, facts);
        }
        self.counters.leaders += 1;
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            let facts = format!("n{} and n{} lead in term {term}", leader + 1, node + 1);
            self.violate("election safety", at, facts);
        }
    }
}

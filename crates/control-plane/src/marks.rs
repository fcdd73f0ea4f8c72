//! Marks: durable progress of data directories, remembered by their peers. Pure.
//!
//! A data directory that is put back from an earlier copy has forgotten votes and entries that its node had
//! promised to keep. The node cannot notice by itself; its peers can, since every node tells them its mark on
//! each answer to a probe, and every node keeps the greatest mark of each directory.
//!
//! A mark consists of values that never go back in a directory that keeps what was synced, whatever ends the
//! process: the vote after its flush, and the last entry both flushed and committed. A committed entry is
//! never truncated, so the last log id of an intact directory is never below the committed entry of its mark.

use serde::{Deserialize, Serialize};

use crate::ids::RaftId;
use crate::types::LogId;

/// Limit on the remembered marks; the least one is forgotten.
pub(crate) const MAX_MARKS: usize = 64;

/// Durable progress of one data directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Term of the durable vote.
    pub term: u64,
    /// Candidate of the durable vote. Changes within a term, from a candidate to the elected leader.
    #[serde(default)]
    pub voted_for: Option<RaftId>,
    /// Last entry both durable and committed.
    #[serde(default)]
    pub committed: Option<LogId>,
}

/// Report of a node about the mark of its own data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnMark {
    /// Random number of the opened storage.
    pub boot: u64,
    /// The mark.
    pub mark: Mark,
    /// Last entry of the log, or the last that a snapshot replaced.
    pub last: Option<LogId>,
}

impl Mark {
    /// Raises the mark to everything that `other` knows. True if anything changed.
    pub(crate) fn raise(&mut self, other: &Self) -> bool {
        let before = *self;
        if (other.term, other.voted_for.is_some()) >= (self.term, self.voted_for.is_some()) {
            (self.term, self.voted_for) = (other.term, other.voted_for);
        }
        self.committed = self.committed.max(other.committed);
        debug_assert!(self.term >= before.term && self.committed >= before.committed, "marks only rise");
        *self != before
    }

    /// True if a directory with a vote of `term` and `last` as its last log entry has lost a part of the
    /// mark.
    ///
    /// Only terms of votes are compared: within a term, a vote for a candidate gives way to the elected
    /// leader.
    pub(crate) fn is_ahead_of(&self, term: u64, last: Option<LogId>) -> bool {
        term < self.term || last < self.committed
    }
}

impl OwnMark {
    /// True if the directory has lost a part of `mark`.
    pub(crate) fn is_behind(&self, mark: &Mark) -> bool {
        mark.is_ahead_of(self.mark.term, self.last)
    }
}

/// The greatest known mark of each data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Marks(Vec<(RaftId, Mark)>);

impl Marks {
    /// Returns the mark of a directory.
    pub(crate) fn of(&self, id: RaftId) -> Option<Mark> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, mark)| *mark)
    }

    /// Returns all marks with their directories.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(RaftId, Mark)> {
        self.0.iter()
    }

    /// Raises the mark of a directory. True if anything changed.
    pub(crate) fn raise(&mut self, id: RaftId, mark: &Mark) -> bool {
        if id == RaftId::UNKNOWN {
            return false;
        }
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == id) {
            return known.raise(mark);
        }
        if self.0.len() >= MAX_MARKS {
            let order = |(_, mark): &(RaftId, Mark)| (mark.committed, mark.term);
            let least = (0..self.0.len()).min_by_key(|index| order(&self.0[*index]));
            // A directory that was replaced long ago; those of members rise all the time.
            let replaced = least.filter(|index| order(&self.0[*index]) < (mark.committed, mark.term));
            let Some(index) = replaced else { return false };
            self.0.swap_remove(index);
        }
        self.0.push((id, *mark));
        debug_assert!(self.0.len() <= MAX_MARKS);
        true
    }
}

#[cfg(test)]
mod tests;

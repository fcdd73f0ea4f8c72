//! In-memory part of the log store: the bounds of the log, the vote, and the latest entries.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::ids::RaftId;
use crate::marks::{Mark, Marks};
use crate::types::{Entry, LogId, Vote};

/// Bytes of entries kept in memory, as stored. Entries not yet durable count, and stay even beyond the
/// limit.
pub(super) const MAX_CACHED_BYTES: usize = 16 << 20;

/// Content of the log, including writes in flight to the disk.
#[derive(Default)]
pub(super) struct Memory {
    /// The vote, durable except for the knowledge that the leader is elected.
    pub vote: Option<Vote>,
    /// The last entry known to be committed.
    pub committed: Option<LogId>,
    /// The last purged entry.
    pub purged: Option<LogId>,
    /// The last entry, or the last purged entry.
    pub last: Option<LogId>,
    /// Index of the first entry, if there is any.
    pub first: u64,
    /// Number of removals of entries; a disk read with a removal in between is repeated.
    pub removals: u64,
    /// Number of the last write submitted to the writer.
    pub last_submitted: u64,
    /// Cause for which the log failed or is closed.
    pub failed: Option<Arc<str>>,
    /// Last entry known to be both durable and committed.
    pub marked: Option<LogId>,
    /// Raft id of the data directory, as stored in the log.
    pub directory: Option<RaftId>,
    /// Marks of other data directories.
    pub marks: Marks,
    /// True if `marks` differ from the file.
    marks_changed: bool,
    cache: VecDeque<Cached>,
    cached_bytes: usize,
    /// Lengths of the records of all entries, from the first one on.
    lengths: VecDeque<u32>,
    /// Sum of `lengths`.
    bytes: u64,
    /// Truncations in flight to the disk: the number of the write, and the first removed index.
    truncations: VecDeque<(u64, u64)>,
}

struct Cached {
    entry: Arc<Entry>,
    bytes: usize,
    write: u64,
}

/// Plan for reading a range of the log: first from the disk, then from memory.
pub(super) struct Plan {
    pub on_disk: Range<u64>,
    pub cached: Vec<Arc<Entry>>,
    pub removals: u64,
}

impl Memory {
    /// Returns the index after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.last.as_ref().map_or(0, |id| id.index + 1)
    }

    fn is_empty(&self) -> bool {
        self.last == self.purged
    }

    /// Checks the invariants of the bounds, after a change.
    fn check(&self) {
        debug_assert!(self.purged <= self.last, "the log does not end before its purged part");
        let entries = if self.is_empty() { 0 } else { self.end() - self.first };
        debug_assert_eq!(self.lengths.len() as u64, entries, "one length for each entry");
        debug_assert_eq!(self.cache.is_empty(), self.cached_bytes == 0, "bytes of the entries in memory");
    }

    /// Checks that the entries continue the log without a gap.
    pub(super) fn check_append(&self, entries: &[(Entry, usize)]) -> Result<(), String> {
        // An entirely new log may begin anywhere; openraft begins at 0.
        let new = self.last.is_none();
        let start = if new { entries.first().map_or(0, |(entry, _)| entry.log_id.index) } else { self.end() };
        for ((entry, _), expected) in entries.iter().zip(start..) {
            if entry.log_id.index != expected {
                return Err(format!("entry {} appended in place of entry {expected}", entry.log_id));
            }
        }
        Ok(())
    }

    /// Adds entries accepted by [`Self::check_append`], each with the stored length, as part of a write.
    pub(super) fn append(&mut self, entries: Vec<(Entry, usize)>, write: u64) {
        for (entry, bytes) in entries {
            if self.is_empty() {
                self.first = entry.log_id.index;
            }
            self.last = Some(entry.log_id);
            self.add_length(bytes);
            self.cached_bytes += bytes;
            self.cache.push_back(Cached { entry: Arc::new(entry), bytes, write });
        }
        self.check();
    }

    /// Adds the next entry on the disk, with the stored length.
    pub(super) fn found(&mut self, id: LogId, bytes: usize) {
        self.last = Some(id);
        self.add_length(bytes);
    }

    /// Returns the stored size of all entries, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add_length(&mut self, bytes: usize) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.lengths.push_back(length);
        self.bytes += u64::from(length);
    }

    /// Removes every entry after `last`, by the write of this number. Returns the first removed index.
    pub(super) fn truncate(&mut self, last: Option<LogId>, number: u64) -> u64 {
        let from = last.as_ref().map_or(0, |id| id.index + 1).max(self.purged_end());
        self.truncations.push_back((number, from));
        if from < self.end() {
            self.last = if from > self.first { last } else { self.purged };
            self.removals += 1;
            let kept = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
            for length in self.lengths.drain(kept.min(self.lengths.len())..) {
                self.bytes -= u64::from(length);
            }
            while let Some(cached) = self.cache.pop_back() {
                if cached.entry.log_id.index < from {
                    self.cache.push_back(cached);
                    break;
                }
                self.cached_bytes -= cached.bytes;
            }
        }
        self.check();
        from
    }

    /// Records that every entry before `end` is durable: those of them that are committed count for the mark.
    pub(super) fn mark_until(&mut self, end: u64) {
        let Some(committed) = self.committed else { return };
        let durable = if committed.index < end {
            Some(committed)
        } else {
            // Committed by the others before the flush here.
            end.checked_sub(1).and_then(|last| self.cached_id(last))
        };
        self.marked = self.marked.max(durable);
    }

    /// Returns the id of an entry in memory.
    fn cached_id(&self, index: u64) -> Option<LogId> {
        let first = self.cache.front()?.entry.log_id.index;
        let at = usize::try_from(index.checked_sub(first)?).ok()?;
        self.cache.get(at).map(|cached| cached.entry.log_id)
    }

    /// Raises the marks of data directories.
    pub(super) fn raise_marks<'a>(&mut self, marks: impl IntoIterator<Item = &'a (RaftId, Mark)>) {
        for (id, mark) in marks {
            self.marks_changed |= self.marks.raise(*id, mark);
        }
    }

    /// Returns the marks if they are to be written.
    pub(super) fn take_changed_marks(&mut self) -> Option<Marks> {
        std::mem::take(&mut self.marks_changed).then(|| self.marks.clone())
    }

    /// Returns the end of the durable log once the write of this number is on the disk and ends the file
    /// before `end`. Entries removed by a later truncation do not count, although still on the disk.
    pub(super) fn durable_end(&mut self, number: u64, end: u64) -> u64 {
        while self.truncations.front().is_some_and(|(truncation, _)| *truncation <= number) {
            self.truncations.pop_front();
        }
        self.truncations.iter().fold(end, |end, (_, from)| end.min(*from))
    }

    /// Removes every entry up to `upto`, even beyond the last entry.
    pub(super) fn purge(&mut self, upto: LogId) {
        if self.purged >= Some(upto) {
            return;
        }
        if self.end() <= upto.index + 1 {
            self.last = Some(upto);
        }
        self.purged = Some(upto);
        let gone = usize::try_from((upto.index + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        for length in self.lengths.drain(..gone.min(self.lengths.len())) {
            self.bytes -= u64::from(length);
        }
        self.first = self.first.max(upto.index + 1);
        self.removals += 1;
        self.evict_while(|cached| cached.entry.log_id.index <= upto.index);
        self.check();
    }

    fn purged_end(&self) -> u64 {
        self.purged.as_ref().map_or(0, |id| id.index + 1)
    }

    /// Evicts the oldest entries beyond `max_bytes`, as far as durable by the writes up to `durable`.
    pub(super) fn evict(&mut self, durable: u64, max_bytes: usize) {
        let mut excess = self.cached_bytes.saturating_sub(max_bytes);
        self.evict_while(|cached| {
            let forget = excess > 0 && cached.write <= durable;
            excess = excess.saturating_sub(cached.bytes);
            forget
        });
    }

    /// Evicts the oldest entries in memory while `forget` returns true.
    fn evict_while(&mut self, mut forget: impl FnMut(&Cached) -> bool) {
        while let Some(cached) = self.cache.front().filter(|cached| forget(cached)) {
            self.cached_bytes -= cached.bytes;
            self.cache.pop_front();
        }
    }

    /// Returns the plan for reading the existing entries of a range. Every entry outside the memory is
    /// durable.
    pub(super) fn plan(&self, range: Range<u64>) -> Plan {
        let (start, end) = (range.start.max(self.first), range.end.min(self.end()));
        let removals = self.removals;
        if start >= end || self.is_empty() {
            return Plan { on_disk: 0..0, cached: Vec::new(), removals };
        }
        let cached_from = self.cache.front().map_or(self.end(), |cached| cached.entry.log_id.index);
        let within = |index: u64| usize::try_from(index.saturating_sub(cached_from)).unwrap_or(usize::MAX);
        let (from, to) = (within(start.max(cached_from)), within(end));
        let cached = if from < to { self.cache.range(from..to) } else { self.cache.range(0..0) };
        Plan {
            on_disk: start..end.min(cached_from).max(start),
            cached: cached.map(|cached| cached.entry.clone()).collect(),
            removals,
        }
    }

    /// Returns the bytes of entries in memory, for tests of the limit.
    #[cfg(test)]
    pub(super) fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }
}

//! Result of applying entries: the catalogue, and the progress.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record;
use crate::catalog::Catalog;
use crate::format::{Activated, Format, FormatVersion, NoForm};
use crate::types::{LogId, StoredMembership};
use crate::world::clock;

/// Result of applying entries.
#[derive(Default)]
pub(super) struct Applied {
    /// State produced by the commands.
    pub catalog: Catalog,
    /// Progress of applying entries.
    pub progress: Progress,
    /// Origin of the stamps of a leader. Not replicated.
    pub origin: StampOrigin,
}

/// Reading of the catalogue's clock at a moment of the local boot clock, from which the local node counts
/// while it leads in the term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StampOrigin {
    term: u64,
    /// None below version 3: the clock has not started.
    clock_ms: Option<u64>,
    taken_at: Duration,
}

impl Applied {
    /// Wraps a state that was opened or installed. Counting begins with the last applied entry.
    pub(super) fn new(catalog: Catalog, progress: Progress) -> Self {
        let mut applied = Self { catalog, progress, origin: StampOrigin::default() };
        applied.note_term();
        applied
    }

    /// Takes the origin of stamps with the first entry of a term, once the entry is applied (of all that
    /// earlier leaders stamped, nothing is left to apply then), and with the start of the clock.
    pub(super) fn note_term(&mut self) {
        let term = self.progress.last_applied.map_or(0, |id| id.leader_id.term);
        let clock_ms = self.catalog.clock_ms();
        if term > self.origin.term || self.origin.clock_ms.is_none() && clock_ms.is_some() {
            self.origin = StampOrigin { term, clock_ms, taken_at: clock::boot_time() };
        }
    }

    /// Returns the stamp of the leader of `term`; 0, which leaves the clock alone, before the leader has
    /// applied an entry of the term, and without a clock.
    pub(super) fn stamp_ms(&self, term: u64) -> u64 {
        let StampOrigin { term: counted, clock_ms, taken_at } = self.origin;
        let Some(clock_ms) = clock_ms.filter(|_| counted == term) else { return 0 };
        let passed = clock::boot_time().saturating_sub(taken_at);
        clock_ms.saturating_add(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Progress of applying entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// The last applied entry.
    pub last_applied: Option<LogId>,
    /// The last applied membership.
    pub membership: StoredMembership,
    /// Greatest number of voters of any uniform membership applied so far.
    pub largest_voter_set: usize,
    /// The activated version of the formats.
    pub activated: Activated,
}

/// Form of release 0.1, written below version 2.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgressV1 {
    last_applied: Option<LogId>,
    membership: StoredMembership,
    largest_voter_set: usize,
}

impl Format for ProgressV1 {
    const SINCE: FormatVersion = FormatVersion::FIRST;
    type Previous = NoForm;

    fn upgrade(previous: NoForm) -> Self {
        match previous {}
    }
}

impl Format for Progress {
    const SINCE: FormatVersion = FormatVersion::SECOND;
    type Previous = ProgressV1;

    fn upgrade(previous: ProgressV1) -> Self {
        let ProgressV1 { last_applied, membership, largest_voter_set } = previous;
        Self { last_applied, membership, largest_voter_set, activated: Activated::default() }
    }
}

impl Progress {
    /// Encodes the progress as a record, in the newest form not above the activated version.
    pub(super) fn record(&self) -> Vec<u8> {
        if !self.activated.is_first() {
            return record::encode_in(Self::SINCE, self);
        }
        let Self { last_applied, membership, largest_voter_set, .. } = self.clone();
        record::encode_in(ProgressV1::SINCE, &ProgressV1 { last_applied, membership, largest_voter_set })
    }

    /// Decodes the progress from a record.
    pub(super) fn of(record: &[u8]) -> Result<Self, record::RecordError> {
        record::decode_newest(record)
    }
}

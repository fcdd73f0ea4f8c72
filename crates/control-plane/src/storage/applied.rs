//! Result of applying entries: the catalogue, and the progress.

use serde::{Deserialize, Serialize};

use super::record;
use crate::catalog::Catalog;
use crate::format::{Activated, Format, FormatVersion, NoForm};
use crate::types::{LogId, StoredMembership};

/// Result of applying entries.
#[derive(Default)]
pub(super) struct Applied {
    /// State produced by the commands.
    pub catalog: Catalog,
    /// Progress of applying entries.
    pub progress: Progress,
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

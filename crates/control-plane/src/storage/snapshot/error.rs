//! Failures of reading and writing snapshots.

use std::io;

use crate::catalog::RowError;
use crate::format::{FormatVersion, NeedsRelease};

/// Failure to read or write a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Error of the operating system.
    #[error("cannot read or write the snapshot")]
    Io(#[from] io::Error),
    /// Not a snapshot.
    #[error("not a snapshot")]
    NotASnapshot,
    /// Unknown version, without the name of the release.
    #[error("a snapshot of version {found}; this release reads versions 1 to {}", FormatVersion::LATEST)]
    UnknownVersion {
        /// Version in the file.
        found: u32,
    },
    /// Written by a newer release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// Corrupted bytes.
    #[error("a damaged snapshot: {what}")]
    Damaged {
        /// Description of the damage.
        what: &'static str,
    },
    /// Malformed part.
    #[error("a damaged snapshot")]
    Malformed(#[from] serde_json::Error),
    /// A row is damaged or of another release.
    #[error("unusable row of the snapshot")]
    Row(#[from] RowError),
    /// Longer than the limit, or than announced.
    #[error("a snapshot of more than {max} bytes")]
    TooLong {
        /// Limit in bytes.
        max: u64,
    },
    /// Fewer bytes than announced.
    #[error("a snapshot of {expected} bytes ended after {received}")]
    Incomplete {
        /// Announced length in bytes.
        expected: u64,
        /// Received bytes.
        received: u64,
    },
}

impl SnapshotError {
    /// True if the bytes are corrupted or cut short. False for other releases and for files that cannot be
    /// read.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            Self::Row(error) => matches!(error, RowError::Malformed { .. }),
            Self::UnknownVersion { .. } | Self::NeedsRelease(_) | Self::TooLong { .. } => false,
            Self::NotASnapshot | Self::Damaged { .. } | Self::Malformed(_) | Self::Incomplete { .. } => true,
        }
    }
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

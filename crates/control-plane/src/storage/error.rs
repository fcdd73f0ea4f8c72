//! Why stored things cannot be opened or read.

use std::io;
use std::path::{Path, PathBuf};

use super::record::RecordError;
use super::snapshot::SnapshotError;
use crate::LogId;
use crate::catalog::RowError;
use crate::format::NeedsRelease;

/// Why the storage cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database library refused.
    #[error("cannot read {what}")]
    Database {
        /// Which database.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// A record is damaged or of another release.
    #[error("cannot read {what}")]
    Record {
        /// Which record.
        what: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A row of the state is damaged or of another release.
    #[error("cannot read the state")]
    Row(#[source] RowError),
    /// The cluster has activated a version, or the log holds a committed entry, that this release does not
    /// read.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// An entry is missing from the log.
    #[error("the log has entry {found} where entry {expected} belongs")]
    Gap {
        /// The index that comes next.
        expected: u64,
        /// The index that is there.
        found: u64,
    },
    /// Entries of the log contradict each other.
    #[error("entry {id} of the log comes after one of a later term")]
    Order {
        /// The later entry.
        id: LogId,
    },
    /// Committed entries are missing from the end of the log.
    #[error("entry {committed} is committed, but the log ends before it")]
    CommittedLost {
        /// The last entry known to be committed.
        committed: LogId,
    },
    /// The disk has no room for any write.
    #[error("the disk is full: {0}")]
    NoRoom(super::Shortage),
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot")]
    Snapshot(#[source] SnapshotError),
    /// There is a state, but no log.
    #[error("{} is missing: without its votes this node must rejoin with an empty data directory", path.display())]
    LogLost {
        /// Where it should be.
        path: PathBuf,
    },
    /// Neither state nor snapshot has what was purged from the log.
    #[error(
        "the log was purged up to {purged}, and neither the state nor a snapshot reaches that far: this node's data \
         is lost, and it must rejoin with an empty data directory"
    )]
    StateLost {
        /// The last purged entry.
        purged: LogId,
    },
}

impl OpenError {
    /// The file that the error names.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::LogLost { path } => Some(path),
            _ => None,
        }
    }

    /// True if another release wrote what cannot be read.
    pub(crate) fn is_of_another_release(&self) -> bool {
        match self {
            Self::NeedsRelease(_) => true,
            Self::Record { source, .. } => source.is_of_another_release(),
            Self::Row(error) => matches!(error, RowError::UnknownVersion { .. }),
            Self::Snapshot(SnapshotError::Row(error)) => matches!(error, RowError::UnknownVersion { .. }),
            Self::Snapshot(error) => {
                matches!(error, SnapshotError::UnknownVersion { .. } | SnapshotError::NeedsRelease(_))
            }
            Self::Database { source, .. } => matches!(source.as_ref(), redb::Error::UpgradeRequired(_)),
            _ => false,
        }
    }

    /// The release that is needed, where the newer one that wrote the unreadable thing is named in it.
    pub(crate) fn needs_release(&self) -> Option<&NeedsRelease> {
        match self {
            Self::NeedsRelease(needed)
            | Self::Record { source: RecordError::NeedsRelease(needed), .. }
            | Self::Snapshot(SnapshotError::NeedsRelease(needed)) => Some(needed),
            _ => None,
        }
    }

    /// The answer of the operating system, if it gave one.
    pub(super) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Database { source, .. } => match source.as_ref() {
                redb::Error::Io(error) => Some(error.kind()),
                _ => None,
            },
            Self::Snapshot(SnapshotError::Io(error)) => Some(error.kind()),
            Self::NoRoom(_) => Some(io::ErrorKind::StorageFull),
            _ => None,
        }
    }

    /// For `map_err` on what the operating system does.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.into(), source }
    }

    /// For `map_err` on what the database library does.
    pub(super) fn database<E: Into<redb::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Database { what, source: Box::new(error.into()) }
    }

    /// For `map_err` on records.
    pub(super) fn record(what: impl Into<String>) -> impl FnOnce(RecordError) -> Self {
        |source| Self::Record { what: what.into(), source }
    }

    /// Whether the bytes are not those that were written, so that they may be replaced by what is in other files. Not
    /// so if the file is in use, cannot be read, or is of another release.
    pub(super) fn is_damage(&self) -> bool {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        match self {
            Self::Database { source, .. } => match source.as_ref() {
                redb::Error::Io(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
                redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } => true,
                _ => false,
            },
            Self::Record { source, .. } => !source.is_of_another_release(),
            Self::Row(error) => matches!(error, RowError::Malformed { .. }),
            _ => false,
        }
    }
}

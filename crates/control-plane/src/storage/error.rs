//! Errors of opening and reading stored data.

use std::io;
use std::path::{Path, PathBuf};

use super::record::RecordError;
use super::snapshot::SnapshotError;
use super::space::Shortage;
use crate::catalog::RowError;
use crate::format::NeedsRelease;
use crate::ids::RaftId;
use crate::types::LogId;
use crate::world::files;

/// Failure to open a file.
#[derive(Debug, thiserror::Error)]
#[error("{}", file.display())]
pub struct Unopened {
    /// The file or folder.
    pub file: PathBuf,
    /// The cause.
    #[source]
    pub error: StorageError,
}

/// Failure to open the storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Error of the operating system.
    #[error("cannot use {}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Error of the database library.
    #[error("cannot read {what}")]
    Database {
        /// Name of the database.
        what: &'static str,
        /// Cause.
        #[source]
        source: Box<redb::Error>,
    },
    /// A record is damaged or of another release.
    #[error("cannot read {what}")]
    Record {
        /// Name of the record.
        what: String,
        /// Cause.
        #[source]
        source: RecordError,
    },
    /// A row of the state is damaged or of another release.
    #[error("cannot read the state")]
    Row(#[source] RowError),
    /// The cluster has activated a version, or the log holds a committed entry, unreadable by this release.
    #[error(transparent)]
    NeedsRelease(#[from] NeedsRelease),
    /// An entry is missing from the log.
    #[error("log entry {found} found in place of entry {expected}")]
    Gap {
        /// Expected index.
        expected: u64,
        /// Index found.
        found: u64,
    },
    /// Entries of the log contradict each other.
    #[error("log entry {id} follows an entry of a later term")]
    Order {
        /// The later entry.
        id: LogId,
    },
    /// Committed entries are missing from the end of the log.
    #[error("committed entry {committed} is missing at the end of the log")]
    CommittedLost {
        /// The last entry known to be committed.
        committed: LogId,
    },
    /// The disk has no room for any write.
    #[error("the disk is full: {0}")]
    NoSpace(Shortage),
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot")]
    Snapshot(#[source] SnapshotError),
    /// A state without a log.
    #[error("{} is missing: without its votes this node must rejoin with an empty data directory", path.display())]
    LogLost {
        /// Expected path of the log.
        path: PathBuf,
    },
    /// The log has lost its content.
    #[error("the log is empty, although this node had begun it: its votes and entries are lost")]
    LogEmptied,
    /// The log belongs to another data directory.
    #[error("the log belongs to the data directory {found}, not to {expected}")]
    ForeignLog {
        /// Raft id in the log.
        found: RaftId,
        /// Raft id of the directory.
        expected: RaftId,
    },
    /// The log ends before an applied entry: its tail is lost.
    #[error(
        "the log ends at {}, although entry {applied} was applied, and no snapshot here reaches that far",
        last.map_or_else(|| "its beginning".to_owned(), |last| last.to_string())
    )]
    LogBehind {
        /// The last applied entry.
        applied: LogId,
        /// The last entry of the log.
        last: Option<LogId>,
    },
    /// Neither state nor snapshot covers the purged part of the log.
    #[error(
        "the log was purged up to {purged}, and neither the state nor a snapshot reaches that far: this node's data \
         is lost, and it must rejoin with an empty data directory"
    )]
    StateLost {
        /// The last purged entry.
        purged: LogId,
    },
}

impl StorageError {
    /// Returns the path named by the error.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::LogLost { path } => Some(path),
            _ => None,
        }
    }

    /// True if the unreadable data was written by another release.
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

    /// Returns the required release, if the data names the newer release.
    pub(crate) fn needs_release(&self) -> Option<&NeedsRelease> {
        match self {
            Self::NeedsRelease(needed)
            | Self::Record { source: RecordError::NeedsRelease(needed), .. }
            | Self::Snapshot(SnapshotError::NeedsRelease(needed)) => Some(needed),
            _ => None,
        }
    }

    /// Returns the error kind of the operating system, if any.
    pub(super) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Database { source, .. } => match source.as_ref() {
                redb::Error::Io(error) => Some(error.kind()),
                _ => None,
            },
            Self::Snapshot(SnapshotError::Io(error)) => Some(error.kind()),
            Self::NoSpace(_) => Some(io::ErrorKind::StorageFull),
            _ => None,
        }
    }

    /// Checks the existence of a file.
    pub(super) fn exists(path: &Path) -> Result<bool, Self> {
        files::exists(path).map_err(Self::io(path))
    }

    /// Returns a function for `map_err` on operating system errors.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.into(), source }
    }

    /// Returns a function for `map_err` on database errors.
    pub(super) fn database<E: Into<redb::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Database { what, source: Box::new(error.into()) }
    }

    /// Returns a function for `map_err` on record errors.
    pub(super) fn record(what: impl Into<String>) -> impl FnOnce(RecordError) -> Self {
        |source| Self::Record { what: what.into(), source }
    }

    /// True if votes or entries of the log are lost for good: the node must not go on under its identity.
    /// False if the log cannot be read at the moment, or only by another release.
    pub(crate) fn loses_log(&self) -> bool {
        match self {
            Self::Gap { .. }
            | Self::Order { .. }
            | Self::CommittedLost { .. }
            | Self::LogLost { .. }
            | Self::LogEmptied
            | Self::ForeignLog { .. }
            | Self::LogBehind { .. }
            | Self::StateLost { .. } => true,
            // A state that is damaged is rebuilt, and a snapshot set aside: what is left is the log.
            _ => self.is_damage(),
        }
    }

    /// True if the bytes are corrupted, so that the content of other files may replace the file. False if
    /// the file is in use, cannot be read, or is of another release.
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

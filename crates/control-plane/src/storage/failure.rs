//! Failures of the storage as reported to operators.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Unopened;
use crate::error_chain::text_with_sources;
use crate::message::Divergence;

/// The failure of a node's storage: the file, the cause, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageFailure {
    /// The unusable file or folder.
    pub file: PathBuf,
    /// The cause, in one line.
    pub error: String,
    /// The remedy, for an operator.
    pub remedy: String,
    /// The required release, for data of a newer release. The node does not retry in this case.
    pub needs_release: Option<String>,
    /// True if votes or entries are lost, so that the node must not go on under its identity.
    pub reverted: bool,
}

/// Cause of a failure, by remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    ReadOnly,
    Denied,
    NotAFolder,
    Damaged,
    Other,
}

impl StorageFailure {
    /// Formats file and cause, in one line.
    pub(crate) fn cause(&self) -> String {
        format!("{}: {}", self.file.display(), self.error)
    }

    /// Creates the failure from an error of the operating system.
    pub(crate) fn io(file: &Path, data_dir: &Path, error: &io::Error) -> Self {
        Self::new(file, data_dir, error.to_string(), Kind::of(Some(error.kind()), Kind::Other))
    }

    /// Creates the failure from an error of opening the storage.
    pub(crate) fn unopened(unopened: &Unopened, data_dir: &Path) -> Self {
        if let Some(needed) = unopened.error.needs_release() {
            let error = text_with_sources(&unopened.error);
            return Self::needs(&unopened.file, data_dir, error, &needed.release);
        }
        if unopened.error.loses_log() {
            return Self::reverted(&unopened.file, data_dir, text_with_sources(&unopened.error));
        }
        // Failures without an operating system error lie in the stored bytes.
        let kind = Kind::of(unopened.error.io_kind(), Kind::Damaged);
        Self::new(&unopened.file, data_dir, text_with_sources(&unopened.error), kind)
    }

    /// Creates the failure for corrupted or missing bytes.
    pub(crate) fn damaged(file: &Path, data_dir: &Path, error: String) -> Self {
        Self::new(file, data_dir, error, Kind::Damaged)
    }

    /// Creates the failure for a write on a full disk.
    pub(crate) fn full(file: &Path, data_dir: &Path, error: String) -> Self {
        Self::new(file, data_dir, error, Kind::Full)
    }

    /// Creates the failure for an error known only as text.
    pub(crate) fn other(file: &Path, data_dir: &Path, error: String) -> Self {
        Self::new(file, data_dir, error, Kind::Other)
    }

    /// Creates the failure for data readable by `release` and newer releases only.
    pub(crate) fn needs(file: &Path, data_dir: &Path, error: String, release: &str) -> Self {
        let remedy = format!("start release {release} or a newer one on {}", data_dir.display());
        let needs_release = Some(release.to_owned());
        Self { file: file.to_owned(), error, remedy, needs_release, reverted: false }
    }

    /// Creates the failure for a directory that has lost votes or entries.
    pub(crate) fn reverted(file: &Path, data_dir: &Path, error: String) -> Self {
        let dir = data_dir.display();
        let remedy = format!(
            "none needed while the other nodes have a quorum: the node sets {dir} aside and joins anew. Otherwise put the \
             latest content of {dir} back"
        );
        Self { file: file.to_owned(), error, remedy, needs_release: None, reverted: true }
    }

    /// Creates the failure for a history that differs from that of the other nodes.
    pub(crate) fn diverged(data_dir: &Path, divergence: &Divergence) -> Self {
        let dir = data_dir.display();
        let remedy = format!(
            "export what is needed from this node, whose settings remain readable; then stop it and move {dir} away: \
             the node joins as a new one. Nothing is moved by itself"
        );
        Self {
            file: data_dir.to_owned(),
            error: divergence.to_string(),
            remedy,
            needs_release: None,
            reverted: false,
        }
    }

    fn new(file: &Path, data_dir: &Path, error: String, kind: Kind) -> Self {
        let dir = data_dir.display();
        let remedy = match kind {
            Kind::Full => format!("free space on the file system of {dir}"),
            Kind::ReadOnly => format!("make the file system of {dir} writable again (mount -o remount,rw)"),
            Kind::Denied => format!("let the node's user read and write {dir} and all in it"),
            Kind::NotAFolder => format!("put a folder at {dir}, or give the node another one (--data-dir)"),
            Kind::Damaged => format!(
                "check the disk, and while the other nodes have a quorum move the whole directory {dir} away: the node \
                 then joins as a new one"
            ),
            Kind::Other => format!("check the disk and the file system of {dir}"),
        };
        Self { file: file.to_owned(), error, remedy, needs_release: None, reverted: false }
    }
}

impl fmt::Display for StorageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause(), self.remedy)?;
        match self.needs_release {
            None if !self.reverted => f.write_str("; the node tries again by itself"),
            _ => Ok(()),
        }
    }
}

impl Kind {
    fn of(kind: Option<io::ErrorKind>, otherwise: Self) -> Self {
        use io::ErrorKind as E;
        match kind {
            Some(E::StorageFull | E::QuotaExceeded) => Self::Full,
            Some(E::ReadOnlyFilesystem) => Self::ReadOnly,
            Some(E::PermissionDenied) => Self::Denied,
            Some(E::NotADirectory | E::AlreadyExists) => Self::NotAFolder,
            Some(E::InvalidData | E::UnexpectedEof) => Self::Damaged,
            Some(_) => Self::Other,
            None => otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::error::StorageError;

    fn check(error: StorageError, file: &str, cause: &str, remedy: &str) {
        let unopened = Unopened { file: PathBuf::from("/d/n1").join(file), error };
        let failure = StorageFailure::unopened(&unopened, Path::new("/d/n1"));
        assert_eq!(failure.file, Path::new("/d/n1").join(file));
        assert!(failure.error.contains(cause), "{failure}");
        assert!(failure.remedy.contains(remedy) && failure.remedy.contains("/d/n1"), "{failure}");
        let text = failure.to_string();
        assert!(text.contains(file) && text.contains(cause) && text.contains(remedy), "{text}");
    }

    #[test]
    fn every_failure_names_file_cause_and_remedy() {
        use io::ErrorKind as E;
        let io = |kind: E| StorageError::Io { path: "/d/n1/log.redb".into(), source: kind.into() };
        let database = |kind: E| StorageError::Database {
            what: "the log file",
            source: Box::new(redb::Error::Io(kind.into())),
        };
        check(io(E::StorageFull), "log.redb", "no storage space", "free space");
        check(io(E::ReadOnlyFilesystem), "log.redb", "read-only", "remount,rw");
        check(io(E::PermissionDenied), "log.redb", "permission denied", "read and write");
        check(io(E::NotADirectory), "", "not a directory", "--data-dir");
        check(io(E::NotFound), "log.redb", "not found", "check the disk");
        check(database(E::StorageFull), "log.redb", "the log file", "free space");
        check(database(E::InvalidData), "log.redb", "the log file", "joins anew");
        let corrupted = Box::new(redb::Error::Corrupted("checksum".to_owned()));
        check(
            StorageError::Database { what: "the log file", source: corrupted },
            "log.redb",
            "checksum",
            "joins anew",
        );
        check(StorageError::Gap { expected: 3, found: 5 }, "log.redb", "entry 5", "joins anew");
    }
}

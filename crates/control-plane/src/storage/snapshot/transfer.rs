//! Transfer of snapshots: a handle for reading and a receiver for writing.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::error::SnapshotError;
use super::file_format::{Header, MAX_SNAPSHOT_BYTES, read};
use crate::catalog::Row;
use crate::format::Activated;
use crate::types::SnapshotMeta;
use crate::world::files::{self, File, Open};
use crate::world::random;

/// Extension of a snapshot during creation.
pub(super) const UNFINISHED: &str = "tmp";

/// A complete, verified snapshot. Cheap to clone, and readable even after replacement by a newer snapshot.
/// A received snapshot is removed with the last handle, unless installed.
#[derive(Clone)]
pub(crate) struct SnapshotFile(Arc<OpenSnapshot>);

struct OpenSnapshot {
    file: File,
    path: PathBuf,
    len_bytes: u64,
    header: Header,
    temporary: AtomicBool,
}

impl SnapshotFile {
    /// Opens a snapshot and verifies the whole file. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError`] if the file cannot be read, is damaged, or was written by another release.
    pub(crate) fn open(path: PathBuf) -> Result<Self, SnapshotError> {
        let file = File::open(&path, Open::Read)?;
        let header = read(&file, |_| Ok(()))?;
        let len_bytes = file.len()?;
        Ok(Self(Arc::new(OpenSnapshot { file, path, len_bytes, header, temporary: AtomicBool::new(false) })))
    }

    /// Returns an empty snapshot of zero bytes; `folder` serves as the open file.
    pub(crate) fn empty(folder: &Path) -> io::Result<Self> {
        let header =
            Header { meta: SnapshotMeta::default(), largest_voter_set: 0, activated: Activated::default() };
        let (file, path) = (File::open(folder, Open::Read)?, folder.to_owned());
        Ok(Self(Arc::new(OpenSnapshot {
            file,
            path,
            len_bytes: 0,
            header,
            temporary: AtomicBool::new(false),
        })))
    }

    /// Returns the metadata in the header.
    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.0.header.meta
    }

    /// Returns the length in bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.0.len_bytes
    }

    /// Reads up to `max_bytes` from `offset` on; no bytes at the end. Blocks.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn read_at(&self, offset: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.0.len_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; max_bytes.min(left)];
        self.0.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Reads and verifies the file again, passing each row to `row`. Blocks.
    pub(crate) fn rows(
        &self,
        row: impl FnMut(&Row) -> Result<(), SnapshotError>,
    ) -> Result<Header, SnapshotError> {
        read(&self.0.file, row)
    }

    /// Returns a file in progress, removed on drop unless renamed.
    pub(super) fn temporary(path: PathBuf, file: File, header: Header) -> io::Result<Self> {
        Ok(Self(Arc::new(OpenSnapshot {
            file,
            path,
            len_bytes: 0,
            header,
            temporary: AtomicBool::new(true),
        })))
    }

    pub(super) fn file(&self) -> &File {
        &self.0.file
    }

    /// Returns the same snapshot with the current length of the file.
    pub(super) fn measured(self) -> io::Result<Self> {
        let len_bytes = self.0.file.len()?;
        self.moved(self.0.path.clone(), len_bytes, self.0.temporary.load(Ordering::Relaxed))
    }

    /// Renames the file, which then is permanent. Other handles stay readable.
    pub(super) fn rename(&self, path: &Path) -> io::Result<Self> {
        if self.0.path != path {
            files::rename(&self.0.path, path)?;
        }
        self.moved(path.into(), self.0.len_bytes, false)
    }

    fn moved(&self, path: PathBuf, len_bytes: u64, temporary: bool) -> io::Result<Self> {
        let file = self.0.file.clone();
        let header = self.0.header.clone();
        self.0.temporary.store(false, Ordering::Relaxed);
        Ok(Self(Arc::new(OpenSnapshot {
            file,
            path,
            len_bytes,
            header,
            temporary: AtomicBool::new(temporary),
        })))
    }
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotFile({}, {} bytes)", self.0.path.display(), self.0.len_bytes)
    }
}

impl Drop for OpenSnapshot {
    fn drop(&mut self) {
        if *self.temporary.get_mut() {
            // A remaining file is removed at the next start.
            let _ = files::remove_file(&self.path);
        }
    }
}

/// A snapshot in transfer from another node. The file is removed unless finished.
pub(crate) struct SnapshotReceiver {
    file: File,
    path: Option<PathBuf>,
    expected_bytes: u64,
    received_bytes: u64,
}

impl SnapshotReceiver {
    /// Creates a file in the folder of snapshots. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError::TooLong`] beyond [`MAX_SNAPSHOT_BYTES`], and errors of the operating system.
    pub(crate) fn create(dir: &Path, expected_bytes: u64) -> Result<Self, SnapshotError> {
        if expected_bytes > MAX_SNAPSHOT_BYTES {
            return Err(SnapshotError::TooLong { max: MAX_SNAPSHOT_BYTES });
        }
        let path = dir.join(format!("incoming-{}.{UNFINISHED}", Uuid::from_u128(random()).simple()));
        let file = File::open(&path, Open::CreateNew)?;
        Ok(Self { file, path: Some(path), expected_bytes, received_bytes: 0 })
    }

    /// Returns the bytes received so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Appends the next bytes. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError::TooLong`] beyond the announced length, and errors of the operating system.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let received_bytes = self.received_bytes.saturating_add(bytes.len() as u64);
        if received_bytes > self.expected_bytes {
            return Err(SnapshotError::TooLong { max: self.expected_bytes });
        }
        (&self.file).write_all(bytes)?;
        self.received_bytes = received_bytes;
        Ok(())
    }

    /// Verifies the file and makes the content durable. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError`] if the file is incomplete, damaged, or was written by another release.
    pub(crate) fn finish(mut self) -> Result<SnapshotFile, SnapshotError> {
        let (expected, received) = (self.expected_bytes, self.received_bytes);
        debug_assert!(received <= expected, "each write is checked against the announced length");
        if received != expected {
            return Err(SnapshotError::Incomplete { expected, received });
        }
        self.file.sync_all()?;
        let header = read(&self.file, |_| Ok(()))?;
        let file = self.file.clone();
        let path = self.path.take().expect("taken only here, where the receiver ends");
        Ok(SnapshotFile::temporary(path, file, header)?.measured()?)
    }
}

impl Drop for SnapshotReceiver {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A remaining file is removed at the next start.
            let _ = files::remove_file(path);
        }
    }
}

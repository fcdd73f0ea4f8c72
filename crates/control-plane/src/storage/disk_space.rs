//! Disk space of a data directory: measured, reserved, and released where a write would fail for lack of
//! space.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::StorageFailure;
use super::space::{Admission, Deferred, Shortage, SnapshotRule, Space};
use crate::timing::TRIAL_WRITE_AFTER;
use crate::world::clock;
use crate::world::files::{self, File, Open};

/// Name of the reserve file.
const RESERVE_FILE: &str = "reserve";

/// Disk space of one data directory. Measuring and reserving block; every other query is answered from
/// memory.
pub(crate) struct DiskSpace {
    dir: PathBuf,
    /// Reserve file. Locked while the file changes, by threads that may block.
    reserve: Mutex<Option<File>>,
    free_bytes: AtomicU64,
    reserve_bytes: AtomicU64,
    max_log_bytes: u64,
    opened: Instant,
    // Held for memory operations only.
    admission: Mutex<Admission>,
    snapshots: Mutex<Snapshots>,
    trial: Mutex<Trial>,
}

/// State of the trial writes.
#[derive(Debug)]
struct Trial {
    /// Start of the disk work in progress.
    begun: Option<Instant>,
    /// End of the latest write that succeeded, or of the latest trial.
    latest: Instant,
    failure: Option<StorageFailure>,
}

#[derive(Debug, Default)]
struct Snapshots {
    rule: SnapshotRule,
    state_bytes: u64,
    trouble: Option<SnapshotTrouble>,
}

/// Cause for which the log is not compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotTrouble {
    /// Folder or file of the failed write.
    pub file: PathBuf,
    /// Cause of the failure.
    pub error: String,
}

impl fmt::Display for SnapshotTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.error)
    }
}

impl DiskSpace {
    /// Measures the disk under the data directory `dir` and creates the reserve if there is space for the
    /// file. Blocks.
    pub(crate) fn open(dir: &Path, max_log_bytes: u64) -> Self {
        let path = dir.join(RESERVE_FILE);
        let reserve = match File::open(&path, Open::Create) {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no disk space reserved");
                None
            }
        };
        let disk = Self::new(dir.to_owned(), reserve, max_log_bytes);
        disk.measure();
        disk.refill();
        disk
    }

    fn new(dir: PathBuf, reserve: Option<File>, max_log_bytes: u64) -> Self {
        // Allocated bytes: a sparse file reserves nothing.
        let allocated = |file: &File| file.allocated_bytes().unwrap_or(0);
        let reserve_bytes = AtomicU64::new(reserve.as_ref().map_or(0, allocated));
        Self {
            dir,
            reserve: Mutex::new(reserve),
            free_bytes: AtomicU64::new(u64::MAX / 2),
            reserve_bytes,
            max_log_bytes,
            opened: clock::now(),
            admission: Mutex::default(),
            snapshots: Mutex::default(),
            trial: Mutex::new(Trial { begun: None, latest: clock::now(), failure: None }),
        }
    }

    /// Returns unlimited room, for tests of other components.
    #[cfg(test)]
    pub(super) fn unlimited() -> Self {
        let disk = Self::new(PathBuf::new(), None, u64::MAX);
        disk.reserve_bytes.store(super::space::RESERVE_BYTES, Ordering::Relaxed);
        disk
    }

    /// Sets the free bytes until the next measurement.
    #[cfg(test)]
    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Measures the free space. Blocks for a moment.
    pub(super) fn measure(&self) {
        if self.dir.as_os_str().is_empty() {
            return;
        }
        match files::free_bytes(&self.dir) {
            Ok(bytes) => self.free_bytes.store(bytes, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "free disk space unknown"),
        }
    }

    /// Measures, completes the reserve if there is space, and tests the disk if there was no recent write.
    /// Blocks.
    pub(crate) fn maintain(&self) {
        let now = clock::now();
        let is_due = {
            let mut trial = self.trial();
            trial.begun = Some(now);
            now.duration_since(trial.latest) >= TRIAL_WRITE_AFTER
        };
        self.measure();
        self.refill();
        let tried = is_due.then(|| self.try_write());
        let mut trial = self.trial();
        trial.begun = None;
        if let Some(outcome) = tried {
            trial.latest = clock::now();
            let failure = outcome
                .err()
                .map(|error| StorageFailure::io(&self.dir.join(RESERVE_FILE), &self.dir, &error));
            if let Some(failure) = failure.as_ref().filter(|_| trial.failure.is_none()) {
                tracing::error!(%failure, "trial write failed");
            }
            trial.failure = failure;
        }
    }

    /// Overwrites a byte of the reserve, which takes no space, and waits until the write is durable.
    fn try_write(&self) -> io::Result<()> {
        let reserve = self.reserve();
        let Some(file) = reserve.as_ref().filter(|_| self.space().reserve_bytes > 0) else { return Ok(()) };
        match file.write_all_at(&[0], 0).and_then(|()| file.sync_data()) {
            // A file system on which every write takes a new block. The shortage of space is reported
            // elsewhere.
            Err(error) if is_full(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Returns the failure of the latest trial write. From memory.
    pub(crate) fn trial_failure(&self) -> Option<StorageFailure> {
        self.trial().failure.clone()
    }

    /// Returns the age of the disk work in progress, or zero. From memory.
    pub(crate) fn unfinished_for(&self, now: Instant) -> Duration {
        self.trial().begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun))
    }

    /// Records a successful write. Blocks for a moment.
    pub(super) fn written(&self) {
        self.measure();
        let mut trial = self.trial();
        trial.latest = clock::now();
        trial.failure = None;
    }

    fn refill(&self) {
        let missing = self.space().reserve_to_add();
        if missing == 0 {
            return;
        }
        let reserve = self.reserve();
        let Some(file) = reserve.as_ref() else { return };
        let len = self.reserve_bytes.load(Ordering::Relaxed);
        match file.allocate(len, missing).and_then(|()| file.sync_all()) {
            Ok(()) => {
                self.reserve_bytes.store(len + missing, Ordering::Relaxed);
                tracing::debug!(bytes = len + missing, "disk space reserved");
            }
            Err(error) => {
                // No partial growth: the length of the reserve must be known.
                let _ = file.set_len(len);
                tracing::debug!(%error, "no disk space reserved");
            }
        }
        drop(reserve);
        self.measure();
    }

    /// Repeats a write with bytes of the reserve while the disk is full and the reserve has bytes left.
    pub(super) fn with_reserve<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match write() {
                Err(error) if is_full(&error) && self.release() => {}
                outcome => return outcome,
            }
        }
    }

    /// Releases a slice of the reserve. Returns false if the reserve is empty or cannot be shortened.
    fn release(&self) -> bool {
        let reserve = self.reserve();
        let (Some(file), Some(left)) = (reserve.as_ref(), self.space().reserve_after_slice()) else {
            return false;
        };
        // Synced: a file system may keep freed blocks back until then.
        if let Err(error) = file.set_len(left).and_then(|()| file.sync_all()) {
            tracing::warn!(%error, "reserved disk space not released");
            return false;
        }
        self.reserve_bytes.store(left, Ordering::Relaxed);
        self.free_bytes.store(0, Ordering::Relaxed);
        tracing::warn!(left_bytes = left, dir = %self.dir.display(), "disk full; reserved space released");
        true
    }

    /// Returns the free bytes of the disk and the bytes of the reserve. From memory.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let Space { free_bytes, reserve_bytes } = self.space();
        (free_bytes, reserve_bytes)
    }

    /// Returns the maximum of bytes of entries in the log.
    pub(crate) fn max_log_bytes(&self) -> u64 {
        self.max_log_bytes
    }

    /// Refuses a write of `bytes` bytes for lack of space. From memory.
    pub(crate) fn has_space_for(&self, bytes: u64) -> Result<(), Shortage> {
        self.space().has_space_for(bytes)
    }

    /// Refuses to open a storage on a disk without space for a write.
    pub(crate) fn may_open(&self) -> Result<(), Shortage> {
        self.space().may_open()
    }

    /// Refuses writes of clients for lack of space. From memory.
    pub(crate) fn admit(&self, log_bytes: u64) -> Result<(), Shortage> {
        let mut admission = self.admission.lock().unwrap_or_else(PoisonError::into_inner);
        admission.judge(self.space(), log_bytes, self.max_log_bytes)
    }

    /// Requests a snapshot of a state of `state_bytes` bytes. Returns false if the snapshot is deferred.
    pub(super) fn ask_for_snapshot(&self, state_bytes: u64, folder: &Path) -> bool {
        self.measure();
        let (now, space) = (clock::since(self.opened), self.space());
        let mut snapshots = self.snapshots();
        snapshots.state_bytes = state_bytes;
        match snapshots.rule.ask(now, state_bytes, space) {
            Ok(()) => true,
            Err(Deferred::Until(_)) => false,
            Err(Deferred::NoSpace(shortage)) => {
                let trouble = SnapshotTrouble { file: folder.to_owned(), error: shortage.to_string() };
                let news = snapshots.trouble.is_none();
                snapshots.trouble = Some(trouble);
                drop(snapshots);
                if news {
                    tracing::warn!(folder = %folder.display(), %shortage, "snapshot deferred");
                }
                false
            }
        }
    }

    /// True if a deferred snapshot can be built now. From memory.
    pub(crate) fn snapshot_is_due(&self) -> bool {
        let snapshots = self.snapshots();
        snapshots.trouble.is_some()
            && snapshots.rule.is_due(clock::since(self.opened), snapshots.state_bytes, self.space())
    }

    /// Records that the requested snapshot, or a newer snapshot, is written.
    pub(super) fn snapshot_succeeded(&self) {
        let mut snapshots = self.snapshots();
        snapshots.rule.succeeded();
        if snapshots.trouble.take().is_some() {
            tracing::info!("snapshots written again");
        }
    }

    /// Records a failed snapshot and starts the pause before the next attempt.
    pub(super) fn snapshot_failed(&self, file: &Path, error: &io::Error) {
        let mut snapshots = self.snapshots();
        let pause = snapshots.rule.failed(clock::since(self.opened));
        snapshots.trouble = Some(SnapshotTrouble { file: file.to_owned(), error: error.to_string() });
        drop(snapshots);
        tracing::error!(file = %file.display(), %error, retry_ms = pause.as_millis() as u64, "snapshot failed");
    }

    /// Returns the cause for which no snapshot is written while a snapshot is wanted. From memory.
    pub(crate) fn snapshot_trouble(&self) -> Option<SnapshotTrouble> {
        let snapshots = self.snapshots();
        snapshots.trouble.clone().filter(|_| snapshots.rule.is_wanted())
    }

    fn space(&self) -> Space {
        Space {
            free_bytes: self.free_bytes.load(Ordering::Relaxed),
            reserve_bytes: self.reserve_bytes.load(Ordering::Relaxed),
        }
    }

    fn reserve(&self) -> MutexGuard<'_, Option<File>> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Held for memory operations only.
    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DiskSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskSpace({}, {:?})", self.dir.display(), self.space())
    }
}

/// True if a write failed for lack of space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

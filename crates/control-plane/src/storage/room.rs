//! The room on the disk of a data directory: measured, reserved, and given up where a write would fail for want of it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::StorageFailure;
use super::space::{Admission, Deferred, Shortage, SnapshotRule, Space};

/// Pause between two measurements while nothing is written.
pub(crate) const TEND_EVERY: Duration = Duration::from_millis(250);
/// After so long without a write the disk is tried with one.
const TRIAL_EVERY: Duration = Duration::from_secs(2);
/// Name of the file whose bytes are kept for Raft.
const RESERVE_FILE: &str = "reserve";
/// Bytes written at a time where a file system cannot allocate without writing.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Room on the disk of one data directory. Measuring and reserving block; everything else is answered from memory.
pub(crate) struct Room {
    dir: PathBuf,
    /// Held while the file is changed, by threads that may block.
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

/// State of the writes that only try the disk.
#[derive(Debug)]
struct Trial {
    /// Start of the work on the disk that has not ended.
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

/// A reason why the log is not cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotTrouble {
    /// The folder or file that could not be written.
    pub file: PathBuf,
    /// The cause.
    pub error: String,
}

impl fmt::Display for SnapshotTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.error)
    }
}

impl Room {
    /// The room of the data directory `dir`, with its reserve made if there is room for it. Blocks.
    pub(crate) fn open(dir: &Path, max_log_bytes: u64) -> Self {
        let path = dir.join(RESERVE_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let reserve = match file {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no disk space reserved");
                None
            }
        };
        let room = Self::new(dir.to_owned(), reserve, max_log_bytes);
        room.measure();
        room.refill();
        room
    }

    fn new(dir: PathBuf, reserve: Option<File>, max_log_bytes: u64) -> Self {
        // Allocated bytes: a sparse file reserves nothing.
        let allocated = |file: &File| {
            use std::os::unix::fs::MetadataExt;
            file.metadata().map_or(0, |found| found.len().min(found.blocks() * 512))
        };
        let reserve_bytes = AtomicU64::new(reserve.as_ref().map_or(0, allocated));
        Self {
            dir,
            reserve: Mutex::new(reserve),
            free_bytes: AtomicU64::new(u64::MAX / 2),
            reserve_bytes,
            max_log_bytes,
            opened: Instant::now(),
            admission: Mutex::default(),
            snapshots: Mutex::default(),
            trial: Mutex::new(Trial { begun: None, latest: Instant::now(), failure: None }),
        }
    }

    /// Room that never ends, for tests of other things.
    #[cfg(test)]
    pub(super) fn endless() -> Self {
        let room = Self::new(PathBuf::new(), None, u64::MAX);
        room.reserve_bytes.store(super::space::RESERVE_BYTES, Ordering::Relaxed);
        room
    }

    /// Room with so many free bytes, until it is measured.
    #[cfg(test)]
    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Looks how much is free. Blocks for a moment.
    pub(super) fn measure(&self) {
        if self.dir.as_os_str().is_empty() {
            return;
        }
        match statvfs(&self.dir) {
            Ok(found) => {
                self.free_bytes.store(found.f_bavail.saturating_mul(found.f_frsize), Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "free disk space unknown"),
        }
    }

    /// Measures, makes the reserve whole where there is room for it, and tries the disk if nothing was written of late.
    /// Blocks.
    pub(crate) fn tend(&self) {
        let now = Instant::now();
        let is_due = {
            let mut trial = self.trial();
            trial.begun = Some(now);
            now.duration_since(trial.latest) >= TRIAL_EVERY
        };
        self.measure();
        self.refill();
        let tried = is_due.then(|| self.try_write());
        let mut trial = self.trial();
        trial.begun = None;
        if let Some(outcome) = tried {
            trial.latest = Instant::now();
            let failure = outcome
                .err()
                .map(|error| StorageFailure::io(&self.dir.join(RESERVE_FILE), &self.dir, &error));
            if let Some(failure) = failure.as_ref().filter(|_| trial.failure.is_none()) {
                tracing::error!(%failure, "the disk takes no write");
            }
            trial.failure = failure;
        }
    }

    /// Writes a byte of the reserve anew, which takes no room, and waits until it is durable.
    fn try_write(&self) -> io::Result<()> {
        let reserve = self.reserve();
        let Some(file) = reserve.as_ref().filter(|_| self.space().reserve_bytes > 0) else { return Ok(()) };
        match file.write_all_at(&[0], 0).and_then(|()| file.sync_data()) {
            // Where every write takes a new block. Another message tells of it.
            Err(error) if is_full(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Failure of the disk to take the latest trial. From memory.
    pub(crate) fn trial_failure(&self) -> Option<StorageFailure> {
        self.trial().failure.clone()
    }

    /// Time since the start of the work on the disk that has not ended. From memory.
    pub(crate) fn unfinished_for(&self, now: Instant) -> Duration {
        self.trial().begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun))
    }

    /// Records that the disk took a write. Blocks for a moment.
    pub(super) fn written(&self) {
        self.measure();
        let mut trial = self.trial();
        trial.latest = Instant::now();
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
        match allocate(file, len, missing).and_then(|()| file.sync_all()) {
            Ok(()) => {
                self.reserve_bytes.store(len + missing, Ordering::Relaxed);
                tracing::debug!(bytes = len + missing, "disk space reserved");
            }
            Err(error) => {
                // Not half of it: what is taken must be known.
                let _ = file.set_len(len);
                tracing::debug!(%error, "no disk space reserved");
            }
        }
        drop(reserve);
        self.measure();
    }

    /// Runs a write again with bytes of the reserve, as long as it fails because the disk is full and some are left.
    pub(super) fn with_reserve<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match write() {
                Err(error) if is_full(&error) && self.release() => {}
                outcome => return outcome,
            }
        }
    }

    /// Gives up a slice of the reserve. False: none was left.
    fn release(&self) -> bool {
        let reserve = self.reserve();
        let (Some(file), Some(left)) = (reserve.as_ref(), self.space().reserve_after_slice()) else {
            return false;
        };
        // Synced: a file system may keep freed blocks back until then.
        if let Err(error) = file.set_len(left).and_then(|()| file.sync_all()) {
            tracing::warn!(%error, "cannot give up reserved disk space");
            return false;
        }
        self.reserve_bytes.store(left, Ordering::Relaxed);
        self.free_bytes.store(0, Ordering::Relaxed);
        tracing::warn!(left_bytes = left, dir = %self.dir.display(), "disk full; reserved space given up");
        true
    }

    /// Free bytes of the disk, and bytes of the reserve. From memory.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let Space { free_bytes, reserve_bytes } = self.space();
        (free_bytes, reserve_bytes)
    }

    /// Bytes of entries that the log may hold.
    pub(crate) fn max_log_bytes(&self) -> u64 {
        self.max_log_bytes
    }

    /// Refuses what takes so many bytes. From memory.
    pub(crate) fn has_room_for(&self, bytes: u64) -> Result<(), Shortage> {
        self.space().has_room_for(bytes)
    }

    /// Refuses to open a storage on a disk that takes no write.
    pub(crate) fn may_open(&self) -> Result<(), Shortage> {
        self.space().may_open()
    }

    /// Refuses writes of clients while there is no room for them. From memory.
    pub(crate) fn admit(&self, log_bytes: u64) -> Result<(), Shortage> {
        let mut admission = self.admission.lock().unwrap_or_else(PoisonError::into_inner);
        admission.judge(self.space(), log_bytes, self.max_log_bytes)
    }

    /// Asks for a snapshot of a state of so many bytes. False: not now.
    pub(super) fn ask_for_snapshot(&self, state_bytes: u64, folder: &Path) -> bool {
        self.measure();
        let (now, space) = (self.opened.elapsed(), self.space());
        let mut snapshots = self.snapshots();
        snapshots.state_bytes = state_bytes;
        match snapshots.rule.ask(now, state_bytes, space) {
            Ok(()) => true,
            Err(Deferred::Until(_)) => false,
            Err(Deferred::NoRoom(shortage)) => {
                let trouble = SnapshotTrouble { file: folder.to_owned(), error: shortage.to_string() };
                let news = snapshots.trouble.is_none();
                snapshots.trouble = Some(trouble);
                drop(snapshots);
                if news {
                    tracing::warn!(folder = %folder.display(), %shortage, "snapshot put off");
                }
                false
            }
        }
    }

    /// True if a snapshot that was put off can be built now. From memory.
    pub(crate) fn snapshot_is_due(&self) -> bool {
        let snapshots = self.snapshots();
        snapshots.trouble.is_some()
            && snapshots.rule.is_due(self.opened.elapsed(), snapshots.state_bytes, self.space())
    }

    /// The snapshot that was asked for is written, or a newer one is there.
    pub(super) fn snapshot_succeeded(&self) {
        let mut snapshots = self.snapshots();
        snapshots.rule.succeeded();
        if snapshots.trouble.take().is_some() {
            tracing::info!("snapshots are written again");
        }
    }

    /// A snapshot could not be written.
    pub(super) fn snapshot_failed(&self, file: &Path, error: &io::Error) {
        let mut snapshots = self.snapshots();
        let pause = snapshots.rule.failed(self.opened.elapsed());
        snapshots.trouble = Some(SnapshotTrouble { file: file.to_owned(), error: error.to_string() });
        drop(snapshots);
        tracing::error!(file = %file.display(), %error, retry_ms = pause.as_millis() as u64, "snapshot failed");
    }

    /// The reason why no snapshot is written, while one is wanted. From memory.
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

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({}, {:?})", self.dir.display(), self.space())
    }
}

/// True if a write failed for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a file longer, with blocks behind every byte. Blocks.
fn allocate(mut file: &File, from: u64, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), from, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => {}
        outcome => return Ok(outcome?),
    }
    file.seek(SeekFrom::Start(from))?;
    let mut left = bytes;
    while left > 0 {
        let len = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..len as usize])?;
        left -= len;
    }
    Ok(())
}

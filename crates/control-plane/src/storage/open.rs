//! Opening of all files of the storage.

use std::path::Path;
use std::sync::Arc;

use super::disk_space::DiskSpace;
use super::error::{StorageError, Unopened};
use super::files::{LOG_FILE, STATE_FILE};
use super::log::{LogOwner, LogStore};
use super::state::StateMachine;

/// Persistent Raft state of a node.
pub(crate) struct Storage {
    /// The log and the vote.
    pub log: LogStore,
    /// The applied state and the snapshots.
    pub state: StateMachine,
    /// Disk space under both.
    pub disk: Arc<DiskSpace>,
}

/// Opens and verifies all files in an existing data directory. Blocks on the disk.
///
/// # Errors
/// [`Unopened`] if a file cannot be opened, was written by another release, or is damaged or lost without a
/// replacement in other files.
pub(crate) fn open(data_dir: &Path, max_log_bytes: u64, owner: LogOwner) -> Result<Storage, Unopened> {
    let disk = Arc::new(DiskSpace::open(data_dir, max_log_bytes));
    let at = |file: &Path| {
        let file = file.to_owned();
        move |error: StorageError| Unopened { file: error.path().map_or(file, Path::to_owned), error }
    };
    disk.may_open().map_err(StorageError::NoSpace).map_err(at(data_dir))?;
    let (log, state) = (data_dir.join(LOG_FILE), data_dir.join(STATE_FILE));
    let is_lost = StorageError::exists(&log)
        .and_then(|there| Ok(!there && StorageError::exists(&state)?))
        .map_err(at(&log))?;
    // The log is created first and never removed: beside a state, a missing log means that votes were lost.
    if is_lost {
        return Err(at(&log)(StorageError::LogLost { path: log.clone() }));
    }
    let path = log;
    let log = LogStore::open(&path, &disk, owner).map_err(at(&path))?;
    let machine = StateMachine::open(data_dir, log.mark(), Arc::clone(&disk)).map_err(at(&state))?;
    if let Some(purged) = log.purged().filter(|purged| machine.reaches() < Some(*purged)) {
        return Err(at(&state)(StorageError::StateLost { purged }));
    }
    // An entry is applied once durable in the log. Only an interrupted installation of a snapshot leaves the
    // log behind the state.
    let (applied, last) = (machine.view().last_applied(), log.last());
    if let Some(applied) = applied.filter(|applied| last < Some(*applied))
        && machine.snapshot_reaches() < Some(applied)
    {
        return Err(at(&path)(StorageError::LogBehind { applied, last }));
    }
    Ok(Storage { log, state: machine, disk })
}

//! Persistent storage of a node: the Raft log with the vote (`log.redb`), the applied state (`state.redb`)
//! and the newest snapshot (`snapshots/`).
//!
//! Invariants:
//! - A saved vote and a reported append are durable, through kill -9 and power loss.
//! - The state file never holds an entry that the log file may lose: an entry is applied only once durable
//!   on this node. The state file may lag, and may be lost: openraft installs the snapshot and applies the
//!   log again.
//! - The log is purged only up to a durable snapshot.
//! - All stored data carries a version and a checksum. Damaged data is never skipped; data of a newer
//!   release is refused with the name of the required release.
//! - After a failed write the storage is unusable until the files are opened anew, with verification.
//! - A write on a full disk takes bytes of a reserve ([`space`]); a snapshot never does.

mod database;
mod error;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod log;
mod memory;
mod record;
mod reserved;
mod room;
mod snapshot;
mod space;
mod state;
mod state_file;
mod view;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::OpenError;
pub use failure::StorageFailure;
pub(crate) use log::LogStore;
pub(crate) use room::{Room, TEND_EVERY};
pub(crate) use snapshot::{SnapshotError, SnapshotFile, SnapshotReceiver};
pub use space::Shortage;
pub(crate) use state::StateMachine;
pub(crate) use view::StateView;
pub use writer::FlushStats;

/// File name of the log and the vote.
pub(crate) const LOG_FILE: &str = "log.redb";
/// File name of the applied state.
const STATE_FILE: &str = "state.redb";
/// Name of the folder of snapshots.
const SNAPSHOT_DIR: &str = "snapshots";

/// Persistent Raft state of a node.
pub(crate) struct Storage {
    /// The log and the vote.
    pub log: LogStore,
    /// The applied state and the snapshots.
    pub state: StateMachine,
    /// Disk space under both.
    pub room: Arc<Room>,
}

/// Failure to open a file.
#[derive(Debug, thiserror::Error)]
#[error("{}", file.display())]
pub struct Unopened {
    /// The file or folder.
    pub file: PathBuf,
    /// The cause.
    #[source]
    pub error: OpenError,
}

/// Opens and verifies all files in an existing data directory. Blocks on the disk.
///
/// # Errors
/// [`Unopened`] if a file cannot be opened, was written by another release, or is damaged or lost without a
/// replacement in other files.
pub(crate) fn open(data_dir: &Path, max_log_bytes: u64) -> Result<Storage, Unopened> {
    let room = Arc::new(Room::open(data_dir, max_log_bytes));
    let at = |file: &Path| {
        let file = file.to_owned();
        move |error: OpenError| Unopened { file: error.path().map_or(file, Path::to_owned), error }
    };
    room.may_open().map_err(OpenError::NoRoom).map_err(at(data_dir))?;
    let (log, state) = (data_dir.join(LOG_FILE), data_dir.join(STATE_FILE));
    let is_lost = exists(&log).and_then(|there| Ok(!there && exists(&state)?)).map_err(at(&log))?;
    // The log is created first and never removed: beside a state, a missing log means that votes were lost.
    if is_lost {
        return Err(at(&log)(OpenError::LogLost { path: log.clone() }));
    }
    let log = LogStore::open(&log, &room).map_err(at(&log))?;
    let machine = StateMachine::open(data_dir, log.mark(), Arc::clone(&room)).map_err(at(&state))?;
    if let Some(purged) = log.purged().filter(|purged| machine.reaches() < Some(*purged)) {
        return Err(at(&state)(OpenError::StateLost { purged }));
    }
    Ok(Storage { log, state: machine, room })
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(OpenError::io(path))
}

/// Makes the creation, renaming and removal of files in a folder durable.
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

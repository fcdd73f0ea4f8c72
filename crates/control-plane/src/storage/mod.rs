//! What a node keeps on disk: the Raft log with the vote (`log.redb`), the applied state (`state.redb`) and the newest
//! snapshot (`snapshots/`).
//!
//! What holds:
//! - A vote that was saved and an append that was reported are durable, through kill -9 and power loss.
//! - The state file never holds an entry that the log file may lose: an entry is applied once it is durable here. It
//!   may be behind, and it may be lost: openraft installs the snapshot and applies the log again.
//! - The log is purged only up to a durable snapshot.
//! - Everything stored carries a version and a checksum. What is damaged is never skipped; what another release wrote
//!   is refused.
//! - After a failed write nothing works any more until the files are opened anew, which verifies them.

mod database;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod log;
mod memory;
mod record;
mod snapshot;
mod state;
mod state_file;
mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;

pub use error::OpenError;
pub(crate) use log::LogStore;
pub(crate) use snapshot::{SnapshotError, SnapshotFile, SnapshotReceiver};
pub(crate) use state::StateMachine;
pub(crate) use view::StateView;
pub use writer::FlushStats;

/// The log and the vote.
const LOG_FILE: &str = "log.redb";
/// The applied state.
const STATE_FILE: &str = "state.redb";
/// The folder of snapshots.
const SNAPSHOT_DIR: &str = "snapshots";

/// Everything a node keeps for Raft.
pub(crate) struct Storage {
    /// The log and the vote.
    pub log: LogStore,
    /// The applied state and the snapshots.
    pub state: StateMachine,
}

/// Opens and verifies everything in a data directory, which exists. Blocks on the disk.
///
/// # Errors
/// [`OpenError`] if a file cannot be opened, is damaged or lost beyond what the others replace, or was written by
/// another release.
pub(crate) fn open(data_dir: &Path) -> Result<Storage, OpenError> {
    let log = data_dir.join(LOG_FILE);
    // The log is created first and never removed: beside a state, a missing log means that votes were lost.
    if !exists(&log)? && exists(&data_dir.join(STATE_FILE))? {
        return Err(OpenError::LogLost { path: log });
    }
    let log = LogStore::open(&log)?;
    let state = StateMachine::open(data_dir, log.mark())?;
    if let Some(purged) = log.purged().filter(|purged| state.reaches() < Some(*purged)) {
        return Err(OpenError::StateLost { purged });
    }
    Ok(Storage { log, state })
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(OpenError::io(path))
}

/// Makes the names in a folder durable: of files created, renamed or removed.
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

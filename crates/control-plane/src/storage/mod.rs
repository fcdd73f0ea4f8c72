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

mod applied;
mod database;
mod disk_space;
mod error;
mod failure;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod log;
mod memory;
mod open;
mod record;
mod reserved;
mod snapshot;
mod space;
mod state;
mod state_file;
mod view;
mod writer;

pub(crate) use disk_space::DiskSpace;
pub use error::{StorageError, Unopened};
pub use failure::StorageFailure;
pub(crate) use files::{LOG_FILE, SNAPSHOT_DIR, STATE_FILE};
pub(crate) use log::{LogOwner, LogStore};
pub(crate) use open::{Storage, open};
pub use record::RecordError;
pub use snapshot::SnapshotError;
pub(crate) use snapshot::{SnapshotFile, SnapshotReceiver};
pub use space::Shortage;
pub(crate) use state::StateMachine;
pub(crate) use view::StateView;
pub use writer::{FLUSH_BOUNDS_S, FlushStats};

#[cfg(test)]
pub(crate) mod tests;

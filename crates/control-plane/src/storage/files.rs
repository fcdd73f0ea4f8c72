//! Names in a data directory.

/// File name of the log and the vote.
pub(crate) const LOG_FILE: &str = "log.redb";
/// File name of the applied state.
pub(crate) const STATE_FILE: &str = "state.redb";
/// Name of the folder of snapshots.
pub(crate) const SNAPSHOT_DIR: &str = "snapshots";

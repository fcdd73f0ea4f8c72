//! Names in a data directory, and durability of the directory itself.

use std::fs::File;
use std::io;
use std::path::Path;

/// File name of the log and the vote.
pub(crate) const LOG_FILE: &str = "log.redb";
/// File name of the applied state.
pub(crate) const STATE_FILE: &str = "state.redb";
/// Name of the folder of snapshots.
pub(crate) const SNAPSHOT_DIR: &str = "snapshots";

/// Makes the creation, renaming and removal of files in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

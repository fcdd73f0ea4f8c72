//! Snapshot files in their folder: written, published, and found again.

mod error;
mod file_format;
mod transfer;

pub use error::SnapshotError;
#[cfg(test)]
pub(super) use file_format::MAX_SNAPSHOT_BYTES;
#[cfg(feature = "fuzzing")]
pub(super) use file_format::read_from;
pub(super) use file_format::{Header, write_to};
pub(crate) use transfer::{SnapshotFile, SnapshotReceiver};

use std::io;
use std::path::{Path, PathBuf};

use self::transfer::UNFINISHED;
use crate::catalog::Row;
use crate::types::SnapshotMeta;
use crate::world::files::{self as disk, File, Open};

/// Extension of snapshot files.
pub(super) const EXTENSION: &str = "snap";
/// Extension of damaged files.
const DAMAGED: &str = "damaged";

/// Writes a snapshot under a temporary name and makes the file durable. Blocks.
pub(super) fn write<E: From<io::Error>>(
    dir: &Path,
    header: &Header,
    rows: impl Iterator<Item = Result<Row, E>>,
) -> Result<SnapshotFile, E> {
    let path = dir.join(name(&header.meta)).with_extension(UNFINISHED);
    let file = File::open(&path, Open::Truncate)?;
    // From here on the file is removed unless it is installed.
    let snapshot = SnapshotFile::temporary(path, file, header.clone())?;
    write_to(snapshot.file(), header, rows)?;
    snapshot.file().sync_all()?;
    Ok(snapshot.measured()?)
}

/// Gives a snapshot its name, durably, and removes every other snapshot. Blocks.
pub(super) fn publish(dir: &Path, snapshot: &SnapshotFile) -> Result<SnapshotFile, io::Error> {
    let path = dir.join(name(snapshot.meta()));
    let published = snapshot.rename(&path)?;
    disk::sync_folder(dir)?;
    for other in files(dir, EXTENSION)? {
        if other != path {
            disk::remove_file(&other)?;
        }
    }
    Ok(published)
}

/// Removes unfinished files and returns the newest snapshot, verified. A damaged snapshot is set aside; the
/// caller determines if data was lost with the file.
pub(super) fn find(dir: &Path) -> Result<Option<SnapshotFile>, SnapshotError> {
    for unfinished in files(dir, UNFINISHED)? {
        disk::remove_file(&unfinished)?;
    }
    let mut newest: Option<SnapshotFile> = None;
    for path in files(dir, EXTENSION)? {
        match SnapshotFile::open(path.clone()) {
            Ok(found) => {
                let older = newest.as_ref().is_some_and(|n| found.meta().last_log_id < n.meta().last_log_id);
                newest = if older { newest } else { Some(found) };
            }
            Err(error) if error.is_damage() => {
                tracing::error!(path = %path.display(), %error, "damaged snapshot set aside");
                disk::rename(&path, &path.with_extension(DAMAGED))?;
            }
            Err(error) => return Err(error),
        }
    }
    newest.map(|newest| publish(dir, &newest)).transpose().map_err(SnapshotError::Io)
}

/// Returns the file name `INDEX-TERM.snap`, from the last applied entry.
fn name(meta: &SnapshotMeta) -> PathBuf {
    let (index, term) = meta.last_log_id.as_ref().map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index}-{term}.{EXTENSION}").into()
}

fn files(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = disk::list(dir)?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    Ok(paths)
}

//! Opening of database files, safe against power loss at any moment.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use redb::{Builder, Database, Durability, StorageBackend, WriteTransaction};

use super::disk_space::DiskSpace;
use super::error::StorageError;
use super::reserved::Reserved;
use crate::world::files::{self, DatabaseFile, File, Open};

/// Size of the library's page cache, per file.
const PAGE_CACHE_BYTES: usize = 16 << 20;
/// Extension of a database file during creation.
const UNFINISHED: &str = "new";

/// Opens and verifies the database in a file, or creates a new database. Blocks.
///
/// A new database is created under a temporary name, since the library does not open a file left
/// half-created by a power loss. On a full disk, writes take bytes of the reserve of `disk`.
pub(super) fn open_file(
    what: &'static str,
    path: &Path,
    disk: &Arc<DiskSpace>,
) -> Result<Database, StorageError> {
    if !StorageError::exists(path)? {
        let unfinished = path.with_extension(UNFINISHED);
        match files::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::Io { path: unfinished, source: error });
            }
            _ => {}
        }
        let created = File::open(&unfinished, Open::CreateNew).map_err(StorageError::io(&unfinished))?;
        let database = open_backend(what, file_backend(what, created, disk)?)?;
        begin_durable(&database)
            .and_then(|first| Ok(first.commit()?))
            .map_err(StorageError::database(what))?;
        database.close().map_err(StorageError::database(what))?;
        files::rename(&unfinished, path).map_err(StorageError::io(path))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        files::sync_folder(dir).map_err(StorageError::io(dir))?;
    }
    let file = File::open(path, Open::ReadWrite).map_err(StorageError::io(path))?;
    open_backend(what, file_backend(what, file, disk)?)
}

/// Calls `work`, in which a panic of the library on damaged bytes counts as damage.
pub(super) fn guarded<T>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let panicked = redb::Error::Corrupted("the database library panicked on it".to_owned());
        Err(StorageError::Database { what, source: Box::new(panicked) })
    })
}

/// Opens and verifies the database on any storage backend. Blocks.
pub(super) fn open_backend(
    what: &'static str,
    backend: impl StorageBackend,
) -> Result<Database, StorageError> {
    Builder::new()
        .set_cache_size(PAGE_CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(StorageError::database(what))
}

/// Begins a transaction with a durable commit, in two phases: after a power loss the library never falls back
/// silently to an earlier commit. Without quick repair, whose state the check on opening would discard.
pub(super) fn begin_durable(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

fn file_backend(
    what: &'static str,
    file: File,
    disk: &Arc<DiskSpace>,
) -> Result<Reserved<DatabaseFile>, StorageError> {
    let backend = file.into_backend().map_err(StorageError::database(what))?;
    Ok(Reserved::new(backend, Arc::clone(disk)))
}

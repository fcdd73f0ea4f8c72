//! Opening of database files, safe against power loss at any moment.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, StorageBackend, WriteTransaction};

use super::error::OpenError;
use super::files::sync_dir;
use super::reserved::Reserved;
use super::room::Room;

/// Size of the library's page cache, per file.
const PAGE_CACHE_BYTES: usize = 16 << 20;
/// Extension of a database file during creation.
const UNFINISHED: &str = "new";

/// Opens and verifies the database in a file, or creates a new database. Blocks.
///
/// A new database is created under a temporary name, since the library does not open a file left
/// half-created by a power loss. On a full disk, writes take bytes of the reserve of `room`.
pub(super) fn open_file(what: &'static str, path: &Path, room: &Arc<Room>) -> Result<Database, OpenError> {
    if !OpenError::exists(path)? {
        let unfinished = path.with_extension(UNFINISHED);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path: unfinished, source: error });
            }
            _ => {}
        }
        let created = File::create_new(&unfinished).map_err(OpenError::io(&unfinished))?;
        let database = open_backend(what, file_backend(what, created, room)?)?;
        begin_durable(&database).and_then(|first| Ok(first.commit()?)).map_err(OpenError::database(what))?;
        database.close().map_err(OpenError::database(what))?;
        fs::rename(&unfinished, path).map_err(OpenError::io(path))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        sync_dir(dir).map_err(OpenError::io(dir))?;
    }
    let file = File::options().read(true).write(true).open(path).map_err(OpenError::io(path))?;
    open_backend(what, file_backend(what, file, room)?)
}

/// Opens and verifies the database on any storage backend. Blocks.
pub(super) fn open_backend(what: &'static str, backend: impl StorageBackend) -> Result<Database, OpenError> {
    Builder::new()
        .set_cache_size(PAGE_CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(OpenError::database(what))
}

/// Begins a transaction with a durable commit. With quick repair the library commits in two phases: after a
/// power loss the library never falls back silently to an earlier commit.
pub(super) fn begin_durable(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn file_backend(
    what: &'static str,
    file: File,
    room: &Arc<Room>,
) -> Result<Reserved<FileBackend>, OpenError> {
    let backend = FileBackend::new(file).map_err(OpenError::database(what))?;
    Ok(Reserved::new(backend, Arc::clone(room)))
}

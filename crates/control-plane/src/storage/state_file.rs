//! The file of the applied state.
//!
//! Batches of entries are committed without waiting for the disk, and without loss: every entry is durable
//! in the log before being applied, the log is purged only up to a durable snapshot, and changes undone by
//! a power loss are applied again from the last durable commit (or from the snapshot) on.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::applied::{Applied, Progress};
use super::database::{begin_durable, guarded, open_file};
use super::disk_space::DiskSpace;
use super::error::StorageError;
use super::record;
use crate::catalog::{Catalog, Row, Table};

const WHAT: &str = "the state file";
/// Table of everything except the rows of the catalogue.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Key of the [`Progress`] in [`META`].
const PROGRESS: &str = "progress";

type Rows = TableDefinition<'static, &'static str, &'static [u8]>;

/// The state file; none once closed.
pub(super) struct StateFile(RwLock<Option<Database>>);

/// Consistent view of the file at one moment.
pub(super) struct FileView(ReadTransaction);

impl StateFile {
    /// Opens or creates the file and reads the whole content. Blocks.
    pub(super) fn open(path: &Path, disk: &Arc<DiskSpace>) -> Result<(Self, Applied), StorageError> {
        guarded(WHAT, || {
            let database = open_file(WHAT, path, disk)?;
            create_tables(&database).map_err(StorageError::database(WHAT))?;
            let applied = load(&database)?;
            Ok((Self(RwLock::new(Some(database))), applied))
        })
    }

    /// Writes the changes of a batch of entries, in one transaction without a wait for the disk. Blocks.
    pub(super) fn write(&self, rows: &[Row], progress: &Progress) -> io::Result<()> {
        self.with_database(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::None)?;
            for row in rows {
                write_row(&transaction, row)?;
            }
            write_progress(&transaction, progress)?;
            Ok(transaction.commit()?)
        })
    }

    /// Replaces the whole content, durably. Blocks.
    pub(super) fn replace(&self, applied: &Applied) -> io::Result<()> {
        self.with_database(|database| {
            let transaction = begin_durable(database)?;
            for table in Table::ALL {
                transaction.open_table(rows_of(table))?.retain(|_, _| false)?;
            }
            for row in applied.catalog.rows() {
                write_row(&transaction, &row)?;
            }
            write_progress(&transaction, &applied.progress)?;
            Ok(transaction.commit()?)
        })
    }

    /// Makes all previous writes durable. Blocks.
    pub(super) fn make_durable(&self) -> io::Result<()> {
        self.with_database(|database| {
            let transaction = begin_durable(database)?;
            // Rewritten, so that there is something to commit.
            let mut meta = transaction.open_table(META)?;
            let progress = meta.get(PROGRESS)?.map(|progress| progress.value().to_vec());
            if let Some(progress) = progress {
                meta.insert(PROGRESS, progress.as_slice())?;
            }
            drop(meta);
            Ok(transaction.commit()?)
        })
    }

    /// Returns a view of the current file, unaffected by later batches. Blocks.
    pub(super) fn view(&self) -> io::Result<FileView> {
        self.with_database(|database| Ok(FileView(database.begin_read()?)))
    }

    /// Makes all writes durable and closes the file for good. Blocks.
    pub(super) fn close(&self) {
        let database = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        // The library makes pending writes durable.
        if let Some(Err(error)) = database.map(Database::close) {
            tracing::warn!(%error, "state file not closed cleanly");
        }
    }

    fn with_database<T>(&self, use_it: impl FnOnce(&Database) -> Result<T, redb::Error>) -> io::Result<T> {
        let database = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| io::Error::other("the state is closed"))?;
        use_it(database).map_err(io::Error::other)
    }
}

impl FileView {
    /// Reads the progress of applying entries.
    pub(super) fn progress(&self) -> io::Result<Progress> {
        let meta = self.0.open_table(META).map_err(io::Error::other)?;
        match meta.get(PROGRESS).map_err(io::Error::other)? {
            Some(progress) => Progress::of(progress.value()).map_err(io::Error::other),
            None => Ok(Progress::default()),
        }
    }

    /// Returns every row, by table and key.
    pub(super) fn rows(&self) -> io::Result<impl Iterator<Item = io::Result<Row>>> {
        let mut tables = Vec::new();
        for table in Table::ALL {
            let rows = self.0.open_table(rows_of(table)).map_err(io::Error::other)?;
            tables.push((table, rows.range::<&str>(..).map_err(io::Error::other)?));
        }
        Ok(tables.into_iter().flat_map(|(table, rows)| {
            rows.map(move |row| {
                let (key, record) = row.map_err(io::Error::other)?;
                read_row(table, key.value(), record.value()).map_err(io::Error::other)
            })
        }))
    }
}

fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = begin_durable(database)?;
    for table in Table::ALL {
        transaction.open_table(rows_of(table))?;
    }
    transaction.open_table(META)?;
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database) -> Result<Applied, StorageError> {
    let (mut catalog, mut progress) = (Catalog::default(), Progress::default());
    let read = database.begin_read().map_err(StorageError::database(WHAT))?;
    let meta = read.open_table(META).map_err(StorageError::database(WHAT))?;
    if let Some(found) = meta.get(PROGRESS).map_err(StorageError::database(WHAT))? {
        progress = Progress::of(found.value()).map_err(StorageError::record("what is applied"))?;
    }
    // Before the rows: the error for data of a newer release names the release.
    progress.activated.check()?;
    for table in Table::ALL {
        let rows = read.open_table(rows_of(table)).map_err(StorageError::database(WHAT))?;
        for row in rows.iter().map_err(StorageError::database(WHAT))? {
            let (key, record) = row.map_err(StorageError::database(WHAT))?;
            let row = read_row(table, key.value(), record.value()).map_err(StorageError::record(format!(
                "row `{}` of table {}",
                key.value(),
                table.name()
            )))?;
            catalog.restore(&row).map_err(StorageError::Row)?;
        }
    }
    Ok(Applied::new(catalog, progress))
}

fn rows_of(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

fn read_row(table: Table, key: &str, row: &[u8]) -> Result<Row, record::RecordError> {
    let text = String::from_utf8_lossy(record::body(row)?.1).into_owned();
    Ok(Row { table, key: key.to_owned(), value: Some(text) })
}

fn write_row(transaction: &WriteTransaction, row: &Row) -> Result<(), redb::Error> {
    let mut rows = transaction.open_table(rows_of(row.table))?;
    match &row.value {
        Some(text) => {
            let record = record::encode_text(row.version(), text.as_bytes());
            rows.insert(row.key.as_str(), record.as_slice())?
        }
        None => rows.remove(row.key.as_str())?,
    };
    Ok(())
}

fn write_progress(transaction: &WriteTransaction, progress: &Progress) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(PROGRESS, progress.record().as_slice())?;
    Ok(())
}

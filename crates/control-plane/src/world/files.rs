//! Files and folders: of the operating system, or of the world.
//!
//! The functions have the names and meanings of [`std::fs`].

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Bytes per write where a file system cannot allocate without writing.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Ways to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; a missing file is made.
    Create,
    /// For reading and writing; a missing file is made, an existing file emptied.
    Truncate,
    /// For reading and writing; an existing file is an error.
    CreateNew,
}

/// Disk of a node of a world. Paths are absolute.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As of [`std::fs::File`].
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a folder and its missing parents.
    ///
    /// # Errors
    /// If a file is in its place.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// If the file is missing.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing any file of the new name.
    ///
    /// # Errors
    /// If the file is missing.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns the paths in a folder, in order.
    ///
    /// # Errors
    /// If the folder is missing.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// True if there is a file or folder at `path`.
    ///
    /// # Errors
    /// If the existence cannot be determined.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Errors of the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Returns the free bytes of the disk.
    fn free_bytes(&self) -> u64;
}

/// An open file of a world.
pub trait DiskFile: Send + Sync {
    /// Reads up to the length of `bytes` from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// Errors of the disk.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all `bytes` at `offset`.
    ///
    /// # Errors
    /// Errors of the disk, such as a lack of space.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Errors of the disk.
    fn len_bytes(&self) -> io::Result<u64>;

    /// Changes the length; new bytes are 0.
    ///
    /// # Errors
    /// Errors of the disk, such as a lack of space.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the content durable.
    ///
    /// # Errors
    /// Errors of the disk; the writes that are durable are unknown then.
    fn sync(&self) -> io::Result<()>;

    /// Locks the file until the handle is dropped; false if another process holds the lock.
    fn try_lock(&self) -> bool;

    /// Returns a number that identifies the file on its disk.
    fn id(&self) -> u64;
}

/// An open file.
#[derive(Clone)]
pub(crate) enum File {
    Host(Arc<std::fs::File>),
    World(WorldFile),
}

/// An open file of a world, with the offset of the next sequential write.
#[derive(Clone)]
pub(crate) struct WorldFile {
    file: Arc<dyn DiskFile>,
    offset: Arc<AtomicU64>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(file) => file.fmt(f),
            Self::World(file) => file.fmt(f),
        }
    }
}

impl fmt::Debug for WorldFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorldFile({})", self.file.id())
    }
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// As of [`std::fs::File`].
    pub(crate) fn open(path: &Path, how: Open) -> io::Result<Self> {
        if let Some(world) = super::current() {
            let file = world.disk().open(path, how)?;
            return Ok(Self::World(WorldFile { file, offset: Arc::default() }));
        }
        let mut options = std::fs::File::options();
        options.read(true).write(how != Open::Read);
        match how {
            Open::Read | Open::ReadWrite => {}
            Open::Create => drop(options.create(true).truncate(false)),
            Open::Truncate => drop(options.create(true).truncate(true)),
            Open::CreateNew => drop(options.create_new(true)),
        }
        Ok(Self::Host(Arc::new(options.open(path)?)))
    }

    /// Reads up to the length of `bytes` from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Host(file) => file.read_at(bytes, offset),
            Self::World(file) => file.file.read_at(bytes, offset),
        }
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end, or errors of the disk.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Host(file) => file.read_exact_at(bytes, offset),
            Self::World(file) => file.read_exact_at(bytes, offset),
        }
    }

    /// Writes all `bytes` at `offset`.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Host(file) => file.write_all_at(bytes, offset),
            Self::World(file) => file.file.write_at(bytes, offset),
        }
    }

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Host(file) => Ok(file.metadata()?.len()),
            Self::World(file) => file.file.len_bytes(),
        }
    }

    /// Returns the bytes that take space on the disk, at most the length: a sparse file has fewer.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(crate) fn allocated_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Host(file) => file.metadata().map(|found| allocated(&found)),
            Self::World(file) => file.file.len_bytes(),
        }
    }

    /// Changes the length.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::Host(file) => file.set_len(len),
            Self::World(file) => file.file.set_len(len),
        }
    }

    /// Makes content and length durable.
    ///
    /// # Errors
    /// Errors of the disk; the writes that are durable are unknown then.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        match self {
            Self::Host(file) => file.sync_all(),
            Self::World(file) => file.file.sync(),
        }
    }

    /// Makes the content durable.
    ///
    /// # Errors
    /// As [`Self::sync_all`].
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::Host(file) => file.sync_data(),
            Self::World(file) => file.file.sync(),
        }
    }

    /// Locks the file until the last handle is dropped; false if another process holds the lock.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        match self {
            Self::Host(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(std::fs::TryLockError::WouldBlock) => Ok(false),
                Err(std::fs::TryLockError::Error(error)) => Err(error),
            },
            Self::World(file) => Ok(file.file.try_lock()),
        }
    }

    /// Returns numbers that identify the file.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn id(&self) -> io::Result<(u64, u64)> {
        match self {
            Self::Host(file) => {
                let found = file.metadata()?;
                Ok((found.dev(), found.ino()))
            }
            Self::World(file) => Ok((0, file.file.id())),
        }
    }

    /// Extends the file, with allocated blocks behind every byte. Blocks.
    ///
    /// # Errors
    /// Errors of the disk, such as a lack of space.
    pub(crate) fn allocate(&self, from: u64, bytes: u64) -> io::Result<()> {
        let mut file = match self {
            Self::World(file) => return file.file.set_len(from + bytes),
            Self::Host(file) => file.as_ref(),
        };
        match fallocate(file, FallocateFlags::empty(), from, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            outcome => return Ok(outcome?),
        }
        file.seek(SeekFrom::Start(from))?;
        let mut left = bytes;
        while left > 0 {
            let len = left.min(ZEROS.len() as u64);
            file.write_all(&ZEROS[..len as usize])?;
            left -= len;
        }
        Ok(())
    }

    /// Returns the file as storage of a database.
    ///
    /// # Errors
    /// If another database uses the file.
    pub(crate) fn into_backend(self) -> Result<DatabaseFile, redb::DatabaseError> {
        match self {
            Self::Host(file) => {
                let file = Arc::try_unwrap(file).map_err(|_| redb::DatabaseError::DatabaseAlreadyOpen)?;
                Ok(DatabaseFile::Host(FileBackend::new(file)?))
            }
            Self::World(file) => Ok(DatabaseFile::World(file)),
        }
    }
}

impl WorldFile {
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let read = self.file.read_at(bytes, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[read..];
            offset += read as u64;
        }
        Ok(())
    }
}

/// Sequential writes.
impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            File::Host(file) => file.as_ref().write(bytes),
            File::World(WorldFile { file, offset }) => {
                file.write_at(bytes, offset.fetch_add(bytes.len() as u64, Ordering::Relaxed))?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file as storage of a database.
#[derive(Debug)]
pub(crate) enum DatabaseFile {
    Host(FileBackend),
    World(WorldFile),
}

impl DatabaseFile {
    /// Returns the file of the operating system: a world has one process for each disk, and no locks.
    fn host(&self) -> Result<&FileBackend, BackendError> {
        match self {
            Self::Host(file) => Ok(file),
            Self::World(_) => Err(BackendError::Unsupported),
        }
    }
}

impl StorageBackend for DatabaseFile {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::Host(file) => file.len(),
            Self::World(file) => file.file.len_bytes(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Host(file) => file.read(offset, out),
            Self::World(file) => file.read_exact_at(out, offset),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::Host(file) => file.set_len(len),
            Self::World(file) => file.file.set_len(len),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Host(file) => file.write(offset, data),
            Self::World(file) => file.file.write_at(data, offset),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::Host(file) => file.sync_data(),
            Self::World(file) => file.file.sync(),
        }
    }

    fn close(&self) -> io::Result<()> {
        match self {
            Self::Host(file) => file.close(),
            Self::World(_) => Ok(()),
        }
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.host()?.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.host()?.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.host()?.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.host()?.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.host()?.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.host()?.query_lock_range(start, end)
    }
}

/// Makes a folder and its missing parents.
///
/// # Errors
/// As of [`std::fs::create_dir_all`].
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    match super::current() {
        Some(world) => world.disk().create_dir_all(path),
        None => std::fs::create_dir_all(path),
    }
}

/// Removes a file.
///
/// # Errors
/// As of [`std::fs::remove_file`].
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match super::current() {
        Some(world) => world.disk().remove_file(path),
        None => std::fs::remove_file(path),
    }
}

/// Renames a file, replacing any file of the new name.
///
/// # Errors
/// As of [`std::fs::rename`].
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match super::current() {
        Some(world) => world.disk().rename(from, to),
        None => std::fs::rename(from, to),
    }
}

/// Returns the paths in a folder.
///
/// # Errors
/// As of [`std::fs::read_dir`].
pub(crate) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match super::current() {
        Some(world) => world.disk().list(folder),
        None => std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect(),
    }
}

/// True if there is a file or folder at `path`.
///
/// # Errors
/// As of [`std::fs::exists`].
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    match super::current() {
        Some(world) => world.disk().exists(path),
        None => path.try_exists(),
    }
}

/// Returns the content of a file.
///
/// # Errors
/// As of [`std::fs::read`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if super::current().is_none() {
        return std::fs::read(path);
    }
    let file = File::open(path, Open::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Returns the bytes that a file takes on the disk, at most its length.
///
/// # Errors
/// As of [`std::fs::metadata`].
pub(crate) fn allocated_bytes(path: &Path) -> io::Result<u64> {
    match super::current() {
        Some(world) => world.disk().open(path, Open::Read)?.len_bytes(),
        None => std::fs::metadata(path).map(|found| allocated(&found)),
    }
}

fn allocated(found: &std::fs::Metadata) -> u64 {
    // A sparse file has fewer blocks than bytes.
    found.len().min(found.blocks() * 512)
}

/// Makes the creation, renaming and removal of files in a folder durable.
///
/// # Errors
/// Errors of the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match super::current() {
        Some(world) => world.disk().sync_folder(folder),
        None => std::fs::File::open(folder)?.sync_all(),
    }
}

/// Returns the bytes of a disk that are available to any process.
///
/// # Errors
/// Errors of the operating system.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    match super::current() {
        Some(world) => Ok(world.disk().free_bytes()),
        None => {
            let found = statvfs(folder)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        }
    }
}

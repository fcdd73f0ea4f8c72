//! Simulated disks: files and names in memory, durable only once synced.
//!
//! An end of the process loses nothing: the operating system has all writes. An end of the machine keeps
//! what was synced and a part of the rest, chosen by the seed: of each file, some of the sectors written
//! since; of the names, those up to some moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control_plane::world::files::{Disk, DiskFile, Open};

use crate::executor::{Executor, Process};

/// Size of an atomic write.
const SECTOR_BYTES: usize = 512;
/// Bytes of a disk.
const CAPACITY: u64 = 4 << 30;

/// State of a disk's hardware.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Condition {
    /// Least time of an operation.
    pub delay: Duration,
    /// Greatest addition to the time.
    pub jitter: Duration,
    /// True if operations do not end.
    pub hangs: bool,
    /// Greatest number of used bytes, below the capacity on a full disk.
    pub limit: Option<u64>,
    /// Syncs that fail of a thousand.
    pub failing_permille: u32,
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(200),
            jitter: Duration::from_millis(2),
            hangs: false,
            limit: None,
            failing_permille: 0,
        }
    }
}

/// The disk of one machine.
pub(crate) struct SimulatedDisk {
    executor: Arc<Executor>,
    contents: Mutex<Contents>,
}

#[derive(Clone, Default)]
struct Contents {
    condition: Condition,
    files: BTreeMap<u64, Stored>,
    names: BTreeMap<PathBuf, u64>,
    folders: BTreeSet<PathBuf>,
    /// Names as of the latest sync of their folders, and the changes since.
    durable_names: BTreeMap<PathBuf, u64>,
    renamed: Vec<Vec<(PathBuf, Option<u64>)>>,
    next_id: u64,
    /// Locked files.
    locks: BTreeSet<u64>,
    /// The process whose handles work.
    mounted: Option<Process>,
    /// Changes and syncs until the process dies in the middle of its work.
    dies_after: Option<u64>,
}

#[derive(Clone, Default)]
struct Stored {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn carry_out(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Len(len) => bytes.resize(*len, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }

    /// Returns a number that depends on the change alone: the library may write in any order.
    fn digest(&self, seed: u64) -> u64 {
        let (place, len) = match self {
            Self::Write(offset, data) => (*offset as u64, data.len() as u64),
            Self::Len(len) => (*len as u64, u64::MAX),
        };
        [place, len].into_iter().fold(seed, |hash, part| {
            let mixed = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ (mixed >> 29)
        })
    }
}

impl Stored {
    fn change(&mut self, change: Change) {
        change.carry_out(&mut self.seen);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.carry_out(&mut self.durable);
        }
    }

    /// Makes a part of the changes durable, and forgets the rest.
    fn write_back(&mut self, seed: u64) {
        for change in std::mem::take(&mut self.unsynced) {
            if change.digest(seed) & (1 << 40) != 0 {
                change.carry_out(&mut self.durable);
            }
        }
    }

    fn lose_power(&mut self, seed: u64) {
        self.write_back(seed);
        self.seen.clone_from(&self.durable);
    }
}

fn carry_out(changes: &[(PathBuf, Option<u64>)], names: &mut BTreeMap<PathBuf, u64>) {
    for (path, id) in changes {
        match id {
            Some(id) => names.insert(path.clone(), *id),
            None => names.remove(path),
        };
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Contents {
    fn check(&self, process: Option<Process>) -> io::Result<()> {
        if process.is_none() || self.mounted != process {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(())
    }

    /// Counts a change or sync: the last one before the process dies does not happen.
    fn count_operation(&mut self, process: Option<Process>) -> io::Result<()> {
        self.check(process)?;
        if let Some(left) = &mut self.dies_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.mounted = None;
            }
        }
        self.check(process)
    }

    /// Changes names, all at once.
    fn rename(&mut self, changes: Vec<(PathBuf, Option<u64>)>) {
        carry_out(&changes, &mut self.names);
        self.renamed.push(changes);
    }

    /// Renames a folder with all in it. Durable at once, which a folder's own sync would make it soon after.
    fn rename_folder(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        for names in [&mut self.names, &mut self.durable_names] {
            *names = std::mem::take(names)
                .into_iter()
                .map(|(path, id)| (moved(&path).unwrap_or(path), id))
                .collect();
        }
        for (path, _) in self.renamed.iter_mut().flatten() {
            if let Some(moved) = moved(path) {
                *path = moved;
            }
        }
        let folders = std::mem::take(&mut self.folders);
        self.folders = folders.into_iter().map(|path| moved(&path).unwrap_or(path)).collect();
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.files.get(id)).map(|file| file.seen.len() as u64).sum()
    }

    /// Removes files without a name.
    fn collect(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }
}

/// Contents of a disk at one moment.
#[derive(Clone)]
pub(crate) struct DiskCopy(Contents);

impl SimulatedDisk {
    pub(crate) fn new(executor: Arc<Executor>) -> Arc<Self> {
        Arc::new(Self { executor, contents: Mutex::default() })
    }

    /// Lets the handles of `process`, and no other, work.
    pub(crate) fn mount(&self, process: Process) {
        let mut contents = self.lock();
        contents.mounted = Some(process);
        contents.dies_after = None;
        contents.locks.clear();
    }

    /// The process ended: its handles fail, its locks are free.
    pub(crate) fn unmount(&self) {
        let mut contents = self.lock();
        contents.mounted = None;
        contents.locks.clear();
        contents.collect();
    }

    /// The machine ended: what was not synced is lost in part.
    pub(crate) fn lose_power(&self) {
        let (seed, cut) = (self.executor.random(), self.executor.random());
        let mut contents = self.lock();
        let kept = (cut % (contents.renamed.len() as u64 + 1)) as usize;
        let renamed = std::mem::take(&mut contents.renamed);
        for changes in renamed.into_iter().take(kept) {
            carry_out(&changes, &mut contents.durable_names);
        }
        contents.names = contents.durable_names.clone();
        for (id, file) in &mut contents.files {
            file.lose_power(seed ^ id);
        }
        contents.collect();
    }

    /// Removes everything, as an operator does.
    pub(crate) fn wipe(&self) {
        let mut contents = self.lock();
        let condition = contents.condition;
        *contents = Contents { condition, ..Contents::default() };
    }

    /// Copies what is on the disk.
    pub(crate) fn copy(&self) -> DiskCopy {
        DiskCopy(self.lock().clone())
    }

    /// Puts a copy in place of what is on the disk.
    pub(crate) fn put_back(&self, copy: DiskCopy) {
        let condition = self.lock().condition;
        let DiskCopy(mut contents) = copy;
        contents.condition = condition;
        contents.mounted = None;
        contents.locks.clear();
        *self.lock() = contents;
    }

    /// Lets the process die in the middle of its work, at a change or sync from now on.
    pub(crate) fn die_after(&self, operations: u64) {
        self.lock().dies_after = Some(operations);
    }

    /// True if no process uses the disk.
    pub(crate) fn is_unmounted(&self) -> bool {
        self.lock().mounted.is_none()
    }

    /// Returns the used bytes.
    pub(crate) fn used(&self) -> u64 {
        self.lock().used()
    }

    pub(crate) fn condition(&self) -> Condition {
        self.lock().condition
    }

    pub(crate) fn set_condition(&self, condition: Condition) {
        self.lock().condition = condition;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The disk as a process sees it.
pub(crate) struct Mounted {
    pub disk: Arc<SimulatedDisk>,
    pub process: Option<Process>,
}

impl Mounted {
    fn contents(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let contents = self.disk.lock();
        contents.check(self.process)?;
        Ok(contents)
    }
}

impl Mounted {
    fn changed(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.disk.lock();
        contents.count_operation(self.process)?;
        Ok(contents)
    }
}

impl Disk for Mounted {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut contents = self.contents()?;
        let found = contents.names.get(path).copied();
        let is_folder = contents.folders.contains(path);
        let id = match (found, how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(id), _) => id,
            (None, Open::Read) if is_folder => u64::MAX,
            (None, Open::Read | Open::ReadWrite) => return Err(missing()),
            (None, _) => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if is_folder || !contents.folders.contains(parent) {
                    return Err(missing());
                }
                contents.next_id += 1;
                let id = contents.next_id;
                contents.files.insert(id, Stored::default());
                contents.rename(vec![(path.to_owned(), Some(id))]);
                id
            }
        };
        if how == Open::Truncate {
            contents.files.entry(id).or_default().change(Change::Len(0));
        }
        drop(contents);
        Ok(Arc::new(OpenFile {
            disk: Arc::clone(&self.disk),
            process: self.process,
            id,
            locked: Mutex::default(),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut contents = self.changed()?;
        contents.folders.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut contents = self.changed()?;
        if !contents.names.contains_key(path) {
            return Err(missing());
        }
        contents.rename(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut contents = self.changed()?;
        if contents.folders.contains(from) {
            contents.rename_folder(from, to);
            return Ok(());
        }
        let id = contents.names.get(from).copied().ok_or_else(missing)?;
        contents.rename(vec![(to.to_owned(), Some(id)), (from.to_owned(), None)]);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let contents = self.contents()?;
        if !contents.folders.contains(folder) {
            return Err(missing());
        }
        let paths = contents.names.keys().chain(&contents.folders);
        Ok(paths.filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let contents = self.contents()?;
        Ok(contents.names.contains_key(path) || contents.folders.contains(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut contents = self.changed()?;
        let renamed = std::mem::take(&mut contents.renamed);
        let in_folder = |changes: &Vec<(PathBuf, Option<u64>)>| {
            changes.iter().any(|(path, _)| path.parent() == Some(folder))
        };
        let (durable, rest): (Vec<_>, Vec<_>) = renamed.into_iter().partition(in_folder);
        for changes in durable {
            carry_out(&changes, &mut contents.durable_names);
        }
        contents.renamed = rest;
        Ok(())
    }

    fn free_bytes(&self) -> u64 {
        let contents = self.disk.lock();
        contents.condition.limit.unwrap_or(CAPACITY).saturating_sub(contents.used())
    }
}

struct OpenFile {
    disk: Arc<SimulatedDisk>,
    process: Option<Process>,
    id: u64,
    locked: Mutex<bool>,
}

impl OpenFile {
    fn with<T>(&self, work: impl FnOnce(&mut Stored) -> io::Result<T>) -> io::Result<T> {
        let mut contents = self.disk.lock();
        contents.check(self.process)?;
        work(contents.files.entry(self.id).or_default())
    }

    /// Changes the file, which has at least `len` bytes afterwards.
    fn change(&self, len: u64, work: impl FnOnce(&mut Stored) -> io::Result<()>) -> io::Result<()> {
        let mut contents = self.disk.lock();
        contents.count_operation(self.process)?;
        let has = contents.files.get(&self.id).map_or(0, |file| file.seen.len() as u64);
        let growth = len.saturating_sub(has);
        let limit = contents.condition.limit.filter(|_| growth > 0);
        if limit.is_some_and(|limit| contents.used() + growth > limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        work(contents.files.entry(self.id).or_default())
    }
}

impl DiskFile for OpenFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let rest = file.seen.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(bytes.len());
            bytes[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(offset + bytes.len() as u64, |file| {
            let offset = offset as usize;
            let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
            let (first, rest) = bytes.split_at(first);
            let mut at = offset;
            for sector in std::iter::once(first).chain(rest.chunks(SECTOR_BYTES)) {
                file.change(Change::Write(at, sector.to_vec()));
                at += sector.len();
            }
            Ok(())
        })
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.seen.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(len, |file| {
            file.change(Change::Len(len as usize));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let fails = {
            let permille = self.disk.condition().failing_permille;
            permille > 0 && self.disk.executor.random() % 1000 < u64::from(permille)
        };
        let seed = if fails { self.disk.executor.random() } else { 0 };
        let mut contents = self.disk.lock();
        contents.count_operation(self.process)?;
        let file = contents.files.entry(self.id).or_default();
        if fails {
            // As on Linux: what was not written counts as clean, and no later sync writes it.
            file.write_back(seed);
            return Err(io::Error::other("input/output error"));
        }
        file.sync();
        Ok(())
    }

    fn try_lock(&self) -> bool {
        if !self.disk.lock().locks.insert(self.id) {
            return false;
        }
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        true
    }

    fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if *self.locked.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut contents = self.disk.lock();
            if contents.mounted == self.process {
                contents.locks.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted() -> Mounted {
        let disk = SimulatedDisk::new(Arc::new(Executor::new(1)));
        let process = Process { node: 0, start: 1 };
        disk.mount(process);
        Mounted { disk, process: Some(process) }
    }

    #[test]
    fn what_is_synced_survives_a_loss_of_power() {
        let mounted = mounted();
        let (folder, path) = (Path::new("/data"), Path::new("/data/log"));
        mounted.create_dir_all(folder).unwrap();
        let file = mounted.open(Path::new("/data/new"), Open::CreateNew).unwrap();
        file.set_len(2000).unwrap();
        file.write_at(&[1; 2000], 0).unwrap();
        file.sync().unwrap();
        mounted.rename(Path::new("/data/new"), path).unwrap();
        mounted.sync_folder(folder).unwrap();
        file.write_at(&[2; 600], 100).unwrap();
        file.sync().unwrap();
        file.write_at(&[3; 1], 1999).unwrap();
        mounted.disk.unmount();
        mounted.disk.lose_power();
        mounted.disk.mount(mounted.process.unwrap());
        let mut bytes = [0; 2000];
        assert_eq!(mounted.open(path, Open::Read).unwrap().read_at(&mut bytes, 0).unwrap(), 2000);
        assert_eq!((bytes[99], bytes[100], bytes[699], bytes[700]), (1, 2, 2, 1));
        assert_eq!(mounted.list(folder).unwrap(), [path]);
    }
}

//! An in-memory disk that loses unsynced writes on power loss, with syncs that can be held.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

/// Size of an atomic write.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<(Mutex<Contents>, Condvar)>);

#[derive(Debug, Default)]
struct Contents {
    /// Content seen by readers.
    seen: Vec<u8>,
    /// Content that survives a power loss.
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
    syncs: usize,
    /// Number of the sync during which the power fails.
    power_fails_at: Option<usize>,
    lies: bool,
    held: bool,
    waiting: bool,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

/// Unsynced changes that survive a power loss.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survivors {
    None,
    /// A random selection, sector by sector.
    Random(u64),
}

impl Disk {
    /// Copies the durable content to a disk with a power loss during this sync, counted from 0.
    pub(super) fn failing_at(&self, sync: usize) -> Self {
        let disk = self.after_power_loss(Survivors::None);
        disk.contents().power_fails_at = Some(sync);
        disk
    }

    /// Copies the durable content to a disk that reports every sync as successful without syncing.
    pub(super) fn lying(&self) -> Self {
        let disk = self.after_power_loss(Survivors::None);
        disk.contents().lies = true;
        disk
    }

    /// Returns the disk after a power loss.
    pub(super) fn after_power_loss(&self, survivors: Survivors) -> Self {
        let contents = self.contents();
        let mut found = contents.durable.clone();
        if let Survivors::Random(seed) = survivors {
            let mut random = SmallRng::seed_from_u64(seed);
            contents
                .unsynced
                .iter()
                .filter(|_| random.random())
                .for_each(|change| change.carry_out(&mut found));
        }
        let disk = Self::default();
        *disk.contents() = Contents { seen: found.clone(), durable: found, ..Contents::default() };
        disk
    }

    pub(super) fn syncs(&self) -> usize {
        self.contents().syncs
    }

    /// Holds the next syncs until [`Self::release`].
    pub(super) fn hold(&self) {
        self.contents().held = true;
    }

    pub(super) fn release(&self) {
        self.contents().held = false;
        self.0.1.notify_all();
    }

    /// True if a sync is held.
    pub(super) fn is_waiting(&self) -> bool {
        self.contents().waiting
    }

    /// Cuts the power now.
    pub(super) fn fail(&self) {
        let mut contents = self.contents();
        contents.power_fails_at = Some(contents.syncs);
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.0.lock().unwrap()
    }

    fn change(&self, changes: impl IntoIterator<Item = Change>) -> io::Result<()> {
        let mut contents = self.contents();
        contents.check()?;
        for change in changes {
            change.carry_out(&mut contents.seen);
            contents.unsynced.push(change);
        }
        Ok(())
    }
}

impl Contents {
    fn check(&self) -> io::Result<()> {
        match self.power_fails_at {
            Some(sync) if sync < self.syncs => Err(io::Error::other("no power")),
            _ => Ok(()),
        }
    }
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
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.contents();
        contents.check()?;
        let offset = offset as usize;
        let found = contents.seen.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change([Change::Len(len as usize)])
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(data.len());
        let (first, rest) = data.split_at(first);
        let sectors = std::iter::once(first).chain(rest.chunks(SECTOR_BYTES));
        let mut at = offset;
        self.change(sectors.map(|sector| {
            let write = Change::Write(at, sector.to_vec());
            at += sector.len();
            write
        }))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.contents();
        while contents.held {
            contents.waiting = true;
            contents = self.0.1.wait(contents).unwrap();
        }
        contents.waiting = false;
        contents.check()?;
        contents.syncs += 1;
        contents.check()?;
        if !contents.lies {
            contents.durable = contents.seen.clone();
            contents.unsynced.clear();
        }
        Ok(())
    }
}

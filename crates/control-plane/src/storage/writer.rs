//! The thread that writes the log file.
//!
//! It takes everything that waits in its queue into one durable commit: while one commit is on its way to the disk, the
//! next one gathers. Writes become durable in the order in which they were handed over. After a failed commit, every
//! write that waits fails, and so does every later one.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot, watch};

use super::database::begin_durable;
use super::memory::{MAX_CACHED_BYTES, Memory};
use super::record;
use super::room::Room;
use crate::{Entry, LogId, TypeConfig, Vote};

/// Entries by index.
pub(super) const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");
/// What is not an entry.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Key of the vote in [`META`].
pub(super) const VOTE: &str = "vote";
/// Key of the last entry known to be committed in [`META`].
pub(super) const COMMITTED: &str = "committed";
/// Key of the last purged entry in [`META`].
pub(super) const PURGED: &str = "purged";

/// Writes that may wait for the disk; who comes later waits for room.
pub(super) const MAX_QUEUED_WRITES: usize = 1024;
/// Flushes whose duration is remembered.
const REMEMBERED_FLUSHES: usize = 128;
/// Why nothing works after the end.
const CLOSED: &str = "the log is closed";

/// Something to write, and whom to tell.
pub(super) enum Write {
    /// A vote, and who waits for it, if anybody has to.
    Vote(Vote, Option<oneshot::Sender<io::Result<()>>>),
    /// Records of consecutive entries.
    Append(Vec<(u64, Vec<u8>)>, IOFlushed<TypeConfig>),
    /// Remove this entry and all after it.
    Truncate(u64),
    /// Remove this entry and all before it.
    Purge(LogId),
    /// End; the file is closed when this is told.
    Close(oneshot::Sender<()>),
}

/// A write in the queue.
pub(super) struct Queued {
    /// Counts up by one.
    pub number: u64,
    /// When it was handed over.
    pub since: Instant,
    /// What it is.
    pub write: Write,
}

/// How far the log is durable.
#[derive(Debug, Clone)]
pub(super) enum Durable {
    /// Every entry before this index is, or was and is purged.
    Until(u64),
    /// Nothing works any more.
    Failed(Arc<str>),
}

/// How the disk keeps up with the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// Commits since the file was opened.
    pub commits: u64,
    /// Writes in them.
    pub writes: u64,
    /// For how long the oldest write has been waiting for the commit under way.
    pub oldest_unfinished: Option<Duration>,
    /// The median duration of the latest commits.
    pub median: Option<Duration>,
    /// The longest of the latest commits.
    pub worst: Option<Duration>,
}

#[derive(Default)]
struct Flushes {
    commits: u64,
    writes: u64,
    unfinished_since: Option<Instant>,
    latest: VecDeque<Duration>,
}

/// What the handles of the log and its writer share.
pub(super) struct Core {
    /// The open file; none after the end. Readers hold the lock while they read: the end waits for them.
    database: RwLock<Option<Database>>,
    memory: Mutex<Memory>,
    flushes: Mutex<Flushes>,
    /// A drill: how much longer the next commit takes.
    stall: Mutex<Duration>,
    /// How far the log is durable.
    pub durable: watch::Sender<Durable>,
    room: Arc<Room>,
}

impl Core {
    pub(super) fn new(database: Database, memory: Memory, room: Arc<Room>) -> Self {
        let durable = watch::Sender::new(Durable::Until(memory.end()));
        Self {
            database: RwLock::new(Some(database)),
            memory: Mutex::new(memory),
            flushes: Mutex::default(),
            stall: Mutex::default(),
            durable,
            room,
        }
    }

    /// What is known without the disk. Held for memory operations only.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `use_it` use the open file. Blocks on the disk.
    pub(super) fn with_database<T>(&self, use_it: impl FnOnce(&Database) -> io::Result<T>) -> io::Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        use_it(database.as_ref().ok_or_else(|| self.failure())?)
    }

    /// The entries of a range as they are on the disk. Blocks.
    pub(super) fn read_entries(&self, range: std::ops::Range<u64>) -> io::Result<Vec<Entry>> {
        self.with_database(|database| {
            let read = database.begin_read().map_err(io::Error::other)?;
            let table = read.open_table(ENTRIES).map_err(io::Error::other)?;
            let mut entries = Vec::new();
            let mut expected = range.clone();
            for row in table.range(range).map_err(io::Error::other)? {
                let (index, record) = row.map_err(io::Error::other)?;
                let entry: Entry = record::decode(record.value())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if expected.next() != Some(index.value()) || entry.log_id.index != index.value() {
                    return Err(hole(index.value()));
                }
                entries.push(entry);
            }
            match expected.next() {
                Some(missing) => Err(hole(missing)),
                None => Ok(entries),
            }
        })
    }

    /// Why nothing works any more.
    pub(super) fn failure(&self) -> io::Error {
        let reason = self.memory().failed.clone().unwrap_or_else(|| CLOSED.into());
        io::Error::other(reason.as_ref())
    }

    /// How the disk keeps up.
    pub(super) fn stats(&self) -> FlushStats {
        let flushes = self.flushes();
        let (commits, writes) = (flushes.commits, flushes.writes);
        let unfinished_since = flushes.unfinished_since;
        let mut latest: Vec<Duration> = flushes.latest.iter().copied().collect();
        drop(flushes);
        latest.sort_unstable();
        FlushStats {
            commits,
            writes,
            oldest_unfinished: unfinished_since.map(|since| since.elapsed()),
            median: latest.get(latest.len() / 2).copied(),
            worst: latest.last().copied(),
        }
    }

    /// For how long the oldest write has been waiting for the commit under way.
    pub(super) fn oldest_unfinished(&self) -> Option<Duration> {
        self.flushes().unfinished_since.map(|since| since.elapsed())
    }

    /// A drill: the next commit takes this much longer.
    pub(super) fn stall(&self, duration: Duration) {
        *self.stall.lock().unwrap_or_else(PoisonError::into_inner) = duration;
    }

    /// The stall that was asked for, once.
    fn take_stall(&self) -> Duration {
        std::mem::take(&mut *self.stall.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn flushes(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, reason: &Arc<str>) {
        self.memory().failed.get_or_insert_with(|| reason.clone());
        self.flushes().unfinished_since = None;
        self.durable.send_replace(Durable::Failed(reason.clone()));
    }

    fn close_database(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = database.map(Database::close) {
            tracing::warn!(%error, "the log file was not closed cleanly");
        }
    }
}

fn hole(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} of the log is not where it belongs"))
}

/// The writing thread's own.
pub(super) struct Writer {
    core: Arc<Core>,
    queue: mpsc::Receiver<Queued>,
    /// The index after the last entry on the disk.
    end: u64,
    /// What [`COMMITTED`] says on the disk.
    committed: Option<LogId>,
}

impl Writer {
    /// Starts the thread. It ends after [`Write::Close`], and once nobody can hand over anything any more.
    pub(super) fn start(core: Arc<Core>, queue: mpsc::Receiver<Queued>) -> io::Result<()> {
        let (end, committed) = {
            let memory = core.memory();
            (memory.end(), memory.committed)
        };
        let writer = Self { core, queue, end, committed };
        std::thread::Builder::new().name("log-writer".into()).spawn(move || writer.run()).map(drop)
    }

    fn run(mut self) {
        let mut batch = Vec::new();
        let mut closers = Vec::new();
        let reason: Arc<str> = loop {
            if self.queue.blocking_recv_many(&mut batch, MAX_QUEUED_WRITES) == 0 {
                break CLOSED.into();
            }
            let close = take_closers(&mut batch, &mut closers);
            if let Err(error) = self.flush(&mut batch) {
                tracing::error!(error = %error, "the log cannot be written");
                break error.to_string().into();
            }
            if close {
                break CLOSED.into();
            }
        };
        self.core.fail(&reason);
        tell(batch.drain(..), Err(&reason));
        self.queue.close();
        while self.queue.blocking_recv_many(&mut batch, MAX_QUEUED_WRITES) > 0 {
            take_closers(&mut batch, &mut closers);
            tell(batch.drain(..), Err(&reason));
        }
        self.core.close_database();
        for closer in closers {
            // Nobody may be waiting any more.
            let _ = closer.send(());
        }
    }

    /// Makes a batch durable and tells so. It is left as it was if that fails.
    fn flush(&mut self, batch: &mut Vec<Queued>) -> io::Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let (since, number, writes) = (first.since, last.number, batch.len() as u64);
        self.core.flushes().unfinished_since = Some(since);
        let started = Instant::now();
        let committed = self.core.memory().committed;
        // A panic of the library must not leave anyone waiting: it counts as a failed write.
        let commit = AssertUnwindSafe(|| self.commit(batch, committed));
        let end = panic::catch_unwind(commit)
            .unwrap_or_else(|_| Err(io::Error::other("the database library panicked")))?;
        self.end = end;
        self.core.room.written();
        let mut flushes = self.core.flushes();
        flushes.commits += 1;
        flushes.writes += writes;
        flushes.unfinished_since = None;
        if flushes.latest.len() == REMEMBERED_FLUSHES {
            flushes.latest.pop_front();
        }
        flushes.latest.push_back(started.elapsed());
        drop(flushes);
        let mut memory = self.core.memory();
        memory.evict(number, MAX_CACHED_BYTES);
        if let Some(vote) = batch.iter().rev().find_map(|queued| match &queued.write {
            Write::Vote(vote, _) => Some(*vote),
            _ => None,
        }) {
            memory.vote = Some(vote);
        }
        // Told under the lock: a truncation that comes after lowers it again.
        let durable_end = memory.durable_end(number, end);
        self.core.durable.send_replace(Durable::Until(durable_end));
        drop(memory);
        tell(batch.drain(..), Ok(()));
        Ok(())
    }

    /// One durable transaction. Returns the index after the last entry.
    fn commit(&mut self, batch: &[Queued], committed: Option<LogId>) -> io::Result<u64> {
        let core = self.core.clone();
        std::thread::sleep(core.take_stall());
        core.with_database(|database| {
            let transaction = begin_durable(database).map_err(io::Error::other)?;
            let mut end = self.end;
            for queued in batch {
                end = apply(&transaction, &queued.write, end).map_err(io::Error::other)?;
            }
            // Rides along. It never names an entry that is not in the file: a restart applies up to it.
            let committed = committed.filter(|id| id.index < end && Some(*id) != self.committed);
            if let Some(id) = &committed {
                let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
                meta.insert(COMMITTED, record::encode(id).as_slice()).map_err(io::Error::other)?;
            }
            transaction.commit().map_err(io::Error::other)?;
            self.committed = committed.or(self.committed);
            Ok(end)
        })
    }
}

/// Carries out a write on a log that ends before `end`. Returns where it ends then.
fn apply(transaction: &WriteTransaction, write: &Write, end: u64) -> Result<u64, redb::Error> {
    match write {
        Write::Vote(vote, _) => {
            transaction.open_table(META)?.insert(VOTE, record::encode(vote).as_slice())?;
            Ok(end)
        }
        Write::Append(records, _) => {
            let mut table = transaction.open_table(ENTRIES)?;
            for (index, record) in records {
                table.insert(index, record.as_slice())?;
            }
            Ok(records.last().map_or(end, |(index, _)| index + 1))
        }
        Write::Truncate(from) => {
            transaction.open_table(ENTRIES)?.retain_in::<u64, _>(*from.., |_, _| false)?;
            Ok(end.min(*from))
        }
        Write::Purge(upto) => {
            transaction.open_table(ENTRIES)?.retain_in::<u64, _>(..=upto.index, |_, _| false)?;
            transaction.open_table(META)?.insert(PURGED, record::encode(upto).as_slice())?;
            Ok(end.max(upto.index + 1))
        }
        Write::Close(_) => Ok(end),
    }
}

/// Takes out who asked for the end, and everything handed over after that: it is not written, and told so.
fn take_closers(batch: &mut Vec<Queued>, closers: &mut Vec<oneshot::Sender<()>>) -> bool {
    let Some(end) = batch.iter().position(|queued| matches!(queued.write, Write::Close(_))) else {
        return false;
    };
    for queued in batch.split_off(end) {
        match queued.write {
            Write::Close(closer) => closers.push(closer),
            write => tell_one(write, Err(&CLOSED.into())),
        }
    }
    true
}

fn tell(batch: impl Iterator<Item = Queued>, result: Result<(), &Arc<str>>) {
    for queued in batch {
        tell_one(queued.write, result);
    }
}

fn tell_one(write: Write, result: Result<(), &Arc<str>>) {
    let result = result.map_err(|reason| io::Error::other(reason.as_ref()));
    match write {
        Write::Vote(_, waiter) => {
            // Who asked may have gone.
            let _ = waiter.map(|waiter| waiter.send(result));
        }
        Write::Append(_, flushed) => flushed.io_completed(result),
        Write::Truncate(_) | Write::Purge(_) | Write::Close(_) => {}
    }
}

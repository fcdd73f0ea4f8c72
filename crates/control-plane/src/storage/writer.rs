//! The thread that writes the log file.
//!
//! The thread writes all queued requests in one durable commit (group commit): while a commit is in flight,
//! the next batch gathers in the queue. Writes become durable in queue order. After a failed commit, every
//! queued write fails, and so does every later write.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot, watch};

use super::database::begin_durable;
use super::disk_space::DiskSpace;
use super::memory::{MAX_CACHED_BYTES, Memory};
use super::record;
use crate::marks::Marks;
use crate::planted::{Mistake, is_planted};
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::world::{self, Note, clock, task};

/// Entries by index.
pub(super) const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");
/// Vote and log ids, by key.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Key of the vote in [`META`].
pub(super) const VOTE: &str = "vote";
/// Key of the last entry known to be committed in [`META`].
pub(super) const COMMITTED: &str = "committed";
/// Key of the last purged entry in [`META`].
pub(super) const PURGED: &str = "purged";
/// Key of the Raft id of the data directory in [`META`]. Releases up to 0.2 write none.
pub(super) const DIRECTORY: &str = "directory";
/// Key of the marks of other data directories in [`META`].
pub(super) const MARKS: &str = "marks";

/// Maximum number of queued writes; further senders wait for a permit.
pub(super) const MAX_QUEUED_WRITES: usize = 1024;
/// Number of flushes among which the longest is looked for.
const REMEMBERED_FLUSHES: usize = 128;
/// Upper bounds of the buckets of commit durations, in seconds; a last bucket has no bound.
pub const FLUSH_BOUNDS_S: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Error text after the log is closed.
const CLOSED: &str = "the log is closed";

/// A write request with the sender of its completion.
pub(super) enum Write {
    /// A vote, with the sender of the result if the caller waits for durability.
    Vote(Vote, Option<oneshot::Sender<io::Result<()>>>),
    /// Records of consecutive entries.
    Append(Vec<(u64, Vec<u8>)>, IOFlushed<TypeConfig>),
    /// Removal of the entry at this index and all later entries.
    Truncate(u64),
    /// Removal of this entry and all earlier entries.
    Purge(LogId),
    /// End of the log, with the sender to notify once the file is closed.
    Close(oneshot::Sender<()>),
}

/// A write in the queue.
pub(super) struct Queued {
    /// Sequence number, consecutive.
    pub number: u64,
    /// Time of submission.
    pub since: Instant,
    /// The request.
    pub write: Write,
}

/// Durability of the log.
#[derive(Debug, Clone)]
pub(super) enum Durable {
    /// Every entry before this index is durable, or was durable and is purged.
    Until(u64),
    /// The log failed or is closed.
    Failed(Arc<str>),
}

/// Statistics of the log's disk flushes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// Commits since the file was opened.
    pub commits: u64,
    /// Writes in these commits.
    pub writes: u64,
    /// Waiting time of the oldest write in the commit in flight.
    pub oldest_unfinished: Option<Duration>,
    /// Longest duration of the latest commits.
    pub worst: Option<Duration>,
    /// Duration of all commits together.
    pub total: Duration,
    /// Number of commits by duration, in the buckets of [`FLUSH_BOUNDS_S`].
    pub buckets: [u64; FLUSH_BOUNDS_S.len() + 1],
}

#[derive(Default)]
struct Flushes {
    commits: u64,
    writes: u64,
    unfinished_since: Option<Instant>,
    latest: VecDeque<Duration>,
    total: Duration,
    buckets: [u64; FLUSH_BOUNDS_S.len() + 1],
}

impl Flushes {
    /// Counts a commit of `writes` writes.
    fn finish(&mut self, writes: u64, took: Duration) {
        let bucket = FLUSH_BOUNDS_S.partition_point(|&bound_s| bound_s < took.as_secs_f64());
        self.commits += 1;
        self.writes += writes;
        self.unfinished_since = None;
        if self.latest.len() == REMEMBERED_FLUSHES {
            self.latest.pop_front();
        }
        self.latest.push_back(took);
        self.total += took;
        self.buckets[bucket] += 1;
        debug_assert_eq!(self.buckets.iter().sum::<u64>(), self.commits, "each commit is in one bucket");
    }
}

/// State shared by the handles of the log and the writer thread.
pub(super) struct SharedLog {
    /// The open file; none once closed. Readers hold the lock while they read: closing waits for them.
    database: RwLock<Option<Database>>,
    memory: Mutex<Memory>,
    flushes: Mutex<Flushes>,
    /// Extra duration of the next commit, for drills.
    stall: Mutex<Duration>,
    /// Durability of the log.
    pub durable: watch::Sender<Durable>,
    disk: Arc<DiskSpace>,
}

impl SharedLog {
    pub(super) fn new(database: Database, memory: Memory, disk: Arc<DiskSpace>) -> Self {
        let durable = watch::Sender::new(Durable::Until(memory.end()));
        Self {
            database: RwLock::new(Some(database)),
            memory: Mutex::new(memory),
            flushes: Mutex::default(),
            stall: Mutex::default(),
            durable,
            disk,
        }
    }

    /// Locks the in-memory part of the log. For memory operations only.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the index after the last durable entry; 0 once the log has failed.
    pub(super) fn durable_end(&self) -> u64 {
        match &*self.durable.borrow() {
            Durable::Until(end) => *end,
            Durable::Failed(_) => 0,
        }
    }

    /// Calls `use_it` with the open file. Blocks on the disk.
    pub(super) fn with_database<T>(&self, use_it: impl FnOnce(&Database) -> io::Result<T>) -> io::Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        use_it(database.as_ref().ok_or_else(|| self.failure())?)
    }

    /// Reads the entries of a range from the disk. Blocks.
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

    /// Returns the cause for which the log failed or is closed.
    pub(super) fn failure(&self) -> io::Error {
        let reason = self.memory().failed.clone().unwrap_or_else(|| CLOSED.into());
        io::Error::other(reason.as_ref())
    }

    /// Returns statistics of the disk flushes.
    pub(super) fn stats(&self) -> FlushStats {
        let flushes = self.flushes();
        let Flushes { commits, writes, unfinished_since, ref latest, total, buckets } = *flushes;
        FlushStats {
            commits,
            writes,
            oldest_unfinished: unfinished_since.map(clock::since),
            worst: latest.iter().max().copied(),
            total,
            buckets,
        }
    }

    /// Returns the waiting time of the oldest write in the commit in flight.
    pub(super) fn oldest_unfinished(&self) -> Option<Duration> {
        self.flushes().unfinished_since.map(clock::since)
    }

    /// Delays the next commit by `duration`, for drills.
    pub(super) fn stall(&self, duration: Duration) {
        *self.stall.lock().unwrap_or_else(PoisonError::into_inner) = duration;
    }

    /// Takes the requested stall, for a single commit.
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
            tracing::warn!(%error, "log file not closed cleanly");
        }
    }
}

fn hole(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("log entry {index} is missing or misplaced"))
}

/// State of the writer thread.
pub(super) struct Writer {
    shared: Arc<SharedLog>,
    queue: mpsc::Receiver<Queued>,
    /// Index after the last entry on the disk.
    end: u64,
    /// Value of [`COMMITTED`] on the disk.
    committed: Option<LogId>,
}

impl Writer {
    /// Starts the thread. The thread ends after [`Write::Close`], or once every sender of the queue is
    /// gone.
    pub(super) fn start(shared: Arc<SharedLog>, queue: mpsc::Receiver<Queued>) -> io::Result<()> {
        let (end, committed) = {
            let memory = shared.memory();
            (memory.end(), memory.committed)
        };
        let writer = Self { shared, queue, end, committed };
        task::on_a_thread("log-writer", writer.run())
    }

    async fn run(mut self) {
        let mut batch = Vec::new();
        let mut closers = Vec::new();
        let reason: Arc<str> = loop {
            if self.queue.recv_many(&mut batch, MAX_QUEUED_WRITES).await == 0 {
                break CLOSED.into();
            }
            let close = take_closers(&mut batch, &mut closers);
            if let Err(error) = self.flush(&mut batch).await {
                tracing::error!(error = %error, "log write failed");
                break error.to_string().into();
            }
            if close {
                break CLOSED.into();
            }
        };
        self.shared.fail(&reason);
        complete(batch.drain(..), Err(&reason));
        self.queue.close();
        while self.queue.recv_many(&mut batch, MAX_QUEUED_WRITES).await > 0 {
            take_closers(&mut batch, &mut closers);
            complete(batch.drain(..), Err(&reason));
        }
        self.shared.close_database();
        for closer in closers {
            // The receiver may be gone.
            let _ = closer.send(());
        }
    }

    /// Makes a batch durable and notifies the callers. The batch stays unchanged on failure.
    async fn flush(&mut self, batch: &mut Vec<Queued>) -> io::Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let ascending = batch.iter().zip(batch.iter().skip(1)).all(|(one, next)| one.number < next.number);
        debug_assert!(ascending, "writes keep the order of the queue");
        let (since, number, writes) = (first.since, last.number, batch.len() as u64);
        self.shared.flushes().unfinished_since = Some(since);
        let started = clock::now();
        task::block_for(self.shared.take_stall()).await?;
        let (committed, marks) = {
            let mut memory = self.shared.memory();
            (memory.committed, memory.take_changed_marks())
        };
        // A panic of the library counts as a failed write, so that every caller gets an answer.
        let commit = AssertUnwindSafe(|| self.commit(batch, committed, marks.as_ref()));
        let end = panic::catch_unwind(commit)
            .unwrap_or_else(|_| Err(io::Error::other("the database library panicked")))?;
        self.end = end;
        self.shared.disk.written();
        self.shared.flushes().finish(writes, clock::since(started));
        let mut memory = self.shared.memory();
        memory.evict(number, MAX_CACHED_BYTES);
        if let Some(vote) = batch.iter().rev().find_map(|queued| match &queued.write {
            Write::Vote(vote, _) => Some(*vote),
            _ => None,
        }) {
            memory.vote = Some(vote);
        }
        // Sent under the lock: a later truncation lowers the value again.
        let durable_end = memory.durable_end(number, end);
        self.shared.durable.send_replace(Durable::Until(durable_end));
        memory.mark_until(durable_end);
        drop(memory);
        for queued in batch.iter() {
            match &queued.write {
                Write::Append(records, _) => {
                    records.last().iter().for_each(|(index, _)| world::note(Note::Durable { index: *index }));
                }
                Write::Truncate(from) => world::note(Note::Truncated { from: *from }),
                Write::Vote(..) | Write::Purge(_) | Write::Close(_) => {}
            }
        }
        complete(batch.drain(..), Ok(()));
        Ok(())
    }

    /// Commits one durable transaction. Returns the index after the last entry.
    fn commit(
        &mut self,
        batch: &[Queued],
        committed: Option<LogId>,
        marks: Option<&Marks>,
    ) -> io::Result<u64> {
        let shared = self.shared.clone();
        shared.with_database(|database| {
            let transaction = begin_durable(database).map_err(io::Error::other)?;
            let mut end = self.end;
            for queued in batch {
                end = apply(&transaction, &queued.write, end).map_err(io::Error::other)?;
            }
            // Written along with the batch. Never names an entry that is not in the file: a restart applies
            // up to it.
            let committed = committed.filter(|id| id.index < end && Some(*id) != self.committed);
            if let Some(id) = &committed {
                let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
                meta.insert(COMMITTED, record::encode(id).as_slice()).map_err(io::Error::other)?;
            }
            if let Some(marks) = marks {
                let mut meta = transaction.open_table(META).map_err(io::Error::other)?;
                meta.insert(MARKS, record::encode(marks).as_slice()).map_err(io::Error::other)?;
            }
            transaction.commit().map_err(io::Error::other)?;
            self.committed = committed.or(self.committed);
            Ok(end)
        })
    }
}

/// Executes a write on a log with the given end index. Returns the new end index.
fn apply(transaction: &WriteTransaction, write: &Write, end: u64) -> Result<u64, redb::Error> {
    match write {
        Write::Vote(vote, _) => {
            transaction.open_table(META)?.insert(VOTE, record::encode(vote).as_slice())?;
            Ok(end)
        }
        Write::Append(records, _) => {
            let start = records.first().map_or(end, |(index, _)| *index);
            debug_assert!(start == end || end == 0, "entry {start} is appended where {end} belongs");
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
            let beyond = if is_planted(Mistake::LogCutTooFar) { 2 } else { 0 };
            transaction.open_table(ENTRIES)?.retain_in::<u64, _>(..=upto.index + beyond, |_, _| false)?;
            transaction.open_table(META)?.insert(PURGED, record::encode(upto).as_slice())?;
            Ok(end.max(upto.index + 1))
        }
        Write::Close(_) => Ok(end),
    }
}

/// Removes close requests and everything queued after the first, and fails the writes among the latter.
fn take_closers(batch: &mut Vec<Queued>, closers: &mut Vec<oneshot::Sender<()>>) -> bool {
    let Some(end) = batch.iter().position(|queued| matches!(queued.write, Write::Close(_))) else {
        return false;
    };
    for queued in batch.split_off(end) {
        match queued.write {
            Write::Close(closer) => closers.push(closer),
            write => complete_one(write, Err(&CLOSED.into())),
        }
    }
    true
}

fn complete(batch: impl Iterator<Item = Queued>, result: Result<(), &Arc<str>>) {
    for queued in batch {
        complete_one(queued.write, result);
    }
}

fn complete_one(write: Write, result: Result<(), &Arc<str>>) {
    let result = result.map_err(|reason| io::Error::other(reason.as_ref()));
    match write {
        Write::Vote(_, waiter) => {
            // The receiver may be gone.
            let _ = waiter.map(|waiter| waiter.send(result));
        }
        Write::Append(_, flushed) => flushed.io_completed(result),
        Write::Truncate(_) | Write::Purge(_) | Write::Close(_) => {}
    }
}

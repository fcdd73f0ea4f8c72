//! The Raft log and the vote, in one file.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftTypeConfig};
use redb::{Database, ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, oneshot, watch};

use super::database::{begin_durable, guarded, open_file};
use super::disk_space::DiskSpace;
use super::error::StorageError;
use super::memory::Memory;
use super::record;
use super::writer::{
    COMMITTED, DIRECTORY, Durable, ENTRIES, FlushStats, MARKS, MAX_QUEUED_WRITES, META, PURGED, Queued,
    SharedLog, VOTE, Write, Writer,
};
use crate::format::FormatVersion;
use crate::ids::RaftId;
use crate::marks::{Mark, Marks, OwnMark};
use crate::planted::{Mistake, is_planted};
use crate::types::{Entry, LogId, TypeConfig, Vote};
use crate::world::files::{File, Open};
use crate::world::{self, Note, clock, random, task};

const WHAT: &str = "the log file";
/// Maximum number of attempts at a disk read interrupted by the removal of entries.
const MAX_READ_ATTEMPTS: u32 = 16;

/// The log and the vote. Clones are handles of the same log; the file is closed by [`LogStore::close`], or
/// some time after the last handle is dropped.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<SharedLog>,
    queue: mpsc::Sender<Queued>,
    /// Random number of the opened log.
    boot: u64,
}

/// The data directory that a log belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogOwner {
    /// Raft id of the directory.
    pub raft_id: RaftId,
    /// True if the node belongs to a cluster, and so has a log that was begun before.
    pub is_member: bool,
}

/// Watch on the durability of the log.
#[derive(Clone)]
pub(crate) struct DurabilityWatch(watch::Receiver<Durable>);

impl LogStore {
    /// Opens the log in a file, or creates a new log. Blocks while verifying the whole file.
    ///
    /// # Errors
    /// [`StorageError`] if the file cannot be opened, is damaged, is another directory's, or was written by
    /// another release.
    pub(crate) fn open(path: &Path, disk: &Arc<DiskSpace>, owner: LogOwner) -> Result<Self, StorageError> {
        // A log is created under another name: a file without a byte was emptied.
        if StorageError::exists(path)? && is_empty(path)? {
            return Err(StorageError::LogEmptied);
        }
        guarded(WHAT, || Self::start(open_file(WHAT, path, disk)?, Arc::clone(disk), Some(owner)))
    }

    /// Opens the log on any storage backend.
    #[cfg(test)]
    pub(super) fn with_backend(backend: impl redb::StorageBackend) -> Result<Self, StorageError> {
        Self::start(super::database::open_backend(WHAT, backend)?, Arc::new(DiskSpace::unlimited()), None)
    }

    fn start(
        database: Database,
        disk: Arc<DiskSpace>,
        owner: Option<LogOwner>,
    ) -> Result<Self, StorageError> {
        create_tables(&database).map_err(StorageError::database(WHAT))?;
        let mut memory = load(&database)?;
        if let Some(owner) = owner {
            claim(&database, &mut memory, owner)?;
        }
        let end = memory.end();
        memory.mark_until(end);
        world::note(Note::Opened { vote: memory.vote.as_ref(), last: memory.last.as_ref() });
        let shared = Arc::new(SharedLog::new(database, memory, disk));
        let (queue, writes) = mpsc::channel(MAX_QUEUED_WRITES);
        Writer::start(shared.clone(), writes).map_err(StorageError::io(Path::new("a thread")))?;
        Ok(Self { shared, queue, boot: random() })
    }

    /// Returns the mark of the local data directory. From memory.
    pub(crate) fn own_mark(&self) -> OwnMark {
        let mut memory = self.shared.memory();
        memory.mark_until(self.shared.durable_end());
        let vote = memory.vote.map(|vote| vote.leader_id);
        let term = vote.map_or(0, |vote| vote.term);
        let voted_for = vote.map(|vote| vote.voted_for);
        let mark = Mark { term, voted_for, committed: memory.marked };
        OwnMark { boot: self.boot, mark, last: memory.last }
    }

    /// Returns the marks of other data directories. From memory.
    pub(crate) fn marks(&self) -> Marks {
        self.shared.memory().marks.clone()
    }

    /// Returns the mark of another data directory.
    pub(crate) fn mark_of(&self, id: RaftId) -> Option<Mark> {
        self.shared.memory().marks.of(id)
    }

    /// Raises the marks of data directories; written with the next commit.
    pub(crate) fn raise_marks<'a>(&self, marks: impl IntoIterator<Item = &'a (RaftId, Mark)>) {
        self.shared.memory().raise_marks(marks);
    }

    /// Returns the last entry, or the last purged entry.
    pub(super) fn last(&self) -> Option<LogId> {
        self.shared.memory().last
    }

    /// Returns the last entry known to be committed.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.shared.memory().committed
    }

    /// Makes queued writes durable, closes the file and releases the file lock. All handles are unusable
    /// afterwards.
    pub(crate) async fn close(self) {
        let (closer, closed) = oneshot::channel();
        if let Ok(permit) = self.queue.reserve().await {
            permit.send(Queued { number: 0, since: clock::now(), write: Write::Close(closer) });
            // An error means that the writer thread has ended.
            let _ = closed.await;
        }
    }

    /// Returns statistics of the disk flushes. From memory.
    pub(crate) fn flush_stats(&self) -> FlushStats {
        self.shared.stats()
    }

    /// Returns the waiting time of the oldest write in the commit in flight.
    pub(crate) fn oldest_unfinished(&self) -> Option<Duration> {
        self.shared.oldest_unfinished()
    }

    /// Delays the next commit by `duration`, for drills.
    pub(crate) fn stall(&self, duration: Duration) {
        self.shared.stall(duration);
    }

    /// Returns a watch on the durability of the log.
    pub(crate) fn mark(&self) -> DurabilityWatch {
        DurabilityWatch(self.shared.durable.subscribe())
    }

    /// Returns the stored size of the entries in the log, in bytes. From memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.memory().bytes()
    }

    /// Returns the cause for which writes fail.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.memory().failed.as_ref().map(ToString::to_string)
    }

    /// Returns the last purged entry.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.shared.memory().purged
    }

    /// Applies `change` to the memory and queues the resulting write in one step: writes reach the disk in
    /// the order of their changes to the memory.
    async fn submit(&self, change: impl FnOnce(&mut Memory, u64) -> io::Result<Write>) -> io::Result<()> {
        let permit = self.queue.reserve().await.map_err(|_| self.shared.failure())?;
        let mut memory = self.shared.memory();
        if let Some(reason) = &memory.failed {
            return Err(io::Error::other(reason.as_ref()));
        }
        let number = memory.last_submitted + 1;
        let write = change(&mut memory, number)?;
        memory.last_submitted = number;
        permit.send(Queued { number, since: clock::now(), write });
        Ok(())
    }

    /// Reads the existing entries of a range, as of one moment.
    async fn read(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        for _ in 0..MAX_READ_ATTEMPTS {
            let plan = {
                let memory = self.shared.memory();
                check(&memory)?;
                memory.plan(range.clone())
            };
            let mut entries = Vec::new();
            if !plan.on_disk.is_empty() {
                let shared = self.shared.clone();
                let on_disk = plan.on_disk.clone();
                let read = task::blocking(move || shared.read_entries(on_disk)).await;
                if self.shared.memory().removals != plan.removals {
                    continue;
                }
                entries = read.map_err(io::Error::other)??;
            }
            entries.extend(plan.cached.iter().map(|entry| entry.as_ref().clone()));
            return Ok(entries);
        }
        Err(io::Error::other(format!(
            "the log changed during each of {MAX_READ_ATTEMPTS} attempts to read it"
        )))
    }
}

impl DurabilityWatch {
    /// Waits until the entry at `index` is durable on this node.
    ///
    /// # Errors
    /// If the log failed or was closed.
    pub(crate) async fn reached(&mut self, index: u64) -> io::Result<()> {
        let reached = self.0.wait_for(|durable| match durable {
            Durable::Until(end) => index < *end,
            Durable::Failed(_) => true,
        });
        match &*reached.await.map_err(|_| io::Error::other("the log is closed"))? {
            Durable::Until(_) => Ok(()),
            Durable::Failed(reason) => Err(io::Error::other(reason.as_ref())),
        }
    }

    /// Returns a mark with every index durable.
    #[cfg(test)]
    pub(super) fn everything() -> Self {
        Self(watch::channel(Durable::Until(u64::MAX)).1)
    }
}

/// True if `vote` only commits the `durable` vote, for the same leader.
fn is_confirmed_by(durable: &Vote, vote: &Vote) -> bool {
    durable.leader_id == vote.leader_id && vote.is_committed()
}

fn check(memory: &Memory) -> io::Result<()> {
    memory.failed.as_ref().map_or(Ok(()), |reason| Err(io::Error::other(reason.as_ref())))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let memory = self.shared.memory();
        check(&memory)?;
        Ok(memory.vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let memory = self.shared.memory();
        check(&memory)?;
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    /// Saves the vote: durable on return, and visible to readers from then on.
    ///
    /// A committed vote for the leader of the durable vote is the exception: the call does not wait for the
    /// disk. Only the knowledge of the election's outcome may be lost: the vote itself is durable, so no
    /// second candidate gets a vote of this node in the same term, and entries of the leader follow to the
    /// disk in queue order. A leader takes over two flushes earlier as a result.
    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut waits = None;
        if is_planted(Mistake::VoteNotDurable) {
            self.shared.memory().vote = Some(*vote);
            world::note(Note::Promised(vote));
            return Ok(());
        }
        self.submit(|memory, _| {
            if memory.vote.is_some_and(|durable| is_confirmed_by(&durable, vote)) {
                memory.vote = Some(*vote);
                return Ok(Write::Vote(*vote, None));
            }
            let (waiter, saved) = oneshot::channel();
            waits = Some(saved);
            Ok(Write::Vote(*vote, Some(waiter)))
        })
        .await?;
        if let Some(saved) = waits {
            saved.await.map_err(|_| self.shared.failure())??;
        }
        world::note(Note::Promised(vote));
        Ok(())
    }

    /// Records the committed id without a write: the next commit of a log with this entry includes the id.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut memory = self.shared.memory();
        check(&memory)?;
        memory.committed = memory.committed.max(committed);
        memory.mark_until(self.shared.durable_end());
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let memory = self.shared.memory();
        check(&memory)?;
        Ok(memory.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = <TypeConfig as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut sized = Vec::new();
        let mut records = Vec::new();
        for entry in entries {
            let record = record_of(&entry);
            let (index, bytes) = (entry.log_id.index, record.len());
            records.push((index, record));
            sized.push((entry, bytes));
        }
        self.submit(|memory, number| {
            memory.check_append(&sized).map_err(io::Error::other)?;
            note_appended(memory.last.as_ref(), &sized);
            memory.append(sized, number);
            Ok(Write::Append(records, callback))
        })
        .await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.submit(|memory, number| {
            let from = memory.truncate(last_log_id, number);
            // The entries that replace these are not durable yet.
            self.shared.durable.send_if_modified(|durable| match durable {
                Durable::Until(end) if *end > from => {
                    *end = from;
                    true
                }
                _ => false,
            });
            Ok(Write::Truncate(from))
        })
        .await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.submit(|memory, _| {
            memory.purge(log_id);
            Ok(Write::Purge(memory.purged.unwrap_or(log_id)))
        })
        .await
    }
}

/// Notes entries that are added behind `previous`.
fn note_appended<'a>(mut previous: Option<&'a LogId>, entries: &'a [(Entry, usize)]) {
    for (entry, _) in entries {
        world::note(Note::Appended { previous, id: &entry.log_id, content: &entry.payload });
        previous = Some(&entry.log_id);
    }
}

/// Encodes an entry, in the form of the contained command.
pub(super) fn record_of(entry: &Entry) -> Vec<u8> {
    let version = match &entry.payload {
        // The record of an unreadable command has a readable form, with the bytes of the command unchanged.
        EntryPayload::Normal(command) => command.version().min(FormatVersion::LATEST),
        EntryPayload::Blank | EntryPayload::Membership(_) => FormatVersion::FIRST,
    };
    record::encode_in(version, entry)
}

fn is_empty(path: &Path) -> Result<bool, StorageError> {
    let file = File::open(path, Open::Read).map_err(StorageError::io(path))?;
    Ok(file.len().map_err(StorageError::io(path))? == 0)
}

/// Binds the log to its data directory, or checks the binding. A log of release 0.2 or earlier has none yet.
fn claim(database: &Database, memory: &mut Memory, owner: LogOwner) -> Result<(), StorageError> {
    match memory.directory {
        Some(found) if found == owner.raft_id => return Ok(()),
        Some(found) => return Err(StorageError::ForeignLog { found, expected: owner.raft_id }),
        // A member has a log with a vote, or a log with this binding.
        None if owner.is_member && memory.vote.is_none() && memory.last.is_none() => {
            return Err(StorageError::LogEmptied);
        }
        None => {}
    }
    let write = || -> Result<(), redb::Error> {
        let transaction = begin_durable(database)?;
        transaction.open_table(META)?.insert(DIRECTORY, record::encode(&owner.raft_id).as_slice())?;
        Ok(transaction.commit()?)
    };
    write().map_err(StorageError::database(WHAT))?;
    memory.directory = Some(owner.raft_id);
    Ok(())
}

/// Reads and verifies the whole file.
fn load(database: &Database) -> Result<Memory, StorageError> {
    let read = database.begin_read().map_err(StorageError::database(WHAT))?;
    let meta = read.open_table(META).map_err(StorageError::database(WHAT))?;
    let value = |key| meta.get(key).map_err(StorageError::database(WHAT));
    let mut memory = Memory::default();
    if let Some(vote) = value(VOTE)? {
        memory.vote = Some(record::decode(vote.value()).map_err(StorageError::record("the vote"))?);
    }
    if let Some(id) = value(COMMITTED)? {
        memory.committed =
            Some(record::decode(id.value()).map_err(StorageError::record("what is committed"))?);
    }
    if let Some(id) = value(PURGED)? {
        memory.purged = Some(record::decode(id.value()).map_err(StorageError::record("what is purged"))?);
    }
    if let Some(id) = value(DIRECTORY)? {
        memory.directory =
            Some(record::decode(id.value()).map_err(StorageError::record("the directory of the log"))?);
    }
    if let Some(marks) = value(MARKS)? {
        memory.marks = record::decode(marks.value()).map_err(StorageError::record("the marks"))?;
    }
    memory.last = memory.purged;
    memory.first = memory.end();
    let entries = read.open_table(ENTRIES).map_err(StorageError::database(WHAT))?;
    for row in entries.iter().map_err(StorageError::database(WHAT))? {
        let (index, record) = row.map_err(StorageError::database(WHAT))?;
        let (expected, found) = (memory.end(), index.value());
        let what = || format!("entry {found} of the log");
        let entry: Entry = record::decode(record.value()).map_err(StorageError::record(what()))?;
        if found != expected || entry.log_id.index != expected {
            return Err(StorageError::Gap { expected, found: entry.log_id.index.max(found) });
        }
        if memory.last > Some(entry.log_id) {
            return Err(StorageError::Order { id: entry.log_id });
        }
        memory.found(entry.log_id, record.value().len());
    }
    match memory.committed.filter(|committed| committed.index >= memory.end()) {
        Some(committed) => Err(StorageError::CommittedLost { committed }),
        None => Ok(memory),
    }
}

/// Creates missing tables.
fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = begin_durable(database)?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    Ok(())
}

//! One running Raft and its storage, and the supervisor that opens it again after the storage failed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Config, Raft, RaftMetrics, SnapshotPolicy};
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::backoff::Backoff;
use crate::core::Core;
use crate::format::NeedsRelease;
use crate::handle::Timing;
use crate::identity::DataDirError;
use crate::network::Factory;
use crate::storage::{
    self, LOG_FILE, LogStore, Room, Shortage, StateMachine, StateView, Storage, StorageFailure, Unopened,
};
use crate::types::{LogId, RaftId, TypeConfig, Vote};

/// Entries that stay in the log after a snapshot, for followers that are a little behind.
const ENTRIES_KEPT: u64 = 1000;
/// Upper estimate of the length of an entry.
const ENTRY_BYTES: u64 = 8 << 10;
/// How long closing may take: a disk that hangs must not keep a node from ending.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Entries in one append, so that it fits into a frame by far.
const MAX_ENTRIES_PER_APPEND: u64 = 128;
/// Between two attempts to open a storage that failed: doubled each time up to the second.
const REOPEN_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A running Raft.
pub(crate) struct Node {
    pub raft: Raft<TypeConfig, StateMachine>,
    /// What was applied.
    pub state: StateView,
    /// The log, for its figures.
    pub log: LogStore,
    /// Room on the disk.
    pub room: Arc<Room>,
    opened: Instant,
    /// When an append of the leader was last taken.
    appended: Mark,
    /// When an append of the leader of the current vote last arrived.
    heard: Mark,
    /// Since when Raft has been asked for a sign of life in vain.
    asked: Mark,
}

/// A moment, or none.
#[derive(Default)]
struct Mark(AtomicU64);

impl Mark {
    fn set(&self, since_opened: Duration) {
        self.0.store(since_opened.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn since_opened(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }
}

/// Why Raft cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log or the state machine.
    #[error("cannot open the storage")]
    Storage(#[source] Unopened),
    /// The timers.
    #[error("illegal timers: {0}")]
    Timers(String),
    /// openraft.
    #[error("cannot start Raft: {0}")]
    Raft(String),
}

impl OpenError {
    /// True for a mistake of the operator, which no waiting mends: the node ends at its start.
    fn is_mistake(&self) -> bool {
        match self {
            Self::DataDir(error) => error.is_mistake(),
            Self::Storage(unopened) => unopened.error.is_of_another_release(),
            Self::Timers(_) => true,
            Self::Raft(_) => false,
        }
    }

    /// The same for operators, with file and remedy.
    fn failure(&self, data_dir: &Path) -> StorageFailure {
        match self {
            Self::DataDir(error) => error.failure(data_dir),
            Self::Storage(unopened) => StorageFailure::unopened(unopened, data_dir),
            Self::Timers(_) | Self::Raft(_) => {
                StorageFailure::other(data_dir, data_dir, crate::text_with_sources(self))
            }
        }
    }
}

impl Node {
    /// Opens `core`'s data directory and the storage in it, and starts Raft on it.
    async fn open(core: &Arc<Core>) -> Result<Self, OpenError> {
        let options = &core.options;
        let kept = entries_kept(options.max_log_bytes);
        let config = raft_config(&options.cluster_name, &options.timing, options.snapshot_every, kept)
            .map_err(|error| OpenError::Timers(error.to_string()))?;
        let opening = Arc::clone(core);
        let opened = tokio::task::spawn_blocking(move || {
            opening.data.open()?;
            storage::open(opening.data.path(), opening.options.max_log_bytes).map_err(OpenError::Storage)
        });
        // A panic of the library on damaged bytes counts as a failure.
        let Storage { log, state: machine, room } =
            opened.await.map_err(|error| OpenError::Raft(error.to_string()))??;
        let state = machine.view();
        let factory = Factory::new(Arc::clone(core));
        let id = core.identity().raft_id;
        let raft = Raft::new(id, Arc::new(config), factory, log.clone(), machine).await;
        let raft = raft.map_err(|error| match state.needed() {
            Some(needed) => {
                let (file, error) = (core.data.path().join(LOG_FILE), needed.clone().into());
                OpenError::Storage(Unopened { file, error })
            }
            None => OpenError::Raft(error.to_string()),
        })?;
        let (appended, heard, asked) = Default::default();
        Ok(Self { raft, state, log, room, opened: Instant::now(), appended, heard, asked })
    }

    /// Raft's own view of itself, as a copy: to hold it would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Ends Raft, since only another release reads what the cluster has committed.
    pub(crate) fn stop_for(&self, needed: &NeedsRelease) {
        self.state.note_needed(needed);
        let raft = self.raft.clone();
        // The supervisor sees the end and does the rest.
        tokio::spawn(async move { raft.shutdown().await });
    }

    /// An append of the leader was taken, if only a heartbeat.
    pub(crate) fn note_append(&self) {
        self.appended.set(self.opened.elapsed());
    }

    /// How long ago the leader last appended.
    pub(crate) fn append_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.appended, now)
    }

    /// An append under this vote arrived, and nothing is done about it yet. Whether it is the current leader's.
    pub(crate) fn note_arrival(&self, vote: &Vote) -> bool {
        let is_leaders = *vote == self.vote();
        if is_leaders {
            self.heard.set(self.opened.elapsed());
        }
        is_leaders
    }

    /// How long ago an append of the leader last arrived, whether or not the disk has taken it.
    pub(crate) fn heard_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.heard, now)
    }

    /// Has Raft give a sign of life.
    pub(crate) async fn ask_for_pulse(&self) {
        self.asked.set(self.opened.elapsed());
        // An error says that it ended: nobody waits for it any more.
        let _ = self.raft.with_raft_state(|_| ()).await;
        self.asked.clear();
    }

    /// The reason to refuse writes of clients for want of room on the disk. From memory.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.room.admit(self.log.bytes()).err()
    }

    /// True if the log is half as long as it may be, and a snapshot would cut it: long entries fill it before their number
    /// asks for one.
    pub(crate) fn log_needs_snapshot(&self) -> bool {
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let metrics = self.metrics();
        let since_snapshot = index(metrics.last_applied).saturating_sub(index(metrics.snapshot));
        let max_bytes = self.room.max_log_bytes();
        self.log.bytes() > max_bytes / 2 && since_snapshot > entries_kept(max_bytes)
    }

    /// For how long Raft or the disk has been at the same thing.
    pub(crate) fn stuck(&self, now: Instant) -> Duration {
        let raft = self.age(&self.asked, now).unwrap_or_default();
        raft.max(self.log.oldest_unfinished().unwrap_or_default())
    }

    fn age(&self, mark: &Mark, now: Instant) -> Option<Duration> {
        mark.since_opened().map(|at| now.saturating_duration_since(self.opened + at))
    }

    /// True once an entry of this term is applied: then everything that earlier leaders committed is.
    pub(crate) fn has_applied_term(&self, term: u64) -> bool {
        self.state.last_applied().is_some_and(|id| id.leader_id.term == term)
    }

    /// The last log entry.
    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
    }

    /// Tells when vote, role, leader or membership change from now on.
    pub(crate) fn watch(&self) -> WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>> {
        let mut metrics = self.raft.server_metrics();
        // A receiver of openraft's has not seen what was there before it.
        drop(metrics.borrow_and_update());
        metrics
    }

    /// The vote that the storage has taken.
    pub(crate) fn vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    /// The committed leader's id, according to the stored vote.
    pub(crate) fn voted_leader(&self) -> Option<RaftId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }
}

/// Entries that stay in the log after a snapshot: at most an eighth of what may be in it.
fn entries_kept(max_log_bytes: u64) -> u64 {
    ENTRIES_KEPT.min(max_log_bytes / 8 / ENTRY_BYTES)
}

/// How openraft is set up. A test pins what must not be left at its default.
fn raft_config(
    cluster_name: &str,
    timing: &Timing,
    snapshot_every: u64,
    entries_kept: u64,
) -> Result<Config, openraft::ConfigError> {
    let ms = |duration: Duration| duration.as_millis() as u64;
    let lease_ms = ms(timing.election_timeout_max);
    Config {
        cluster_name: cluster_name.to_owned(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_timeout_min),
        election_timeout_max: lease_ms,
        // A deposed leader does not disturb; on restart nobody leads without a vote.
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        // Without it a leader that lost its quorum pins the voters that it still reaches. This is its smallest value.
        quorum_loss_probe_interval: Some(2 * lease_ms),
        // A peer that comes back is found within a tenth of a second.
        backoff: "20ms 20ms 50ms ...100ms".to_owned(),
        max_payload_entries: MAX_ENTRIES_PER_APPEND,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: entries_kept,
        ..Config::default()
    }
    .validate()
}

/// Opens the storage and keeps a Raft running on it: when that ends because the storage failed, it is opened and verified
/// again. The data plane does not notice. `first` is told of the first attempt: of a mistake of the operator, after which
/// nothing is tried again, and of anything else as a success.
pub(crate) async fn supervise(core: Arc<Core>, first: oneshot::Sender<Result<(), OpenError>>) {
    let mut first = Some(first);
    let mut backoff = Backoff::new(REOPEN_AFTER);
    while open(&core, &mut backoff, &mut first).await {
        let running_since = Instant::now();
        let Some(ended) = core.stopping.run_until_cancelled(until_fatal(&core)).await else { return };
        if let Some(failure) = needs_release(&core) {
            let StorageFailure { file, error, remedy, .. } = &failure;
            error!(file = %file.display(), error, remedy, "raft ended: the cluster needs a newer release here");
            core.fail(Some(failure));
            close(&core).await;
            // Nothing but another binary mends this.
            return core.stopping.cancelled().await;
        }
        let wanted = core.restart_wanted.swap(false, Ordering::Relaxed);
        if !wanted {
            let failure = ended_failure(&core, ended);
            error!(file = %failure.file.display(), error = failure.error, "raft ended; opening its storage again");
            core.fail(Some(failure));
        }
        close(&core).await;
        if wanted || running_since.elapsed() > 2 * REOPEN_AFTER.1 {
            backoff.reset();
        }
        // Where nothing failed, there is nothing to wait for.
        if !wanted && !wait_to_reopen(&core, backoff.pause()).await {
            return;
        }
    }
}

/// Opens the storage, however often it takes. False: the node stops.
async fn open(
    core: &Arc<Core>,
    backoff: &mut Backoff,
    first: &mut Option<oneshot::Sender<Result<(), OpenError>>>,
) -> bool {
    loop {
        let error = match Node::open(core).await {
            Ok(node) => {
                core.node.store(Some(Arc::new(node)));
                if core.stopping.is_cancelled() {
                    close(core).await;
                    return false;
                }
                if core.fail(None) {
                    info!("storage opened");
                }
                // Whoever started the node may not wait any more.
                let _ = first.take().map(|first| first.send(Ok(())));
                core.changed.notify_waiters();
                return true;
            }
            Err(error) => error,
        };
        let failure = error.failure(core.data.path());
        if error.is_mistake()
            && let Some(first) = first.take().filter(|first| !first.is_closed())
        {
            let _ = first.send(Err(error));
            return false;
        }
        let pause = backoff.pause();
        let StorageFailure { file, error, remedy, .. } = &failure;
        error!(file = %file.display(), error, remedy, retry_ms = pause.as_millis() as u64, "cannot open the storage");
        core.fail(Some(failure));
        let _ = first.take().map(|first| first.send(Ok(())));
        if !wait_to_reopen(core, pause).await {
            return false;
        }
    }
}

/// False: the node stops.
async fn wait_to_reopen(core: &Core, pause: Duration) -> bool {
    core.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

/// Failure that ended Raft where something was committed that only a newer release reads.
fn needs_release(core: &Core) -> Option<StorageFailure> {
    let node = core.node.load_full()?;
    let needed = node.state.needed()?;
    let dir = core.data.path();
    Some(StorageFailure::needs(&dir.join(LOG_FILE), dir, needed.to_string(), &needed.release))
}

/// Failure that ended Raft, with the file as far as that is known.
fn ended_failure(core: &Core, ended: String) -> StorageFailure {
    let dir = core.data.path();
    let Some(node) = core.node.load_full() else { return StorageFailure::other(dir, dir, ended) };
    let (file, reason) = match node.log.failure() {
        Some(reason) => (dir.join(LOG_FILE), reason),
        None => (dir.to_owned(), ended),
    };
    if node.room.may_open().is_err() {
        return StorageFailure::full(&file, dir, reason);
    }
    StorageFailure::other(&file, dir, reason)
}

/// Waits until the running Raft has ended by itself; returns why.
async fn until_fatal(core: &Core) -> String {
    let Some(node) = core.node.load_full() else { return "it is not running".to_owned() };
    let mut metrics = node.raft.metrics();
    drop(node);
    loop {
        if let Err(fatal) = &metrics.borrow_watched().running_state {
            return fatal.to_string();
        }
        if metrics.changed().await.is_err() {
            return "it stopped".to_owned();
        }
    }
}

/// Ends the running Raft and closes its files, whoever still has a handle.
pub(crate) async fn close(core: &Core) {
    let Some(node) = core.node.swap(None) else { return };
    let closing = async {
        let _ = node.raft.shutdown().await;
        // The log first: what is applied must be durable there.
        node.log.clone().close().await;
        node.state.close().await;
    };
    if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
        error!("the storage does not close in time; what was promised is on disk already");
    }
}

#[cfg(test)]
mod tests;

//! One running Raft and its storage, and the supervisor that reopens the storage after a failure.

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

/// Entries kept in the log after a snapshot, for followers slightly behind.
const ENTRIES_KEPT: u64 = 1000;
/// Upper estimate of the length of an entry.
const ENTRY_BYTES: u64 = 8 << 10;
/// Limit on closing: a disk that hangs must not keep a node from ending.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Limit on the entries of one append, so that an append fits into a frame by far.
const MAX_ENTRIES_PER_APPEND: u64 = 128;
/// First and largest pause between two attempts to reopen a failed storage; doubled each time.
const REOPEN_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A running Raft.
pub(crate) struct Node {
    pub raft: Raft<TypeConfig, StateMachine>,
    /// Applied state.
    pub state: StateView,
    /// Log, for its figures.
    pub log: LogStore,
    /// Disk space.
    pub room: Arc<Room>,
    opened: Instant,
    /// Time at which an append of the leader was last taken.
    appended: Mark,
    /// Time at which an append of the leader of the current vote last arrived.
    heard: Mark,
    /// Start of the pending liveness check of Raft; none while no check is pending.
    asked: Mark,
}

/// Point in time, or none.
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

/// Reason why Raft cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log or the state machine cannot be opened.
    #[error("cannot open the storage")]
    Storage(#[source] Unopened),
    /// The timers are invalid.
    #[error("illegal timers: {0}")]
    Timers(String),
    /// openraft does not start.
    #[error("cannot start Raft: {0}")]
    Raft(String),
}

impl OpenError {
    /// True for a mistake of the operator, which no waiting repairs: the node ends at its start.
    fn is_mistake(&self) -> bool {
        match self {
            Self::DataDir(error) => error.is_mistake(),
            Self::Storage(unopened) => unopened.error.is_of_another_release(),
            Self::Timers(_) => true,
            Self::Raft(_) => false,
        }
    }

    /// Returns the error as a storage failure for operators, with file and remedy.
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
    /// Opens the data directory and the storage of `core`, and starts Raft.
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

    /// Returns a copy of Raft's metrics: a borrowed view would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Ends Raft, since only another release reads the committed entries.
    pub(crate) fn stop_for(&self, needed: &NeedsRelease) {
        self.state.note_needed(needed);
        let raft = self.raft.clone();
        // The supervisor observes the end and does the rest.
        tokio::spawn(async move { raft.shutdown().await });
    }

    /// Records that an append of the leader was taken, heartbeats included.
    pub(crate) fn note_append(&self) {
        self.appended.set(self.opened.elapsed());
    }

    /// Returns the time since an append of the leader was last taken.
    pub(crate) fn append_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.appended, now)
    }

    /// Records the arrival of an append under `vote`, before any processing. True if the vote is the current
    /// leader's.
    pub(crate) fn note_arrival(&self, vote: &Vote) -> bool {
        let is_leaders = *vote == self.vote();
        if is_leaders {
            self.heard.set(self.opened.elapsed());
        }
        is_leaders
    }

    /// Returns the time since an append of the leader last arrived, whether or not the append is on disk.
    pub(crate) fn heard_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.heard, now)
    }

    /// Checks the liveness of Raft: the check is pending until Raft answers.
    pub(crate) async fn ask_for_pulse(&self) {
        self.asked.set(self.opened.elapsed());
        // After an error Raft has ended, and no answer is awaited any more.
        let _ = self.raft.with_raft_state(|_| ()).await;
        self.asked.clear();
    }

    /// Returns the reason to refuse clients' writes for want of disk space. From memory.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.room.admit(self.log.bytes()).err()
    }

    /// True if the log has reached half its limit in bytes, and a snapshot would shorten the log: long
    /// entries reach the limit before their number triggers a snapshot.
    pub(crate) fn log_needs_snapshot(&self) -> bool {
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let metrics = self.metrics();
        let since_snapshot = index(metrics.last_applied).saturating_sub(index(metrics.snapshot));
        let max_bytes = self.room.max_log_bytes();
        self.log.bytes() > max_bytes / 2 && since_snapshot > entries_kept(max_bytes)
    }

    /// Returns the time for which Raft or the disk has been blocked.
    pub(crate) fn stuck(&self, now: Instant) -> Duration {
        let raft = self.age(&self.asked, now).unwrap_or_default();
        raft.max(self.log.oldest_unfinished().unwrap_or_default())
    }

    fn age(&self, mark: &Mark, now: Instant) -> Option<Duration> {
        mark.since_opened().map(|at| now.saturating_duration_since(self.opened + at))
    }

    /// True once an entry of `term` is applied, and with it everything committed by earlier leaders.
    pub(crate) fn has_applied_term(&self, term: u64) -> bool {
        self.state.last_applied().is_some_and(|id| id.leader_id.term == term)
    }

    /// Returns the id of the last log entry.
    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
    }

    /// Returns a receiver of later changes to vote, role, leader or membership.
    pub(crate) fn watch(&self) -> WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>> {
        let mut metrics = self.raft.server_metrics();
        // A fresh receiver of openraft counts the present value as unseen.
        drop(metrics.borrow_and_update());
        metrics
    }

    /// Returns the vote stored by the node.
    pub(crate) fn vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    /// Returns the id of the committed leader, according to the stored vote.
    pub(crate) fn voted_leader(&self) -> Option<RaftId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }
}

/// Returns the number of entries kept after a snapshot: at most an eighth of the log's limit.
fn entries_kept(max_log_bytes: u64) -> u64 {
    ENTRIES_KEPT.min(max_log_bytes / 8 / ENTRY_BYTES)
}

/// Returns the configuration of openraft. A test pins the values that must not keep their defaults.
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
        // A deposed leader does not disturb the cluster; after a restart no node leads without a vote.
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        // Without a probe, a leader that lost its quorum pins the voters within reach. The value is the
        // smallest allowed.
        quorum_loss_probe_interval: Some(2 * lease_ms),
        // A returning peer is found within a tenth of a second.
        backoff: "20ms 20ms 50ms ...100ms".to_owned(),
        max_payload_entries: MAX_ENTRIES_PER_APPEND,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: entries_kept,
        ..Config::default()
    }
    .validate()
}

/// Opens the storage and keeps Raft running on the storage: after a failure, the storage is reopened and
/// verified. The data plane is not affected. `first` receives the result of the first attempt: a mistake of
/// the operator, after which no attempt follows, or success in any other case.
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
            // Only another binary repairs the failure.
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
        // Without a failure there is no reason to wait.
        if !wanted && !wait_to_reopen(&core, backoff.pause()).await {
            return;
        }
    }
}

/// Opens the storage in as many attempts as necessary. False if the node stops.
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
                // The caller that started the node may have stopped waiting.
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

/// Waits for `pause`. False if the node stops.
async fn wait_to_reopen(core: &Core, pause: Duration) -> bool {
    core.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

/// Returns the failure that ended Raft at a committed entry that only a newer release reads.
fn needs_release(core: &Core) -> Option<StorageFailure> {
    let node = core.node.load_full()?;
    let needed = node.state.needed()?;
    let dir = core.data.path();
    Some(StorageFailure::needs(&dir.join(LOG_FILE), dir, needed.to_string(), &needed.release))
}

/// Returns the failure that ended Raft, with the file if known.
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

/// Waits for the running Raft to end by itself; returns the cause.
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

/// Ends the running Raft and closes its files, even if handles remain in use.
pub(crate) async fn close(core: &Core) {
    let Some(node) = core.node.swap(None) else { return };
    let closing = async {
        let _ = node.raft.shutdown().await;
        // The log first: applied entries must be durable in the log.
        node.log.clone().close().await;
        node.state.close().await;
    };
    if tokio::time::timeout(CLOSE_WITHIN, closing).await.is_err() {
        error!("the storage does not close in time; what was promised is on disk already");
    }
}

#[cfg(test)]
mod tests;

//! One running Raft and its storage, and the supervisor that opens it again after the storage failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Config, Raft, RaftMetrics, SnapshotPolicy};
use tracing::{error, info};

use crate::core::Core;
use crate::handle::Timing;
use crate::network::Factory;
use crate::storage::{self, LogStore, StateMachine, StateView, Storage};
use crate::types::{LogId, RaftId, TypeConfig, Vote};

/// Entries that stay in the log after a snapshot, for followers that are a little behind.
const ENTRIES_KEPT: u64 = 1000;
/// How long closing may take: a disk that hangs must not keep a node from ending.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Entries in one append, so that it fits into a frame by far.
const MAX_ENTRIES_PER_APPEND: u64 = 128;
/// Between two attempts to open a storage that failed: doubled each time up to the second.
const REOPEN_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A running Raft.
pub(crate) struct Node {
    pub raft: Raft<TypeConfig, StateMachine>,
    /// What was applied.
    pub state: StateView,
    /// The log, for its figures.
    pub log: LogStore,
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
    /// The log or the state machine.
    #[error("cannot open the storage")]
    Storage(#[source] storage::OpenError),
    /// openraft.
    #[error("cannot start Raft: {0}")]
    Raft(String),
}

impl Node {
    /// Opens the storage of `core`'s data directory and starts Raft on it.
    pub(crate) async fn open(core: &Arc<Core>) -> Result<Self, OpenError> {
        let directory = core.data.path().to_owned();
        let opened = tokio::task::spawn_blocking(move || storage::open(&directory)).await;
        let Storage { log, state: machine } =
            opened.map_err(|error| OpenError::Raft(error.to_string()))?.map_err(OpenError::Storage)?;
        let state = machine.view();
        let options = &core.options;
        let config = raft_config(&options.cluster_name, &options.timing, options.snapshot_every)
            .map_err(|error| OpenError::Raft(error.to_string()))?;
        let factory = Factory::new(Arc::clone(core));
        let id = core.identity().raft_id;
        let raft = Raft::new(id, Arc::new(config), factory, log.clone(), machine).await;
        let raft = raft.map_err(|error| OpenError::Raft(error.to_string()))?;
        let (appended, heard, asked) = Default::default();
        Ok(Self { raft, state, log, opened: Instant::now(), appended, heard, asked })
    }

    /// Raft's own view of itself, as a copy: to hold it would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
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

    /// For how long Raft or the disk has been at the same thing.
    pub(crate) fn stuck(&self, now: Instant) -> Duration {
        let raft = self.age(&self.asked, now).unwrap_or_default();
        raft.max(self.log.oldest_unfinished().unwrap_or_default())
    }

    fn age(&self, mark: &Mark, now: Instant) -> Option<Duration> {
        mark.since_opened().map(|at| now.saturating_duration_since(self.opened + at))
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

/// How openraft is set up. A test pins what must not be left at its default.
fn raft_config(
    cluster_name: &str,
    timing: &Timing,
    snapshot_every: u64,
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
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        ..Config::default()
    }
    .validate()
}

/// Keeps a Raft running: when it ends because its storage failed, the storage is opened and verified again. The data
/// plane does not notice.
pub(crate) async fn supervise(core: Arc<Core>) {
    let mut wait = REOPEN_AFTER.0;
    loop {
        let running_since = Instant::now();
        let Some(ended) = core.stopping.run_until_cancelled(until_fatal(&core)).await else { return };
        let wanted = core.restart_wanted.swap(false, Ordering::Relaxed);
        if !wanted {
            error!(failure = ended, "raft ended; opening its storage again");
            *core.failure.lock().expect("no panic while it is held") = Some(ended);
        }
        close(&core).await;
        if wanted || running_since.elapsed() > 2 * REOPEN_AFTER.1 {
            wait = REOPEN_AFTER.0;
        }
        // Nothing failed: there is nothing to wait for.
        let mut pause = if wanted { Duration::ZERO } else { wait };
        loop {
            if core.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            wait = (wait * 2).min(REOPEN_AFTER.1);
            pause = wait;
            match Node::open(&core).await {
                Ok(node) => {
                    core.node.store(Some(Arc::new(node)));
                    if core.stopping.is_cancelled() {
                        return close(&core).await;
                    }
                    *core.failure.lock().expect("no panic while it is held") = None;
                    core.changed.notify_waiters();
                    info!("the storage was opened again");
                    break;
                }
                Err(failure) => {
                    let text = crate::text_with_sources(&failure);
                    error!(failure = text, "cannot open the storage");
                    *core.failure.lock().expect("no panic while it is held") = Some(text);
                }
            }
        }
    }
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

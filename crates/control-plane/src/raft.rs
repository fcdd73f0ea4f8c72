//! One running Raft and its storage, and the supervisor that opens it again after the storage failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config, Raft, RaftMetrics, SnapshotPolicy};
use tracing::{error, info};

use crate::core::Core;
use crate::handle::Timing;
use crate::network::Factory;
use crate::storage::{self, LogStore, StateMachine, StateView, Storage};
use crate::types::{LogId, RaftId, TypeConfig};

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
    /// When the leader last appended, in microseconds after `opened`, plus one; 0: never.
    appended_at: AtomicU64,
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
        Ok(Self { raft, state, log, opened: Instant::now(), appended_at: AtomicU64::new(0) })
    }

    /// Raft's own view of itself, as a copy: to hold it would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The leader appended, if only a heartbeat.
    pub(crate) fn note_append(&self) {
        self.appended_at.store(self.opened.elapsed().as_micros() as u64 + 1, Ordering::Relaxed);
    }

    /// How long ago the leader last appended.
    pub(crate) fn append_age(&self, now: Instant) -> Option<Duration> {
        match self.appended_at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(now.saturating_duration_since(self.opened + Duration::from_micros(at - 1))),
        }
    }

    /// The last log entry.
    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
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
        error!(failure = ended, "raft ended; opening its storage again");
        *core.failure.lock().expect("no panic while it is held") = Some(ended);
        close(&core).await;
        if running_since.elapsed() > 2 * REOPEN_AFTER.1 {
            wait = REOPEN_AFTER.0;
        }
        loop {
            if core.stopping.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            wait = (wait * 2).min(REOPEN_AFTER.1);
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

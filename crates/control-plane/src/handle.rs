//! Interface of the control plane to the rest of a node.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Code;
use api::events::{Event, EventKind};
use api::status::ClusterStatus;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::calls;
use crate::catalog::{Command, Outcome, PageBounds, Setting, SettingKey, SettingsPage};
use crate::core::Core;
use crate::descriptors::Descriptors;
use crate::detector::Evidence;
use crate::identity::DataDir;
use crate::network::PortFigures;
use crate::raft::{self, Node, OpenError};
use crate::secret::{ClusterSecret, SecretError};
use crate::status::{Condition, Members, NodeAddress, NodeFigures};
use crate::storage::FlushStats;
use crate::tasks::{election, handover};
use crate::threads::Threads;

/// Limit on a leadership transfer by [`ControlPlane::hand_over`].
const HAND_OVER_WITHIN: Duration = Duration::from_secs(6);

/// Disk space of the file system below a data directory, and size of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFigures {
    /// Bytes available to any process.
    pub free_bytes: u64,
    /// Bytes reserved for Raft.
    pub reserve_bytes: u64,
    /// Bytes of entries in the log.
    pub log_bytes: u64,
}

/// Options of the control plane at its start.
pub struct Options {
    /// Name of the cluster; nodes of another name are refused.
    pub cluster_name: String,
    /// Name of the local node.
    pub me: String,
    /// Every configured node, the local node included, in the order of the configuration.
    pub nodes: Vec<NodeAddress>,
    /// Listening address for other nodes.
    pub listen: SocketAddr,
    /// Directory of durable data.
    pub data_dir: PathBuf,
    /// File with the secret of the cluster.
    pub cluster_key_file: PathBuf,
    /// Permission to found a cluster.
    pub bootstrap: Bootstrap,
    /// Timers.
    pub timing: Timing,
    /// Number of entries between two snapshots.
    pub snapshot_every: u64,
    /// Limit on the bytes of entries in the log while no snapshot can be written.
    pub max_log_bytes: u64,
    /// Hash of the configuration, compared between nodes.
    pub config_hash: String,
    /// Release of the local node.
    pub version: &'static str,
    /// Budget of file descriptors, which also limits the reads and writes in flight.
    pub descriptors: Descriptors,
    /// Figures of the local node, from memory.
    pub figures: Arc<dyn Fn() -> NodeFigures + Send + Sync>,
    /// Clock of the machine, in milliseconds since 1970. Only displayed times and the age of idempotency keys
    /// depend on the clock.
    pub clock_ms: fn() -> u64,
    /// Conditions outside the control plane for the status, from memory.
    pub conditions: Arc<dyn Fn() -> Vec<Condition> + Send + Sync>,
}

/// Permission of a node to found a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// Granted to the first configured node, with an empty directory and if no peer answers.
    Auto,
    /// Denied: the node waits to join.
    Never,
}

/// Timers of Raft and of the probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Lower bound of the election timeout. A follower becomes a candidate after the lease and a random time
    /// between the two bounds.
    pub election_timeout_min: Duration,
    /// Upper bound of the election timeout, and duration of the lease.
    pub election_timeout_max: Duration,
    /// Time between two probes of a peer, and limit on an answer.
    pub probe_interval: Duration,
    /// Unanswered probes of the leader in a row that trigger an early election; 0 disables early elections.
    pub probe_failures: u32,
}

/// Consistency of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The local state, at once and from memory. Another node may be more recent.
    Local,
    /// State that includes every write acknowledged before the call, as confirmed by a quorum.
    Linearizable {
        /// End of the wait for a quorum.
        deadline: Instant,
    },
}

/// Reason why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secret of the cluster cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory is another node's or in use, the storage was written by another release, or Raft
    /// cannot be set up. Any other failure of the storage does not prevent a start.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The port for other nodes cannot be opened.
    #[error("cannot listen for other nodes on {address}{}", help_with_listening(.source))]
    Listen {
        /// Address of the port.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The threads cannot be started.
    #[error("cannot start the threads of the control plane")]
    Threads(#[source] io::Error),
}

/// Returns the operator's next step for an address that cannot be listened on.
fn help_with_listening(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is another node running?",
        io::ErrorKind::AddrNotAvailable => {
            "; this is not an address of this machine: correct `ip` or `bind_ip` of this node"
        }
        _ => "",
    }
}

/// Reason why the control plane did not carry out a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ControlError {
    /// No leader was reached before the deadline. Nothing was proposed.
    #[error("no quorum answered in time: {reason}")]
    NoQuorum {
        /// Nodes or answers that are missing.
        reason: String,
    },
    /// A quorum answered, but the local node did not apply the required log index in time.
    #[error(
        "this node is behind the leader: it has not applied log index {index} in time; another node may have"
    )]
    Behind {
        /// Log index required by the read.
        index: u64,
    },
    /// The local node belongs to no cluster yet. Nothing was proposed.
    #[error("this node has not joined a cluster yet: {waiting_for}")]
    NotJoined {
        /// Condition for joining.
        waiting_for: String,
    },
    /// The local one-voter cluster gave way to another cluster. Nothing was proposed.
    #[error("{message}")]
    ForeignCluster {
        /// Description of the conflict and the operator's next step.
        message: String,
    },
    /// The command was proposed, and the deadline passed before an answer.
    #[error("it was proposed, but no answer came in time: it may or may not have been done")]
    OutcomeUnknown,
    /// Too many linearizable reads, or too many writes, in flight on the local node. Nothing was proposed.
    #[error("too many calls of the control plane in flight on this node (limit {max})")]
    Overloaded {
        /// Limit.
        max: usize,
    },
    /// The disks of the leader or of too many voters are full. Nothing was proposed.
    #[error("no disk space for changes: {reason}")]
    StorageFull {
        /// Nodes without room, and the figures.
        reason: String,
    },
    /// The local storage failed. Nothing was proposed.
    #[error("this node's storage failed: {0}")]
    Storage(String),
    /// The node stops or is paused. Nothing was proposed.
    #[error("the control plane of this node is stopped")]
    Stopped,
}

impl ControlError {
    /// Returns the code of the problem document.
    pub fn code(&self) -> Code {
        match self {
            Self::NoQuorum { .. } => Code::NoQuorum,
            Self::Behind { .. } => Code::Behind,
            Self::NotJoined { .. } => Code::NotJoined,
            Self::ForeignCluster { .. } => Code::ForeignCluster,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::StorageFull { .. } => Code::StorageFull,
            Self::Storage(_) => Code::StorageFailed,
            Self::Stopped => Code::Stopped,
        }
    }
}

/// Result of a leadership transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// Name of the former leader.
    pub from: String,
    /// Name of the present leader; equal to `from` if the requested node led already.
    pub to: String,
    /// Term of the new leader.
    pub term: u64,
}

/// Reason why leadership was not transferred. The former leader goes on leading, or an election finds another
/// leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransferError {
    /// No leader could be asked, as for any call.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No node of the configuration has the name.
    #[error("{name} is not a node of this cluster")]
    UnknownNode {
        /// Requested name.
        name: String,
    },
    /// The node cannot lead at the moment.
    #[error("{name} cannot take over: {reason}")]
    Unfit {
        /// Name of the node.
        name: String,
        /// Cause: no vote, no answer, or a log that is behind.
        reason: String,
    },
    /// No voter can take over.
    #[error("nobody can take over: {reason}")]
    NoSuccessor {
        /// Cause.
        reason: String,
    },
    /// The transfer was attempted, and the target did not become leader in time.
    #[error("{to} did not take over in time; {leader} leads")]
    NotTaken {
        /// Target of the transfer.
        to: String,
        /// Present leader, as far as the answering node knows.
        leader: String,
    },
}

impl TransferError {
    /// Returns the code of the problem document.
    pub fn code(&self) -> Code {
        match self {
            Self::Control(error) => error.code(),
            Self::UnknownNode { .. } => Code::UnknownNode,
            Self::Unfit { .. } => Code::CannotLead,
            Self::NoSuccessor { .. } => Code::NoSuccessor,
            Self::NotTaken { .. } => Code::TransferFailed,
        }
    }
}

/// The running control plane of the local node, on threads of its own. Every method may be called from any
/// thread; methods that are not async answer from memory.
#[derive(Clone)]
pub struct ControlPlane {
    core: Arc<Core>,
    threads: Arc<Threads>,
}

impl ControlPlane {
    /// Opens the data directory, begins to listen, and joins, founds or rejoins the cluster in the
    /// background. Blocks for a bounded time while opening: not for async threads. An unusable storage is
    /// tried again in the background.
    ///
    /// # Errors
    /// [`StartError`] if the secret or the port cannot be used, or after a mistake of the operator: the
    /// directory is in use or another node's, or was written by another release.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let secret = ClusterSecret::load_or_create(&options.cluster_key_file)?;
        let data = DataDir::new(&options.data_dir, &options.me);
        let (core, threads) = Threads::start(options, secret, data)?;
        Ok(Self { core, threads: Arc::new(threads) })
    }

    /// Returns the cluster as seen by the local node now.
    pub fn status(&self) -> ClusterStatus {
        self.core.status()
    }

    /// Returns the members of the cluster, as far as known to the local node.
    pub fn members(&self) -> Members {
        self.core.members()
    }

    /// Returns the settings after `after`, or from the first on, as many as fit into `bounds`.
    ///
    /// # Errors
    /// [`ControlError`] if the local node has no settings, or, for a linearizable read, if no quorum
    /// confirmed the read before the deadline.
    pub async fn settings(
        &self,
        after: Option<&SettingKey>,
        bounds: PageBounds,
        read: Read,
    ) -> Result<SettingsPage, ControlError> {
        let node = self.readable(read).await?;
        Ok(node.state.catalog(|catalog| catalog.settings(after, bounds)))
    }

    /// Returns one setting.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub async fn setting(&self, key: &SettingKey, read: Read) -> Result<Option<Setting>, ControlError> {
        let node = self.readable(read).await?;
        Ok(node.state.catalog(|catalog| catalog.setting(key).cloned()))
    }

    /// Returns one setting from the local state, at once and without a quorum: for the data plane.
    pub fn local_setting(&self, key: &SettingKey) -> Option<Setting> {
        let node = self.core.node.load();
        node.as_ref()?.state.catalog(|catalog| catalog.setting(key).cloned())
    }

    /// Has the leader apply a command, retrying through an election within the deadline.
    ///
    /// # Errors
    /// [`ControlError`]; after all but [`ControlError::OutcomeUnknown`], nothing was proposed.
    pub async fn submit(&self, command: Command, deadline: Instant) -> Result<Outcome, ControlError> {
        let place = self.place()?;
        let core = Arc::clone(&self.core);
        // Not cancelled with the caller: the outcome has to be found out.
        let submitted = self.threads.raft.spawn(async move {
            let _place = place;
            calls::submit(&core, command, deadline).await
        });
        submitted.await.unwrap_or(Err(ControlError::OutcomeUnknown))
    }

    /// Returns the secret of the cluster, for fingerprints and request ids.
    pub fn secret(&self) -> &ClusterSecret {
        &self.core.secret
    }

    /// Returns the recent events (bounded), and a receiver of all later events.
    pub fn events(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        self.core.events.watch()
    }

    /// Adds an event of the node.
    pub fn tell(&self, kind: EventKind) {
        self.core.events.tell(kind);
    }

    /// Returns number and durations of the log's commits to the disk.
    pub fn flush_stats(&self) -> Option<FlushStats> {
        Some(self.core.node.load().as_ref()?.log.flush_stats())
    }

    /// Returns the bytes of the disk and of the log; none while the storage is not open.
    pub fn disk_figures(&self) -> Option<DiskFigures> {
        let node = self.core.node.load_full()?;
        let (free_bytes, reserve_bytes) = node.room.bytes();
        Some(DiskFigures { free_bytes, reserve_bytes, log_bytes: node.log.bytes() })
    }

    /// Returns the connections at the port for nodes, and the reasons for closed connections.
    pub fn port_figures(&self) -> Option<PortFigures> {
        Some(self.core.port.load().as_ref()?.figures())
    }

    /// Stops communication with peers, as if the node hung; a drill.
    pub fn pause(&self) {
        self.core.links.pause();
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.core.links.resume();
    }

    /// Moves leadership to `to`, or without a name to the voter with the longest log, from any leader.
    ///
    /// # Errors
    /// [`TransferError`]; a working leader remains or is elected in any case.
    pub async fn transfer_leader(
        &self,
        to: Option<String>,
        deadline: Instant,
    ) -> Result<Transferred, TransferError> {
        let place = self.place()?;
        let core = Arc::clone(&self.core);
        // Not cancelled with the caller: a transfer in progress has to end.
        let transferred = self.threads.raft.spawn(async move {
            let _place = place;
            calls::transfer_leader(&core, to, deadline).await
        });
        transferred.await.unwrap_or(Err(TransferError::Control(ControlError::OutcomeUnknown)))
    }

    /// Delays the next commit of the log by `duration`, as on a disk that hangs; a drill.
    pub fn stall_disk(&self, duration: Duration) {
        if let Some(node) = self.core.node.load().as_ref() {
            node.log.stall(duration);
        }
    }

    /// Makes the local node suspect the leader for a moment, as a drill. True if the node follows a leader.
    pub fn raise_false_alarm(&self) -> bool {
        let Some(followed) = election::followed(&self.core) else { return false };
        self.threads.raft.spawn(election::suspect(Arc::clone(&self.core), followed, Evidence::Drill));
        true
    }

    /// Transfers leadership if the local node leads and another voter answers; the node continues as a
    /// follower.
    pub async fn hand_over(&self) {
        let core = Arc::clone(&self.core);
        let handed_over = self.threads.raft.spawn(async move {
            if core.moment().leads() {
                let handed_over =
                    tokio::time::timeout(HAND_OVER_WITHIN, handover::hand_over(&core, None)).await;
                if let Ok(Err(reason)) = handed_over {
                    warn!(%reason, "leadership was not handed over");
                }
            }
        });
        let _ = handed_over.await;
    }

    /// Transfers leadership if the local node leads, then stops. Returns once everything is on disk and the
    /// port is free.
    ///
    /// May be called again; every call waits for the end.
    pub async fn stop(&self) {
        let _stopping = self.threads.stopping.lock().await;
        if self.core.stopping.is_cancelled() {
            return;
        }
        self.hand_over().await;
        self.core.stopping.cancel();
        let core = Arc::clone(&self.core);
        let closed = self.threads.raft.spawn(async move { raft::close(&core).await });
        let _ = closed.await;
        self.threads.join().await;
    }

    /// Returns the local state, once as recent as requested by `read`. Reads in the state take no time of
    /// Raft's threads.
    async fn readable(&self, read: Read) -> Result<Arc<Node>, ControlError> {
        let core = Arc::clone(&self.core);
        // The data of a cluster that gave way remains readable, unchanged.
        if core.identity().gave_way_to.is_some()
            && let Some(node) = core.node.load_full()
        {
            return Ok(node);
        }
        let Read::Linearizable { deadline } = read else { return calls::local(&core) };
        let place = place(&core.read_places, core.options.descriptors.reads())?;
        let reading = self.threads.raft.spawn(async move {
            let _place = place;
            calls::linearize(&core, deadline).await
        });
        // A read without a waiting caller is aborted.
        AbortOnDropHandle::new(reading).await.unwrap_or(Err(ControlError::Stopped))
    }

    /// Returns a permit for a write in flight.
    fn place(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        place(&self.core.places, self.core.options.descriptors.writes())
    }
}

fn place(places: &Arc<Semaphore>, max: usize) -> Result<OwnedSemaphorePermit, ControlError> {
    Arc::clone(places).try_acquire_owned().map_err(|_| ControlError::Overloaded { max })
}

#[cfg(test)]
mod tests;

//! What the rest of a node sees of the control plane.

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

/// How long handing over may take.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(6);

/// Bytes of the disk below a data directory, and of the log in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFigures {
    /// Bytes that any process may take.
    pub free_bytes: u64,
    /// Bytes reserved for Raft.
    pub reserve_bytes: u64,
    /// Bytes of entries in the log.
    pub log_bytes: u64,
}

/// Everything the control plane is told at its start.
pub struct Options {
    /// The cluster's name: nodes of another name are strangers.
    pub cluster_name: String,
    /// This node's name.
    pub me: String,
    /// Every configured node, this one among them, in the configuration's order.
    pub nodes: Vec<NodeAddress>,
    /// Where to listen for other nodes.
    pub listen: SocketAddr,
    /// Where this node keeps what must not be lost.
    pub data_dir: PathBuf,
    /// The file with the cluster's secret.
    pub cluster_key_file: PathBuf,
    /// Whether this node may found a cluster.
    pub bootstrap: Bootstrap,
    /// Timers.
    pub timing: Timing,
    /// Entries between two snapshots.
    pub snapshot_every: u64,
    /// Bytes of entries in the log, at most, while no snapshot can be written.
    pub max_log_bytes: u64,
    /// Hash of the configuration: nodes compare it.
    pub config_hash: String,
    /// This node's release.
    pub version: &'static str,
    /// Descriptors that it may take, and with them how many reads and writes may be under way.
    pub descriptors: Descriptors,
    /// How this node is doing, from memory.
    pub figures: Arc<dyn Fn() -> NodeFigures + Send + Sync>,
    /// The machine's clock, in milliseconds since 1970. Nothing but times that people read, and the age of idempotency keys,
    /// depends on it.
    pub clock_ms: fn() -> u64,
    /// Conditions outside the control plane that the status tells of, from memory.
    pub conditions: Arc<dyn Fn() -> Vec<Condition> + Send + Sync>,
}

/// Whether a node may found a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// The first configured node does, with an empty directory and if nobody answers.
    Auto,
    /// Never: it waits to join.
    Never,
}

/// Timers of Raft and of the probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// A follower stands for election after the lease and a random time between these two.
    pub election_timeout_min: Duration,
    /// The upper bound, which is the lease too.
    pub election_timeout_max: Duration,
    /// Between two probes of a peer, and how long an answer may take.
    pub probe_interval: Duration,
    /// Unanswered probes of the leader in a row that bring an election forward; 0: nothing does, the timers decide alone.
    pub probe_failures: u32,
}

/// Consistency of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// As this node has it, at once and from memory. Another node may know more.
    Local,
    /// Whatever was acknowledged before the call is in it, which a quorum has to confirm.
    Linearizable {
        /// End of the wait for a quorum.
        deadline: Instant,
    },
}

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cluster's secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory is another node's or in use, the storage in it is another release's, or Raft cannot be set up.
    /// Any other failure of the storage is no reason not to start.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The port for other nodes.
    #[error("cannot listen for other nodes on {address}{}", help_with_listening(.source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The threads.
    #[error("cannot start the threads of the control plane")]
    Threads(#[source] io::Error),
}

/// The next step after an address could not be listened on.
fn help_with_listening(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; is another node running?",
        io::ErrorKind::AddrNotAvailable => {
            "; this is not an address of this machine: correct `ip` or `bind_ip` of this node"
        }
        _ => "",
    }
}

/// Why the control plane did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ControlError {
    /// No leader could be reached before the deadline. Nothing was proposed.
    #[error("no quorum answered in time: {reason}")]
    NoQuorum {
        /// What is missing.
        reason: String,
    },
    /// A quorum answered, but this node did not apply what the read needs in time.
    #[error(
        "this node is behind the leader: it has not applied log index {index} in time; another node may have"
    )]
    Behind {
        /// Log index that the read needs.
        index: u64,
    },
    /// This node belongs to no cluster yet. Nothing was proposed.
    #[error("this node has not joined a cluster yet: {waiting_for}")]
    NotJoined {
        /// What it waits for.
        waiting_for: String,
    },
    /// This node's one-voter cluster gave way to another one. Nothing was proposed.
    #[error("{message}")]
    ForeignCluster {
        /// What happened and what to do.
        message: String,
    },
    /// It was proposed, and the deadline came before an answer.
    #[error("it was proposed, but no answer came in time: it may or may not have been done")]
    OutcomeUnknown,
    /// Too many linearizable reads, or too many writes, in flight on this node. Nothing was proposed.
    #[error("too many calls of the control plane in flight on this node (limit {max})")]
    Overloaded {
        /// The limit.
        max: usize,
    },
    /// The disks of the leader or of too many voters are full. Nothing was proposed.
    #[error("no disk space for changes: {reason}")]
    StorageFull {
        /// The nodes without room, and the figures.
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
    /// Code of the problem document.
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

/// Leadership that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// Who led.
    pub from: String,
    /// Who leads now; the same where the node that was asked for led already.
    pub to: String,
    /// The new leader's term.
    pub term: u64,
}

/// Why leadership was not handed over. Whoever led goes on leading, or an election finds another leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TransferError {
    /// No leader could be asked: as for any other call.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No such node in the configuration.
    #[error("{name} is not a node of this cluster")]
    UnknownNode {
        /// The name.
        name: String,
    },
    /// The node cannot lead at the moment.
    #[error("{name} cannot take over: {reason}")]
    Unfit {
        /// The node.
        name: String,
        /// Why: it has no vote, does not answer, or is behind.
        reason: String,
    },
    /// Nobody can.
    #[error("nobody can take over: {reason}")]
    NoSuccessor {
        /// Why.
        reason: String,
    },
    /// It was tried, and nobody took over in time.
    #[error("{to} did not take over in time; {leader} leads")]
    NotTaken {
        /// Who was to lead.
        to: String,
        /// Who leads, as far as this node knows.
        leader: String,
    },
}

impl TransferError {
    /// Code of the problem document.
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

/// The running control plane of this node. It has its own threads; every method may be called from any thread, and those
/// that are not async answer from memory.
#[derive(Clone)]
pub struct ControlPlane {
    core: Arc<Core>,
    threads: Arc<Threads>,
}

impl ControlPlane {
    /// Opens the data directory, begins to listen, and joins, founds or rejoins the cluster in the background. Blocks while
    /// it opens, for a bounded time: not for async threads. A storage that cannot be opened is tried again in the background.
    ///
    /// # Errors
    /// [`StartError`] if the secret or the port cannot be had, or by a mistake of the operator: the directory is in use or
    /// another node's, or was written by another release.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let secret = ClusterSecret::load_or_create(&options.cluster_key_file)?;
        let data = DataDir::new(&options.data_dir, &options.me);
        let (core, threads) = Threads::start(options, secret, data)?;
        Ok(Self { core, threads: Arc::new(threads) })
    }

    /// The cluster as this node sees it now.
    pub fn status(&self) -> ClusterStatus {
        self.core.status()
    }

    /// Who belongs to the cluster, as far as this node has heard.
    pub fn members(&self) -> Members {
        self.core.members()
    }

    /// The settings after a key, or from the first one on, as many as fit into `bounds`.
    ///
    /// # Errors
    /// [`ControlError`] if this node has none, or as `read` asks for if no quorum confirmed the read before the deadline.
    pub async fn settings(
        &self,
        after: Option<&SettingKey>,
        bounds: PageBounds,
        read: Read,
    ) -> Result<SettingsPage, ControlError> {
        let node = self.readable(read).await?;
        Ok(node.state.catalog(|catalog| catalog.settings(after, bounds)))
    }

    /// One setting.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub async fn setting(&self, key: &SettingKey, read: Read) -> Result<Option<Setting>, ControlError> {
        let node = self.readable(read).await?;
        Ok(node.state.catalog(|catalog| catalog.setting(key).cloned()))
    }

    /// One setting as this node has it, at once and without a quorum: for the data plane.
    pub fn local_setting(&self, key: &SettingKey) -> Option<Setting> {
        let node = self.core.node.load();
        node.as_ref()?.state.catalog(|catalog| catalog.setting(key).cloned())
    }

    /// Has a command carried out by whoever leads, riding through an election within the deadline.
    ///
    /// # Errors
    /// [`ControlError`]; all but [`ControlError::OutcomeUnknown`] promise that nothing was proposed.
    pub async fn submit(&self, command: Command, deadline: Instant) -> Result<Outcome, ControlError> {
        let place = self.place()?;
        let core = Arc::clone(&self.core);
        // Not cut off with its caller: whether it was done must be found out.
        let submitted = self.threads.raft.spawn(async move {
            let _place = place;
            calls::submit(&core, command, deadline).await
        });
        submitted.await.unwrap_or(Err(ControlError::OutcomeUnknown))
    }

    /// The cluster's secret, for fingerprints and request ids.
    pub fn secret(&self) -> &ClusterSecret {
        &self.core.secret
    }

    /// What happened lately (bounded), and what happens from now on.
    pub fn events(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        self.core.events.watch()
    }

    /// Puts something of the node's own into the events.
    pub fn tell(&self, kind: EventKind) {
        self.core.events.tell(kind);
    }

    /// Commits of the log to the disk so far, and how long they took.
    pub fn flush_stats(&self) -> Option<FlushStats> {
        Some(self.core.node.load().as_ref()?.log.flush_stats())
    }

    /// Bytes of the disk and of the log; none while the storage is not open.
    pub fn disk_figures(&self) -> Option<DiskFigures> {
        let node = self.core.node.load_full()?;
        let (free_bytes, reserve_bytes) = node.room.bytes();
        Some(DiskFigures { free_bytes, reserve_bytes, log_bytes: node.log.bytes() })
    }

    /// The connections at the port for nodes, and why others were closed.
    pub fn port_figures(&self) -> Option<PortFigures> {
        Some(self.core.port.load().as_ref()?.figures())
    }

    /// Stops talking to other nodes, as if this one hung; a drill.
    pub fn pause(&self) {
        self.core.links.pause();
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.core.links.resume();
    }

    /// Moves leadership to this node, or where none is named to the voter that is the furthest, whoever leads now.
    ///
    /// # Errors
    /// [`TransferError`]; a working leader stays or comes in any case.
    pub async fn transfer_leader(
        &self,
        to: Option<String>,
        deadline: Instant,
    ) -> Result<Transferred, TransferError> {
        let place = self.place()?;
        let core = Arc::clone(&self.core);
        // Not cut off with its caller: a transfer that was begun has to come to an end.
        let transferred = self.threads.raft.spawn(async move {
            let _place = place;
            calls::transfer_leader(&core, to, deadline).await
        });
        transferred.await.unwrap_or(Err(TransferError::Control(ControlError::OutcomeUnknown)))
    }

    /// A drill: the next commit of the log takes this much longer, as on a disk that hangs.
    pub fn stall_disk(&self, duration: Duration) {
        if let Some(node) = self.core.node.load().as_ref() {
            node.log.stall(duration);
        }
    }

    /// A drill: this node believes for a moment that the leader is dead. Whether it follows one.
    pub fn raise_false_alarm(&self) -> bool {
        let Some(followed) = election::followed(&self.core) else { return false };
        self.threads.raft.spawn(election::suspect(Arc::clone(&self.core), followed, Evidence::Drill));
        true
    }

    /// Hands leadership over if this node leads and another voter answers; it goes on as a follower.
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

    /// Hands leadership over if this node leads, then stops. Returns once everything is on disk and the port is free.
    ///
    /// May be called again: whoever does waits for the end too.
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

    /// This node's state, once it is as recent as `read` asks for. What is read in it costs the threads of Raft nothing.
    async fn readable(&self, read: Read) -> Result<Arc<Node>, ControlError> {
        let core = Arc::clone(&self.core);
        // A cluster that gave way keeps its data readable, as it was.
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
        // A read that nobody waits for any more ends.
        AbortOnDropHandle::new(reading).await.unwrap_or(Err(ControlError::Stopped))
    }

    /// A place among the writes in flight.
    fn place(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        place(&self.core.places, self.core.options.descriptors.writes())
    }
}

fn place(places: &Arc<Semaphore>, max: usize) -> Result<OwnedSemaphorePermit, ControlError> {
    Arc::clone(places).try_acquire_owned().map_err(|_| ControlError::Overloaded { max })
}

#[cfg(test)]
mod tests;

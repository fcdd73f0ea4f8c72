//! Interface of the control plane to the rest of a node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::events::{Event, EventKind};
use api::status::ClusterStatus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::calls;
use crate::catalog::{Command, Outcome, PageBounds, Setting, SettingKey, SettingsPage};
use crate::core::Core;
use crate::detector::Evidence;
use crate::errors::{ControlError, StartError, TransferError, Transferred};
use crate::identity::DataDir;
use crate::network::PortFigures;
use crate::options::Options;
use crate::raft::node::Node;
use crate::raft::supervisor;
use crate::secret::ClusterSecret;
use crate::status::Members;
use crate::storage::FlushStats;
use crate::tasks::{election, handover};
use crate::threads::Threads;
use crate::timing::TRANSFER_BEFORE_STOP_WITHIN;

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
                    tokio::time::timeout(TRANSFER_BEFORE_STOP_WITHIN, handover::hand_over(&core, None)).await;
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
        let closed = self.threads.raft.spawn(async move { supervisor::close(&core).await });
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

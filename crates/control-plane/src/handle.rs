//! Interface of the control plane to the rest of a node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::events::{Event, EventKind};
use api::status::ClusterStatus;
use tokio::sync::broadcast;
use tracing::warn;

use crate::catalog::{Command, Outcome, PageBounds, Setting, SettingKey, SettingsPage};
use crate::detector::Evidence;
use crate::errors::{ControlError, StartError, TransferError, Transferred};
use crate::identity::DataDir;
use crate::network::{ConnectionTable, PortFigures};
use crate::options::Options;
use crate::parts::Parts;
use crate::raft::node::Node;
use crate::raft::supervisor;
use crate::secret::ClusterSecret;
use crate::status::Members;
use crate::storage::FlushStats;
use crate::threads::Threads;
use crate::timing::TRANSFER_BEFORE_STOP_WITHIN;
use crate::world::clock;
use crate::world::task::AbortOnDrop;

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

/// Size of the deduplication table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFigures {
    /// Number of remembered keys.
    pub keys: u64,
    /// Bytes of the keys that count towards the limit: those from format version 3 on.
    pub bytes: u64,
    /// Limit in bytes, as configured on the local node. The leader's counts.
    pub limit_bytes: u64,
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
pub struct ControlPlane(Arc<ControlPlaneState>);

struct ControlPlaneState {
    secret: ClusterSecret,
    parts: Parts,
    /// Table of inbound connections from other nodes.
    port: Arc<ConnectionTable>,
    threads: Threads,
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
        let (parts, port, threads) = Threads::start(options, &secret, data)?;
        Ok(Self(Arc::new(ControlPlaneState { secret, parts, port, threads })))
    }

    /// Same as [`Self::start`], with every part as a task of the world of the thread: for simulations.
    ///
    /// # Errors
    /// As [`Self::start`].
    ///
    /// # Panics
    /// If the thread has entered no world.
    pub async fn start_in_world(options: Options, secret: ClusterSecret) -> Result<Self, StartError> {
        assert!(crate::world::current().is_some(), "the thread has entered no world");
        let data = DataDir::new(&options.data_dir, &options.me);
        let (parts, port, threads) = Threads::start_in_world(options, &secret, data).await?;
        Ok(Self(Arc::new(ControlPlaneState { secret, parts, port, threads })))
    }

    /// Returns the cluster as seen by the local node now.
    pub fn status(&self) -> ClusterStatus {
        self.parts().observer.status()
    }

    /// Returns the members of the cluster, as far as known to the local node.
    pub fn members(&self) -> Members {
        self.parts().observer.members()
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
        let raft = &self.parts().raft;
        let node = raft.node().or_else(|| raft.diverged().map(|diverged| Arc::clone(&diverged.node)));
        node?.state.catalog(|catalog| catalog.setting(key).cloned())
    }

    /// Has the leader apply a command, retrying through an election within the deadline.
    ///
    /// # Errors
    /// [`ControlError`]; after all but [`ControlError::OutcomeUnknown`], nothing was proposed.
    pub async fn submit(&self, command: Command, deadline: Instant) -> Result<Outcome, ControlError> {
        let permit = self.parts().permits.write()?;
        let calls = Arc::clone(&self.parts().calls);
        // Not cancelled with the caller: the outcome has to be found out.
        let submitted = self.0.threads.raft.spawn(async move {
            let _permit = permit;
            calls.submit(command, deadline).await
        });
        submitted.await.unwrap_or(Err(ControlError::OutcomeUnknown))
    }

    /// Returns the secret of the cluster, for fingerprints and request ids.
    pub fn secret(&self) -> &ClusterSecret {
        &self.0.secret
    }

    /// Returns the recent events (bounded), and a receiver of all later events.
    pub fn events(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        self.parts().events.watch()
    }

    /// Adds an event of the node.
    pub fn publish(&self, kind: EventKind) {
        self.parts().events.publish(kind);
    }

    /// Returns number and durations of the log's commits to the disk.
    pub fn flush_stats(&self) -> Option<FlushStats> {
        Some(self.parts().raft.node()?.log.flush_stats())
    }

    /// Returns the bytes of the disk and of the log; none while the storage is not open.
    pub fn disk_figures(&self) -> Option<DiskFigures> {
        let node = self.parts().raft.node()?;
        let (free_bytes, reserve_bytes) = node.disk.bytes();
        Some(DiskFigures { free_bytes, reserve_bytes, log_bytes: node.log.bytes() })
    }

    /// Returns the size of the deduplication table; none while the storage is not open.
    pub fn key_figures(&self) -> Option<KeyFigures> {
        let node = self.parts().raft.node()?;
        let (keys, bytes) =
            node.state.catalog(|catalog| (catalog.remembered_requests() as u64, catalog.remembered_bytes()));
        Some(KeyFigures { keys, bytes, limit_bytes: self.parts().options.idempotency_bytes })
    }

    /// Returns the connections at the port for nodes, and the reasons for closed connections.
    pub fn port_figures(&self) -> PortFigures {
        self.0.port.figures()
    }

    /// Stops communication with peers, as if the node hung; a drill.
    pub fn pause(&self) {
        self.parts().links.pause();
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.parts().links.resume();
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
        let permit = self.parts().permits.write()?;
        let calls = Arc::clone(&self.parts().calls);
        // Not cancelled with the caller: a transfer in progress has to end.
        let transferred = self.0.threads.raft.spawn(async move {
            let _permit = permit;
            calls.transfer_leader(to, deadline).await
        });
        transferred.await.unwrap_or(Err(TransferError::Control(ControlError::OutcomeUnknown)))
    }

    /// Delays the next commit of the log by `duration`, as on a disk that hangs; a drill.
    pub fn stall_disk(&self, duration: Duration) {
        if let Some(node) = self.parts().raft.node() {
            node.log.stall(duration);
        }
    }

    /// Makes the local node suspect the leader for a moment, as a drill. True if the node follows a leader.
    pub fn raise_false_alarm(&self) -> bool {
        let elections = &self.parts().elections;
        let Some(followed) = elections.followed() else { return false };
        self.0.threads.raft.spawn(Arc::clone(elections).suspect(followed, Evidence::Drill));
        true
    }

    /// Transfers leadership if the local node leads and another voter answers; the node continues as a
    /// follower.
    pub async fn hand_over(&self) {
        let (observer, transfers) = (Arc::clone(&self.parts().observer), Arc::clone(&self.parts().transfers));
        let handed_over = self.0.threads.raft.spawn(async move {
            if observer.observe().leads() {
                let transfer = transfers.hand_over(None);
                if let Ok(Err(reason)) = clock::timeout(TRANSFER_BEFORE_STOP_WITHIN, transfer).await {
                    warn!(%reason, "leadership not transferred");
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
        let _stopping = self.0.threads.stopping.lock().await;
        if self.parts().signals.is_stopping() {
            return;
        }
        self.hand_over().await;
        self.parts().signals.stop();
        let raft = Arc::clone(&self.parts().raft);
        let closed = self.0.threads.raft.spawn(async move { supervisor::close(&raft).await });
        let _ = closed.await;
        self.0.threads.join().await;
    }

    /// Returns the local state, once as recent as requested by `read`. Reads in the state take no time of
    /// Raft's threads.
    async fn readable(&self, read: Read) -> Result<Arc<Node>, ControlError> {
        let parts = self.parts();
        // The data of a cluster that gave way remains readable, unchanged.
        if parts.observer.identity().superseded_by.is_some()
            && let Some(node) = parts.raft.node()
        {
            return Ok(node);
        }
        // So does what a node has applied that the others do not know.
        if let Some(diverged) = parts.raft.diverged() {
            return Ok(Arc::clone(&diverged.node));
        }
        let Read::Linearizable { deadline } = read else { return parts.calls.local() };
        let permit = parts.permits.read()?;
        let calls = Arc::clone(&parts.calls);
        let reading = self.0.threads.raft.spawn(async move {
            let _permit = permit;
            calls.linearize(deadline).await
        });
        // A read without a waiting caller is aborted.
        AbortOnDrop(reading).await.unwrap_or(Err(ControlError::Stopped))
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }
}

#[cfg(test)]
mod tests;

//! Options of the control plane: the configuration of a node, and what the node provides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::descriptors::Descriptors;
use crate::status::{Condition, NodeAddress, NodeFigures};
use crate::timing::Timing;

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
    /// Limit on the deduplication table, in bytes. The leader's counts.
    pub idempotency_bytes: u64,
    /// Hash of the configuration, compared between nodes.
    pub config_hash: String,
    /// Release of the local node.
    pub version: &'static str,
    /// Budget of file descriptors, which also limits the reads and writes in flight.
    pub descriptors: Descriptors,
    /// Figures of the local node, from memory.
    pub figures: Arc<dyn Fn() -> NodeFigures + Send + Sync>,
    /// Wall clock of the machine, in milliseconds since 1970. Only displayed times depend on the clock, and,
    /// below format version 3, the age of idempotency keys.
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

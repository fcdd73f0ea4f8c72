//! Codes of notices: conditions reported to operators in `/cluster/status`.

/// Raft ended because its storage failed, or a write to the disk does not end.
pub const STORAGE_FAILED: &str = "storage_failed";
/// The data directory of a node has lost votes or entries.
pub const REVERTED: &str = "reverted";
/// An applied entry of a node differs from the leader's.
pub const HISTORY_DIVERGED: &str = "history_diverged";
/// Stored data of the cluster is not readable by a node's release.
pub const NEEDS_RELEASE: &str = "needs_release";
/// A node has no disk space for changes.
pub const STORAGE_FULL: &str = "storage_full";
/// Snapshots cannot be written; the log grows.
pub const SNAPSHOTS_FAIL: &str = "snapshots_fail";
/// The table of idempotency keys is full, or nearly so.
pub const IDEMPOTENCY_KEYS_FULL: &str = "idempotency_keys_full";
/// The cluster of this node gave way to a larger one.
pub const FOREIGN_CLUSTER: &str = "foreign_cluster";
/// A node of another cluster was met, and no rule decides which cluster stays.
pub const FOREIGN_CLUSTER_MET: &str = "foreign_cluster_met";
/// A node belongs to another cluster.
pub const FOREIGN_NODE: &str = "foreign_node";
/// The node belongs to no cluster yet.
pub const NOT_JOINED: &str = "not_joined";
/// A majority of the voters lost its data.
pub const VOTES_LOST: &str = "votes_lost";
/// Too few voters are healthy, or none leads.
pub const NO_QUORUM: &str = "no_quorum";
/// A change of the voters is in progress.
pub const JOINT_MEMBERSHIP: &str = "joint_membership";
/// Configured nodes have no vote yet.
pub const WAITING_FOR_NODES: &str = "waiting_for_nodes";
/// Two nodes are configured; only one votes.
pub const TWO_NODES: &str = "two_nodes";
/// A node refuses the handshake.
pub const PEER_REFUSES: &str = "peer_refuses";
/// A node is behind the leader and does not catch up.
pub const LAGGING: &str = "lagging";
/// The clocks of two nodes differ.
pub const CLOCKS_DIFFER: &str = "clocks_differ";
/// The configurations of two nodes differ.
pub const CONFIG_DIFFERS: &str = "config_differs";
/// The log of a node cannot be written.
pub const LOG_FAILED: &str = "log_failed";

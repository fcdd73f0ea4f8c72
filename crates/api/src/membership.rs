//! `/cluster/members` and `/cluster/leader-transfers`.

use serde::{Deserialize, Serialize};

/// Answer of `GET /cluster/members`: members of the cluster as known to the answering node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Members {
    /// Id of the cluster; null before the node belongs to one.
    pub cluster_id: Option<String>,
    /// Members.
    pub members: Vec<Member>,
    /// True while a joint change of the voters is under way.
    pub joint: bool,
    /// Configured nodes still to join and catch up before all become voters together.
    pub waiting_for: Vec<String>,
}

/// Member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// Name.
    pub name: String,
    /// Number of the data directory, 16 hexadecimal digits.
    pub raft_id: String,
    /// True for a voter.
    pub voter: bool,
}

/// Body of `POST /cluster/leader-transfers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Name of the node to lead; null or left out: the voter with the longest log.
    #[serde(default)]
    pub to: Option<String>,
}

/// Answer of `POST /cluster/leader-transfers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaderTransfer {
    /// Previous leader.
    pub from: String,
    /// Current leader; equal to `from` if the node led already and nothing changed.
    pub to: String,
    /// Raft term of the leader.
    pub term: u64,
}

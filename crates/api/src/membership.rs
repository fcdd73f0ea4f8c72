//! `/cluster/members` and `/cluster/leader-transfers`.

use serde::{Deserialize, Serialize};

/// Answer of `GET /cluster/members`: members of the cluster as the answering node has heard of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Members {
    /// Id of the cluster; null before the node belongs to one.
    pub cluster_id: Option<String>,
    /// Members.
    pub members: Vec<Member>,
    /// True while a joint change of the voters is under way.
    pub joint: bool,
    /// Configured nodes that have to come and catch up before all vote together.
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
    /// Name of the node that is to lead; null or left out: the voter with the longest log.
    #[serde(default)]
    pub to: Option<String>,
}

/// Answer of `POST /cluster/leader-transfers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeaderTransfer {
    /// Node that led.
    pub from: String,
    /// Node that leads now; the same as `from` where it led already and nothing was changed.
    pub to: String,
    /// Raft term of the leader.
    pub term: u64,
}

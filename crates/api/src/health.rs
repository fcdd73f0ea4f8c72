//! `GET /healthz`.

use serde::{Deserialize, Serialize};

/// Answer of `GET /healthz`: account of the answering node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthAnswer {
    /// `ok`, or `draining` while the node stops.
    pub status: String,
    /// Name.
    pub node_id: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Release.
    pub version: String,
    /// Age of the process, in seconds.
    pub uptime_s: u64,
    /// Leader of the cluster, as far as the node knows.
    pub leader_id: Option<String>,
    /// True if the cluster can commit changes. The data plane does not depend on a quorum.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub quorum: bool,
}

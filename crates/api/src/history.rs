//! `GET /cluster/history`: figures of the answering node, step by step.

use serde::{Deserialize, Serialize};

/// Answer of `GET /cluster/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    /// Node that answers and whose figures these are.
    pub node_id: String,
    /// Length of a step in milliseconds.
    pub step_ms: u64,
    /// Steps, the oldest first; the first one after a start is shorter.
    pub points: Vec<HistoryPoint>,
}

/// Figures of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryPoint {
    /// End of the step, in milliseconds since 1970.
    pub at_ms: u64,
    /// API requests answered in it.
    pub requests: u64,
    /// Median of their duration in milliseconds; null without requests.
    pub p50_ms: Option<f32>,
    /// 95th percentile of their duration in milliseconds; null without requests.
    pub p95_ms: Option<f32>,
}

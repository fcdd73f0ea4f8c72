//! `GET /cluster/history`: figures of the answering node, step by step.

use serde::{Deserialize, Serialize};

/// Answer of `GET /cluster/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct History {
    /// Answering node, the source of the figures.
    pub node_id: String,
    /// Length of a step in milliseconds.
    pub step_ms: u64,
    /// Steps, oldest first; the first step after a start is shorter.
    pub points: Vec<HistoryPoint>,
}

/// Figures of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryPoint {
    /// End of the step, in milliseconds since 1970.
    pub at_ms: u64,
    /// Number of API requests answered.
    pub requests: u64,
    /// Median request duration in milliseconds; null without requests.
    pub p50_ms: Option<f32>,
    /// 95th percentile of the request duration in milliseconds; null without requests.
    pub p95_ms: Option<f32>,
}

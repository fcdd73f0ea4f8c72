//! Originators of requests.

use serde::{Deserialize, Serialize};

/// Originator of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Unverified name given by the originator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Authority of the originator.
    pub authority: Authority,
    /// Name of the node that received the request.
    pub via: String,
}

/// Authority to change the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Connection from the node's own machine.
    Loopback,
    /// Knowledge of the admin token.
    AdminToken,
}

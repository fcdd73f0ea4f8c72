//! What nodes say of their cluster.
//!
//! Members that are not known here are passed over, so that newer nodes can say more. Times are as the node wrote
//! them (RFC 3339).

pub use api::status::{ClusterStatus, Health, NodeStatus, Notice, Role};
use serde::Deserialize;
use serde_json::Value;

use crate::error::BadAnswer;
use crate::reply::RawReply;

/// Who belongs to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Members {
    /// The cluster's id; `None` while it has none.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The members.
    pub members: Vec<Member>,
    /// Whether a change of the members is under way.
    #[serde(default)]
    pub joint: bool,
    /// The nodes that are configured and not there yet.
    #[serde(default)]
    pub waiting_for: Vec<String>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The id of its data directory, 16 hex digits.
    pub raft_id: String,
    /// Whether it votes.
    pub voter: bool,
}

/// The settings of a cluster that are set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Settings {
    /// One for each key.
    pub settings: Vec<Setting>,
    /// The key after which the next page begins; none on the last one.
    #[serde(default)]
    pub next: Option<String>,
}

/// A setting of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Setting {
    /// Its key, such as `bits`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Grows with every change.
    pub version: u64,
    /// When it was set, RFC 3339.
    pub updated_at: String,
    /// Who set it.
    pub updated_by: UpdatedBy,
    /// The value before.
    #[serde(default)]
    pub previous: Option<Value>,
    /// The id of the write; only in the answer to one.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// Who changed a setting.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UpdatedBy {
    /// As the operator called themselves.
    #[serde(default)]
    pub name: Option<String>,
    /// What allowed it: `loopback` or `admin_token`.
    pub authority: String,
    /// The node that took the call.
    pub via: String,
}

/// Leadership that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LeaderTransfer {
    /// The node that led.
    pub from: String,
    /// The node that leads now; the same where it led already and nothing was changed.
    pub to: String,
    /// The term that it leads in.
    pub term: u64,
}

/// Reads an answer of the cluster's calls.
pub(crate) fn read<A: for<'a> Deserialize<'a>>(raw: &RawReply) -> Result<A, BadAnswer> {
    raw.check_content_type()?;
    raw.json()
}

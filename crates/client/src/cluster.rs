//! What nodes say of their cluster.
//!
//! Members that are not known here are passed over, so that newer nodes can say more. Times are as the node wrote
//! them (RFC 3339).

pub use api::membership::{LeaderTransfer, Member, Members};
pub use api::settings::{Actor, Authority, Setting, SettingsPage};
pub use api::status::{ClusterStatus, Health, NodeStatus, Notice, Role};
use serde::Deserialize;

use crate::error::BadAnswer;
use crate::reply::RawReply;

/// Reads an answer of the cluster's calls.
pub(crate) fn read<A: for<'a> Deserialize<'a>>(raw: &RawReply) -> Result<A, BadAnswer> {
    raw.check_content_type()?;
    raw.json()
}

//! Answers of nodes about the cluster.
//!
//! Unknown members are ignored, so that newer nodes can add some. Times are as written by the node (RFC
//! 3339).

pub use api::membership::{LeaderTransfer, Member, Members};
pub use api::settings::{Actor, Authority, Change, Setting, SettingsPage};
pub use api::status::{ClusterStatus, Health, NodeStatus, Notice, Role};
use serde::Deserialize;

use crate::error::BadAnswer;
use crate::reply::RawReply;

/// Reads an answer to a cluster call.
///
/// # Errors
/// [`BadAnswer`] if the content type or the JSON is not as expected.
pub(crate) fn read<A: for<'a> Deserialize<'a>>(raw: &RawReply) -> Result<A, BadAnswer> {
    raw.check_content_type()?;
    raw.json()
}

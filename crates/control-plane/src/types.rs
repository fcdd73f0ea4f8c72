//! Types of the consensus layer, as configured for openraft.

use serde::{Deserialize, Serialize};

use crate::catalog::{Outcome, StoredCommand};
use crate::ids::RaftId;
use crate::raft::runtime::NodeRuntime;

openraft::declare_raft_types!(
    /// Type configuration of openraft.
    ///
    /// The leader id is that of the Raft paper: at most one leader in a term. openraft's own default lets a
    /// second, higher candidate win the same term.
    pub TypeConfig:
        D = StoredCommand,
        R = Outcome,
        NodeId = RaftId,
        Node = Member,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, RaftId>,
        AsyncRuntime = NodeRuntime,
);

/// A log id: term and index.
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// A membership and its log id.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// Metadata of a snapshot.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// Entry of a node in the membership besides its id: the configured name. Without an address: peers are
/// dialled at the address in each node's own file, so that a cluster can be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Configured name, such as `n1`.
    pub name: String,
}

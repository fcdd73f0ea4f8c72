//! The names of the consensus layer: what openraft is told to use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog::{Outcome, StoredCommand};

openraft::declare_raft_types!(
    /// What openraft works with here.
    ///
    /// The leader id is the one of the Raft paper: at most one leader in a term. openraft's own default lets a second,
    /// higher candidate win the same term.
    pub TypeConfig:
        D = StoredCommand,
        R = Outcome,
        NodeId = RaftId,
        Node = Member,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, RaftId>,
);

/// A log id: term and index.
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// A membership and the log id it came with.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot says of itself.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// A node to Raft: a number minted for a data directory on its first start, never used again.
///
/// Written as 16 hexadecimal digits wherever people read it; `n1` is a name and another thing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftId(u64);

impl RaftId {
    /// The id of a node that cannot read its own; never minted.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// A new id. 64 random bits: two directories do not meet in one by chance.
    pub fn mint() -> Self {
        Self(rand::random_range(1..=u64::MAX))
    }
}

impl From<u64> for RaftId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RaftId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// A cluster: minted by the node that bootstraps it. It is in every call between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(Uuid);

impl ClusterId {
    /// A new id.
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the membership keeps of a node besides its id: the name it is configured under. Not its address: peers are
/// dialled at the address in each node's own file, so that a cluster can be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The configured name, such as `n1`.
    pub name: String,
}

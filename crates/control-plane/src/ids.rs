//! Ids of nodes and of clusters.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::world::random::NodeRng;

/// Raft's id of a node: a number minted for a data directory on its first start, never used again.
///
/// Displayed as 16 hexadecimal digits; unlike a name such as `n1`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaftId(u64);

impl RaftId {
    /// Id of a node with an unreadable identity; never minted.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// Mints an id of 64 random bits: two directories do not share an id by chance.
    pub fn mint() -> Self {
        Self(NodeRng.random_range(1..=u64::MAX))
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

/// Id of a cluster, minted by the founding node and named in every call between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(Uuid);

impl ClusterId {
    /// Mints an id.
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

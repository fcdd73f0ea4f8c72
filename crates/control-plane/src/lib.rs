//! What a cluster must not lose, and how its nodes agree on it.

pub mod catalog;
mod handle;
mod secret;
pub mod status;
mod types;

pub use handle::{Bootstrap, ControlError, ControlPlane, Options, StartError, Timing};
pub use secret::{ClusterSecret, SecretError};
pub use types::{ClusterId, Entry, LogId, Member, RaftId, SnapshotMeta, StoredMembership, TypeConfig, Vote};

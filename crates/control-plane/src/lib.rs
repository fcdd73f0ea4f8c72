//! What a cluster must not lose, and how its nodes agree on it.

pub mod catalog;
mod types;

pub use types::{ClusterId, Entry, LogId, Member, RaftId, SnapshotMeta, StoredMembership, TypeConfig, Vote};

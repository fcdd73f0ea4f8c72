//! One running Raft: how it is configured, opened, and opened again after a failure of its storage.

pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod directories;
pub(crate) mod error;
pub(crate) mod node;
mod open;
pub(crate) mod runtime;
pub(crate) mod slot;
pub(crate) mod supervisor;

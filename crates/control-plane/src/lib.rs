//! What a cluster must not lose, and how its nodes agree on it.
//!
//! | module | what it does |
//! |---|---|
//! | [`handle`](ControlPlane) | what the rest of a node sees: status, settings, events, start and stop |
//! | [`catalog`] | the replicated state machine, pure |
//! | `raft`, `types` | openraft: how it is set up, started, and started again after a storage error |
//! | `storage` | log and vote, the state machine, snapshots: durable before they are promised |
//! | `network` | authenticated, bounded frames between nodes; openraft's calls on top |
//! | `message`, `serve`, `calls` | what nodes say to each other; calls that come in; reads and writes that go out |
//! | `format` | versions of what is stored and sent, and when the next one is activated: rules without a clock |
//! | `descriptors` | how many file descriptors all of it may hold |
//! | `identity`, `secret` | who a data directory is; what the nodes of a cluster share |
//! | [`Host`] | where a node is: an address or a host name |
//! | `detector`, `campaign` | whether the leader is dead, and what to do about it: rules without a clock |
//! | `admission`, `backoff` | when writes are refused for want of disk space; pauses between attempts: rules without a clock |
//! | `membership`, `standing` | who should vote, and who leads: rules without a clock |
//! | `tasks` | probes, joining, the membership, handing over, events |
//! | `assess`, `progress`, `notices` | the status document and its notices, from one view: rules without a clock |
//! | [`status`] | figures, members, conditions and events |
//!
//! openraft is named in this crate only.

mod admission;
mod assess;
mod backoff;
mod calls;
mod campaign;
pub mod catalog;
mod core;
mod descriptors;
mod detector;
mod events;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod host;
mod identity;
mod membership;
mod message;
mod network;
mod notices;
mod peers;
mod progress;
mod raft;
mod secret;
mod serve;
mod standing;
pub mod status;
mod storage;
mod tasks;
mod threads;
mod types;

pub use descriptors::Descriptors;
pub use events::unix_ms;
pub use format::{Activated, Announcement, FormatVersion, NeedsRelease};
pub use handle::{
    Bootstrap, ControlError, ControlPlane, DiskFigures, Options, Read, StartError, Timing, TransferError,
    Transferred,
};
pub use host::{Host, HostError};
pub use identity::DataDirError;
pub use network::PortFigures;
pub use raft::OpenError;
pub use secret::{ClusterSecret, SecretError};
pub use storage::{FlushStats, OpenError as StorageError, Shortage, StorageFailure, Unopened};
pub use types::{ClusterId, Entry, LogId, Member, RaftId, SnapshotMeta, StoredMembership, TypeConfig, Vote};

/// An error and everything that led to it, in one line for the log.
fn text_with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

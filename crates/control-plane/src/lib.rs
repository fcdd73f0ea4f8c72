//! Replicated state of a cluster, and the agreement of its nodes on the state.
//!
//! | module | purpose |
//! |---|---|
//! | [`handle`](ControlPlane) | interface to the rest of a node: status, settings, events, start and stop |
//! | `options`, `errors`, `timing`, `ids` | configuration, errors of the interface, timing constants, ids |
//! | [`catalog`] | replicated state machine, pure |
//! | `raft`, `types` | openraft: configuration, start, calls to peers, restart after a storage error |
//! | `storage` | log and vote, state machine, snapshots: durable before any promise |
//! | `network` | authenticated, bounded frames between nodes |
//! | `message`, `serve`, `calls` | calls between nodes; inbound calls; outbound reads and writes |
//! | `format` | versions of stored and sent data, and their activation: rules without a clock |
//! | `descriptors`, `permits` | limit on the file descriptors of all parts; permits for calls in flight |
//! | `identity`, `secret` | identity of a data directory; secret of the cluster |
//! | [`Host`] | address of a node: an IP address or a host name |
//! | `detector`, `campaign`, `suspicion` | suspicion of a leader, early elections: rules, and their state |
//! | `admission`, `backoff` | refusal of writes on full disks; pauses between attempts; no clock |
//! | `membership`, `leadership` | voters and leader: rules without a clock |
//! | `marks`, `verification` | directories that went back in time: marks of peers; the wait for them at the start |
//! | `tasks` | probes, early elections, joining, membership, leadership transfers, ticks of the clock, events |
//! | `observation`, `observer` | facts about the local Raft at one moment; knowledge about the cluster |
//! | `assess`, `lag`, `notices` | status document and notices, from one view: rules without a clock |
//! | [`status`] | figures, addresses, conditions and members |
//! | [`world`] | clock, tasks, random numbers, network and files: of the system, or of a simulation |
//! | `planted` | mistakes that a simulation has to find, in builds for that purpose only |
//! | `parts`, `threads`, `signals` | connections of the parts; threads; stop and wakeups |
//!
//! openraft is named in this crate only.

#![warn(clippy::missing_errors_doc, unnameable_types)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests run in no world"))]

mod admission;
mod assess;
mod backoff;
mod calls;
mod campaign;
pub mod catalog;
mod descriptors;
mod detector;
mod error_chain;
mod errors;
mod events;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod host;
mod identity;
mod ids;
mod lag;
mod leadership;
mod marks;
mod membership;
mod message;
mod network;
mod notices;
mod observation;
mod observer;
mod options;
mod parts;
mod peers;
mod permits;
#[doc(hidden)]
pub mod planted;
mod raft;
#[expect(clippy::disallowed_methods, reason = "loaded before a node starts, outside of any world")]
mod secret;
mod serve;
mod signals;
pub mod status;
mod storage;
mod suspicion;
mod tasks;
mod threads;
mod timing;
mod types;
mod verification;
pub mod world;

pub use descriptors::Descriptors;
pub use errors::{ControlError, StartError, TransferError, Transferred};
pub use events::unix_ms;
pub use format::{Activated, Announcement, FormatVersion, NeedsRelease};
pub use handle::{ControlPlane, DiskFigures, KeyFigures, Read};
pub use host::{Host, HostError};
pub use identity::DataDirError;
pub use ids::{ClusterId, RaftId};
pub use network::PortFigures;
pub use options::{Bootstrap, Options};
pub use raft::error::RaftOpenError;
pub use raft::runtime::{Moment, NodeRuntime};
pub use secret::{ClusterSecret, SecretError};
pub use storage::{
    FLUSH_BOUNDS_S, FlushStats, RecordError, Shortage, SnapshotError, StorageError, StorageFailure, Unopened,
};
pub use timing::Timing;
pub use types::{Entry, LogId, Member, SnapshotMeta, StoredMembership, TypeConfig, Vote};

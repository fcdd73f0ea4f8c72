//! Real nodes on one machine: started, watched, killed, and their acknowledged writes compared with what the
//! nodes show later.
//!
//! **Contract.** A process started here ends with the value that represents it. A misbehaving node causes
//! errors and never a panic; panics are the part of `testkit`.
//!
//! | module | content |
//! |---|---|
//! | `node`, `process` | a node with its files; processes, and processes started by hand |
//! | [`parent`] | nodes that end with the process that started them |
//! | `configuration` | the configuration of a cluster |
//! | `http` | calls over a persistent connection |
//! | `watcher` | changes in the nodes' views of their cluster, with times |
//! | `journal`, `writer` | acknowledged writes; a writer that keeps a journal of them |
//! | `comparison` | acknowledged writes compared with what a node shows and answers |
//! | `usage` | memory and open files of a process |

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod comparison;
mod configuration;
mod error;
mod http;
mod journal;
mod node;
pub mod parent;
mod process;
mod usage;
mod watcher;
mod writer;

pub use comparison::{lost_writes, repeat_write};
pub use configuration::{ConfiguredNode, configuration};
pub use error::LocalClusterError;
pub use http::{Connection, Reply, get};
pub use journal::{Acknowledged, Kept, LostWrite, repeated_versions};
pub use node::{LocalNode, NodeSpec, prefixed, read_log};
pub use process::{End, Process};
pub use rustix::process::Signal;
pub use usage::{open_files, peak_resident_bytes, resident_bytes};
pub use watcher::{Sighting, Watcher, agreed};
pub use writer::{Journal, JournalEntry, SettingsWriter, WriterPlan, put_setting};

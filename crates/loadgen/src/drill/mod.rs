//! Drills: load, a fault in the middle, and a timeline of the consequences.
//!
//! **Contract.** Every answer of the load is verified, every acknowledged write is checked at the end, and
//! all times are times of arrival on the local clock: no clock of a node is trusted. A drill starts only on a
//! healthy cluster, and an aborted drill ends its fault.
//!
//! | module | content |
//! |---|---|
//! | `args`, `options` | flags over file over defaults, merged into a checked value |
//! | `cluster` | the nodes: leadership, health, permission for drills |
//! | `course` | the fault or faults, and the wait for the nodes afterwards |
//! | `writer`, `watch` | a write every 10 ms, and the events of every node |
//! | `statuses` | the status documents of every node, checked against their rules |
//! | `records`, `timeline`, `buckets` | the records, and the figures derived from them: pure |
//! | `messages` | messages about the progress, on stderr |
//! | `report`, `text` | the report, for programs and for people |

mod args;
mod buckets;
mod cluster;
mod course;
mod messages;
mod options;
mod records;
mod report;
mod sequence;
mod statuses;
mod text;
mod timeline;
mod watch;
mod writer;

pub use crate::flag_values::Output;
pub use args::DrillArgs;
pub use options::{DrillOptions, FaultKind};
pub use report::DrillReport;
pub use sequence::run;

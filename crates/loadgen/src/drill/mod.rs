//! A drill: load, a fault in the middle of it, and what followed when.
//!
//! **Contract.** Every answer of the load is verified, every write that was acknowledged is looked for at the end, and all
//! times are those at which something arrived here: no clock of a node is believed. A drill begins with a cluster that is
//! well, or not at all, and one that is given up ends the fault that it began.
//!
//! | module | what it does |
//! |---|---|
//! | `args`, `options` | flags over file over defaults, into one checked value |
//! | `cluster` | the nodes: who leads, who is well, who allows drills |
//! | `course` | the fault or faults, and waiting for the nodes afterwards |
//! | `writer`, `watch` | a write every 10 ms, and the events of every node |
//! | `statuses` | the status documents of every node, held to their rules |
//! | `records`, `timeline`, `buckets` | what was noted, and what it comes to: pure |
//! | `report`, `text` | the report, for programs and for people |

mod args;
mod buckets;
mod cluster;
mod course;
mod options;
mod play;
mod records;
mod report;
mod statuses;
mod text;
mod timeline;
mod watch;
mod writer;

pub use crate::cli::Output;
pub use args::DrillArgs;
pub use options::{Kind, Options};
pub use play::run;
pub use report::Report;

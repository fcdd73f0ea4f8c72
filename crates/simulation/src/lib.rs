//! A deterministic world for whole clusters.
//!
//! The control planes of all nodes run on one thread, in a simulated world: one seed decides the schedule of
//! tasks, the delay of every packet, the time of every disk operation and every fault, so that a seed gives
//! the same run everywhere. While clients read and write, invariants of the protocol are checked.
//!
//! | module | purpose |
//! |---|---|
//! | `executor` | tasks, timers, the simulated clock |
//! | `network`, `disk` | connections, files |
//! | `world` | all of these as the environment of a node |
//! | `cluster`, `workload`, `faults` | nodes, clients, faults |
//! | `invariants`, `history`, `truth` | what must hold, as facts become known; linearizability; status documents |
//! | `run`, `timeline` | one run; log lines of its nodes |
//! | `shrink`, `summary` | shorter schedules; figures of many runs |

mod cluster;
mod disk;
mod executor;
mod faults;
mod history;
mod invariants;
mod network;
mod run;
mod shrink;
mod summary;
mod timeline;
mod truth;
mod workload;
mod world;

pub use faults::{Fault, FaultCounts, PlannedFault, plan};
pub use invariants::{Counters, Violation};
pub use run::{NODES, Run, RunOptions, run};
pub use shrink::shrink;
pub use summary::Summary;
pub use timeline::print_timeline;

//! One node of the cluster, as a library, so that parts of it can be reached from outside of the `server` binary.
//!
//! | module | what it does |
//! |---|---|
//! | [`command`] | the `server` binary |
//! | `config`, `cli` | flags over environment over file over defaults |
//! | `http` | the API: handlers translate, they decide nothing about stego |
//! | `pace` | the least that a peer has to send or read |
//! | `pool`, `budget` | where pixel work runs, and how much of everything there may be |
//! | `demo` | three nodes from one command |
//! | `token_file` | the admin token for programs on this machine |
//! | `drills` | what a fault drill does to this node |
//! | `log`, `signals` | lines that cannot stop the node; signals that do, and those that do not |
//! | `listener` | connections, and the stop with a deadline |
//! | `app`, `metrics`, `figures` | what the handlers share, and how the node is doing |

mod app;
mod budget;
mod cli;
pub mod command;
mod config;
mod covers;
mod demo;
mod descriptors;
mod drills;
mod figures;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod listener;
mod log;
mod metrics;
mod pace;
mod pool;
mod signals;
mod token_file;
mod work;

//! One node of the cluster, as a library, so that its parts can be reached from outside of the `server`
//! binary.
//!
//! | module | contents |
//! |---|---|
//! | [`command`] | the `server` binary |
//! | `config`, `cli` | flags over environment over file over defaults |
//! | `http` | the API: handlers translate, and contain no stego logic |
//! | `pace` | the minimum transfer rate of a peer |
//! | `pool`, `budget`, `work` | pixel threads, memory budgets, and the work of a request |
//! | `covers` | prepared covers |
//! | `demo` | three nodes from one command |
//! | `token_file` | the admin token for programs on this machine |
//! | `drills` | effects of a fault drill on this node |
//! | `log`, `signals` | lines that cannot stop the node; signals that do, and those that do not |
//! | `listener`, `descriptors` | connections, the graceful stop with its deadline, shares of descriptors |
//! | `app`, `metrics`, `figures` | shared state of the handlers, counters and figures of the node |

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

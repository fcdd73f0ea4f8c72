//! One node of the cluster, as a library, so that its parts can be reached from outside of the `server`
//! binary.
//!
//! | module | contents |
//! |---|---|
//! | [`command`] | the `server` binary |
//! | `config`, `cli` | flags over environment over file over defaults |
//! | `http` | the API: handlers translate, and contain no stego logic |
//! | `auth`, `origins` | who may change the cluster; hosts and web origins of the nodes |
//! | `pace` | the minimum transfer rate of a peer |
//! | `pool`, `budget`, `work` | pixel threads, memory budgets, and the work of a request |
//! | `covers` | prepared covers |
//! | `demo` | three nodes from one command |
//! | `check_health` | one question to a running node |
//! | `token_file` | the admin token for programs on this machine |
//! | `drills` | effects of a fault drill on this node |
//! | `log`, `signals` | lines that cannot stop the node; signals that do, and those that do not |
//! | `listener`, `descriptors` | connections, the graceful stop with its deadline, shares of descriptors |
//! | `app` | the state of the handlers, in parts: |
//! | `data_plane`, `control`, `lifecycle` | pixel work; the control plane and changes in flight; start, stop, isolation |
//! | `telemetry`, `metrics`, `figures` | what is observed: counters, histograms, gauges, figures of the node |

mod app;
mod auth;
mod budget;
mod check_health;
mod cli;
pub mod command;
mod config;
mod control;
mod covers;
mod data_plane;
mod demo;
mod descriptors;
mod drills;
mod figures;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod in_flight;
mod lifecycle;
mod listener;
mod log;
mod metrics;
mod origins;
mod pace;
mod pool;
mod signals;
mod telemetry;
mod token_file;
mod work;

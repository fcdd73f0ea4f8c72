//! One node of the cluster, as a library, so that tests and fuzz targets reach its parts.
//!
//! | module | contents |
//! |---|---|
//! | [`command`] | the `server` binary |
//! | `config`, `cli` | flags over environment over file over defaults |
//! | `http` | the API: handlers translate, and contain no stego logic |
//! | `auth`, `origins` | rights to change the cluster; hosts and web origins of the nodes |
//! | `pace` | the minimum transfer rate of a peer |
//! | `pool`, `budget`, `work` | pixel threads, memory budgets, and the work of a request |
//! | `covers` | prepared covers |
//! | `demo` | three nodes from one command |
//! | `check_health` | one question to a running node |
//! | `token_file` | the admin token for programs on this machine |
//! | `drills` | effects of a fault drill on this node |
//! | `log`, `signals` | the log, which cannot stop the node; signals, handled or ignored |
//! | `listener`, `descriptors` | connections, the graceful stop with its deadline, shares of descriptors |
//! | `app` | the state of the handlers, in parts: |
//! | `data_plane`, `control` | pixel work; the control plane and changes in flight |
//! | `lifecycle` | start, stop and isolation |
//! | `telemetry`, `metrics`, `figures` | observation: counters, histograms, gauges, figures of the node |

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
mod derivations;
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

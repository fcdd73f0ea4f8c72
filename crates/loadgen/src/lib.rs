//! Load generator: puts load on a cluster and verifies every answer.
//!
//! **Contract.** An answer counts as succeeded only after verification by this process: the payload is
//! extracted and compared bit for bit, and as many images as `--verify` demands are decoded whole, with their
//! checksums. Latency covers the answers only; verification is excluded and runs at low priority on separate
//! threads. stdout carries the report and nothing else.
//!
//! | module | content |
//! |---|---|
//! | `cli`, `load_args`, `flag_values` | the command line, and the flags of a load run |
//! | `config_file`, `settings` | flags over file over defaults, merged into a checked value |
//! | `plan` | number, kind and times of the requests: pure values |
//! | `secrets` | the hidden bytes: unique to each request, the same for the same seed |
//! | `run` | clients and arrivals: the start of requests, and the end of the run |
//! | `request` | a single request and its verdict |
//! | `verify` | the threads that check answers, and the checks |
//! | `stats`, `report`, `progress` | counts, and their presentation |
//! | [`drill`] | a fault in the middle of the load, and the timeline of the consequences |
//! | [`command`] | the `loadgen` binary |

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod cli;
pub mod command;
mod config_file;
pub mod drill;
mod flag_values;
mod load_args;
mod plan;
mod probe;
mod progress;
mod report;
mod request;
mod run;
mod secrets;
mod settings;
mod stats;
mod verify;

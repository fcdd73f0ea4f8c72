//! `loadgen` puts load on a cluster and verifies every answer.
//!
//! **Contract.** What the report counts as succeeded was verified here: the stego image was decoded whole, with
//! its checksums, and the secret came out of it bit for bit. Latency is that of the answers; verification is
//! not in it and runs at low priority on threads of its own. stdout carries the report and nothing else.
//!
//! | module | what it does |
//! |---|---|
//! | `cli`, `config_file`, `settings` | flags over file over defaults, into one checked value |
//! | `plan` | what is to be sent, and when: pure values |
//! | `secrets` | what is hidden: unique to each request, the same for the same seed |
//! | `run` | clients and arrivals: when requests start, and when all ends |
//! | `request` | one request and the judgement on it |
//! | `verify` | the threads that check answers, and the checks |
//! | `stats`, `report`, `progress` | counting, and showing what was counted |
//! | [`drill`] | a fault in the middle of the load, and the timeline of what followed |
//! | [`command`] | the `loadgen` binary |

mod cli;
pub mod command;
mod config_file;
pub mod drill;
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

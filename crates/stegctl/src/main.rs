//! The `stegctl` binary: embeds, extracts, inspects and compares images on this machine, without a server;
//! shows a cluster and changes its settings and its leader, through any of its servers.
//!
//! Standard output is data, standard error is everything else.

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod archive;
mod cli;
mod cluster;
mod commands;
mod failure;
mod files;
mod interrupt;
mod key;
mod output;
mod progress;
mod safe_names;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    stego::silence_decoder_panics();
    commands::run(cli::Cli::parse())
}

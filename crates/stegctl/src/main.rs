//! The `stegctl` binary: embeds, extracts and looks into images on this machine, without a server; looks at a cluster
//! and changes its settings and its leader, through any of its servers.
//!
//! Standard output is data, standard error is everything else.

mod cli;
mod cluster;
mod commands;
mod failure;
mod files;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

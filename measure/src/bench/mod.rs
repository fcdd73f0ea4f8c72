//! `cargo xtask bench`: what things cost, beside what others take for the same, in one run.
//!
//! Figures of one run on one machine are comparable with each other and with nothing else. `BENCHMARKS.md` holds a run.

mod cost;
mod instructions;
mod node;
mod web;

use clap::{Args, ValueEnum};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Parts [default: all, one after the other]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Embeds and extractions of the library, beside encoders and decoders of others (cargo bench).
    Cost,
    /// Instructions of the same, which are the same on every machine; needs valgrind.
    Instructions,
    /// Requests per second of a node, beside nginx with files of the same size; needs nginx and wrk.
    Web,
    /// Latencies of a node under load, and of its health checks meanwhile.
    Node,
}

/// Measures and prints tables.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let parts =
        if options.parts.is_empty() { Part::value_variants().to_vec() } else { options.parts.clone() };
    for part in parts {
        match part {
            Part::Cost => cost::run()?,
            Part::Instructions => instructions::run()?,
            Part::Web => web::run()?,
            Part::Node => node::run()?,
        }
        println!();
    }
    Ok(())
}

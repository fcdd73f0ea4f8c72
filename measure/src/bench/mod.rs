//! `cargo xtask bench`: costs of the library and a node beside comparable programs, in a single run.
//!
//! Figures of a run on a machine are comparable only with each other. `BENCHMARKS.md` holds a run.

mod cost;
mod instructions;
mod node;
mod web;

use clap::{Args, ValueEnum};

/// Parts to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// Parts [default: all, in sequence]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Embeds and extractions of the library, beside other encoders and decoders (cargo bench).
    Cost,
    /// Instructions of the same work, which are equal on every machine; needs valgrind.
    Instructions,
    /// Requests per second of a node, beside nginx with files of the same size; needs nginx and wrk.
    Web,
    /// Latencies of a node under load, and of its health checks at the same time.
    Node,
}

/// Measures and prints tables.
///
/// # Errors
/// If a measurement fails.
pub(crate) fn run(options: &BenchOptions) -> anyhow::Result<()> {
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

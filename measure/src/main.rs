//! Measurements of costs, and tests over millions of changes, started by `cargo xtask`.

#![warn(clippy::missing_errors_doc, unnameable_types)]
#![expect(clippy::print_stdout, reason = "a report is what some of these commands are for")]

mod bench;
mod failover;
mod memory;
mod mutate;
mod picture;

use clap::{Parser, Subcommand};
use xtask::root;

/// Measurements of costs and tests over many changes.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure the library and a node beside comparable programs, in a single run of the release build.
    ///
    /// The library beside other encoders and decoders, a node beside nginx, a node under load. BENCHMARKS.md
    /// holds a run.
    Bench(bench::BenchOptions),
    /// Measure the cost of losing a leader, on real processes of the release build, case by case.
    ///
    /// Each case prints n, minimum, median, p95, p99 and maximum in milliseconds, the cost of a flush of 4
    /// KiB on this machine, the time of a log commit as reported by the nodes, and the result of each bound.
    /// Logs of failed rounds and of the slowest rounds stay in target/failover. A whole run takes hours;
    /// choose with --case.
    Failover(failover::FailoverOptions),
    /// Measure the memory taken by embedding into images of 100 megapixels and by extraction, on the release
    /// build.
    ///
    /// The images (a PNG, a JPEG, a progressive JPEG) are made once, in target/memory; the JPEGs need Pillow.
    /// Linux only.
    Memory(memory::MemoryOptions),
    /// Change stego images in a million ways, in the release build: extraction gives the embedded secret, or
    /// an error.
    Mutate(mutate::MutateOptions),
    /// Make the README's picture anew: a cover and its stego image, side by side.
    Picture,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Bench(options) => bench::run(&options),
        Task::Failover(options) => failover::run(options),
        Task::Memory(options) => memory::run(options),
        Task::Mutate(options) => mutate::run(&options),
        Task::Picture => picture::write(&root().join("docs/cover-and-stego.jpg")),
    }
}

//! What things cost, and what must hold over millions of changes: started by `cargo xtask`.

#![expect(clippy::print_stdout, reason = "a report is what some of these commands are for")]

mod bench;
mod failover;
mod memory;
mod mutate;
mod picture;

use clap::{Parser, Subcommand};
use xtask::root;

/// What things cost.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure what things cost, beside what others take for the same, in one run of the release build.
    ///
    /// The library beside encoders and decoders of others, a node beside nginx, a node under load. BENCHMARKS.md holds a run.
    Bench(bench::Options),
    /// Measure what it costs to lose a leader, on real processes of the release build, case by case.
    ///
    /// Each case prints n, minimum, median, p95, p99 and maximum in milliseconds, beside them what a flush of 4 KiB
    /// costs here and what the nodes say that a commit of their log takes, and whether the bounds were held. Logs of
    /// rounds that failed and of the slowest ones stay in target/failover. A whole run takes hours; choose with --case.
    Failover(failover::Options),
    /// Measure what embedding into images of 100 megapixels and extracting from them takes of memory, on the release build.
    ///
    /// The images (a PNG, a JPEG, a progressive JPEG) are made once, in target/memory; the JPEGs need Pillow. Linux only.
    Memory(memory::Options),
    /// Change stego images in a million ways, in the release build: extraction gives what was embedded, or an error.
    Mutate(mutate::Options),
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

//! The project's own commands: `cargo xtask <command>`.

#![expect(clippy::print_stdout, reason = "a report is what some of these commands are for")]

mod bench;
mod console;
mod failover;
mod fuzz;
mod memory;
mod mutate;
mod picture;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test: unit, integration and documentation.
    ///
    /// Uses cargo-nextest where it is installed, `cargo test` elsewhere.
    Test,
    /// Check format, lints, documentation and dependencies, as CI does; cargo-deny only where it is installed.
    Check,
    /// Build the web console into web/dist, from where the next build of the server takes it. Needs Node 20.19+ or 22.12+ and npm.
    ///
    /// The server builds without it too, and then shows a page that says so.
    Console(console::Options),
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
    /// Run the fuzz targets for a while each, and print what they did and found. Needs cargo-fuzz and a nightly compiler.
    Fuzz(fuzz::Options),
    /// Change stego images in a million ways, in the release build: extraction gives what was embedded, or an error.
    Mutate(mutate::Options),
    /// Make the README's picture anew: a cover and its stego image, side by side.
    Picture,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Test => test(),
        Task::Check => check(),
        Task::Console(options) => console::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Failover(options) => failover::run(options),
        Task::Memory(options) => memory::run(options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Mutate(options) => mutate::run(&options),
        Task::Picture => picture::write(&root().join("docs/cover-and-stego.jpg")),
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn test() -> anyhow::Result<()> {
    cargo(&["test", "--workspace", "--doc"])?;
    if is_installed("nextest") {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo(&["test", "--workspace", "--bins", "--lib", "--tests", "--no-fail-fast"])
    }
}

fn check() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    cargo_with(
        &["doc", "--workspace", "--no-deps", "--document-private-items"],
        &[("RUSTDOCFLAGS", "--deny warnings")],
    )?;
    if is_installed("deny") {
        cargo(&["deny", "check", "bans", "licenses", "sources"])?;
    }
    Ok(())
}

fn is_installed(subcommand: &str) -> bool {
    Command::new("cargo").args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}

fn cargo(args: &[&str]) -> anyhow::Result<()> {
    cargo_with(args, &[])
}

fn cargo_with(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let command = format!("cargo {}", args.join(" "));
    eprintln!("$ {command}");
    let status = Command::new("cargo")
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start `{command}`"))?;
    ensure!(status.success(), "`{command}` failed");
    Ok(())
}

//! Commands of the project: `cargo xtask <command>`.
//!
//! Small on purpose, built in seconds: measurements are in `measure`, built on demand.

#![expect(clippy::print_stdout, reason = "a report is what fuzzing is for")]

mod console;
mod demo;
mod fuzz;

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use xtask::{cargo, cargo_with, root};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start three nodes with the web console on this machine: build the binaries, then run `server demo`.
    ///
    /// Without Node the console is left out. All arguments are passed on; `cargo xtask demo --help` lists the
    /// options.
    #[command(disable_help_flag = true)]
    Demo(Passed),
    /// Run every test: unit, integration and documentation.
    ///
    /// Uses cargo-nextest where it is installed, `cargo test` elsewhere.
    Test,
    /// Check format, lints, documentation and dependencies, as CI does; cargo-deny only if installed.
    Check,
    /// Build the web console into web/dist, for the next build of the server. Needs Node 20.19+ or 22.12+ and
    /// npm.
    ///
    /// The server also builds without the console, and then shows a page with build instructions.
    Console(console::ConsoleOptions),
    /// Simulate whole clusters from seeds, in the release build, and check the invariants of the protocol.
    ///
    /// The exit code is 1 if an invariant was broken. `cargo xtask sim --help` lists the options.
    #[command(disable_help_flag = true)]
    Sim(Passed),
    /// Measure the library and a node beside comparable programs, in a single run of the release build.
    #[command(disable_help_flag = true)]
    Bench(Passed),
    /// Measure the cost of losing a leader, on real processes of the release build, case by case.
    #[command(disable_help_flag = true)]
    Failover(Passed),
    /// Measure the memory taken by embedding into images of 100 megapixels and by extraction, on the release
    /// build.
    #[command(disable_help_flag = true)]
    Memory(Passed),
    /// Run each fuzz target for a limited time, and print the results. Needs cargo-fuzz and a nightly
    /// compiler.
    Fuzz(fuzz::FuzzOptions),
    /// Change stego images in a million ways, in the release build: extraction gives the embedded secret, or
    /// an error.
    #[command(disable_help_flag = true)]
    Mutate(Passed),
    /// Make the README's picture anew: a cover and its stego image, side by side.
    Picture,
}

/// Arguments passed on to another program.
#[derive(Args)]
struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Task::Demo(passed) => demo::run(&passed.args),
        Task::Test => test(),
        Task::Check => check(),
        Task::Console(options) => console::run(&options),
        Task::Bench(passed) => measure("bench", &passed.args),
        Task::Failover(passed) => measure("failover", &passed.args),
        Task::Memory(passed) => measure("memory", &passed.args),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Mutate(passed) => measure("mutate", &passed.args),
        Task::Picture => measure("picture", &[]),
        Task::Sim(passed) => sim(&passed.args),
    }
}

/// Runs a command of the package `measure`.
fn measure(command: &str, args: &[OsString]) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--package", "measure", "--", command]).args(args).current_dir(root());
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(status.success(), "`{command}` failed");
    Ok(())
}

/// Runs simulations.
fn sim(args: &[OsString]) -> anyhow::Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--package", "simulation", "--"]).args(args).current_dir(root());
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(status.success(), "a simulation failed");
    Ok(())
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

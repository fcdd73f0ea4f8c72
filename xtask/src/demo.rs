//! Demo: from a fresh clone to three nodes with the console, in a single command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context;
use xtask::{cargo, root, target};

use super::console;

/// Builds the console and the server, then replaces this process with `server demo` and the given arguments.
///
/// # Errors
/// If a build or the demo fails.
pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    step(1, "the web console");
    console::build_if_possible();
    step(2, "the server, in the release build (minutes the first time)");
    cargo(&["build", "--release", "--bin", "server"])?;
    step(3, "three nodes");
    // The demo replaces this process, and receives Ctrl-C and the terminal directly.
    let error =
        Command::new(target().join("release/server")).arg("demo").args(args).current_dir(root()).exec();
    Err(error).context("cannot start the server")
}

fn step(number: u32, what: &str) {
    eprintln!("[{number}/3] {what}");
}

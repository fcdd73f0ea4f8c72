//! From a fresh clone to three nodes with the console, in one command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context;
use xtask::{cargo, root, target};

use super::console;

/// Builds what is needed and becomes `server demo` with these arguments.
pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    step(1, "the web console");
    console::build_if_possible();
    step(2, "the server, in the release build (minutes the first time)");
    cargo(&["build", "--release", "--bin", "server"])?;
    step(3, "three nodes");
    // Not a child of this process: Ctrl-C and the terminal are the demo's.
    let error =
        Command::new(target().join("release/server")).arg("demo").args(args).current_dir(root()).exec();
    Err(error).context("cannot start the server")
}

fn step(number: u32, what: &str) {
    eprintln!("[{number}/3] {what}");
}

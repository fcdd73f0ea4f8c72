//! Functions that run other commands in this repository.

#![warn(clippy::missing_errors_doc, unnameable_types)]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns the folder that [`cargo`] builds into. A relative path in `CARGO_TARGET_DIR` is relative to the
/// root, the working directory of cargo.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Runs cargo in the root of the repository, and prints the command first.
///
/// # Errors
/// If cargo cannot be started or does not exit with status 0.
pub fn cargo(args: &[&str]) -> anyhow::Result<()> {
    cargo_with(args, &[])
}

/// Runs cargo as [`cargo`] does, with additional environment variables.
///
/// # Errors
/// If cargo cannot be started or does not exit with status 0.
pub fn cargo_with(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
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

//! Commands that start others in this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder that [`cargo`] builds into: a relative path in `CARGO_TARGET_DIR` counts from the root, where cargo runs.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Runs cargo in the root of the repository, and prints the command first.
///
/// # Errors
/// If it cannot be started or does not end with status 0.
pub fn cargo(args: &[&str]) -> anyhow::Result<()> {
    cargo_with(args, &[])
}

/// Runs cargo as [`cargo`] does, with more variables in its environment.
///
/// # Errors
/// If it cannot be started or does not end with status 0.
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

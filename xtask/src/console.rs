//! Build of the web console, the only part of the project that needs Node and npm.

use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;

use super::{cargo_with, root};

#[expect(dead_code, reason = "the build script of the crate `console` uses all of it")]
#[path = "../../crates/console/build/sources.rs"]
mod sources;

/// Steps besides the build.
#[derive(Args)]
pub(crate) struct ConsoleOptions {
    /// Also check the types and run the unit tests
    #[arg(long)]
    check: bool,
    /// Also test the console in a browser, on nodes of the debug build
    #[arg(long)]
    e2e: bool,
}

/// Builds the console unless up to date. A failed build is reported on stderr and ignored.
pub(crate) fn build_if_possible() {
    let web = root().join("web");
    if sources::dist(&web).exists() && sources::newer_than_dist(&web).is_none() {
        eprintln!("web/dist is up to date");
        return;
    }
    let built = check_node().and_then(|()| install()).and_then(|()| npm(&["run", "build"]));
    if let Err(error) = built {
        eprintln!("going on without the web console: {error:#}");
    }
}

/// Builds the console into `web/dist`, where the next build of the server finds it.
///
/// # Errors
/// If npm is missing, or a step fails.
pub(crate) fn run(options: &ConsoleOptions) -> anyhow::Result<()> {
    check_node()?;
    install()?;
    npm(&["run", "build"])?;
    if options.check {
        npm(&["run", "check"])?;
    }
    if options.e2e {
        cargo_with(&["build", "--bin", "server"], &[("STEG_REQUIRE_CONSOLE", "1")])?;
        npm_with(&["run", "e2e"], &[("STEG_SERVER", &server()?)])?;
    }
    Ok(())
}

/// Installs the packages of the lock file unless installed already: a second download would fail without a
/// network.
fn install() -> anyhow::Result<()> {
    let modified = |name: &str| root().join("web").join(name).metadata().ok()?.modified().ok();
    match (modified("package-lock.json"), modified("node_modules/.package-lock.json")) {
        (Some(wanted), Some(installed)) if installed >= wanted => Ok(()),
        _ => npm(&["ci", "--no-audit", "--no-fund", "--prefer-offline"]),
    }
}

/// Returns the path of the server of the debug build.
fn server() -> anyhow::Result<String> {
    let server = std::path::absolute(xtask::target().join("debug/server"));
    let server = server.context("cannot tell where the server is")?;
    Ok(server.display().to_string())
}

fn check_node() -> anyhow::Result<()> {
    const ADVICE: &str =
        "the console needs Node 20 (from 20.19 on) or 22.12 and newer, with npm (https://nodejs.org)";
    let version = Command::new("node").arg("--version").output().context(ADVICE)?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    ensure!(is_new_enough(&version), "{ADVICE}; this is Node {version}");
    let npm = Command::new("npm").arg("--version").output().context(ADVICE)?;
    ensure!(
        npm.status.success(),
        "{ADVICE}; npm does not start: {}",
        String::from_utf8_lossy(&npm.stderr).trim()
    );
    Ok(())
}

/// Checks for the releases supported by Vite: 20 from 20.19 on, and all from 22.12 on; 21 had no long-term
/// support.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(20), Some(minor)) => minor >= 19,
        (Some(22), Some(minor)) => minor >= 12,
        (Some(major), Some(_)) => major > 22,
        _ => false,
    }
}

fn npm(args: &[&str]) -> anyhow::Result<()> {
    npm_with(args, &[])
}

fn npm_with(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let command = format!("npm {}", args.join(" "));
    eprintln!("$ {command}");
    let status =
        Command::new("npm").args(args).envs(env.iter().copied()).current_dir(root().join("web")).status();
    let status = status.with_context(|| format!("cannot start `{command}` in web/"))?;
    ensure!(status.success(), "`{command}` failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_releases_of_node_are_known() {
        let check = |version, want| assert_eq!(is_new_enough(version), want, "{version}");
        check("v20.19.0", true);
        check("v20.18.3", false);
        check("v18.20.4", false);
        check("v21.7.3", false);
        check("v22.11.0", false);
        check("v22.12.0", true);
        check("v24.0.0", true);
        check("v100.0.0", true);
        check("", false);
        check("node", false);
    }
}

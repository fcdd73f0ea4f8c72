//! Instructions of embeds and extractions, counted by callgrind: nearly equal on every machine, so that a
//! regression shows.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

const WORK: [&str; 6] = [
    "splice",
    "embed-prepared",
    "embed-into-png-file",
    "embed-into-png-payload",
    "extract-spliced",
    "extract-whole",
];
/// Numbers of runs, few and more; the difference excludes one-time work.
const RUNS: [u64; 2] = [2, 12];

/// Counts the instructions and prints a table.
///
/// # Errors
/// If a benchmark cannot be built or run.
pub(super) fn run() -> anyhow::Result<()> {
    let has_valgrind =
        Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    ensure!(has_valgrind, "counting instructions needs valgrind; on Debian: apt-get install valgrind");
    let binary = build()?;
    println!("{:<24} {:>20}", "what", "instructions");
    for work in WORK {
        let [few, more] = RUNS.map(|runs| count(&binary, work, runs));
        println!("{work:<24} {:>20}", (more? - few?) / (RUNS[1] - RUNS[0]));
    }
    Ok(())
}

/// Builds the benchmark and returns the path of the executable.
fn build() -> anyhow::Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["bench", "-p", "stego", "--bench", "instructions", "--no-run", "--message-format", "json"]);
    let output = command.current_dir(xtask::root()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut executables = messages
        .filter(|message| message["target"]["name"] == "instructions")
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next().context("cargo does not say where the benchmark is")
}

fn count(binary: &PathBuf, work: &str, runs: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(binary)
        .args([work, &runs.to_string()]);
    let output = command.output().context("cannot start valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told}");
    let Some(collected) = told.lines().find_map(|line| line.split_once("Collected :")) else {
        bail!("callgrind does not say what it collected: {told}");
    };
    collected.1.trim().parse().context("callgrind's count is not a number")
}

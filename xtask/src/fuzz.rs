//! `cargo xtask fuzz`: runs every fuzz target for a limited time, and prints a table of results.
//!
//! A target starts from its seeds (`fuzz/corpus`), inputs that once failed (`fuzz/regressions`) and inputs
//! kept by earlier runs on this machine (`target/fuzz/corpus`). An input that shows a defect is stored in
//! `fuzz/artifacts`.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use clap::Args;

/// Longest input.
const MAX_LEN_BYTES: u32 = 32 << 10;
/// Time limit of an input; exceeding the limit is a finding.
const TIMEOUT_S: u32 = 20;
/// Memory limit of a process; exceeding the limit is a finding. The address sanitizer takes several times the
/// memory of the code.
const MAX_MEMORY_MIB: u32 = 1024;

/// Targets to run, and the duration.
#[derive(Debug, Args)]
pub(crate) struct FuzzOptions {
    /// Targets [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Duration of each target, in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,

    /// Number of targets that run at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
}

/// Result of a target.
struct TargetReport {
    target: String,
    figures: TargetFigures,
    /// The end of the run, if not the time limit.
    finding: Option<String>,
}

/// Figures of a run as reported by libFuzzer.
#[derive(Debug, Default, PartialEq, Eq)]
struct TargetFigures {
    executions: String,
    per_second: String,
    coverage: String,
    features: String,
    peak_rss_mib: String,
    artifact: Option<String>,
}

/// Runs the targets and prints a table.
///
/// # Errors
/// If a tool is missing, a target does not build, or a finding was made.
pub(crate) fn run(options: &FuzzOptions) -> anyhow::Result<()> {
    check_tools()?;
    let targets = chosen(&options.targets)?;
    for target in &targets {
        let mut build = cargo_fuzz("build");
        let status = build.arg(target).status().context("cannot start cargo-fuzz")?;
        ensure!(status.success(), "{target} does not build");
    }
    println!(
        "{:<16} {:>12} {:>8} {:>7} {:>7} {:>9}  finding",
        "target", "executions", "exec/s", "cov", "ft", "peak MiB"
    );
    let waiting = Mutex::new(VecDeque::from(targets));
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.at_once {
            scope.spawn(|| {
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some(target) = next() {
                    let report = run_target(&target, options.seconds);
                    if let Ok(report) = &report {
                        print(report);
                    }
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let reports: Vec<TargetReport> = reports.into_iter().collect::<anyhow::Result<_>>()?;
    let findings = reports.iter().filter(|report| report.finding.is_some()).count();
    ensure!(findings == 0, "{findings} of {} targets found something", reports.len());
    Ok(())
}

fn check_tools() -> anyhow::Result<()> {
    let works = |program: &str, args: &[&str]| {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    };
    ensure!(
        works("rustup", &["run", "nightly", "rustc", "--version"]),
        "fuzzing needs a nightly compiler; run: rustup toolchain install nightly --profile minimal"
    );
    ensure!(
        works("cargo", &["fuzz", "--version"]),
        "fuzzing needs cargo-fuzz; run: cargo install cargo-fuzz"
    );
    Ok(())
}

fn folder() -> PathBuf {
    xtask::root().join("fuzz")
}

/// Returns the given targets, or all targets if none is given.
fn chosen(names: &[String]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder().join("fuzz_targets")).context("cannot read fuzz/fuzz_targets")? {
        let path = entry.context("cannot read fuzz/fuzz_targets")?.path();
        all.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    all.sort();
    match names.iter().find(|name| !all.contains(name)) {
        Some(unknown) => bail!("there is no fuzz target {unknown}; there are {}", all.join(", ")),
        None if names.is_empty() => Ok(all),
        None => Ok(names.to_vec()),
    }
}

fn cargo_fuzz(subcommand: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", subcommand]).current_dir(folder());
    command
}

fn run_target(target: &str, seconds: u64) -> anyhow::Result<TargetReport> {
    let kept = xtask::target().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let log_path = xtask::target().join("fuzz").join(format!("{target}.log"));
    let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let mut run = cargo_fuzz("run");
    run.arg(target).arg(std::path::absolute(&kept)?);
    for committed in ["corpus", "regressions"] {
        let inputs = folder().join(committed).join(target);
        if inputs.is_dir() {
            run.arg(std::path::absolute(inputs)?);
        }
    }
    if matches!(target, "cover_decode" | "differential") {
        run.arg(std::path::absolute(xtask::root().join("crates/stego/tests/fixtures"))?);
    }
    run.args([
        "--".to_owned(),
        format!("-max_total_time={seconds}"),
        format!("-max_len={MAX_LEN_BYTES}"),
        format!("-timeout={TIMEOUT_S}"),
        format!("-rss_limit_mb={MAX_MEMORY_MIB}"),
        "-print_final_stats=1".to_owned(),
    ]);
    if let Some(dictionary) = dictionary(target) {
        run.arg(format!("-dict={}", std::path::absolute(dictionary)?.display()));
    }
    let status = run.stdout(Stdio::null()).stderr(log).status().context("cannot start cargo-fuzz")?;
    let text = std::fs::read(&log_path).with_context(|| format!("cannot read {}", log_path.display()))?;
    let figures = figures(&String::from_utf8_lossy(&text));
    let finding = (!status.success()).then(|| {
        let what = figures.artifact.clone().unwrap_or_else(|| status.to_string());
        format!("{what}, see target/fuzz/{target}.log")
    });
    Ok(TargetReport { target: target.to_owned(), figures, finding })
}

/// Returns the dictionary of words for the target's inputs.
fn dictionary(target: &str) -> Option<PathBuf> {
    let name = match target {
        "cover_decode" | "differential" | "embed_into_png" | "extract_png" => "images",
        "configuration" => "configuration",
        "multipart" => "multipart",
        "rpc_frames" | "snapshot_file" => "messages",
        _ => return None,
    };
    Some(folder().join("dictionaries").join(name).with_extension("dict")).filter(|path| path.exists())
}

/// Parses the log of libFuzzer: the last line of progress, the final figures, and the path of a finding.
fn figures(log: &str) -> TargetFigures {
    let mut figures = TargetFigures::default();
    for line in log.lines() {
        if let Some((name, value)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':')) {
            let value = value.trim().to_owned();
            match name {
                "number_of_executed_units" => figures.executions = value,
                "average_exec_per_sec" => figures.per_second = value,
                "peak_rss_mb" => figures.peak_rss_mib = value,
                _ => {}
            }
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            figures.artifact = Some(path.trim().to_owned());
        } else if line.starts_with('#') {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "cov:" => figures.coverage = words.next().unwrap_or_default().to_owned(),
                    "ft:" => figures.features = words.next().unwrap_or_default().to_owned(),
                    _ => {}
                }
            }
        }
    }
    figures
}

fn print(report: &TargetReport) {
    let TargetReport { target, figures, finding } = report;
    let TargetFigures { executions, per_second, coverage, features, peak_rss_mib, .. } = figures;
    let finding = finding.as_deref().unwrap_or("none");
    println!(
        "{target:<16} {executions:>12} {per_second:>8} {coverage:>7} {features:>7} {peak_rss_mib:>9}  {finding}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "INFO: seed corpus: files: 4\n\
                   #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                   #4096\tpulse  cov: 120 ft: 340 corp: 9/1Kb lim: 4096 exec/s: 2048 rss: 60Mb\n\
                   artifact_prefix='/x/'; Test unit written to /x/crash-1\n\
                   stat::number_of_executed_units: 5000\n\
                   stat::average_exec_per_sec:     2500\n\
                   stat::new_units_added:          8\n\
                   stat::peak_rss_mb:              61\n";
        let expected = TargetFigures {
            executions: "5000".to_owned(),
            per_second: "2500".to_owned(),
            coverage: "120".to_owned(),
            features: "340".to_owned(),
            peak_rss_mib: "61".to_owned(),
            artifact: Some("/x/crash-1".to_owned()),
        };
        assert_eq!(figures(log), expected);
        assert_eq!(figures(""), TargetFigures::default());
    }

    #[test]
    fn unknown_targets_are_named() {
        let error = chosen(&["cover_decode".to_owned(), "nonsense".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("nonsense") && error.contains("extract_png"), "{error}");
        assert!(chosen(&[]).unwrap().contains(&"cover_decode".to_owned()));
    }

    #[test]
    fn dictionaries_are_there() {
        for target in ["cover_decode", "configuration", "multipart", "rpc_frames"] {
            assert!(dictionary(target).is_some(), "{target}");
        }
    }
}

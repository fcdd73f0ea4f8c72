//! `cargo xtask mutate`: stego images with a change each, by the million, in the release build.
//!
//! The changes and the required outcomes are defined by `testkit::mutation`. The work is shared by several
//! single-threaded processes, so that the memory of a process is the memory of a single call, and a crash of
//! a process is noticed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use stego::Limits;
use testkit::mutation::{Mutation, Mutator, judge};

/// Memory limit of an image, small, so that any excess shows.
const MAX_IMAGE_MEMORY_BYTES: u64 = 64 << 20;
const MAX_SECRET_BYTES: u64 = 16 << 20;
/// Memory of a process besides the limits: the program, the images, and the changed file.
const OTHER_MEMORY_BYTES: u64 = 64 << 20;
/// Most wrong results kept, because a single defect shows many times.
const MAX_WRONG: usize = 20;

/// Number and choice of the changes.
#[derive(Debug, Args)]
pub(crate) struct MutateOptions {
    /// Number of images to change
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,

    /// Seed of the changes: the same seed gives the same changes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Number of processes that share the work [default: one for each core]
    #[arg(long, value_name = "N")]
    processes: Option<usize>,

    /// Do a share of the work and print the result as JSON
    #[arg(long, hide = true)]
    share: Option<u64>,
}

/// Result of the work or of a share.
#[derive(Debug, Default)]
struct Tally {
    /// Number of occurrences by kind of change and outcome.
    outcomes: BTreeMap<(String, String), u64>,
    /// Outcomes that must not occur.
    wrong: Vec<String>,
    peak_rss_bytes: u64,
}

/// Distributes the work and prints the result.
///
/// # Errors
/// If a process fails, or an extraction gave neither the secret nor an error.
pub(crate) fn run(options: &MutateOptions) -> anyhow::Result<()> {
    if let Some(share) = options.share {
        let tally = work(options, share)?;
        println!("{}", tally.to_json());
        return Ok(());
    }
    xtask::cargo(&["build", "--release", "--package", "measure"])?;
    let processes = options.processes.or_else(|| Some(std::thread::available_parallelism().ok()?.get()));
    let processes = processes.unwrap_or(1).max(1);
    let began = Instant::now();
    let mut running = Vec::new();
    for share in 0..processes {
        let mut command = Command::new(xtask::target().join("release/measure"));
        command.args(["mutate", "--count", &options.count.to_string(), "--seed", &options.seed.to_string()]);
        command.args(["--processes", &processes.to_string(), "--share", &share.to_string()]);
        let child = command.stdout(Stdio::piped()).spawn().context("cannot start a share of the work")?;
        running.push(child);
    }
    let mut all = Tally::default();
    for (share, child) in running.into_iter().enumerate() {
        let output = child.wait_with_output().context("cannot wait for a share of the work")?;
        ensure!(output.status.success(), "share {share} of the work died: {}", output.status);
        all.add(serde_json::from_slice(&output.stdout).context("a share of the work printed no JSON")?)?;
    }
    print(&all, options.count, processes, began);
    let max_rss_bytes = MAX_IMAGE_MEMORY_BYTES + MAX_SECRET_BYTES + OTHER_MEMORY_BYTES;
    ensure!(all.peak_rss_bytes <= max_rss_bytes, "a process took more than {} MiB", max_rss_bytes >> 20);
    ensure!(all.wrong.is_empty(), "{} changes had wrong outcomes", all.wrong.len());
    Ok(())
}

/// Makes every change whose number is congruent to `share` modulo the number of shares.
fn work(options: &MutateOptions, share: u64) -> anyhow::Result<Tally> {
    let processes = options.processes.context("--share needs --processes")?.max(1);
    let limits = Limits {
        max_pixels: Limits::DEFAULT_MAX_PIXELS,
        max_image_memory_bytes: MAX_IMAGE_MEMORY_BYTES,
        max_secret_bytes: MAX_SECRET_BYTES,
        ..Limits::default()
    };
    let mutator = Mutator::new();
    let mut tally = Tally::default();
    for number in (share..options.count).step_by(processes) {
        // Ranges of neighbouring seeds do not overlap.
        let seed = options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number);
        let mutation = mutator.mutate(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| judge(&mutation, &limits)));
        match outcome.unwrap_or_else(|_| Err("it panicked".to_owned())) {
            Ok(outcome) => tally.count(mutation.kind, outcome),
            Err(why) => {
                tally.count(mutation.kind, "WRONG");
                tally.keep(&mutation, seed, &why)?;
            }
        }
    }
    tally.peak_rss_bytes = peak_rss_bytes()?;
    Ok(tally)
}

impl Tally {
    fn count(&mut self, kind: &str, outcome: &str) {
        *self.outcomes.entry((kind.to_owned(), outcome.to_owned())).or_default() += 1;
    }

    /// Writes the changed image to a file for inspection.
    fn keep(&mut self, mutation: &Mutation, seed: u64, why: &str) -> anyhow::Result<()> {
        if self.wrong.len() < MAX_WRONG {
            let path = artifact(seed);
            std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
            std::fs::write(&path, &mutation.file)
                .with_context(|| format!("cannot write {}", path.display()))?;
            self.wrong.push(format!("{} ({}): {why}", path.display(), mutation.kind));
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let outcomes: Vec<Value> =
            self.outcomes.iter().map(|((kind, outcome), n)| json!([kind, outcome, n])).collect();
        json!({ "outcomes": outcomes, "wrong": self.wrong, "peak_rss_bytes": self.peak_rss_bytes })
    }

    fn add(&mut self, share: Value) -> anyhow::Result<()> {
        for outcome in share["outcomes"].as_array().into_iter().flatten() {
            let (Some(kind), Some(code), Some(n)) =
                (outcome[0].as_str(), outcome[1].as_str(), outcome[2].as_u64())
            else {
                bail!("a share of the work printed the outcome {outcome}");
            };
            *self.outcomes.entry((kind.to_owned(), code.to_owned())).or_default() += n;
        }
        let wrong = share["wrong"].as_array().into_iter().flatten();
        self.wrong.extend(wrong.filter_map(|why| why.as_str().map(str::to_owned)));
        self.peak_rss_bytes = self.peak_rss_bytes.max(share["peak_rss_bytes"].as_u64().unwrap_or(0));
        Ok(())
    }

    /// Returns the totals by kind of change, or by outcome.
    fn sums(&self, of: impl Fn(&(String, String)) -> &str) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for (key, n) in &self.outcomes {
            *sums.entry(of(key)).or_default() += n;
        }
        sums
    }
}

fn artifact(seed: u64) -> PathBuf {
    xtask::target().join("mutate").join(format!("{seed:016x}.png"))
}

/// Returns the peak resident memory of this process, as reported by Linux.
fn peak_rss_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.context("there is no VmHWM in /proc/self/status")? << 10)
}

fn print(tally: &Tally, count: u64, processes: usize, began: Instant) {
    println!("{:<44} {:>10}", "change", "n");
    for (kind, n) in tally.sums(|(kind, _)| kind) {
        println!("{kind:<44} {n:>10}");
    }
    println!("\n{:<44} {:>10}", "outcome", "n");
    for (outcome, n) in tally.sums(|(_, outcome)| outcome) {
        println!("{outcome:<44} {n:>10}");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "\nn {count}, {processes} processes, {seconds:.0} s, {:.0} a second, peak RSS of a process {} MiB",
        count as f64 / seconds,
        tally.peak_rss_bytes >> 20
    );
    for wrong in &tally.wrong {
        println!("WRONG: {wrong}");
    }
}

//! Runs simulations: `cargo xtask sim --seeds 100`, or `cargo xtask sim --seed 7 --trace`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the results of the runs")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
#[cfg(feature = "planted")]
use control_plane::planted::Mistake;
use simulation::{Fault, NODES, RunOptions, Summary, plan, run, shrink};

/// Simulate whole clusters, each from one seed, and check the invariants of the protocol.
///
/// A seed decides everything: schedule, network, disks, clocks and faults. The exit code is 1 if an invariant
/// was broken; the seed is printed.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Cli {
    /// Run this seed only, and print the hash of its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of seeds.
    #[arg(long, default_value_t = 100, value_name = "N")]
    seeds: u64,
    /// First of the seeds.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    first: u64,
    /// Simulated time of each seed under clients and faults, in seconds.
    #[arg(long, default_value_t = 30, value_name = "S")]
    seconds: u64,
    /// Simulations at a time.
    #[arg(long, default_value_t = 2, value_name = "N")]
    jobs: u64,
    /// Kinds of faults; the default are all that the protocol withstands.
    #[arg(long, value_delimiter = ',', value_enum, value_name = "KIND")]
    faults: Vec<Fault>,
    /// Inject no faults.
    #[arg(long, conflicts_with = "faults")]
    calm: bool,
    /// Print what the nodes log, as a timeline.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Plant a mistake into the nodes. The run ends with the first seed that finds the mistake.
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE", value_parser = parse_mistake)]
    mistake: Option<Mistake>,
    /// Shorten the schedule of faults of a seed that breaks an invariant, and print what is left.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Print a line for each seed.
    #[arg(long)]
    verbose: bool,
}

impl Cli {
    fn options(&self, seed: u64) -> RunOptions {
        let kinds = match (self.calm, self.faults.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => Fault::ALL.to_vec(),
            (false, chosen) => chosen.to_vec(),
        };
        let duration = Duration::from_secs(self.seconds);
        RunOptions {
            seed,
            duration,
            faults: plan(seed, &kinds, NODES, duration),
            #[cfg(feature = "planted")]
            mistake: self.mistake,
        }
    }
}

#[cfg(feature = "planted")]
fn parse_mistake(name: &str) -> Result<Mistake, String> {
    let named = |mistake: &Mistake| format!("{mistake:?}");
    let found = Mistake::ALL.into_iter().find(|mistake| named(mistake) == name);
    found.ok_or_else(|| format!("one of {}", Mistake::ALL.iter().map(named).collect::<Vec<_>>().join(", ")))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.trace {
        simulation::print_timeline(tracing::Level::INFO);
    }
    let (first, end) = match cli.seed {
        Some(seed) => (seed, seed.saturating_add(1)),
        None => (cli.first, cli.first.saturating_add(cli.seeds)),
    };
    let next = AtomicU64::new(first);
    let summary = Mutex::new(Summary::default());
    thread::scope(|scope| {
        for _ in 0..cli.jobs.clamp(1, end - first) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let result = run(&cli.options(seed));
                    if cli.verbose || cli.seed.is_some() {
                        println!("{result}");
                    }
                    if let Some(violation) = &result.violation {
                        eprintln!("seed {seed}: {violation}");
                        #[cfg(feature = "planted")]
                        if cli.mistake.is_some() {
                            next.store(end, Ordering::Relaxed);
                        }
                    }
                    if cli.shrink && result.violation.is_some() {
                        let (shorter, ran) = shrink(&cli.options(seed), &result);
                        shorter.faults.iter().for_each(|fault| println!("{fault}"));
                        ran.violation.iter().for_each(|violation| println!("{violation}"));
                    }
                    summary.lock().expect("no panic while it is held").add(&result);
                }
            });
        }
    });
    let summary = summary.into_inner().expect("no panic while it is held");
    println!("{summary}");
    if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

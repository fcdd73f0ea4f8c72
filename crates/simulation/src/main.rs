//! Runs simulations: `cargo xtask sim --seeds 100`, or `cargo xtask sim --seed 7 --trace`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the results of the runs")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use simulation::{Fault, RunOptions, Summary, run};

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
    /// Kinds of faults; the default are all but `put-back`, which breaks what a vote promises.
    #[arg(long, value_delimiter = ',', value_enum, value_name = "KIND")]
    faults: Vec<Fault>,
    /// Inject no faults.
    #[arg(long, conflicts_with = "faults")]
    calm: bool,
    /// Print what the nodes log, as a timeline.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print a line for each seed.
    #[arg(long)]
    verbose: bool,
}

impl Cli {
    fn options(&self, seed: u64) -> RunOptions {
        let faults = match (self.calm, self.faults.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => Fault::withstood(),
            (false, chosen) => chosen.to_vec(),
        };
        RunOptions { seed, duration: Duration::from_secs(self.seconds), faults }
    }
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
                    }
                    summary.lock().expect("no panic while it is held").add(&result);
                }
            });
        }
    });
    let summary = summary.into_inner().expect("no panic while it is held");
    println!("{summary}");
    let names: Vec<_> = Fault::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    debug_assert_eq!(names.len(), Fault::ALL.len(), "every kind can be named");
    if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

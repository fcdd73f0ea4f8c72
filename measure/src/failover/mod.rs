//! `cargo xtask failover`: cost of losing a leader, measured on real processes of the release build.
//!
//! Each case starts a new cluster, injects a fault for `n` rounds, and measures from outside the effects
//! visible to a client or an operator. No judgement depends on a sleep: every step waits for a condition,
//! with a deadline reached only by a broken cluster. A failed round leaves the logs of all nodes, and the
//! case continues with a new cluster. The cost of a flush on this machine is printed beside every figure,
//! because a leader needs several flushes in a row to take over.
//!
//! | module | content |
//! |---|---|
//! | `bench` | settings of the whole measurement |
//! | `case`, `cases` | a case with its bounds, and the list of cases |
//! | `bench_cluster`, `rounds` | a cluster, with load if needed; rounds, and logs of failed rounds |
//! | `report`, `flush`, `metrics` | figures, bounds, the cost of a flush, and the figures of a node |
//! | `load`, `writer` | embeds by loadgen; settings written in sequence |
//! | all other modules | cases |

mod bench;
mod bench_cluster;
mod case;
mod cases;
mod flush;
mod handover;
mod load;
mod load_kill;
mod lost_leader;
mod metrics;
mod minority;
mod quiet;
mod repeated;
mod report;
mod rolling;
mod rounds;
mod stalled_disk;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use bench::Bench;
use case::Case;
use cases::CASES;
use report::CaseReport;

/// Cases to measure, and form of the report.
#[derive(Debug, Args)]
pub(crate) struct FailoverOptions {
    /// A case, or a group of cases by the part before the slash; may be given several times [default: all]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,

    /// Rounds of each case, in place of the default of the case
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: Option<u32>,

    /// Duration of the cases that only observe, in minutes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=24 * 60))]
    minutes: u64,

    /// List the cases
    #[arg(long)]
    list: bool,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// A configuration key for every node, such as `election.heartbeat_ms=50`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Folder with `server` and `loadgen` [default: target/release, after building both]
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people, case by case
    Text,
    /// One JSON array at the end
    Json,
}

/// Measures the chosen cases.
///
/// # Errors
///
/// If a case does not exist, a round failed, or a figure missed its bound.
pub(crate) fn run(options: FailoverOptions) -> anyhow::Result<()> {
    if options.list {
        for Case { name, rounds, about, .. } in CASES {
            println!("{name:<32} {:>4}  {about}", rounds.to_string());
        }
        return Ok(());
    }
    let chosen = choose(&options.cases)?;
    let bench = Bench::prepare(options.bin_dir, options.n, options.minutes, options.set)?;
    let mut reports = Vec::new();
    for case in chosen {
        eprintln!("{}: {}", case.name, case.about);
        let report = measure(&bench, case)?;
        if options.output == Output::Text {
            println!("{report}");
        }
        reports.push(report);
    }
    if options.output == Output::Json {
        let all: Vec<_> = reports.iter().map(CaseReport::to_json).collect();
        println!("{:#}", serde_json::Value::from(all));
    }
    let bad: Vec<&str> = reports.iter().filter(|report| !report.is_well()).map(CaseReport::name).collect();
    ensure!(bad.is_empty(), "cases failed: {}", bad.join(", "));
    Ok(())
}

fn choose(names: &[String]) -> anyhow::Result<Vec<&'static Case>> {
    for name in names {
        let known = CASES.iter().any(|case| case.is_called(name));
        ensure!(known, "unknown case `{name}`; --list shows all cases");
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| case.is_called(name));
    Ok(CASES.iter().filter(wanted).collect())
}

fn measure(bench: &Bench, case: &'static Case) -> anyhow::Result<CaseReport> {
    let kept = bench.folder().join(case.name.replace('/', "-"));
    if kept.exists() {
        // Left by an earlier run of the bench.
        std::fs::remove_dir_all(&kept).with_context(|| format!("cannot empty {}", kept.display()))?;
    }
    let flush = flush::measure(bench.folder()).context("cannot measure a flush")?;
    let rounds = bench.rounds.unwrap_or(case.rounds);
    let mut report = CaseReport::new(case, kept, flush);
    (case.run)(bench, rounds, &mut report)?;
    report.finish();
    Ok(report)
}

//! `loadgen` puts load on a cluster and verifies every answer.
//!
//! **Contract.** What the report counts as succeeded was verified here: the stego image was decoded whole, with
//! its checksums, and the secret came out of it bit for bit. Latency is that of the answers; verification is
//! not in it and runs at low priority on threads of its own. stdout carries the report and nothing else.
//!
//! | module | what it does |
//! |---|---|
//! | `cli`, `config_file`, `settings` | flags over file over defaults, into one checked value |
//! | `plan` | what is to be sent, and when: pure values |
//! | `secrets` | what is hidden: unique to each request, the same for the same seed |
//! | `run` | clients and arrivals: when requests start, and when all ends |
//! | `request` | one request and the judgement on it |
//! | `verify` | the threads that check answers, and the checks |
//! | `stats`, `report`, `progress` | counting, and showing what was counted |

mod cli;
mod config_file;
mod plan;
mod probe;
mod progress;
mod report;
mod request;
mod run;
mod secrets;
mod settings;
mod stats;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Output};
use crate::report::Report;
use crate::settings::Settings;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::resolve(&cli.load) {
        Ok(settings) => settings,
        Err(error) => {
            let text = format!("{error:#}");
            Cli::command().error(clap::error::ErrorKind::ValueValidation, text).exit()
        }
    };
    match run_and_report(settings) {
        Ok(report) if report.is_success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_and_report(settings: Settings) -> anyhow::Result<Report> {
    let output = settings.output;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let report = runtime.block_on(run::run(settings))?;
    // Requests that were cut off by Ctrl-C may have left work on blocking threads: it is not waited for.
    runtime.shutdown_background();
    let text = match output {
        Output::Text => report.to_text(),
        Output::Json => serde_json::to_string_pretty(&report).context("cannot write the report")? + "\n",
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write the report")?;
    Ok(report)
}

//! Entry point of the `loadgen` binary: from the command line to the report.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};
use crate::drill;
use crate::flag_values::Output;
use crate::run;
use crate::settings::Settings;

/// Runs the command given on the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Drill(args)) = &cli.command {
        return drill_and_report(args);
    }
    let settings = match Settings::resolve(&cli.load) {
        Ok(settings) => settings,
        Err(error) => {
            let text = format!("{error:#}");
            Cli::command().error(clap::error::ErrorKind::ValueValidation, text).exit()
        }
    };
    exit_code(run_and_report(settings))
}

fn exit_code(succeeded: anyhow::Result<bool>) -> ExitCode {
    match succeeded {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_and_report(settings: Settings) -> anyhow::Result<bool> {
    let output = settings.output;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let report = runtime.block_on(run::run(settings))?;
    // Requests cut off by Ctrl-C may have left work on blocking threads, which is abandoned.
    runtime.shutdown_background();
    match output {
        Output::Text => write_out(&report.to_text())?,
        Output::Json => write_out(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    Ok(report.is_success())
}

fn drill_and_report(args: &drill::DrillArgs) -> ExitCode {
    let options = match args.options() {
        Ok(options) => options,
        Err(error) => {
            let text = format!("{error:#}");
            Cli::command().error(clap::error::ErrorKind::ValueValidation, text).exit()
        }
    };
    let run = || {
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        let report = runtime.block_on(drill::run(options, async {
            // Without a handler the signal ends the process by default.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
        }))?;
        runtime.shutdown_background();
        write_out(&report.render(args.output)?)?;
        Ok(report.is_success())
    };
    exit_code(run())
}

fn write_out(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write the report")
}

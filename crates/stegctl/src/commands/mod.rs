//! The commands on images; those on clusters are in [`crate::cluster`].

mod capacity;
mod certs;
mod compare;
mod embed;
mod extract;
mod inspect;
mod manual;
mod passphrase;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value};
use stego::{Channels, FileName, Limits, MediaType};

use crate::cli::{Cli, Command, ReportOptions};
use crate::cluster;
use crate::failure::Failure;
use crate::files;
use crate::output::{print, say};
use crate::progress::{Meter, Work};

/// Runs a command, reports a failure and returns the exit status.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let limits = cli.limits.limits();
    match cli.command {
        Command::Embed(command) => embed::run(&command, &limits),
        Command::Extract(command) => extract::run(&command, &limits),
        Command::Capacity(command) => capacity::run(&command, &limits),
        Command::Inspect(command) => inspect::run(&command, &limits),
        Command::Compare(command) => compare::run(&command, &limits),
        Command::Passphrase(command) => exit_code(passphrase::run(&command)),
        Command::Certs(command) => exit_code(certs::run(&command)),
        Command::Status(command) => exit_code(cluster::status(&command)),
        Command::Leader(command) => exit_code(cluster::leader(&command)),
        Command::Member(command) => exit_code(cluster::member(&command)),
        Command::Settings(command) => exit_code(cluster::settings(&command)),
        Command::Console(command) => exit_code(cluster::console(&command)),
        Command::Completions(command) => exit_code(manual::completions(&command)),
        Command::Man(command) => exit_code(manual::man(&command)),
    }
}

fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            failure.exit_code()
        }
    }
}

/// Results of a command, complete or up to its failure.
#[derive(Debug, Default)]
struct Findings {
    /// Facts for programs.
    facts: Map<String, Value>,
    /// Text for people, on standard output.
    text: String,
    /// Notes for people, on standard error.
    remarks: Vec<String>,
}

impl Findings {
    /// Adds facts, the members of an object.
    fn add(&mut self, facts: Value) {
        debug_assert!(facts.is_object(), "{facts} has no members");
        if let Value::Object(facts) = facts {
            self.facts.extend(facts);
        }
    }

    /// Prints the findings, then the failure.
    fn tell(mut self, report: ReportOptions, outcome: Result<(), Failure>) -> Result<(), Failure> {
        if report.json {
            let problem = outcome.as_ref().err().map_or(Value::Null, Failure::to_json);
            self.facts.insert("problem".to_owned(), problem);
            print(&format!("{}\n", Value::Object(self.facts)))?;
        } else {
            print(&self.text)?;
        }
        if !report.only_errors() {
            self.remarks.iter().for_each(say);
        }
        outcome
    }
}

/// Runs `one` for each image and reports each result; the exit status is the one of the first failure.
fn each_image(
    images: &[PathBuf],
    report: ReportOptions,
    limits: &Limits,
    mut one: impl FnMut(&Path, &Limits, &mut Findings) -> Result<(), Failure>,
) -> ExitCode {
    if images.iter().filter(|image| files::is_standard_stream(image)).count() > 1 {
        return exit_code(Err(Failure::usage("standard input (-) can be read only once: name it once")));
    }
    let mut first_failure = None;
    for (place, image) in images.iter().enumerate() {
        let mut findings = Findings::default();
        findings.facts.insert("image".to_owned(), image.to_string_lossy().into());
        let outcome = {
            let meter = Meter::start(Work::Look, report.only_errors());
            one(image, &Limits { watch: meter.watch(), ..limits.clone() }, &mut findings)
        };
        if images.len() > 1 && !findings.text.is_empty() {
            let gap = if place > 0 { "\n" } else { "" };
            findings.text = format!("{gap}{}:\n{}", files::shown(image), findings.text);
        }
        if let Err(failure) = findings.tell(report, outcome) {
            let failure = failure.of(image);
            say(&failure);
            first_failure.get_or_insert(failure.exit_code());
        }
    }
    first_failure.unwrap_or(ExitCode::SUCCESS)
}

fn read_image(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read_image(path).map_err(|error| Failure::file(&error))
}

/// Refuses an output name with the extension of another image format than PNG.
fn check_is_png(output: &Path, option: &str) -> Result<(), Failure> {
    let kind = output.to_str().and_then(FileName::from_path).as_ref().and_then(MediaType::of_name);
    let is_other = |kind: &MediaType| kind.as_str().starts_with("image/") && kind.as_str() != "image/png";
    if !kind.is_some_and(|kind| is_other(&kind)) {
        return Ok(());
    }
    let (given, png) = (output.display(), output.with_extension("png"));
    Err(Failure::usage(format!(
        "the result is a PNG, and {given} is the name of another format, in which a program would take it for damaged or \
         save it anew: write {option} {}",
        png.display()
    )))
}

fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    files::write(path, bytes, force).map_err(|error| Failure::file(&error))
}

/// Formats a count, such as `1 file` or `2 files`.
fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Names the channels of a pixel.
fn channel_names(channels: Channels) -> &'static str {
    match (channels.colour_count(), channels.has_alpha()) {
        (1, false) => "grey",
        (1, true) => "grey with alpha",
        (_, false) => "RGB",
        (_, true) => "RGB with alpha",
    }
}

/// Formats lines of a name and a value, aligned.
fn table(lines: impl IntoIterator<Item = (&'static str, String)>) -> String {
    lines.into_iter().map(|(what, value)| format!("{what:<10}  {value}\n")).collect()
}

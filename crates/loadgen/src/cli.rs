//! Command line of `loadgen`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use client::Endpoint;

use crate::drill::DrillArgs;
use crate::plan::Mode;
use crate::verify::Verify;

const EXAMPLES: &str = "\
Examples:
  Four thousand embeds on one local node, by 20 clients:
    loadgen

  The same, spread over a cluster:
    loadgen --server-list \"http://172.20.10.2:8081,http://172.20.10.3:8082,http://172.20.10.4:8083\"

  The servers, timeout and retries of a cluster's configuration file:
    loadgen --mode roundtrip --config config/cluster.yaml

  Forty requests per second for a minute, independent of answers; a report for programs:
    loadgen --mode mixed --rate 40 --duration 1m --output json

  Kill the leader under load, and show the consequences (`loadgen drill --help`):
    loadgen drill --kind crash

Success, latency and errors:
  A request succeeds if its answer arrives within the request timeout, retries included, and passes
  verification: the identical secret is extracted from the image, and in one image of 20 every pixel is
  decoded and every checksum compared (--verify); extracted bytes are compared with the embedded secret. A
  roundtrip is a single request: an embed and an extract, possibly on different nodes. `mixed` is 50 %
  embed, 30 % extract and 20 % roundtrip. `extract` and `mixed` first embed a few secrets, which are not
  counted.

  Latency is reported for succeeded requests and ends when the answer has arrived, before verification.
  With --rate it begins when the request is due, so that a stalled server cannot hide it; otherwise when
  the request is sent. In the list of nodes a request counts for the node that answered or failed last.
  `retried` counts the calls sent again, mostly to another node, because the node was down, hung, busy or
  stopping; retries are not failures.

  Kinds of errors: `connect`, `connection_lost`, `timeout`, `http_<status>` or the node's problem code,
  `bad_answer`, `invalid_png`, `wrong_bytes`, and `not_sent` for arrivals beyond --max-in-flight.

  `limited by this client`: requests spent more time in loadgen than on the way, so that the figures
  describe this machine. Reduce the clients, use --verify payload, or run loadgen on a separate machine.

Exit code: 0 if every request succeeded, 1 if any failed or no node could be reached, 2 for a wrong command
line.";

/// Puts load on a cluster and verifies every answer.
///
/// The report goes to stdout, everything else to stderr. Ctrl-C ends a run early and reports the requests
/// completed so far.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// Commands besides a load run.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Inject a fault under load, and show the consequences with their times
    Drill(DrillArgs),
}

/// Flags of a load run.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Kind of requests
    #[arg(long, value_enum, default_value_t = Mode::Embed, help_heading = "Load")]
    pub(crate) mode: Mode,

    /// Clients, each with one request at a time; a client verifies an answer before it sends its next request
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) num_clients: u32,

    /// Requests of each client [default: 200, or as many as fit into --duration]
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) reqs_per_client: Option<u32>,

    /// Time after which sending stops, such as 30s, 500ms or 1m30s; with --reqs-per-client, the first limit
    /// reached applies
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    pub(crate) duration: Option<Duration>,

    /// Requests per second in total, sent when due, independent of earlier answers. Clients then only count:
    /// --num-clients × --reqs-per-client requests, or as many as are due in --duration
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate, help_heading = "Load")]
    pub(crate) rate: Option<f64>,

    /// Most requests in flight or in verification; further arrivals fail as `not_sent`
    #[arg(long, value_name = "N", default_value_t = 256, requires = "rate", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_in_flight: u32,

    /// Seed of the secrets: the same seed gives the same requests
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    pub(crate) seed: u64,

    /// Size of each secret in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 10_240, help_heading = "Requests")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=stego::Limits::DEFAULT_MAX_SECRET_BYTES))]
    pub(crate) secret_bytes: u64,

    /// Image to hide secrets in [default: the node's default cover]
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(crate) cover: Option<PathBuf>,

    /// Low bits of each sample to use, 1 to 4 [default: the node's setting]
    #[arg(long, value_name = "N", help_heading = "Requests")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) bits: Option<u8>,

    /// Form of the answers: the file itself, or JSON with the file in base64
    #[arg(long, value_enum, default_value_t = AnswerArg::Png, help_heading = "Requests")]
    pub(crate) answer: AnswerArg,

    /// Depth to which stego images are verified
    ///
    /// Each answer is verified: its payload is extracted again and compared. Decoding every pixel takes more
    /// processor time than an embed takes on the node.
    #[arg(long, value_enum, default_value_t = Verify::Sample, help_heading = "Requests")]
    pub(crate) verify: Verify,

    /// Nodes asked in turn, separated by commas [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URLS", value_delimiter = ',', help_heading = "Servers")]
    pub(crate) server_list: Option<Vec<Endpoint>>,

    /// Configuration of a cluster (YAML): its nodes and `loadgen` section replace the defaults of this group
    #[arg(long, value_name = "FILE", help_heading = "Servers")]
    pub(crate) config: Option<PathBuf>,

    /// Time for each answer in milliseconds, retries included [default: 5000]
    ///
    /// A node that has not answered within half of the time loses the request to another node that is up;
    /// once answer times are known, within twice the time of the slowest recent answer.
    #[arg(long, value_name = "MS", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) request_timeout_ms: Option<u64>,

    /// Most retries of a request [default: 2]
    ///
    /// All requests share a retry budget: a fifth of their number and ten a second.
    #[arg(long, value_name = "N", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) max_retries: Option<u32>,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Text, help_heading = "Output")]
    pub(crate) output: Output,

    /// Hide the progress, shown only on a terminal
    #[arg(long, help_heading = "Output")]
    pub(crate) no_progress: bool,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Form of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerArg {
    /// The file itself
    Png,
    /// JSON, whose base64 is verified too
    Json,
}

/// Parses a time such as `30s`, `500ms` or `1m30s`.
///
/// # Errors
/// If the text is not a time, or the time is zero or more than a week.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(7 * 24 * 3600);
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("the time must be more than zero".into()),
        Ok(duration) if duration <= MAX => Ok(duration),
        Ok(_) => Err("the time must be at most a week".into()),
        Err(error) => Err(format!("{error}; write a time such as 30s, 500ms or 1m30s")),
    }
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    const MIN: f64 = 0.001;
    const MAX: f64 = 100_000.0;
    match text.parse::<f64>() {
        Ok(rate) if (MIN..=MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("write requests per second as a number from {MIN} to {MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_promised_flags_are_read() {
        let cli = Cli::try_parse_from([
            "loadgen",
            "--mode",
            "roundtrip",
            "--num-clients",
            "3",
            "--reqs-per-client",
            "7",
            "--server-list",
            "http://a:1,http://b:2, http://c:3",
        ])
        .unwrap();
        assert_eq!(cli.load.mode, Mode::Roundtrip);
        assert_eq!((cli.load.num_clients, cli.load.reqs_per_client), (3, Some(7)));
        let servers: Vec<_> = cli.load.server_list.unwrap().iter().map(Endpoint::to_string).collect();
        assert_eq!(servers, ["http://a:1", "http://b:2", "http://c:3"]);
    }

    #[test]
    fn wrong_values_are_refused_with_what_to_write() {
        let check = |args: &[&str], expected: &str| {
            let error = Cli::try_parse_from([&["loadgen"], args].concat()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{expected:?} in {error}");
        };
        check(&["--server-list", "localhost:8081"], "write `http://localhost:8081`");
        check(&["--bits", "5"], "5 is not in 1..=4");
        check(&["--rate", "0"], "requests per second");
        check(&["--rate", "nan"], "requests per second");
        check(&["--num-clients", "0"], "0 is not in 1..=10000");
        check(&["--duration", "30"], "30s");
        check(&["--max-in-flight", "5"], "--rate");
    }

    #[test]
    fn times_have_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("30s", Some(30_000));
        check("500ms", Some(500));
        check("1m30s", Some(90_000));
        check("168h", Some(604_800_000));
        for wrong in ["", "s", "30", "-1s", "0s", "169h", "99999999999999999999s"] {
            check(wrong, None);
        }
    }
}

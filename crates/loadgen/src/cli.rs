//! Command line of `loadgen`.

use clap::{Parser, Subcommand};

use crate::drill::DrillArgs;
use crate::load_args::LoadArgs;

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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use client::Endpoint;

    use super::*;
    use crate::plan::Mode;

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
}

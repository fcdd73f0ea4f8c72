//! Command line of `loadgen drill`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use client::{AdminToken, Endpoint};

use super::options::{self, DrillOptions, FaultKind, Target};
use crate::config_file::{ConfigFile, read_text};
use crate::flag_values::{Output, parse_duration, parse_rate};
use crate::plan::{Mode, Model, Plan};
use crate::secrets::Secrets;

/// Most requests of the open model in flight.
const MAX_IN_FLIGHT: u32 = 256;
/// Longest phase of a drill, because all records of a phase are kept in memory.
const MAX_PHASE: Duration = Duration::from_secs(3600);
/// Longest fault: nodes end a fault by themselves soon after.
const MAX_FAULT: Duration = Duration::from_secs(45);

const EXAMPLES: &str = "\
Examples:
  Kill the leader of `server demo` under the load of 8 clients:
    loadgen drill --kind crash

  Stop the leader's process for 5 seconds, under 20 clients; a report for programs:
    loadgen drill --kind hang --fault-duration 5s --num-clients 20 --output json

  Cut off a follower of a cluster on three devices:
    loadgen drill --kind partition --target follower --config config/cluster.yaml --admin-token-file admin.token

  Restart all three nodes one after the other, the leader last:
    loadgen drill --kind rolling-restart

Procedure:
  All nodes must be healthy, know a leader and permit drills (--enable-fault-injection; `server demo` sets
  it). The load runs as in a load run, with every answer verified; in parallel the cluster's setting
  `note.drill` is written every 10 ms. The fault is injected with POST /admin/fail of the node. Ctrl-C
  ends the drill, and the fault.

Report:
  All times are milliseconds on this machine's clock, counted from the fault. *Suspected* is the first
  event by which another node reports the failed node as missing, a leader is *named* when the nodes'
  events say so, and the *first write* is the first acknowledged write sent after the fault. `during`
  covers the requests in flight between the fault and one second later, `before` and `after` the rest.
  `retried` counts the calls sent again.

Exit code: 0 if no request failed, no acknowledged write was lost and the cluster has a leader at the end; 1
otherwise, and if the drill could not be run; 2 for a wrong command line.";

/// Injects a fault under load and shows the consequences with their times.
///
/// The report goes to stdout, everything else to stderr.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DrillArgs {
    /// Kind of fault
    #[arg(long, value_enum, help_heading = "Fault")]
    kind: FaultKind,

    /// Node to fail: `leader`, `follower`, or a node's name
    #[arg(long, value_name = "NODE", default_value = "leader", help_heading = "Fault")]
    target: String,

    /// Duration of a pause, a partition or a hang, 45s at most
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_duration, help_heading = "Fault")]
    fault_duration: Duration,

    /// Time under load before the fault, an hour at most
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, help_heading = "Fault")]
    before: Duration,

    /// Time under load after the fault, an hour at most; extended until the nodes are healthy again
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "Fault")]
    after: Duration,

    /// Kind of requests
    #[arg(long, value_enum, default_value_t = Mode::Embed, help_heading = "Load")]
    mode: Mode,

    /// Clients, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = options::NUM_CLIENTS, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    num_clients: u32,

    /// Requests per second in total, sent when due, independent of earlier answers
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate, conflicts_with = "num_clients", help_heading = "Load")]
    rate: Option<f64>,

    /// Size of each secret in bytes
    #[arg(long, value_name = "BYTES", default_value_t = options::SECRET_LEN_BYTES, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16 * 1024 * 1024))]
    secret_bytes: u32,

    /// Seed of the secrets: the same seed gives the same requests
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    seed: u64,

    /// All nodes of the cluster, separated by commas [default: http://127.0.0.1:8081 to 8083]
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        conflicts_with = "config",
        help_heading = "Servers"
    )]
    server_list: Option<Vec<Endpoint>>,

    /// Configuration of a cluster (YAML): its nodes and `loadgen` section replace the defaults of this group
    #[arg(long, value_name = "FILE", help_heading = "Servers")]
    config: Option<PathBuf>,

    /// Time for each answer in milliseconds, retries included [default: 5000]
    #[arg(long, value_name = "MS", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60_000))]
    request_timeout_ms: Option<u64>,

    /// Most retries of a request [default: 2]
    #[arg(long, value_name = "N", help_heading = "Servers")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100))]
    max_retries: Option<u32>,

    /// File with the admin token [default: admin.token in STEG_DATA_DIR or in a data directory below ./data]
    #[arg(long, value_name = "FILE", env = "STEG_ADMIN_TOKEN_FILE", help_heading = "Servers")]
    admin_token_file: Option<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Text, help_heading = "Output")]
    pub(crate) output: Output,
}

impl DrillArgs {
    /// Reads the files named by the flags and merges flags, files and defaults.
    ///
    /// # Errors
    /// If a file cannot be read or used, a time is too long, or flags exclude each other.
    pub(crate) fn options(&self) -> anyhow::Result<DrillOptions> {
        let file = self.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let target = self.target.parse().unwrap_or(Target::Leader);
        ensure!(
            self.kind != FaultKind::RollingRestart || target == Target::Leader,
            "a rolling restart affects every node: omit --target"
        );
        for (flag, phase, most) in [
            ("--before", self.before, MAX_PHASE),
            ("--after", self.after, MAX_PHASE),
            ("--fault-duration", self.fault_duration, MAX_FAULT),
        ] {
            ensure!(phase <= most, "{flag} is at most {}", humantime::format_duration(most));
        }
        let servers = self.server_list.clone().or_else(|| file.server_list());
        let mut options = DrillOptions::new(self.kind, servers.unwrap_or_else(options::demo_servers));
        options.target = target;
        options.before = self.before;
        options.after = self.after;
        options.fault_duration = self.fault_duration;
        options.admin_token = self.admin_token_file.as_deref().map(read_token).transpose()?;
        if options.admin_token.is_none() {
            options.found_tokens = client::find_admin_tokens(std::env::var_os("STEG_DATA_DIR").as_deref());
        }
        self.set_load(&mut options, &file);
        Ok(options)
    }

    fn set_load(&self, options: &mut DrillOptions, file: &ConfigFile) {
        let settings = &mut options.settings;
        let model = match self.rate {
            Some(rate) => Model::Open { rate, max_in_flight: MAX_IN_FLIGHT },
            None => Model::Closed,
        };
        settings.mode = self.mode;
        settings.plan = Plan::until_told(model, self.num_clients);
        settings.secrets = Secrets::new(self.seed, self.secret_bytes as usize);
        if let Some(ms) = self.request_timeout_ms.or(file.loadgen.request_timeout_ms) {
            settings.request_timeout = Duration::from_millis(ms);
        }
        if let Some(retries) = self.max_retries.or(file.loadgen.max_retries) {
            settings.max_retries = retries;
        }
    }
}

fn read_token(path: &Path) -> anyhow::Result<AdminToken> {
    let read = || Ok::<_, anyhow::Error>(AdminToken::new(&read_text(path)?)?);
    read().with_context(|| format!("cannot use the token file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_defaults_are_a_drill_on_the_demo() {
        let options = options(&["--kind", "crash"]).unwrap();
        assert_eq!((options.kind, &options.target), (FaultKind::Crash, &Target::Leader));
        assert_eq!(options.settings.servers, options::demo_servers());
        assert_eq!(options.settings.plan, DrillOptions::new(FaultKind::Crash, Vec::new()).settings.plan);
        assert_eq!((options.before.as_secs(), options.after.as_secs()), (5, 10));
    }

    #[test]
    fn flags_choose_target_times_and_load() {
        let options = options(&[
            "--kind",
            "hang",
            "--target",
            "n3",
            "--fault-duration",
            "500ms",
            "--mode",
            "mixed",
            "--rate",
            "40",
            "--server-list",
            "http://a,http://b",
            "--request-timeout-ms",
            "900",
        ])
        .unwrap();
        assert_eq!(options.target, Target::Node("n3".into()));
        assert_eq!(options.fault_duration, Duration::from_millis(500));
        assert_eq!(options.settings.mode, Mode::Mixed);
        assert!(matches!(options.settings.plan.model, Model::Open { rate: 40.0, .. }));
        assert_eq!(options.settings.servers.len(), 2);
        assert_eq!(options.settings.request_timeout, Duration::from_millis(900));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_flag() {
        let check = |args: &[&str], expected: &str| {
            let error = options(args).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected:?} in {error}");
        };
        check(&["--kind", "rolling-restart", "--target", "n1"], "--target");
        check(&["--kind", "pause", "--fault-duration", "46s"], "--fault-duration is at most 45s");
        check(&["--kind", "pause", "--after", "61m"], "--after is at most 1h");
        check(&["--kind", "crash", "--admin-token-file", "/nowhere/token"], "/nowhere/token");
    }

    fn options(args: &[&str]) -> anyhow::Result<DrillOptions> {
        let cli = Cli::try_parse_from([&["loadgen", "drill"], args].concat()).unwrap();
        let Some(Command::Drill(args)) = cli.command else { panic!("no drill") };
        args.options()
    }
}

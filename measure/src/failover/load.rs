//! Embeds by loadgen, with every answer verified.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use local_cluster::{Process, Signal};
use serde_json::Value;
use testkit::Cluster;

use super::bench::Bench;
use super::metrics::metric;

/// Time limit of a run without a planned end.
const ENDLESS: &str = "24h";
/// Time limit for loadgen's report after a stop.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// Interval between checks for the end of a run.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time limit for the first embeds.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);

/// A running loadgen, killed when dropped.
pub(super) struct Load {
    process: Process,
    report: PathBuf,
}

/// The report of loadgen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadOutcome {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) retries: u64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Failed requests by kind, with an example message of each.
    errors: String,
}

impl Load {
    /// Starts embeds on all nodes by the given number of clients until stopped, and waits for the first embed
    /// on each node. Every sample of every answer is compared, as when the bounds were set: loadgen then
    /// loads the machine more than the nodes do.
    ///
    /// # Errors
    /// If loadgen cannot be started.
    pub(super) fn endless(bench: &Bench, cluster: &Cluster, clients: u32) -> anyhow::Result<Self> {
        let before: Vec<u64> = (0..cluster.len()).map(|i| embedded(cluster, i)).collect();
        let clients = clients.to_string();
        let load = Self::start(
            bench,
            cluster,
            &["--num-clients", &clients, "--duration", ENDLESS, "--verify", "full"],
        )?;
        cluster.wait_until("embeds on every node", BEGUN_WITHIN, |cluster| {
            before.iter().enumerate().all(|(i, &before)| embedded(cluster, i) > before).then_some(())
        });
        Ok(load)
    }

    /// Starts embeds on all nodes with the given arguments.
    ///
    /// # Errors
    /// If loadgen cannot be started.
    pub(super) fn start(bench: &Bench, cluster: &Cluster, args: &[&str]) -> anyhow::Result<Self> {
        let report = cluster.folder().join("loadgen.json");
        let out = File::create(&report).context("cannot make a file for loadgen's report")?;
        let process = Command::new(bench.binary("loadgen"))
            .args(["--mode", "embed", "--output", "json", "--no-progress"])
            .args(["--server-list", &cluster.urls().join(",")])
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .context("cannot start loadgen")?;
        Ok(Self { process: process.into(), report })
    }

    /// Ends an endless run, like Ctrl-C. Requests cut off by the stop do not count.
    ///
    /// # Errors
    /// If loadgen does not end in time, or its report cannot be read.
    pub(super) fn stop(self) -> anyhow::Result<LoadOutcome> {
        self.process.signal(Signal::INT);
        self.wait(STOP_WITHIN)
    }

    /// Waits for the end of a run and returns the report.
    ///
    /// # Errors
    /// If loadgen does not end in time, or its report cannot be read.
    pub(super) fn wait(self, limit: Duration) -> anyhow::Result<LoadOutcome> {
        let until = Instant::now() + limit;
        while self.process.ended()?.is_none() {
            if Instant::now() > until {
                bail!("loadgen does not end within {limit:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let text = std::fs::read_to_string(&self.report).context("loadgen's report cannot be read")?;
        let report = serde_json::from_str(&text).with_context(|| format!("loadgen's report: {text}"))?;
        Ok(LoadOutcome::read(&report))
    }
}

impl LoadOutcome {
    fn read(report: &Value) -> Self {
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        let latency = |name: &str| report["latency_ms"][name].as_f64().unwrap_or(f64::NAN);
        Self {
            succeeded: count("succeeded"),
            failed: count("failed"),
            retries: count("retries"),
            p99_ms: latency("p99"),
            max_ms: latency("max"),
            errors: if count("failed") == 0 {
                String::new()
            } else {
                format!(" {} {}", report["errors"], report["error_examples"])
            },
        }
    }
}

impl fmt::Display for LoadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { succeeded, failed, retries, p99_ms, max_ms, errors } = self;
        write!(f, "{succeeded} embeds succeeded, {failed} failed{errors}, {retries} retries, ")?;
        write!(f, "p99 {p99_ms:.0} ms, max {max_ms:.0} ms")
    }
}

/// Returns the number of embeds by node `i` since its start; 0 if unknown.
pub(super) fn embedded(cluster: &Cluster, i: usize) -> u64 {
    metric(cluster, i, "steg_secrets_embedded_total").map_or(0, |count| count as u64)
}

/// Returns the number of jobs on the pixel threads of all nodes, running and waiting.
pub(super) fn pixel_jobs(cluster: &Cluster) -> f64 {
    (0..cluster.len()).filter_map(|i| metric(cluster, i, "steg_pixel_jobs")).sum()
}

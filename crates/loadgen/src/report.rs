//! Report of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::plan::{Mode, Model};
use crate::settings::Settings;
use crate::stats::{LatencyMs, NodeCount, Stats};
use crate::verify::Verify;

/// Result of a run. Its JSON form is read by programs: members are added, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunReport {
    /// Completed requests, without requests cut off by Ctrl-C.
    total: u64,
    /// Requests answered in time, and verified.
    succeeded: u64,
    failed: u64,
    /// Failed requests by kind.
    errors: BTreeMap<String, u64>,
    /// Time from the start to the last answer.
    duration_s: f64,
    /// Succeeded requests per second.
    throughput_rps: f64,
    /// Latency of succeeded requests.
    latency_ms: LatencyMs,
    /// Counts by node; a request counts for the node that answered or failed last.
    per_node: BTreeMap<String, NodeCount>,
    mode: Mode,
    /// Number of requests required by the flags; `null` if only the time decides.
    planned: Option<u64>,
    /// True if Ctrl-C ended the run.
    interrupted: bool,
    num_clients: u32,
    /// Requests per second that were due; `null` in the closed model.
    intended_rate: Option<f64>,
    /// Calls that were sent again.
    retries: u64,
    secret_bytes: usize,
    /// Total size of all answers.
    answer_bytes: u64,
    seed: u64,
    /// An example message of each kind of error.
    error_examples: BTreeMap<String, String>,
    verify: Verify,
    /// Share of the time of all requests spent in this process, 0 to 1.
    client_share: f64,
    /// True if the share is more than half: the figures then describe this machine.
    limited_by_client: bool,
}

/// Share of the time above which a run is limited by this process.
const LIMITING_SHARE: f64 = 0.5;

impl RunReport {
    pub(crate) fn new(settings: &Settings, stats: &Stats, took: Duration, interrupted: bool) -> Self {
        let duration_s = took.as_secs_f64();
        let errors = || stats.errors.iter().map(|(kind, error)| (kind.clone(), error));
        Self {
            total: stats.total(),
            succeeded: stats.succeeded,
            failed: stats.failed,
            errors: errors().map(|(kind, error)| (kind, error.count)).collect(),
            duration_s: rounded(duration_s),
            throughput_rps: if took.is_zero() { 0.0 } else { rounded(stats.succeeded as f64 / duration_s) },
            latency_ms: stats.latency_ms(),
            per_node: stats.per_node.iter().map(|(node, count)| (node.to_string(), *count)).collect(),
            mode: settings.mode,
            planned: settings.plan.planned(),
            interrupted,
            num_clients: settings.plan.num_clients,
            intended_rate: match settings.plan.model {
                Model::Open { rate, .. } => Some(rate),
                Model::Closed => None,
            },
            retries: stats.retries,
            secret_bytes: settings.secrets.len_bytes(),
            answer_bytes: stats.answer_bytes,
            seed: settings.secrets.seed(),
            error_examples: errors().map(|(kind, error)| (kind, error.example.clone())).collect(),
            verify: settings.verify,
            client_share: rounded(stats.client_share()),
            limited_by_client: stats.client_share() > LIMITING_SHARE,
        }
    }

    /// True if there were requests and all succeeded.
    pub(crate) fn is_success(&self) -> bool {
        self.total > 0 && self.failed == 0
    }

    /// Renders the report for people. The last line gives the number of successful requests.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let sections = [self.summary(), self.node_table(), self.error_table(), self.verdict()];
        for section in sections.iter().filter(|section| !section.is_empty()) {
            let gap = if text.is_empty() { "" } else { "\n" };
            // Writing to a string does not fail.
            let _ = write!(text, "{gap}{section}");
        }
        text
    }

    fn summary(&self) -> String {
        let mode = self.mode.as_str();
        let load = match self.intended_rate {
            Some(rate) => format!("{rate} requests/s due"),
            None => format!("{} clients", self.num_clients),
        };
        let latency = self.latency_ms;
        let quantiles = [
            ("p50", latency.p50),
            ("p95", latency.p95),
            ("p99", latency.p99),
            ("p99.9", latency.p999),
            ("max", latency.max),
        ];
        let latency: Vec<_> =
            quantiles.iter().filter_map(|(name, ms)| Some(format!("{name} {:.1}", (*ms)?))).collect();
        let mut text = format!("load        {mode}, {load}, {} byte secrets\n", self.secret_bytes);
        text.push_str(&format!("duration    {:.1} s\n", self.duration_s));
        text.push_str(&format!("throughput  {:.1} requests/s\n", self.throughput_rps));
        if !latency.is_empty() {
            text.push_str(&format!("latency     {} ms\n", latency.join("  ")));
        }
        text.push_str(&format!("retries     {}\n", self.retries));
        if self.limited_by_client {
            text.push_str(&format!(
                "limited     by this client: {:.0} % of the time of all requests passed in loadgen\n",
                self.client_share * 100.0
            ));
        }
        text
    }

    fn node_table(&self) -> String {
        let width = self.per_node.keys().map(String::len).max().unwrap_or(0).max("node".len());
        let row = |name: &str, cells: [String; 4]| {
            let [requests, succeeded, failed, retried] = cells;
            format!("{name:width$}  {requests:>9}  {succeeded:>9}  {failed:>9}  {retried:>9}\n")
        };
        let mut text = row("node", ["requests", "succeeded", "failed", "retried"].map(String::from));
        for (node, count) in &self.per_node {
            let cells = [count.requests, count.succeeded, count.failed, count.retried];
            text.push_str(&row(node, cells.map(|number| number.to_string())));
        }
        text
    }

    fn error_table(&self) -> String {
        let width = self.errors.keys().map(String::len).max().unwrap_or(0);
        let row = |(kind, count): (&String, &u64)| {
            let example = self.error_examples.get(kind).map_or("", String::as_str);
            format!("{count:>7}  {kind:width$}  {example}\n")
        };
        if self.errors.is_empty() {
            return String::new();
        }
        format!("errors, with the first of each kind\n{}", self.errors.iter().map(row).collect::<String>())
    }

    fn verdict(&self) -> String {
        let successful = format!("{} of {} successful\n", self.succeeded, self.total);
        match (self.interrupted, self.planned) {
            (true, Some(planned)) => {
                format!("interrupted after {} of {planned} requests\n{successful}", self.total)
            }
            (true, None) => format!("interrupted after {} requests\n{successful}", self.total),
            (false, _) => successful,
        }
    }
}

/// Rounds to three decimals: milliseconds of a duration.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::cli::Cli;
    use crate::request::Done;
    use crate::verify::Failure;

    #[test]
    fn the_json_report_has_the_promised_members() {
        let report = serde_json::to_value(report(&["--rate", "2"], false)).unwrap();
        assert_eq!(report["total"], 4);
        assert_eq!(report["succeeded"], 3);
        assert_eq!(report["failed"], 1);
        assert_eq!(report["errors"], json!({"timeout": 1}));
        assert_eq!(report["duration_s"], 2.0);
        assert_eq!(report["throughput_rps"], 1.5);
        assert_eq!(
            report["latency_ms"],
            json!({"p50": 1.0, "p95": 1.5, "p99": 1.5, "p999": 1.5, "max": 1.5})
        );
        assert_eq!(
            report["per_node"],
            json!({
                "http://127.0.0.1:8081": {"requests": 4, "succeeded": 3, "failed": 1, "retried": 1},
            })
        );
        assert_eq!(report["intended_rate"], 2.0);
        assert_eq!(report["mode"], "embed");
        assert_eq!(report["error_examples"], json!({"timeout": "no answer"}));
    }

    #[test]
    fn the_text_report_is_aligned_and_ends_with_the_count() {
        let expected = "\
load        embed, 20 clients, 10240 byte secrets
duration    2.0 s
throughput  1.5 requests/s
latency     p50 1.0  p95 1.5  p99 1.5  p99.9 1.5  max 1.5 ms
retries     1

node                    requests  succeeded     failed    retried
http://127.0.0.1:8081          4          3          1          1

errors, with the first of each kind
      1  timeout  no answer

3 of 4 successful
";
        assert_eq!(report(&[], false).to_text(), expected);
    }

    #[test]
    fn a_run_that_waits_for_itself_says_so() {
        let settings = settings(&[]);
        let text = |spent_here_ms| {
            let mut stats = Stats::new(&settings.servers);
            let mut done = Done::not_sent(1);
            done.result = Ok(());
            done.latency = Duration::from_millis(10);
            done.spent_here = Duration::from_millis(spent_here_ms);
            stats.record(done);
            RunReport::new(&settings, &stats, Duration::from_secs(1), false).to_text()
        };
        assert!(text(30).contains("\nlimited     by this client: 75 % of"), "{}", text(30));
        assert!(!text(9).contains("limited"), "{}", text(9));
    }

    #[test]
    fn an_interrupted_run_says_so() {
        let check = |args: &[&str], expected: &str| {
            let text = report(args, true).to_text();
            assert!(text.ends_with(expected), "{text}");
        };
        check(&[], "\ninterrupted after 4 of 4000 requests\n3 of 4 successful\n");
        check(&["--duration", "9s"], "\ninterrupted after 4 requests\n3 of 4 successful\n");
    }

    #[test]
    fn a_run_without_requests_is_no_success() {
        let settings = settings(&[]);
        let nothing = RunReport::new(&settings, &Stats::new(&settings.servers), Duration::ZERO, true);
        assert!(!nothing.is_success());
        assert_eq!(serde_json::to_value(&nothing).unwrap()["latency_ms"]["p50"], json!(null));
        assert!(!nothing.to_text().contains("latency"));
    }

    fn report(args: &[&str], interrupted: bool) -> RunReport {
        let settings = settings(args);
        let mut stats = Stats::new(&settings.servers);
        let results = [Ok(()), Ok(()), Ok(()), Err(Failure::new("timeout", "no answer"))];
        for (number, result) in results.into_iter().enumerate() {
            stats.record(Done {
                node: Some(settings.servers[0].clone()),
                retried: if result.is_err() { settings.servers.clone() } else { Vec::new() },
                answer_bytes: 0,
                latency: Duration::from_micros((number as u64 + 1) * 500),
                spent_here: Duration::from_micros(100),
                begun: Instant::now(),
                answered: Instant::now(),
                result,
            });
        }
        RunReport::new(&settings, &stats, Duration::from_secs(2), interrupted)
    }

    fn settings(args: &[&str]) -> Settings {
        Settings::resolve(&Cli::try_parse_from([&["loadgen"], args].concat()).unwrap().load).unwrap()
    }
}

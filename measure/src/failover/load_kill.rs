//! A whole run of loadgen with a kill of the leader: no request may fail.

use std::time::Duration;

use anyhow::ensure;

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, settle};
use super::load::{Load, LoadOutcome, embedded};
use super::report::CaseReport;
use super::rounds::repeat;

const CLIENTS: u64 = 20;
const REQUESTS_OF_EACH: u64 = 200;
/// Time limit for a third of a run, and for a whole run.
const RUN_WITHIN: Duration = Duration::from_secs(900);

pub(super) fn load_kill(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let set = || BenchCluster::quiet(bench.cluster().start());
    repeat(report, rounds, set, |subject, report, number| {
        let cluster = &mut subject.cluster;
        let leader = settle(cluster);
        let done = |cluster: &testkit::Cluster| (0..cluster.len()).map(|i| embedded(cluster, i)).sum::<u64>();
        let a_third_in = done(cluster) + CLIENTS * REQUESTS_OF_EACH / 3;
        let [clients, requests] = [CLIENTS, REQUESTS_OF_EACH].map(|count| count.to_string());
        let args = ["--num-clients", &clients, "--reqs-per-client", &requests];
        let load = Load::start(bench, cluster, &args)?;
        cluster.wait_until("a third of the run", RUN_WITHIN, |cluster| {
            (done(cluster) >= a_third_in).then_some(())
        });
        cluster.kill(leader);
        let run = load.wait(RUN_WITHIN)?;
        add(report, &run);
        report.note(format!("run {number}: {run}"));
        cluster.start(leader);
        settle(cluster);
        ensure!(
            run.succeeded == CLIENTS * REQUESTS_OF_EACH && run.failed == 0,
            "not every request succeeded: {run}"
        );
        Ok(())
    });
    Ok(())
}

/// The figures of a run.
pub(super) fn add(report: &mut CaseReport, run: &LoadOutcome) {
    report.add("failed requests", run.failed as f64);
    report.add("retried requests", run.retries as f64);
    report.add("request p99 ms", run.p99_ms);
    report.add("request max ms", run.max_ms);
}

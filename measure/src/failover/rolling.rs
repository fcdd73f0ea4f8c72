//! Stop and start of every node in turn, as in an upgrade, while clients embed: no request may fail.

use anyhow::ensure;

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, settle};
use super::load::Load;
use super::load_kill::add;
use super::report::{CaseReport, ms};
use super::rounds::repeat;

const CLIENTS: u32 = 20;

pub(super) fn rolling_restart(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let set = || BenchCluster::quiet(bench.cluster().start());
    repeat(report, rounds, set, |subject, report, number| {
        let cluster = &mut subject.cluster;
        settle(cluster);
        let load = Load::endless(bench, cluster, CLIENTS)?;
        for i in 0..cluster.len() {
            let started = std::time::Instant::now();
            let status = cluster.terminate(i);
            report.add("stop ms", ms(started.elapsed()));
            ensure!(status.success(), "{} ended with {status}", cluster.id(i));
            cluster.start(i);
            settle(cluster);
            report.add("stop to healthy ms", ms(started.elapsed()));
        }
        let run = load.stop()?;
        add(report, &run);
        report.note(format!("round {number}: {run}"));
        ensure!(run.failed == 0, "not every request succeeded: {run}");
        Ok(())
    });
    Ok(())
}

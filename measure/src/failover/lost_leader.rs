//! Loss of the leader by kill, hang or isolation: the time until the other nodes name a new leader.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder, Net, Watcher, agreed};

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, must_put, others, setting, settle};
use super::load::pixel_jobs;
use super::report::{CaseReport, median, ms};
use super::rounds::{LogMarks, Slowest, repeat};
use super::writer::OneWrite;

/// Interval between requests to each survivor for the leader, excluding the time of the answer.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// Time limit for the survivors to name another leader.
const NAMED_WITHIN: Duration = Duration::from_secs(30);
/// Time limit of a write: longer than a node tries.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Clients that embed without a pause, each with a single request at a time.
const BUSY_CLIENTS: u32 = 16;
/// Duration of a cut. A cut of up to 600 ms counts as a pause of the network, and the next one is found
/// later.
const CUT_FOR: Duration = Duration::from_secs(1);
/// Settings written before a kill.
const WRITES_BEFORE: u32 = 5;

/// Returns the node that `watched` name as leader instead of `old`, and the time from `since` until then.
///
/// # Errors
/// If no other leader is named in time.
pub(super) fn until_named(
    cluster: &Cluster,
    watcher: &Watcher,
    watched: &[usize],
    old: usize,
    since: Instant,
) -> anyhow::Result<(usize, Duration)> {
    let named = watcher.wait(NAMED_WITHIN, |changes| agreed(changes, watched, |leader| leader != old));
    let (new, at) =
        named.with_context(|| format!("no leader but {} named within {NAMED_WITHIN:?}", cluster.id(old)))?;
    Ok((new, at.saturating_duration_since(since)))
}

/// Starts a watcher, and waits until all `watched` name the given leader.
///
/// # Errors
/// If the leader is not named in time.
pub(super) fn watcher_of(cluster: &Cluster, watched: &[usize], leader: usize) -> anyhow::Result<Watcher> {
    let watcher = cluster.watch(watched, ASK_EVERY);
    let ready = watcher.wait(NAMED_WITHIN, |changes| agreed(changes, watched, |named| named == leader));
    ready.context("the other nodes do not name the leader before the fault")?;
    Ok(watcher)
}

pub(super) fn kill(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let set = || BenchCluster::quiet(bench.cluster().start());
    repeat(report, rounds, set, |subject, report, number| kill_round(subject, report, number, &mut slowest));
    slowest.write(report);
    Ok(())
}

pub(super) fn kill_busy(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let mut jobs = Vec::new();
    let set = || BenchCluster::busy(bench, bench.cluster().start(), BUSY_CLIENTS);
    repeat(report, rounds, set, |subject, report, number| {
        jobs.push(pixel_jobs(&subject.cluster));
        kill_round(subject, report, number, &mut slowest)
    });
    report.note(format!("embeds under way before a kill, median: {:.0}", median(&jobs).unwrap_or(0.0)));
    slowest.write(report);
    Ok(())
}

fn kill_round(
    subject: &mut BenchCluster,
    report: &mut CaseReport,
    number: u32,
    slowest: &mut Slowest,
) -> anyhow::Result<()> {
    let cluster = &mut subject.cluster;
    let old = settle(cluster);
    let survivors = others(cluster, old);
    let watcher = watcher_of(cluster, &survivors, old)?;
    let writes_to = survivors[number as usize % survivors.len()];
    let write = OneWrite::prepare(cluster, writes_to, &format!("note.kill-{number}"), WRITE_LIMIT)?;
    let marks = LogMarks::now(cluster);
    let end = cluster.watch_end(old);

    let killed = cluster.send_kill(old);
    write.go();
    let (_, took) = until_named(cluster, &watcher, &survivors, old, killed)?;
    report.add("new leader ms", ms(took));
    let (acknowledged, refused) = write.finish()?;
    report.add("first write ms", ms(acknowledged.saturating_duration_since(killed)));
    report.add("refusals before it", f64::from(refused));
    // Until then the connections are open, and the loss cannot be noticed. The figures above include the
    // time.
    let gone = end.join().map_err(|_| anyhow!("the thread that waits for the end panicked"))?;
    report.add("process gone ms", ms(gone.saturating_duration_since(killed)));

    let seen = watcher.changes();
    drop(watcher);
    cluster.kill(old);
    cluster.start(old);
    settle(cluster);
    slowest.consider(ms(took), number, || marks.since(cluster, killed, &seen));
    Ok(())
}

pub(super) fn hang(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let set = || BenchCluster::quiet(bench.cluster().start());
    repeat(report, rounds, set, |subject, report, number| {
        let silence = Silence { begin: Cluster::pause, end: Cluster::resume, at_least: Duration::ZERO };
        silent_round(subject, report, number, &silence, &mut slowest)
    });
    slowest.write(report);
    Ok(())
}

pub(super) fn cut(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    ensure!(Net::available(), "network namespaces are needed: Linux, root, ip and nft");
    let mut slowest = Slowest::default();
    let set = || BenchCluster::quiet(bench.cluster().in_namespaces().start());
    repeat(report, rounds, set, |subject, report, number| {
        let silence = Silence {
            begin: |cluster, old| cluster.net().isolate(old),
            end: |cluster, _| cluster.net().heal(),
            at_least: CUT_FOR,
        };
        silent_round(subject, report, number, &silence, &mut slowest)
    });
    slowest.write(report);
    Ok(())
}

/// Functions that make a node silent without closing its connections, and that end the silence after a least
/// duration.
struct Silence {
    begin: fn(&mut Cluster, usize),
    end: fn(&mut Cluster, usize),
    at_least: Duration,
}

fn silent_round(
    subject: &mut BenchCluster,
    report: &mut CaseReport,
    number: u32,
    silence: &Silence,
    slowest: &mut Slowest,
) -> anyhow::Result<()> {
    let cluster = &mut subject.cluster;
    let old = settle(cluster);
    let others = others(cluster, old);
    let watcher = watcher_of(cluster, &others, old)?;
    let writes_to = others[number as usize % others.len()];
    let write = OneWrite::prepare(cluster, writes_to, &format!("note.silent-{number}"), WRITE_LIMIT)?;
    let marks = LogMarks::now(cluster);

    // The start precedes the command: the time of the command is part of the figures, and also listed
    // separately.
    let since = Instant::now();
    (silence.begin)(cluster, old);
    report.add("of it, command ms", ms(since.elapsed()));
    // Sent when the leader is silent and the loss is not yet noticed: the write is forwarded to the old
    // leader first.
    write.go();
    let (_, took) = until_named(cluster, &watcher, &others, old, since)?;
    report.add("new leader ms", ms(took));
    let (acknowledged, refused) = write.finish()?;
    report.add("first write ms", ms(acknowledged.saturating_duration_since(since)));
    std::thread::sleep(silence.at_least.saturating_sub(since.elapsed()));
    report.add("refusals before it", f64::from(refused));

    let seen = watcher.changes();
    drop(watcher);
    (silence.end)(cluster, old);
    settle(cluster);
    slowest.consider(ms(took), number, || marks.since(cluster, since, &seen));
    Ok(())
}

pub(super) fn timers(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    // Neither failed probes nor refused connections count, so that only Raft's own timers remain.
    let builder = || -> ClusterBuilder { bench.cluster().set("election.probe_failures", 0) };
    let set = || BenchCluster::quiet(builder().start());
    repeat(report, rounds, set, |subject, report, number| {
        let mut written = Vec::new();
        for n in 0..WRITES_BEFORE {
            let key = format!("note.timers-{n}");
            let via = n as usize % subject.cluster.len();
            let value = format!("{number}-{n}");
            must_put(&subject.cluster, via, &key, &json!({ "value": value }))?;
            written.push((key, Value::from(value)));
        }
        kill_round(subject, report, number, &mut slowest)?;
        for (key, value) in written {
            for i in 0..subject.cluster.len() {
                let found = setting(&subject.cluster, i, &key)?;
                ensure!(found["value"] == value, "{key} is {found} on {}", subject.cluster.id(i));
            }
        }
        Ok(())
    });
    slowest.write(report);
    Ok(())
}

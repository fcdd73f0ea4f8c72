//! Repeated kill -9 of the leader while clients write: no acknowledged write is lost, no term has two
//! leaders, and the survivors do not grow.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use local_cluster::{Kept, repeat_write};
use testkit::{Cluster, Connection, Sighting};

use super::bench::Bench;
use super::bench_cluster::{others, setting, settle};
use super::lost_leader::until_named;
use super::report::{CaseReport, ms};
use super::rounds::{Fixture, LogMarks, Slowest, repeat};
use super::writer::{CheckedWriter, Unanswered, WRITE_LIMIT};

/// Clients, each with a separate setting.
const CLIENTS: usize = 4;
/// Interval between requests to every node.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// Fewest acknowledged writes of each client between two kills.
const WRITES_BETWEEN: usize = 20;
/// Time limit for the writes between two kills.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
const BYTES_PER_MB: f64 = 1e6;

/// A cluster with writers, from the first kill to the last.
struct Written {
    writers: Vec<CheckedWriter>,
    cluster: Cluster,
    /// Changes reported by all nodes in all rounds.
    seen: Vec<Sighting>,
    /// Memory in bytes and open files of the largest node after each kill.
    usage: Vec<(u64, usize)>,
}

pub(super) fn repeated(bench: &Bench, kills: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let mut slowest = Slowest::default();
    let set = || Written::start(bench);
    repeat(report, kills, set, |fixture, report, number| fixture.kill_leader(report, &mut slowest, number));
    slowest.write(report);
    Ok(())
}

impl Written {
    fn start(bench: &Bench) -> anyhow::Result<Self> {
        let cluster = bench.cluster().start();
        settle(&cluster);
        let setting = |client| format!("note.client-{client}");
        let writers =
            (0..CLIENTS).map(|client| CheckedWriter::start(&cluster, &setting(client), Unanswered::Repeat));
        Ok(Self { writers: writers.collect(), cluster, seen: Vec::new(), usage: Vec::new() })
    }

    fn kill_leader(
        &mut self,
        report: &mut CaseReport,
        slowest: &mut Slowest,
        number: u32,
    ) -> anyhow::Result<()> {
        let cluster = &mut self.cluster;
        let old = cluster.wait_all_healthy();
        let survivors = others(cluster, old);
        let before = term(cluster, &survivors)?;
        let all: Vec<usize> = (0..cluster.len()).collect();
        let watcher = cluster.watch(&all, ASK_EVERY);
        let marks = LogMarks::now(cluster);
        let killed = cluster.send_kill(old);
        let (_, took) = until_named(cluster, &watcher, &survivors, old, killed)?;
        report.add("new leader ms", ms(took));
        let counts: Vec<usize> = self.writers.iter().map(CheckedWriter::count).collect();
        cluster.wait_until("writes to go on", WRITTEN_WITHIN, |_| {
            let mut pairs = self.writers.iter().zip(&counts);
            pairs.all(|(writer, &count)| writer.count() >= count + WRITES_BETWEEN).then_some(())
        });
        report.add("terms per kill", term(cluster, &survivors)?.saturating_sub(before) as f64);
        cluster.kill(old);
        let usage = usage_of(cluster, &survivors);
        report.add("memory MB", usage.0 as f64 / BYTES_PER_MB);
        report.add("open files", usage.1 as f64);
        self.usage.push(usage);
        cluster.start(old);
        cluster.wait_all_healthy();
        let seen = watcher.changes();
        slowest.consider(ms(took), number, || marks.since(cluster, killed, &seen));
        self.seen.extend(seen);
        Ok(())
    }
}

impl Fixture for Written {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn end(&mut self, report: &mut CaseReport) -> anyhow::Result<()> {
        if let (Some(first), Some(last)) = (self.usage.first(), self.usage.last()) {
            let told = |(memory, files): &(u64, usize)| {
                format!("{:.1} MB and {files} open files", *memory as f64 / BYTES_PER_MB)
            };
            report.note(format!("the larger survivor had {} first and {} last", told(first), told(last)));
        }
        let twice = terms_with_two_leaders(&self.seen);
        report.add("two leaders in a term", twice.len() as f64);
        let (writes, wrong) = finish(&mut self.cluster, std::mem::take(&mut self.writers))?;
        report.note(format!("{writes} writes acknowledged, {} of them wrong", wrong.len()));
        report.add("wrong writes", wrong.len() as f64);
        ensure!(twice.is_empty(), "two leaders in one term: {twice:?}");
        ensure!(wrong.is_empty(), "acknowledged writes are lost or wrong: {wrong:?}");
        Ok(())
    }
}

fn term(cluster: &Cluster, nodes: &[usize]) -> anyhow::Result<u64> {
    let terms = nodes.iter().filter_map(|&i| cluster.status(i)).map(|status| status.term);
    terms.max().context("no node reports its term")
}

/// Returns the most memory in bytes and the most open files of any of the nodes.
fn usage_of(cluster: &Cluster, nodes: &[usize]) -> (u64, usize) {
    let memory = nodes.iter().filter_map(|&i| cluster.resident_bytes(i)).max().unwrap_or(0);
    (memory, nodes.iter().filter_map(|&i| cluster.open_files(i)).max().unwrap_or(0))
}

/// Stops the writers and checks their last writes on every node. Returns the number of acknowledged writes,
/// and the defects found.
fn finish(cluster: &mut Cluster, writers: Vec<CheckedWriter>) -> anyhow::Result<(usize, Vec<String>)> {
    // After a failed round, the killed node is still down.
    cluster.start_all();
    let mut writes = 0;
    let mut ended = Vec::new();
    for writer in writers {
        let key = writer.setting().to_owned();
        let (last, wrong) = writer.stop();
        let last = last.with_context(|| format!("nothing was written to {key}"))?;
        writes += last.number as usize + 1;
        ended.push((key, last, wrong));
    }
    settle(cluster);
    let mut all_wrong = Vec::new();
    for (key, last, wrong) in ended {
        all_wrong.extend(wrong);
        for i in 0..cluster.len() {
            let id = cluster.id(i);
            let found = setting(cluster, i, &key)?;
            let version = found["version"].as_u64().context("a setting without a version")?;
            // The setting has no other writer, so that a later version is wrong as well.
            if last.acknowledged.compare(Some((version, &found["value"]))) != Ok(Kept::Unchanged) {
                all_wrong.push(format!("{found} on {id} after {}", last.body));
            }
            let mut connection = Connection::open(cluster.address(i), WRITE_LIMIT)?;
            let again = repeat_write(&mut connection, cluster.admin_token(), &last)?;
            all_wrong.extend(again.map(|told| format!("{id}: {told}")));
        }
    }
    Ok((writes, all_wrong))
}

/// Returns the terms in which different nodes were named as leader.
fn terms_with_two_leaders(changes: &[Sighting]) -> Vec<u64> {
    let mut leaders = BTreeMap::new();
    let mut twice = Vec::new();
    for change in changes {
        let Some(leader) = change.leader else { continue };
        if *leaders.entry(change.term).or_insert(leader) != leader && !twice.contains(&change.term) {
            twice.push(change.term);
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn two_leaders_in_a_term_are_found() {
        let at = Instant::now();
        let change = |term, leader| Sighting { at, node: 0, term, leader, quorum: true };
        let fine = [change(1, Some(0)), change(2, None), change(2, Some(1)), change(3, Some(0))];
        assert!(terms_with_two_leaders(&fine).is_empty());
        let not = [change(1, Some(0)), change(2, Some(0)), change(1, Some(1)), change(1, Some(2))];
        assert_eq!(terms_with_two_leaders(&not), [1]);
    }
}

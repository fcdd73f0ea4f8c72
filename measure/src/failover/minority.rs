//! Loss of two of three nodes: the third continues to embed, and reports the missing quorum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use testkit::{Cluster, Connection};

use super::bench::Bench;
use super::bench_cluster::{BenchCluster, others, settle};
use super::report::{CaseReport, ms};
use super::rounds::repeat;

/// Interval between requests to the survivor.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// Time limit for the survivor to report the missing quorum: longer than the bound.
const SAID_WITHIN: Duration = Duration::from_secs(30);
/// Time limit of an embed.
const EMBED_LIMIT: Duration = Duration::from_secs(30);
/// Embeds before the kill, and after the loss of the quorum.
const EMBEDS_AROUND: u64 = 10;
const BOUNDARY: &str = "the-only-part";

pub(super) fn two_of_three(bench: &Bench, rounds: u32, report: &mut CaseReport) -> anyhow::Result<()> {
    let set = || BenchCluster::quiet(bench.cluster().start());
    repeat(report, rounds, set, |subject, report, number| {
        let cluster = &mut subject.cluster;
        let leader = settle(cluster);
        // The survivor is the leader and a follower in turn.
        let survivor = if number.is_multiple_of(2) { leader } else { others(cluster, leader)[0] };
        let lost = others(cluster, survivor);
        let watcher = cluster.watch(&[survivor], ASK_EVERY);
        let embeds = Embeds::start(cluster, survivor)?;
        embeds.wait_for(cluster, EMBEDS_AROUND);

        let killed = lost.iter().map(|&i| cluster.send_kill(i)).max().context("two nodes are lost")?;
        let said = watcher.wait(SAID_WITHIN, |changes| {
            changes.iter().find(|change| change.at > killed && !change.quorum).map(|change| change.at)
        });
        let said = said.context("the survivor does not report the missing quorum")?;
        report.add("no quorum ms", ms(said.saturating_duration_since(killed)));
        embeds.wait_for(cluster, embeds.count() + EMBEDS_AROUND);
        let answered = embeds.stop()?;
        let gap = |gaps: Vec<Duration>| gaps.into_iter().max().map(ms);
        let (before, after) = gaps_around(&answered, killed);
        report.add("longest gap before ms", gap(before).context("too few embeds before")?);
        report.add("longest embed gap ms", gap(after).context("too few embeds after")?);

        for &i in &lost {
            cluster.kill(i);
        }
        cluster.start_all();
        settle(cluster);
        Ok(())
    });
    Ok(())
}

/// Returns the times between consecutive answers, separated into gaps that ended before `moment` and later
/// gaps.
fn gaps_around(answered: &[Instant], moment: Instant) -> (Vec<Duration>, Vec<Duration>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for pair in answered.windows(2) {
        let gaps = if pair[1] < moment { &mut before } else { &mut after };
        gaps.push(pair[1] - pair[0]);
    }
    (before, after)
}

/// A sequence of embeds on a single node.
struct Embeds {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<anyhow::Result<Vec<Instant>>>,
}

impl Embeds {
    fn start(cluster: &Cluster, i: usize) -> anyhow::Result<Self> {
        let mut connection = Connection::open(cluster.address(i), EMBED_LIMIT)?;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            move || {
                let mut answered = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    embed(&mut connection)?;
                    answered.push(Instant::now());
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answered)
            }
        });
        Ok(Self { stop, count, thread })
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn wait_for(&self, cluster: &Cluster, count: u64) {
        cluster.wait_until("embeds to go on", EMBED_LIMIT, |_| {
            assert!(!self.thread.is_finished() || self.count() >= count, "an embed failed");
            (self.count() >= count).then_some(())
        });
    }

    /// Stops the embeds and returns the time of each answer.
    fn stop(self) -> anyhow::Result<Vec<Instant>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the embeds panicked"))?
    }
}

fn embed(connection: &mut Connection) -> anyhow::Result<()> {
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\na secret\r\n--{BOUNDARY}--\r\n"
    );
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", form.as_str()), ("accept", "image/png")];
    let reply = connection.call("POST", "/api/embed", &headers, body.as_bytes()).context("no answer")?;
    ensure!(
        reply.status == 200,
        "an embed failed: {} {}",
        reply.status,
        String::from_utf8_lossy(&reply.body)
    );
    ensure!(reply.body.starts_with(b"\x89PNG"), "an embed gave no PNG");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_where_it_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (before, after) = gaps_around(&[at(0), at(10), at(40), at(45)], at(20));
        let ms = |gaps: Vec<Duration>| gaps.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!((ms(before), ms(after)), (vec![10], vec![30, 5]));
    }
}

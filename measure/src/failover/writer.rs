//! Settings written from outside: a single write at a given time, or a sequence.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use local_cluster::{Journal, JournalEntry, SettingsWriter, WriterPlan};
use serde_json::json;
use testkit::{Cluster, Connection, Reply};

use super::bench_cluster::operate;

/// Time limit of a write, longer than the node's own limit, so that the node always answers first.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Time after which a write is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Pause between a refusal and the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// A write on an open connection, sent on request.
pub(super) struct OneWrite {
    go: Sender<()>,
    thread: JoinHandle<anyhow::Result<(Instant, u32)>>,
}

impl OneWrite {
    /// Prepares to set `setting` through node `i`. An attempt may take `limit`, after which the next attempt
    /// follows.
    ///
    /// # Errors
    /// If the node does not answer beforehand.
    pub(super) fn prepare(
        cluster: &Cluster,
        i: usize,
        setting: &str,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let (address, token) = (cluster.address(i), cluster.admin_token().to_owned());
        let mut connection = Connection::open(address, limit).context("no connection for a write")?;
        connection.get("/livez").context("no answer before the write")?;
        let path = format!("/cluster/settings/{setting}");
        let (go, told) = channel();
        let thread =
            std::thread::spawn(move || write_when_told(&told, connection, address, limit, &token, &path));
        Ok(Self { go, thread })
    }

    /// Sends the write.
    pub(super) fn go(&self) {
        // The error of an ended thread is reported by `finish`.
        let _ = self.go.send(());
    }

    /// Waits for the acknowledgement, and returns its time and the number of failed attempts before.
    ///
    /// # Errors
    /// If no write was acknowledged in time.
    pub(super) fn finish(self) -> anyhow::Result<(Instant, u32)> {
        drop(self.go);
        self.thread.join().map_err(|_| anyhow!("the writer panicked"))?
    }
}

fn write_when_told(
    told: &Receiver<()>,
    connection: Connection,
    address: SocketAddr,
    limit: Duration,
    token: &str,
    path: &str,
) -> anyhow::Result<(Instant, u32)> {
    told.recv().context("the write was not wanted")?;
    let started = Instant::now();
    let mut open = Some(connection);
    let mut last = String::new();
    for refused in 0.. {
        let result = match open.take().map_or_else(|| Connection::open(address, limit), Ok) {
            Ok(mut connection) => {
                let result = operate(&mut connection, token, "PUT", path, &json!({ "value": "first" }));
                open = Some(connection).filter(|_| result.is_ok());
                result
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(reply) if reply.status == 200 => return Ok((Instant::now(), refused)),
            other => last = told_of(&other),
        }
        if started.elapsed() > GIVE_UP_AFTER {
            break;
        }
        std::thread::sleep(RETRY_PAUSE);
    }
    bail!("no write was acknowledged within {GIVE_UP_AFTER:?}; the last attempt: {last}")
}

/// Writer of a sequence of values to a setting, through each node in turn, until stopped.
pub(super) struct CheckedWriter {
    setting: String,
    writer: SettingsWriter,
}

/// Treatment of a write without an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The write counts as wrong.
    Wrong,
    /// The write is sent again through the next node, under the same key, until acknowledged or given up.
    Repeat,
}

impl CheckedWriter {
    pub(super) fn start(cluster: &Cluster, setting: &str, unanswered: Unanswered) -> Self {
        let writer = SettingsWriter::start(WriterPlan {
            nodes: (0..cluster.len()).map(|i| (i, cluster.address(i))).collect(),
            token: cluster.admin_token().to_owned(),
            settings: vec![setting.to_owned()],
            key_prefix: setting.to_owned(),
            rotates: true,
            pace: Duration::ZERO,
            attempt_limit: WRITE_LIMIT,
            retry_pause: RETRY_PAUSE,
            give_up_after: (unanswered == Unanswered::Repeat).then_some(GIVE_UP_AFTER),
        });
        Self { setting: setting.to_owned(), writer }
    }

    pub(super) fn setting(&self) -> &str {
        &self.setting
    }

    /// Returns the number of acknowledged writes so far.
    pub(super) fn count(&self) -> usize {
        self.writer.with_journal(|journal| journal.writes.len())
    }

    /// Returns the longest latency of the writes in flight at some time between two instants.
    pub(super) fn longest_between(&self, from: Instant, to: Instant) -> Option<Duration> {
        let during = |write: &&JournalEntry| write.answered >= from && write.sent <= to;
        self.writer.with_journal(|journal| {
            journal.writes.iter().filter(during).map(|write| write.answered - write.sent).max()
        })
    }

    /// Returns the numbers of acknowledged and of other writes so far, for [`Self::wrong_since`].
    pub(super) fn mark(&self) -> (usize, usize) {
        self.writer.with_journal(|journal| (journal.writes.len(), journal.unanswered.len()))
    }

    /// Returns the defects found since a mark.
    pub(super) fn wrong_since(&self, mark: (usize, usize)) -> Vec<String> {
        self.writer.with_journal(|journal| wrong_since(journal, mark))
    }

    /// Stops after the write in flight; returns the last acknowledged write, and the defects found.
    pub(super) fn stop(self) -> (Option<JournalEntry>, Vec<String>) {
        let mut journal = self.writer.stop();
        let wrong = wrong_since(&journal, (0, 0));
        (journal.writes.pop(), wrong)
    }
}

/// Writes without an acknowledgement, and writes that do not follow the one before: the setting has no other
/// writer.
fn wrong_since(journal: &Journal, (writes, unanswered): (usize, usize)) -> Vec<String> {
    let unanswered = journal.unanswered.get(unanswered..).unwrap_or_default();
    [unanswered, &journal.broken_chains(writes)].concat()
}

fn told_of(result: &io::Result<Reply>) -> String {
    match result {
        Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        Err(error) => error.to_string(),
    }
}

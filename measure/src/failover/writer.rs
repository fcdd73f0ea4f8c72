//! Settings written from outside: a single write at a given time, or a sequence.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use testkit::{Cluster, Connection, Reply};

use super::stage::operate;

/// Time limit of a write, longer than the node's own limit, so that the node always answers first.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// Time after which a write is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Pause between a refusal and the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(1);
/// Most writes remembered by a writer.
const MAX_WRITES: usize = 1_000_000;

/// A write on an open connection, sent on request.
pub(super) struct OneWrite {
    go: Sender<()>,
    thread: JoinHandle<anyhow::Result<(Instant, u32)>>,
}

impl OneWrite {
    /// Prepares to set `setting` through node `i`. An attempt may take `limit`, after which the next attempt
    /// follows.
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
                let result = operate(&mut connection, token, "PUT", path, &[], &json!({ "value": "first" }));
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

/// An acknowledged write.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// The position among all writes of this writer, also the suffix of the idempotency key.
    pub(super) number: u64,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) body: Value,
}

/// Writer of a sequence of values to a setting, through each node in turn, until stopped.
pub(super) struct Writer {
    setting: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    acknowledged: Vec<Written>,
    /// Writes without an acknowledgement, and acknowledgements with a wrong content.
    wrong: Vec<String>,
}

/// Treatment of a write without an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The write counts as wrong.
    Wrong,
    /// The write is sent again through the next node, under the same key, until acknowledged.
    Repeat,
}

impl Writer {
    pub(super) fn start(cluster: &Cluster, setting: &str, unanswered: Unanswered) -> Self {
        let shared = Arc::new(Shared::default());
        let mut hand = Hand {
            nodes: (0..cluster.len()).map(|i| (cluster.address(i), None)).collect(),
            token: cluster.admin_token().to_owned(),
            setting: setting.to_owned(),
            unanswered,
        };
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || hand.write_on(&shared)
        });
        Self { setting: setting.to_owned(), shared, thread: Some(thread) }
    }

    pub(super) fn setting(&self) -> &str {
        &self.setting
    }

    /// Returns the number of acknowledged writes so far.
    pub(super) fn count(&self) -> usize {
        self.shared.done().acknowledged.len()
    }

    /// Returns the longest latency of the writes in flight at some time between two instants.
    pub(super) fn longest_between(&self, from: Instant, to: Instant) -> Option<Duration> {
        let done = self.shared.done();
        let during = done.acknowledged.iter().filter(|write| write.answered >= from && write.sent <= to);
        during.map(|write| write.answered - write.sent).max()
    }

    /// Returns the defects found so far.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.shared.done().wrong.clone()
    }

    /// Stops after the write in flight; returns the last acknowledged write, and the defects found.
    pub(super) fn stop(mut self) -> (Option<Written>, Vec<String>) {
        self.end();
        let mut done = self.shared.done();
        (done.acknowledged.pop(), std::mem::take(&mut done.wrong))
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections and settings of a writer's thread.
struct Hand {
    nodes: Vec<(SocketAddr, Option<Connection>)>,
    token: String,
    setting: String,
    unanswered: Unanswered,
}

impl Hand {
    fn write_on(&mut self, shared: &Shared) {
        let mut before = None;
        for number in 0.. {
            let full = shared.done().acknowledged.len() >= MAX_WRITES;
            if full || shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let result = self.write(number, shared);
            let mut done = shared.done();
            match result {
                Ok(written) => {
                    // The setting has no other writer, so that the previous value is the last acknowledged
                    // value.
                    if let Some(before) = before.filter(|before| written.body["previous"] != *before) {
                        done.wrong.push(format!("{} follows {before}", written.body));
                    }
                    before = Some(written.body["value"].clone());
                    done.acknowledged.push(written);
                }
                Err(why) => {
                    before = None;
                    done.wrong.push(why);
                }
            }
        }
    }

    /// Makes a write until acknowledged or counted as wrong.
    fn write(&mut self, number: u64, shared: &Shared) -> Result<Written, String> {
        let sent = Instant::now();
        let mut attempt = 0;
        loop {
            let result = self.attempt(number, attempt);
            match result {
                Ok(reply) if reply.status == 200 => {
                    let body = reply.json().ok_or("an acknowledgement that is not JSON")?;
                    return Ok(Written { number, sent, answered: Instant::now(), body });
                }
                other => {
                    let why = told_of(&other);
                    let stopped = shared.stop.load(Ordering::Relaxed) && sent.elapsed() > GIVE_UP_AFTER;
                    if self.unanswered == Unanswered::Wrong || stopped {
                        return Err(format!("write {number} of {}: {why}", self.setting));
                    }
                }
            }
            attempt += 1;
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    fn attempt(&mut self, number: u64, attempt: u64) -> io::Result<Reply> {
        let place = ((number + attempt) % self.nodes.len() as u64) as usize;
        let (address, open) = &mut self.nodes[place];
        let mut connection = open.take().map_or_else(|| Connection::open(*address, WRITE_LIMIT), Ok)?;
        let path = format!("/cluster/settings/{}", self.setting);
        let reply = operate(
            &mut connection,
            &self.token,
            "PUT",
            &path,
            &[("idempotency-key", &key_of(&self.setting, number))],
            &value_of(number),
        )?;
        *open = Some(connection);
        Ok(reply)
    }
}

/// Repeats an acknowledged write through node `i`, and returns the answer.
pub(super) fn repeat(cluster: &Cluster, i: usize, setting: &str, number: u64) -> anyhow::Result<Value> {
    let mut connection = Connection::open(cluster.address(i), WRITE_LIMIT)?;
    let (path, key) = (format!("/cluster/settings/{setting}"), key_of(setting, number));
    let headers = [("idempotency-key", key.as_str())];
    let reply = operate(&mut connection, cluster.admin_token(), "PUT", &path, &headers, &value_of(number))?;
    reply.json().context("the repeated answer is not JSON")
}

fn key_of(setting: &str, number: u64) -> String {
    format!("{setting}-{number}")
}

fn value_of(number: u64) -> Value {
    json!({ "value": number.to_string() })
}

fn told_of(result: &io::Result<Reply>) -> String {
    match result {
        Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        Err(error) => error.to_string(),
    }
}

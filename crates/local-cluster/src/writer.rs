//! Settings written one after the other whatever happens to the nodes, each acknowledgement in a journal.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::headers;
use serde_json::{Value, json};

use crate::http::{Connection, Reply};
use crate::journal::Acknowledged;

/// Most writes remembered by a writer, which ends with the last of them.
const MAX_WRITES: usize = 1_000_000;

/// Writes to make.
#[derive(Debug, Clone)]
pub struct WriterPlan {
    /// Nodes to write through, the preferred one first, each with the caller's number of it.
    pub nodes: Vec<(usize, SocketAddr)>,
    /// Admin token.
    pub token: String,
    /// Settings, written in turn. No other writer writes them.
    pub settings: Vec<String>,
    /// Prefix of the idempotency keys, unique to this writer.
    pub key_prefix: String,
    /// True if each write begins with the next node; otherwise every write begins with the first.
    pub rotates: bool,
    /// Least time between the starts of two writes.
    pub pace: Duration,
    /// Time limit of an attempt.
    pub attempt_limit: Duration,
    /// Pause between two attempts of a write.
    pub retry_pause: Duration,
    /// Time after which a write is given up; each attempt goes to the next node under the same key. `None`: a
    /// single attempt.
    pub give_up_after: Option<Duration>,
}

/// A write and its acknowledgement.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Number of the write, counted from 0.
    pub number: u64,
    /// Idempotency key, which is the value as well.
    pub key: String,
    /// Setting, version and value.
    pub acknowledged: Acknowledged,
    /// Answer.
    pub body: Value,
    /// Number of the node that acknowledged the write.
    pub node: usize,
    /// Start of the first attempt.
    pub sent: Instant,
    /// Time of the acknowledgement.
    pub answered: Instant,
}

/// A thread that writes until stopped or dropped.
#[derive(Debug)]
pub struct SettingsWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    journal: Mutex<Journal>,
}

/// Acknowledged writes, and descriptions of the others.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// Acknowledged writes in the order of acknowledgement.
    pub writes: Vec<JournalEntry>,
    /// Writes that no node acknowledged in time; whether they were applied is unknown.
    pub unanswered: Vec<String>,
}

impl Journal {
    /// Returns the writes, from place `from` in the journal on, of which `previous_version` is not the
    /// version of the write before (in answers of release 0.1: `previous` not the value), as text. Only pairs
    /// of a setting count that no other write lies between: a write without an acknowledgement may have been
    /// applied.
    pub fn broken_chains(&self, from: usize) -> Vec<String> {
        let recent = self.writes.get(from.saturating_sub(1)..).unwrap_or_default();
        let is_pair = |pair: &&[JournalEntry]| {
            let [before, write] = pair else { return false };
            write.number == before.number + 1 && write.acknowledged.setting == before.acknowledged.setting
        };
        let broken = recent.windows(2).filter(is_pair).filter(|pair| {
            let (before, write) = (&pair[0], &pair[1]);
            match write.body.get("previous") {
                Some(previous) => *previous != before.acknowledged.value,
                None => write.body["previous_version"] != before.acknowledged.version,
            }
        });
        broken.map(|pair| format!("{} follows {}", pair[1].body, pair[0].body)).collect()
    }
}

impl SettingsWriter {
    /// Starts to write.
    pub fn start(plan: WriterPlan) -> Self {
        debug_assert!(!plan.nodes.is_empty() && !plan.settings.is_empty(), "nothing to write, or nowhere");
        let shared = Arc::new(Shared::default());
        let open = plan.nodes.iter().map(|_| None).collect();
        let mut writer = WriterThread { plan, open };
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || writer.write_on(&shared)
        });
        Self { shared, thread: Some(thread) }
    }

    /// Calls `look` with the journal so far.
    pub fn with_journal<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.shared.journal())
    }

    /// Ends the writes without waiting for the one in flight.
    pub fn end(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the writes, waits for the one in flight, and returns the journal.
    pub fn stop(mut self) -> Journal {
        self.join();
        std::mem::take(&mut self.shared.journal())
    }

    fn join(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for SettingsWriter {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plan and connections of a writer's thread.
struct WriterThread {
    plan: WriterPlan,
    open: Vec<Option<Connection>>,
}

impl WriterThread {
    fn write_on(&mut self, shared: &Shared) {
        for number in 0.. {
            let due = Instant::now() + self.plan.pace;
            let full = shared.journal().writes.len() >= MAX_WRITES;
            if full || shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let result = self.write(number);
            let mut journal = shared.journal();
            match result {
                Ok(write) => journal.writes.push(write),
                Err(why) if journal.unanswered.len() < MAX_WRITES => journal.unanswered.push(why),
                Err(_) => {}
            }
            drop(journal);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Makes a write until acknowledged or given up.
    fn write(&mut self, number: u64) -> Result<JournalEntry, String> {
        let count = self.plan.nodes.len() as u64;
        let key = format!("{}-{number}", self.plan.key_prefix);
        let setting = self.plan.settings[(number % self.plan.settings.len() as u64) as usize].clone();
        let first = if self.plan.rotates { number } else { 0 };
        let sent = Instant::now();
        let mut attempt = 0;
        loop {
            let place = ((first + attempt) % count) as usize;
            let why = match self.attempt(place, &setting, &key) {
                Ok(reply) if reply.status == 200 => {
                    return acknowledged(number, &key, &setting, &reply, self.plan.nodes[place].0, sent)
                        .ok_or_else(|| format!("write {key} of {setting}: an answer without a version"));
                }
                Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
                Err(error) => error.to_string(),
            };
            if self.plan.give_up_after.is_none_or(|limit| sent.elapsed() > limit) {
                return Err(format!("write {key} of {setting}, attempt {}: {why}", attempt + 1));
            }
            attempt += 1;
            std::thread::sleep(self.plan.retry_pause);
        }
    }

    fn attempt(&mut self, place: usize, setting: &str, key: &str) -> io::Result<Reply> {
        let ((_, address), limit) = (self.plan.nodes[place], self.plan.attempt_limit);
        let mut connection = self.open[place].take().map_or_else(|| Connection::open(address, limit), Ok)?;
        let reply = put_setting(&mut connection, &self.plan.token, setting, key)?;
        self.open[place] = Some(connection);
        Ok(reply)
    }
}

/// Sets a setting to the text of its idempotency key.
///
/// # Errors
/// If no whole answer came within the connection's limit.
pub fn put_setting(connection: &mut Connection, token: &str, setting: &str, key: &str) -> io::Result<Reply> {
    let bearer = format!("Bearer {token}");
    let sent_headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        (headers::IDEMPOTENCY_KEY, key),
    ];
    let body = json!({ "value": key }).to_string();
    connection.call("PUT", &format!("/cluster/settings/{setting}"), &sent_headers, body.as_bytes())
}

fn acknowledged(
    number: u64,
    key: &str,
    setting: &str,
    reply: &Reply,
    node: usize,
    sent: Instant,
) -> Option<JournalEntry> {
    let answered = Instant::now();
    let body = reply.json()?;
    let version = body["version"].as_u64()?;
    let acknowledged = Acknowledged { setting: setting.to_owned(), version, value: Value::from(key) };
    Some(JournalEntry { number, key: key.to_owned(), acknowledged, body, node, sent, answered })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers the PUTs of connections one after the other: with 503 where `refuses` says so, else with the
    /// next version.
    fn serve(listener: TcpListener, refuses: fn(u64) -> bool) {
        std::thread::spawn(move || {
            let (mut number, mut previous) = (0, Value::Null);
            while let Ok((mut stream, _)) = listener.accept() {
                let mut request = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut request) {
                    let text = String::from_utf8_lossy(&request[..len]).into_owned();
                    let body: Value = text.split_once("\r\n\r\n").unwrap().1.parse().unwrap();
                    let (status, answer) = if refuses(number) {
                        ("503 Busy", json!({}))
                    } else {
                        ("200 OK", json!({"version": number, "previous": previous, "value": body["value"]}))
                    };
                    previous = body["value"].clone();
                    number += 1;
                    let answer = answer.to_string();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
                    stream.write_all((head + &answer).as_bytes()).unwrap();
                }
            }
        });
    }

    fn plan(refuses: fn(u64) -> bool, give_up_after: Option<Duration>) -> WriterPlan {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let nodes = vec![(2, listener.local_addr().unwrap())];
        serve(listener, refuses);
        WriterPlan {
            nodes,
            token: "t".to_owned(),
            settings: vec!["note.x".to_owned()],
            key_prefix: "w".to_owned(),
            rotates: true,
            pace: Duration::from_millis(1),
            attempt_limit: Duration::from_secs(60),
            retry_pause: Duration::from_millis(1),
            give_up_after,
        }
    }

    fn wait_for_writes(writer: &SettingsWriter, count: usize) {
        let until = Instant::now() + Duration::from_secs(60);
        while writer.with_journal(|journal| journal.writes.len() < count) {
            assert!(Instant::now() < until, "{:?}", writer.with_journal(Journal::clone));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_refused_write_is_repeated_until_acknowledged() {
        let writer = SettingsWriter::start(plan(|number| number % 3 == 0, Some(Duration::from_secs(60))));
        wait_for_writes(&writer, 5);
        let journal = writer.stop();
        assert!(journal.unanswered.is_empty(), "{:?}", journal.unanswered);
        let numbers: Vec<_> = journal.writes.iter().map(|write| write.number).collect();
        assert_eq!(numbers[..5], [0, 1, 2, 3, 4]);
        let first = &journal.writes[0];
        assert_eq!((first.acknowledged.version, first.node), (1, 2), "the first attempt was refused");
    }

    #[test]
    fn a_write_that_may_not_be_repeated_is_told_and_breaks_no_chain() {
        let writer = SettingsWriter::start(plan(|number| number == 1, None));
        wait_for_writes(&writer, 4);
        let mut journal = writer.stop();
        assert_eq!(journal.unanswered, ["write w-1 of note.x, attempt 1: 503 {}"]);
        assert_eq!(journal.broken_chains(0), [""; 0]);
        journal.writes[3].body = json!({"version": 4, "previous_version": 3});
        assert_eq!(journal.broken_chains(0), [""; 0]);
        journal.writes[3].body["previous_version"] = json!(1);
        assert_eq!(journal.broken_chains(0).len(), 1);
        assert_eq!((journal.broken_chains(3).len(), journal.broken_chains(4).len()), (1, 0));
    }
}

//! Clients: writes and linearizable reads of a few notes, through any node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use control_plane::catalog::{
    Action, Actor, Authority, Command, KEEP_CLIENT_KEYS_MS, Outcome, RequestKey, Setting, SettingKey,
    SettingValue, Source, Stamp,
};
use control_plane::{ControlError, Read};

use crate::cluster::Cluster;
use crate::history::{History, Operation, Versioned};
use crate::network::address;

/// Keys of the notes.
pub(crate) const KEYS: [&str; 4] = ["note.a", "note.b", "note.c", "note.d"];
/// Time limit of a call.
const CALL_WITHIN: Duration = Duration::from_secs(2);
/// Calls under one idempotency key.
const MAX_CALLS: u32 = 5;
/// Pause after a call to a node that does not run.
const AFTER_NO_ANSWER: Duration = Duration::from_millis(50);
/// Longest pauses of clients; each run takes one of these.
const PAUSES_WITHIN_MS: [u64; 4] = [200, 500, 1000, 2000];
/// Time for which a key is remembered, by a clock that never runs faster than real time, but for the drift of
/// the machines' clocks.
const REMEMBERED_FOR: Duration = Duration::from_millis(KEEP_CLIENT_KEYS_MS - 120_000);

/// The clients of a cluster.
pub(crate) struct Clients {
    cluster: Arc<Cluster>,
    pub history: Mutex<History>,
    /// Longest pause between two operations of a client.
    pause_within_ms: u64,
}

impl Clients {
    /// Creates the clients, with a pace from the seed.
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        let pace = cluster.world.executor.random() % PAUSES_WITHIN_MS.len() as u64;
        Self { cluster, history: Mutex::default(), pause_within_ms: PAUSES_WITHIN_MS[pace as usize] }
    }

    /// Runs one client until `until`.
    pub(crate) async fn run(self: Arc<Self>, client: u32, until: Duration) {
        let executor = Arc::clone(&self.cluster.world.executor);
        let mut known: Vec<Known> = Vec::new();
        for number in 0.. {
            self.cluster.sleep(Duration::from_millis(executor.random() % self.pause_within_ms)).await;
            if executor.now() >= until {
                return;
            }
            let key = KEYS[(executor.random() % KEYS.len() as u64) as usize];
            match executor.random() % 16 {
                0..8 => drop(self.read(key).await),
                8 if !known.is_empty() => {
                    let index = (executor.random() % known.len() as u64) as usize;
                    self.repeat(&mut known[index]).await;
                }
                _ => {
                    let request = Request { key, content: format!("{client}.{number}") };
                    let since = self.cluster.world.real_time();
                    if let Some(outcome) = self.write(&request).await {
                        let time = (since, self.cluster.world.real_time());
                        known.push(Known { request, outcome, time, began_again: None });
                    }
                }
            }
        }
    }

    /// Reads a note once. A read without an answer tells nothing.
    pub(crate) async fn read(&self, key: &str) -> bool {
        let began = self.cluster.world.executor.now();
        let node = self.any_node();
        let Some(plane) = self.cluster.plane(node) else { return false };
        let wanted: SettingKey = key.parse().expect("a note");
        let read = self.cluster.run_on(node, async move {
            let deadline = control_plane::world::now() + CALL_WITHIN;
            plane.setting(&wanted, Read::Linearizable { deadline }).await
        });
        let Some(Ok(found)) = read.await else { return false };
        let found = found.as_ref().map(versioned);
        self.record(key, began, Operation::Read(found));
        true
    }

    /// Writes a note, under one idempotency key until the outcome is known. Returns the outcome.
    async fn write(&self, request: &Request) -> Option<Outcome> {
        let began = self.cluster.world.executor.now();
        self.history().begin(&request.content, began);
        let mut proposed = false;
        let mut outcome = None;
        for _ in 0..MAX_CALLS {
            match self.submit(request).await {
                Some(Ok(known)) => {
                    outcome = Some(known);
                    break;
                }
                Some(Err(ControlError::OutcomeUnknown)) | None => proposed = true,
                Some(Err(_)) => {}
            }
        }
        match &outcome {
            Some(outcome) => self.record_write(request, began, outcome),
            None if proposed => {
                self.record(request.key, began, Operation::Attempted(request.content.clone()));
            }
            None => {}
        }
        outcome
    }

    fn record_write(&self, request: &Request, began: Duration, outcome: &Outcome) {
        let version = match outcome {
            Outcome::SettingPut { setting, .. } => setting.version,
            Outcome::Changed { version, .. } => *version,
            other => return self.violate("writes are taken", format!("{other:?}")),
        };
        self.record(request.key, began, Operation::Wrote((version, request.content.clone())));
    }

    /// Repeats a write with a known outcome under its key: the outcome is the same while the key is
    /// remembered. Afterwards the write may be carried out again.
    async fn repeat(&self, known: &mut Known) {
        let (began, since) = (self.cluster.world.executor.now(), self.cluster.world.real_time());
        let answer = self.submit(&known.request).await;
        let may_be_forgotten = self.cluster.world.real_time() - known.time.0 >= REMEMBERED_FOR;
        let Some(Ok(outcome)) = answer else {
            if may_be_forgotten {
                known.began_again.get_or_insert(began);
            }
            return;
        };
        let is_over =
            since - known.time.1 > Duration::from_millis(KEEP_CLIENT_KEYS_MS) + REMEMBERED_FOR / 100;
        self.history().late_repeats += u64::from(is_over);
        if outcome == known.outcome {
            return;
        }
        if !may_be_forgotten {
            let Known { request, outcome: earlier, .. } = known;
            return self.violate("exactly once", format!("{request:?}: {earlier:?}, then {outcome:?}"));
        }
        self.history().forgotten += u64::from(is_over);
        self.record_write(&known.request, known.began_again.take().unwrap_or(began), &outcome);
        (known.outcome, known.time) = (outcome, (since, self.cluster.world.real_time()));
    }

    async fn submit(&self, request: &Request) -> Option<Result<Outcome, ControlError>> {
        let node = self.any_node();
        let Some(plane) = self.cluster.plane(node) else {
            self.cluster.sleep(AFTER_NO_ANSWER).await;
            return None;
        };
        let command = request.command(node);
        let call = async move { plane.submit(command, control_plane::world::now() + CALL_WITHIN).await };
        let answer = self.cluster.run_on(node, call).await;
        if answer.is_none() {
            self.cluster.sleep(AFTER_NO_ANSWER).await;
        }
        answer
    }

    fn violate(&self, invariant: &'static str, facts: String) {
        let at = self.cluster.world.executor.now();
        self.cluster.world.invariants().violate(invariant, at, facts);
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any_node(&self) -> usize {
        (self.cluster.world.executor.random() % self.cluster.size() as u64) as usize
    }

    fn record(&self, key: &str, began: Duration, operation: Operation) {
        let ended = self.cluster.world.executor.now();
        self.history().record(key, began, ended, operation);
    }
}

pub(crate) fn versioned(setting: &Setting) -> Versioned {
    let content = match &setting.value {
        SettingValue::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    (setting.version, content)
}

/// A write with a known outcome.
struct Known {
    request: Request,
    outcome: Outcome,
    /// Real times at which the write began and ended.
    time: (Duration, Duration),
    /// Beginning of the first repetition without an answer that may have been carried out again.
    began_again: Option<Duration>,
}

/// A write.
#[derive(Debug)]
struct Request {
    key: &'static str,
    /// Content of the note, and idempotency key: every write has its own.
    content: String,
}

impl Request {
    fn command(&self, node: usize) -> Command {
        let key: SettingKey = self.key.parse().expect("a note");
        let value = SettingValue::from_json(&key, &self.content.as_str().into()).expect("a short text");
        Command {
            request: RequestKey {
                key: self.content.clone(),
                minted: false,
                fingerprint: format!("{key}={}", self.content),
                request_id: self.content.clone(),
            },
            proposed_at_ms: 0,
            stamp: Stamp::default(),
            source: Some(Source::of(address(node))),
            actor: Actor { name: None, authority: Authority::Loopback, via: format!("n{}", node + 1) },
            action: Action::PutSetting { key, value, if_version: None },
        }
    }
}

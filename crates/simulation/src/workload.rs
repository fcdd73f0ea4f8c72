//! Clients: writes and linearizable reads of a few notes, through any node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control_plane::catalog::{
    Action, Actor, Authority, Command, Outcome, RequestKey, Setting, SettingKey, SettingValue,
};
use control_plane::{ControlError, Read};

use crate::cluster::Cluster;
use crate::history::{History, Operation, Versioned};

/// Keys of the notes.
pub(crate) const KEYS: [&str; 4] = ["note.a", "note.b", "note.c", "note.d"];
/// Time limit of a call.
const CALL_WITHIN: Duration = Duration::from_secs(2);
/// Calls under one idempotency key.
const MAX_CALLS: u32 = 5;
/// Longest pause of a client.
const PAUSE_WITHIN_MS: u64 = 200;

/// The clients of a cluster.
pub(crate) struct Clients {
    pub cluster: Arc<Cluster>,
    pub history: Mutex<History>,
}

impl Clients {
    /// Runs one client until `until`.
    pub(crate) async fn run(self: Arc<Self>, client: u32, until: Duration) {
        let executor = Arc::clone(&self.cluster.world.executor);
        for number in 0.. {
            self.cluster.sleep(Duration::from_millis(executor.random() % PAUSE_WITHIN_MS)).await;
            if executor.now() >= until {
                return;
            }
            let key = KEYS[(executor.random() % KEYS.len() as u64) as usize];
            if executor.random().is_multiple_of(2) {
                self.read(key).await;
            } else {
                self.write(key, &format!("{client}.{number}")).await;
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

    /// Writes a note, under one idempotency key until the outcome is known.
    async fn write(&self, key: &str, content: &str) {
        let began = self.cluster.world.executor.now();
        let mut proposed = false;
        let mut known: Option<Outcome> = None;
        for call in 0..MAX_CALLS {
            let node = self.any_node();
            match self.submit(node, key, content).await {
                Some(Ok(outcome)) => {
                    // A second call under the same key: the outcome is the same.
                    let again = call == 0 && self.cluster.world.executor.random().is_multiple_of(8);
                    if known.as_ref().is_some_and(|known| *known != outcome) {
                        let facts = format!("{key}={content}: {known:?}, then {outcome:?}");
                        let at = self.cluster.world.executor.now();
                        self.cluster.world.invariants().violate("exactly once", at, facts);
                    }
                    known = Some(outcome);
                    if !again {
                        break;
                    }
                }
                Some(Err(ControlError::OutcomeUnknown)) | None => proposed = true,
                Some(Err(_)) if known.is_some() => break,
                Some(Err(_)) => {}
            }
        }
        match known {
            Some(Outcome::SettingPut { setting, .. }) => {
                self.record(key, began, Operation::Wrote(versioned(&setting)));
            }
            Some(other) => {
                let at = self.cluster.world.executor.now();
                self.cluster.world.invariants().violate("writes are taken", at, format!("{other:?}"));
            }
            None if proposed => self.record(key, began, Operation::Attempted(content.to_owned())),
            None => {}
        }
    }

    async fn submit(&self, node: usize, key: &str, content: &str) -> Option<Result<Outcome, ControlError>> {
        let plane = self.cluster.plane(node)?;
        let command = command(key, content, node);
        let call = async move { plane.submit(command, control_plane::world::now() + CALL_WITHIN).await };
        let answer = self.cluster.run_on(node, call).await;
        if answer.is_none() {
            self.cluster.sleep(Duration::from_millis(50)).await;
        }
        answer
    }

    fn any_node(&self) -> usize {
        (self.cluster.world.executor.random() % self.cluster.size() as u64) as usize
    }

    fn record(&self, key: &str, began: Duration, operation: Operation) {
        let ended = self.cluster.world.executor.now();
        self.history.lock().unwrap_or_else(PoisonError::into_inner).record(key, began, ended, operation);
    }
}

fn versioned(setting: &Setting) -> Versioned {
    let content = match &setting.value {
        SettingValue::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    (setting.version, content)
}

fn command(key: &str, content: &str, node: usize) -> Command {
    let key: SettingKey = key.parse().expect("a note");
    let value = SettingValue::from_json(&key, &content.into()).expect("a short text");
    Command {
        request: RequestKey {
            key: content.to_owned(),
            minted: false,
            fingerprint: format!("{key}={content}"),
            request_id: content.to_owned(),
        },
        proposed_at_ms: 0,
        actor: Actor { name: None, authority: Authority::Loopback, via: format!("n{}", node + 1) },
        action: Action::PutSetting { key, value, if_version: None },
    }
}

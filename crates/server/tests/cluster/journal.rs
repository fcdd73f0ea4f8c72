//! Writes that go on whatever happens to the nodes, and the journal of those that were acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use testkit::Cluster;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::request::{LIMIT, all_settings, answer, put_with};

/// Between two writes of a client, at least: enough to have one under way at any fault, few enough to look at each later.
const PACE: Duration = Duration::from_millis(40);
/// Settings that each client writes in turn.
const SETTINGS: usize = 5;
/// Acknowledgements that show that writes go on.
const GOING_ON: usize = 3;
/// How long a persistent client goes on with a write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
/// How long it waits for a node.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Repeated writes under way at a time.
const REPEATED_AT_ONCE: usize = 8;

/// A write that was answered with 200.
pub(crate) struct Acknowledged {
    /// Its idempotency key, which is the value as well.
    pub key: String,
    pub setting: String,
    pub body: Value,
    /// The node that was asked.
    pub through: usize,
    pub begun: Instant,
    pub done: Instant,
}

/// Clients, one for each of some nodes, that write one setting after the other until they are stopped.
pub(crate) struct Writers {
    journal: Arc<Mutex<Vec<Acknowledged>>>,
    stopped: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Writers {
    /// One client for each node. Once for a cluster: the keys would be the same.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let (journal, stopped): (Arc<Mutex<Vec<_>>>, Arc<AtomicBool>) = Default::default();
        let mut clients = JoinSet::new();
        for through in 0..cluster.len() {
            let url = format!("{}/cluster/settings/note.{through}", cluster.url(through));
            let token = cluster.admin_token().to_owned();
            let (journal, stopped) = (Arc::clone(&journal), Arc::clone(&stopped));
            clients.spawn(async move { write(through, &url, &token, &journal, &stopped).await });
        }
        Self { journal, stopped, clients }
    }

    /// As [`Writers::start`], but each client goes on with the next node under the same key where one does
    /// not answer, as clients of a cluster do. Gives the writes that no node acknowledged in time as well.
    pub(crate) fn start_persistent(cluster: &Cluster) -> (Self, Failed) {
        let (journal, stopped): (Arc<Mutex<Vec<_>>>, Arc<AtomicBool>) = Default::default();
        let failed = Failed::default();
        let mut clients = JoinSet::new();
        for first in 0..cluster.len() {
            let nodes = (0..cluster.len()).map(|i| (first + i) % cluster.len());
            let nodes =
                nodes.map(|i| (i, format!("{}/cluster/settings/note.{first}", cluster.url(i)))).collect();
            let token = cluster.admin_token().to_owned();
            let (journal, stopped) = (Arc::clone(&journal), Arc::clone(&stopped));
            let persistent = Persistent { first, nodes, token, failed: failed.clone() };
            clients.spawn(async move { persistent.write(&journal, &stopped).await });
        }
        (Self { journal, stopped, clients }, failed)
    }

    /// Waits until writes that begin now are acknowledged through this node.
    pub(crate) fn wait_going_on(&self, cluster: &Cluster, through: usize) {
        let now = Instant::now();
        cluster.wait_until(&format!("writes through {}", cluster.id(through)), LIMIT, |_| {
            let journal = self.journal.lock().unwrap();
            let later = journal.iter().rev().filter(|write| write.through == through && write.begun >= now);
            (later.count() >= GOING_ON).then_some(())
        });
    }

    /// Ends the writing and gives what was acknowledged.
    pub(crate) async fn stop(self) -> Vec<Acknowledged> {
        self.stopped.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut *self.journal.lock().unwrap())
    }
}

/// Writes that no node acknowledged in time, in words.
#[derive(Clone, Default)]
pub(crate) struct Failed(Arc<Mutex<Vec<String>>>);

impl Failed {
    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A client of a cluster.
struct Persistent {
    first: usize,
    /// Nodes in the order of preference, each with the beginning of its settings' URLs.
    nodes: Vec<(usize, String)>,
    token: String,
    failed: Failed,
}

impl Persistent {
    async fn write(self, journal: &Mutex<Vec<Acknowledged>>, stopped: &AtomicBool) {
        let client = reqwest::Client::new();
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 0.. {
            pace.tick().await;
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let (key, which) = (format!("{}-{n}", self.first), n % SETTINGS);
            let begun = Instant::now();
            let mut reasons = Vec::new();
            let mut nodes = self.nodes.iter().cycle();
            let done = loop {
                let (through, url) = nodes.next().unwrap();
                match self.attempt(&client, &format!("{url}-{which}"), &key).await {
                    Ok(body) => break Some((*through, body)),
                    Err(reason) => reasons.push(format!("{:?} node {through}: {reason}", begun.elapsed())),
                }
                if begun.elapsed() > GIVE_UP_AFTER {
                    break None;
                }
                tokio::time::sleep(PACE).await;
            };
            let Some((through, body)) = done else {
                self.failed.0.lock().unwrap().push(format!("{key}: {reasons:?}"));
                continue;
            };
            let (setting, done) = (format!("note.{}-{which}", self.first), Instant::now());
            let write = Acknowledged { key, setting, body, through, begun, done };
            journal.lock().unwrap().push(write);
        }
    }

    async fn attempt(&self, client: &reqwest::Client, url: &str, key: &str) -> Result<Value, String> {
        let request = client.put(url).bearer_auth(&self.token).timeout(ATTEMPT_LIMIT);
        let request = request.header("idempotency-key", key).json(&json!({ "value": key }));
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if status == 200 { Ok(body) } else { Err(format!("{status} {body}")) }
    }
}

async fn write(
    through: usize,
    url: &str,
    token: &str,
    journal: &Mutex<Vec<Acknowledged>>,
    stopped: &AtomicBool,
) {
    let client = reqwest::Client::new();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0.. {
        pace.tick().await;
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let (key, which) = (format!("{through}-{n}"), n % SETTINGS);
        let request = client.put(format!("{url}-{which}")).bearer_auth(token).timeout(LIMIT);
        let begun = Instant::now();
        let sent = request.header("idempotency-key", &key).json(&json!({ "value": key })).send().await;
        // What was not acknowledged may have been done or not.
        if let Ok(answer) = sent
            && answer.status() == 200
            && let Ok(body) = answer.json().await
        {
            let (setting, done) = (format!("note.{through}-{which}"), Instant::now());
            let write = Acknowledged { key, setting, body, through, begun, done };
            journal.lock().unwrap().push(write);
        }
    }
}

/// Every acknowledged write is there, once, on every node: no two made the same version of a setting, every node has that
/// version or a later one, and each write that is repeated has the same answer again, so that it was not done anew.
pub(crate) async fn check(cluster: &Cluster, acknowledged: &[Acknowledged]) {
    assert!(!acknowledged.is_empty());
    let mut versions = BTreeSet::new();
    for write in acknowledged {
        let version = (write.setting.as_str(), write.body["version"].as_u64());
        assert!(versions.insert(version), "two writes made {version:?}\n{}", cluster.report());
    }
    for i in 0..cluster.len() {
        check_node(cluster, i, acknowledged).await;
    }
    let client = reqwest::Client::new();
    let repeats = futures_util::stream::iter(acknowledged.iter().enumerate());
    repeats
        .for_each_concurrent(REPEATED_AT_ONCE, async |(n, Acknowledged { key, setting, body, .. })| {
            let again = put_with(&client, cluster, n % cluster.len(), setting, json!(key));
            let (status, repeated) = answer(again.header("idempotency-key", key)).await;
            assert_eq!((status.as_u16(), &repeated), (200, body), "{}", cluster.report());
        })
        .await;
}

async fn check_node(cluster: &Cluster, i: usize, acknowledged: &[Acknowledged]) {
    let settings = all_settings(cluster, i, "&consistency=linearizable").await;
    let settings: BTreeMap<_, _> = settings.iter().map(|now| (now["key"].as_str().unwrap(), now)).collect();
    for Acknowledged { key, setting, body, .. } in acknowledged {
        let now = settings.get(setting.as_str()).unwrap_or_else(|| panic!("{setting} is not there"));
        assert!(now["version"].as_u64() >= body["version"].as_u64(), "{now} after {body}");
        if now["version"] == body["version"] {
            assert_eq!(now["value"], json!(key));
        }
    }
}

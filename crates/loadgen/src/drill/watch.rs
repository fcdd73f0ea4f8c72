//! Watcher of the events of every node, with the time of each arrival.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use client::{Client, Events};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::cluster::{DrillCluster, NamedEndpoint};
use super::records::{Seen, Sign};

/// Pause between two attempts to watch a node.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Most events kept: an hour with an election every second.
const MAX_SEEN: usize = 100_000;

/// The watchers, which end when the value is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Starts to watch. Every stream is open on return.
    ///
    /// # Errors
    /// If a node's event stream cannot be opened.
    pub(super) async fn begin(cluster: &DrillCluster) -> anyhow::Result<Self> {
        let seen = Arc::default();
        let mut tasks = JoinSet::new();
        for node in &cluster.nodes {
            let events = cluster.client.events(&node.endpoint, None).await;
            let events = events.with_context(|| format!("cannot watch the events of {}", node.id))?;
            tasks.spawn(watch(cluster.client.clone(), node.clone(), events, Arc::clone(&seen)));
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// Returns the signs seen so far, in order of arrival.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Watches a node forever, and reopens a stream that ended.
async fn watch(client: Client, node: NamedEndpoint, mut events: Events, seen: Arc<Mutex<Vec<Seen>>>) {
    let note = |what| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MAX_SEEN {
            seen.push(Seen { at: Instant::now(), by: node.id.clone(), what });
        }
    };
    let mut last_id = None;
    loop {
        while let Ok(Some(event)) = events.next().await {
            last_id = Some(event.id);
            note(Sign::Event(event.kind));
        }
        note(Sign::Lost);
        events = loop {
            sleep(RETRY_AFTER).await;
            if let Ok(events) = client.events(&node.endpoint, last_id).await {
                break events;
            }
        };
    }
}

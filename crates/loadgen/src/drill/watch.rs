//! Watches the events of every node, and notes when each arrives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use client::{Client, Events};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Node};
use super::records::{Seen, Sign};

/// Between two attempts to watch a node that cannot be watched.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Events that are kept: an hour of an election every second.
const MAX_SEEN: usize = 100_000;

/// The watchers, which end with this value.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to watch. Every stream is there when this returns.
    pub(super) async fn begin(cluster: &Cluster) -> anyhow::Result<Self> {
        let seen = Arc::default();
        let mut tasks = JoinSet::new();
        for node in &cluster.nodes {
            let events = cluster.client.events(&node.endpoint, None).await;
            let events = events.with_context(|| format!("cannot watch the events of {}", node.id))?;
            tasks.spawn(watch(cluster.client.clone(), node.clone(), events, Arc::clone(&seen)));
        }
        Ok(Self { seen, _tasks: tasks })
    }

    /// What was seen so far, in the order of its arrival.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Watches one node for good, whatever becomes of its streams.
async fn watch(client: Client, node: Node, mut events: Events, seen: Arc<Mutex<Vec<Seen>>>) {
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

//! Recent events of a node, and a channel for watchers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;

use api::events::{Event, EventKind};

use crate::world::clock;

/// Number of recent events kept for new watchers, and of events by which a slow watcher may be behind.
const KEPT: usize = 256;

/// Events of one node since its start, the latest of them kept.
pub(crate) struct Events {
    node: String,
    clock_ms: fn() -> u64,
    recent: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Events {
    /// Creates an empty list of events of `node`.
    pub(crate) fn new(node: String, clock_ms: fn() -> u64) -> Self {
        Self {
            node,
            clock_ms,
            recent: Mutex::new(VecDeque::with_capacity(KEPT)),
            live: broadcast::channel(KEPT).0,
        }
    }

    /// Adds an event.
    pub(crate) fn publish(&self, kind: EventKind) {
        let mut recent = self.recent.lock().expect("no panic while it is held");
        let id = recent.back().map_or(1, |event| event.id + 1);
        let event = Arc::new(Event { id, at_ms: (self.clock_ms)(), node: self.node.clone(), kind });
        if recent.len() == KEPT {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&event));
        debug_assert!(recent.len() <= KEPT, "events are bounded");
        // Sent under the lock, so that events arrive in the order of their ids. Without a watcher the send
        // fails.
        let _ = self.live.send(event);
    }

    /// Returns the kept events and a receiver of all later events, without a gap between the two.
    pub(crate) fn watch(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let recent = self.recent.lock().expect("no panic while it is held");
        (recent.iter().cloned().collect(), self.live.subscribe())
    }
}

/// Returns the system's clock, in milliseconds since 1970.
pub fn unix_ms() -> u64 {
    clock::unix_time().as_millis() as u64
}

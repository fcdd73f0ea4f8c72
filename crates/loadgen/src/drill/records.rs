//! Records of a drill. All times are on the clock of this process.

use client::EventKind;
use serde_json::Value;
use tokio::time::Instant;

use crate::run::Sample;

/// The setting that is written.
pub(super) const KEY: &str = "note.drill";

/// A node made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node_id: String,
    /// The leader before the fault, and its term.
    pub(super) leader: String,
    pub(super) term: u64,
    /// The time of the fault.
    pub(super) fault: Instant,
    /// The time at which the fault was ended from outside.
    pub(super) ended: Option<Instant>,
    /// The time at which all nodes were healthy again; `None` if not awaited, or not reached.
    pub(super) healthy_at: Option<Instant>,
}

impl Step {
    /// True if the failed node was the leader.
    pub(super) fn was_leader(&self) -> bool {
        self.node_id == self.leader
    }
}

/// A sign received over a node's event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Instant,
    /// The node of the stream.
    pub(super) by: String,
    pub(super) what: Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// An event.
    Event(EventKind),
    /// A broken stream.
    Lost,
}

/// A completed write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) value: Value,
    /// The version created by the write; `None` without an acknowledgement.
    pub(super) version: Option<u64>,
}

/// State of the written setting at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadBack {
    /// The setting as read.
    Found { version: u64, value: Value },
    /// The reason for a missing or unreadable setting.
    Failed(String),
}

/// All records of a drill.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub(super) node_ids: Vec<String>,
    pub(super) started: Instant,
    pub(super) steps: Vec<Step>,
    pub(super) seen: Vec<Seen>,
    pub(super) samples: Vec<Sample>,
    pub(super) writes: Vec<Write>,
    /// The time after which no write was sent.
    pub(super) writes_ended: Instant,
    pub(super) read_back: ReadBack,
    pub(super) final_leader: Option<String>,
    /// Problems besides failed requests and writes.
    pub(super) problems: Vec<String>,
}

//! What is noted during a drill. All times are of this process's clock.

use client::EventKind;
use tokio::time::Instant;

use crate::run::Sample;

/// One node that was let fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node_id: String,
    /// Who led before, and in which term.
    pub(super) leader: String,
    pub(super) term: u64,
    /// When it failed.
    pub(super) fault: Instant,
    /// When the fault was ended from outside.
    pub(super) ended: Option<Instant>,
    /// When all nodes were well again; `None` where that was not waited for, or in vain.
    pub(super) well: Option<Instant>,
}

impl Step {
    /// Whether it was the leader that failed.
    pub(super) fn was_leader(&self) -> bool {
        self.node_id == self.leader
    }
}

/// What a node's stream of events brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Instant,
    /// Whose stream it was.
    pub(super) by: String,
    pub(super) what: Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// An event.
    Event(EventKind),
    /// The stream broke.
    Lost,
}

/// A write that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) value: String,
    /// The version that it made; `None` where it was not acknowledged.
    pub(super) version: Option<u64>,
}

/// How the setting that was written is found at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadBack {
    /// It is there.
    Found { version: u64, value: String },
    /// It is not there, or cannot be read; why.
    Failed(String),
}

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub(super) node_ids: Vec<String>,
    pub(super) started: Instant,
    pub(super) steps: Vec<Step>,
    pub(super) seen: Vec<Seen>,
    pub(super) samples: Vec<Sample>,
    pub(super) writes: Vec<Write>,
    /// When no more writes were sent.
    pub(super) writes_ended: Instant,
    pub(super) read_back: ReadBack,
    pub(super) final_leader: Option<String>,
    /// What did not go as it should besides requests and writes.
    pub(super) problems: Vec<String>,
}

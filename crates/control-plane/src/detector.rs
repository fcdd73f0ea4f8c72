//! Failure detector for the leader, based on probes. Pure: time and events are arguments.
//!
//! A probe of each peer leaves every interval, even if the previous probe is unanswered; a probe is late once
//! unanswered for an interval. There are three kinds of [`Evidence`] against a peer:
//!
//! - **Refused** (A): the peer's port is closed. A killed process closes its connections and its port; an
//!   ended connection alone is no evidence, and the next attempt to connect decides. Not valid through a
//!   proxy or a virtual address, which would refuse in place of the peer.
//! - **Unanswered** (B): a number of unanswered probes in a row. Discarded while the local timer wakes late,
//!   since then the local node hangs; and unless the voters heard meanwhile make a quorum with the local
//!   node, since otherwise the local node is cut off.
//! - **Stuck** (C): the peer reports a blocked Raft or disk. Reports come from memory, so a blocked peer
//!   answers for ever.
//!
//! Evidence is no vote. A node with evidence gives up its lease and requests an election; a quorum of nodes,
//! each with its own evidence, decides the outcome.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::timing::{STUCK_AFTER, STUCK_TRANSFER_GRACE};

/// Kind of evidence against a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The peer's port is closed.
    Refused,
    /// The peer leaves probes unanswered.
    Unanswered,
    /// The peer reports a blocked Raft or disk.
    Stuck,
    /// A drill suspects the peer.
    Drill,
}

impl Evidence {
    /// Returns the stable name, for programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Stuck => "stuck",
            Self::Drill => "drill",
        }
    }
}

/// Limits of the detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeLimits {
    /// Time between two probes of a peer, and limit on an answer.
    pub interval: Duration,
    /// Unanswered probes in a row that are evidence; 0 disables all evidence.
    pub failures: u32,
}

impl ProbeLimits {
    /// Returns the delay beyond which a timer counts as late.
    fn late_by(&self) -> Duration {
        self.interval / 2
    }
}

/// Probes of all peers, by name.
#[derive(Debug)]
pub(crate) struct Detector {
    limits: ProbeLimits,
    peers: BTreeMap<String, Probed>,
}

/// Probes of one peer.
#[derive(Debug, Default)]
struct Probed {
    sent: u64,
    answered: u64,
    /// Departure of the first unanswered probe that counts.
    unanswered_since: Option<Instant>,
    /// Late unanswered probes in a row.
    missed: u32,
    last_answer_at: Option<Instant>,
    refused: bool,
    stuck: Duration,
}

/// Result of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Number of the probe that leaves now.
    pub seq: u64,
    /// Number of late probes in a row; none unless another probe became late now.
    pub missed: Option<u32>,
}

impl Detector {
    /// Creates a detector for `peers`, without any result yet.
    pub(crate) fn new(limits: ProbeLimits, peers: impl IntoIterator<Item = String>) -> Self {
        Self { limits, peers: peers.into_iter().map(|name| (name, Probed::default())).collect() }
    }

    /// Counts a probe of `peer` that was due at `due` and leaves now, or would leave with a connection. An
    /// unanswered previous probe becomes late.
    pub(crate) fn tick(&mut self, peer: &str, due: Instant, now: Instant) -> Tick {
        let late = now.saturating_duration_since(due) > self.limits.late_by();
        let Some(probed) = self.peers.get_mut(peer) else { return Tick { seq: 0, missed: None } };
        let mut missed = None;
        if late {
            probed.discard_unanswered();
        } else if probed.unanswered_since.is_some() {
            probed.missed += 1;
            missed = Some(probed.missed);
        }
        probed.sent += 1;
        probed.unanswered_since.get_or_insert(now);
        debug_assert!(probed.answered < probed.sent, "the probe that leaves now is unanswered");
        Tick { seq: probed.sent, missed }
    }

    /// Records the answer of `peer` to probe `seq`, and the reported time of the blockage.
    pub(crate) fn answered(&mut self, peer: &str, seq: u64, stuck: Duration, now: Instant) {
        let Some(probed) = self.peers.get_mut(peer) else { return };
        probed.refused = false;
        probed.stuck = stuck;
        probed.last_answer_at = Some(now);
        probed.answered = probed.answered.max(seq.min(probed.sent));
        debug_assert!(probed.answered <= probed.sent, "an answer to a probe that was not sent");
        probed.missed = 0;
        // Later probes may be in flight; they count from the next tick on.
        probed.unanswered_since = (probed.answered < probed.sent).then_some(now);
    }

    /// Records an append by `peer` as the leader, which proves life despite lost probes. Without the record,
    /// a node that was cut off would suspect the leader found afterwards.
    pub(crate) fn appended(&mut self, peer: &str, now: Instant) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.missed = 0;
            probed.unanswered_since = probed.unanswered_since.map(|_| now);
        }
    }

    /// Records that no process listens at the address of `peer`.
    pub(crate) fn refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = true;
        }
    }

    /// Records that the port of `peer` is not closed, though possibly silent.
    pub(crate) fn not_refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = false;
        }
    }

    /// Returns the present evidence against `leader`. `other_voters` are the names of all voters besides the
    /// local node.
    pub(crate) fn evidence(&self, leader: &str, other_voters: &[String]) -> Option<Evidence> {
        let probed = self.peers.get(leader).filter(|_| self.limits.failures > 0)?;
        if probed.refused {
            return Some(Evidence::Refused);
        }
        if probed.missed >= self.limits.failures && self.hears_a_quorum(leader, probed, other_voters) {
            return Some(Evidence::Unanswered);
        }
        let stuck = probed.stuck >= STUCK_AFTER + STUCK_TRANSFER_GRACE && probed.missed == 0;
        stuck.then_some(Evidence::Stuck)
    }

    /// True if the voters heard since the start of the leader's silence make a quorum with the local node.
    fn hears_a_quorum(&self, leader: &str, silent: &Probed, other_voters: &[String]) -> bool {
        let heard = |name: &&String| {
            let answer_at = self.peers.get(*name).and_then(|probed| probed.last_answer_at);
            **name != *leader && answer_at.is_some() && answer_at >= silent.unanswered_since
        };
        let heard = other_voters.iter().filter(heard).count();
        let all = other_voters.len() + 1;
        debug_assert!(heard < all, "the local node and the silent leader do not hear themselves");
        heard + 1 > all / 2
    }
}

impl Probed {
    fn discard_unanswered(&mut self) {
        self.answered = self.sent;
        self.unanswered_since = None;
        self.missed = 0;
    }
}

#[cfg(test)]
mod tests;

//! Whether the leader is dead, judged by probes. Pure: time and what happened are arguments.
//!
//! A probe of each peer leaves every interval, whether or not the one before was answered, and is late once it was not
//! answered for an interval. There are three kinds of [`Evidence`] against a peer:
//!
//! - **Refused** (A): its port is closed. A process that was killed closes its connections and its port; a connection that
//!   ends alone is no evidence, the attempt to connect again decides. Not valid through a proxy or a virtual address, which
//!   would refuse for it.
//! - **Unanswered** (B): so many probes in a row. Discarded while this node's own timer wakes late, for then it is this node
//!   that hangs; and unless voters that answered meanwhile make a quorum with this node, for otherwise it is this node that
//!   is cut off.
//! - **Stuck** (C): it says itself that its Raft or its disk hangs. It answers from memory, so it answers for ever.
//!
//! Evidence is no vote. It makes a node give up its own lease and ask for an election; what came of it is decided by a
//! quorum whose nodes each have evidence of their own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A leader that is stuck for this long hands over.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(2);
/// If it has not within this time after that, it counts as dead.
const HAND_OVER_GRACE: Duration = Duration::from_millis(500);

/// Why a peer seems to be dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Its port is closed.
    Refused,
    /// It leaves probes unanswered.
    Unanswered,
    /// It says that it is stuck.
    Stuck,
    /// A drill says so.
    Drill,
}

impl Evidence {
    /// Stable, for programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Stuck => "stuck",
            Self::Drill => "drill",
        }
    }
}

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Between two probes of a peer, and how long an answer may take.
    pub interval: Duration,
    /// Unanswered probes in a row that are evidence; 0: nothing is.
    pub failures: u32,
}

impl Rules {
    /// A timer that wakes later than this wakes late.
    fn late_by(&self) -> Duration {
        self.interval / 2
    }
}

/// The probes of all peers, by name.
#[derive(Debug)]
pub(crate) struct Detector {
    rules: Rules,
    peers: BTreeMap<String, Probed>,
}

/// The probes of one peer.
#[derive(Debug, Default)]
struct Probed {
    sent: u64,
    answered: u64,
    /// When the first of the unanswered ones that count left.
    unanswered_since: Option<Instant>,
    /// Unanswered ones in a row that are late.
    missed: u32,
    last_answer_at: Option<Instant>,
    refused: bool,
    stuck: Duration,
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The number of the probe that leaves now.
    pub seq: u64,
    /// Probes in a row that are late, if another one has become late now.
    pub missed: Option<u32>,
}

impl Detector {
    /// Of these peers, nothing known yet.
    pub(crate) fn new(rules: Rules, peers: impl IntoIterator<Item = String>) -> Self {
        Self { rules, peers: peers.into_iter().map(|name| (name, Probed::default())).collect() }
    }

    /// A probe of `peer` was due at `due` and leaves now, or would if there were a connection. The one before is late if
    /// it was not answered.
    pub(crate) fn tick(&mut self, peer: &str, due: Instant, now: Instant) -> Tick {
        let late = now.saturating_duration_since(due) > self.rules.late_by();
        let Some(probed) = self.peers.get_mut(peer) else { return Tick { seq: 0, missed: None } };
        let mut missed = None;
        if late {
            probed.forget_unanswered();
        } else if probed.unanswered_since.is_some() {
            probed.missed += 1;
            missed = Some(probed.missed);
        }
        probed.sent += 1;
        probed.unanswered_since.get_or_insert(now);
        Tick { seq: probed.sent, missed }
    }

    /// `peer` answered the probe of this number, and says for how long it has been stuck.
    pub(crate) fn answered(&mut self, peer: &str, seq: u64, stuck: Duration, now: Instant) {
        let Some(probed) = self.peers.get_mut(peer) else { return };
        probed.refused = false;
        probed.stuck = stuck;
        probed.last_answer_at = Some(now);
        probed.answered = probed.answered.max(seq.min(probed.sent));
        probed.missed = 0;
        // Later ones may be under way; they count from the next tick on.
        probed.unanswered_since = (probed.answered < probed.sent).then_some(now);
    }

    /// `peer` appended to this node's log as its leader: it lives, whatever became of probes before. A node that was cut off
    /// would otherwise blame the leader that it finds afterwards.
    pub(crate) fn appended(&mut self, peer: &str, now: Instant) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.missed = 0;
            probed.unanswered_since = probed.unanswered_since.map(|_| now);
        }
    }

    /// Nobody listens at the address of `peer`.
    pub(crate) fn refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = true;
        }
    }

    /// There is something other than a closed port at the address of `peer`, if only silence.
    pub(crate) fn not_refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = false;
        }
    }

    /// The evidence against `leader` that there is now. `other_voters` are the names of all that vote but this node.
    pub(crate) fn evidence(&self, leader: &str, other_voters: &[String]) -> Option<Evidence> {
        let probed = self.peers.get(leader).filter(|_| self.rules.failures > 0)?;
        if probed.refused {
            return Some(Evidence::Refused);
        }
        if probed.missed >= self.rules.failures && self.hears_a_quorum(leader, probed, other_voters) {
            return Some(Evidence::Unanswered);
        }
        let stuck = probed.stuck >= STUCK_AFTER + HAND_OVER_GRACE && probed.missed == 0;
        stuck.then_some(Evidence::Stuck)
    }

    /// Whether the voters that answered since the leader's silence began make a quorum with this node.
    fn hears_a_quorum(&self, leader: &str, silent: &Probed, other_voters: &[String]) -> bool {
        let heard = |name: &&String| {
            let answer_at = self.peers.get(*name).and_then(|probed| probed.last_answer_at);
            **name != *leader && answer_at.is_some() && answer_at >= silent.unanswered_since
        };
        let heard = other_voters.iter().filter(heard).count();
        let all = other_voters.len() + 1;
        heard + 1 > all / 2
    }
}

impl Probed {
    fn forget_unanswered(&mut self) {
        self.answered = self.sent;
        self.unanswered_since = None;
        self.missed = 0;
    }
}

#[cfg(test)]
mod tests;

//! Failure detector for the leader, based on probes. Pure: time and events are arguments.
//!
//! A probe of each peer leaves every interval, even if the previous probe is unanswered. There are three
//! kinds of [`Evidence`] against a peer:
//!
//! - **Refused** (A): the peer's port is closed. A killed process closes its connections and its port; an
//!   ended connection alone is no evidence, and the next attempt to connect decides. Not valid through a
//!   proxy or a virtual address, which would refuse in place of the peer.
//! - **Unanswered** (B): the peer has been silent for longer than its [`limit`]. Discarded unless the
//!   voters heard meanwhile make a quorum with the local node, since otherwise the local node is cut off.
//! - **Stuck** (C): the peer reports a blocked Raft or disk. Reports come from memory, so a blocked peer
//!   answers for ever.
//!
//! Evidence is no vote. A node with evidence gives up its lease and requests an election; a quorum of nodes,
//! each with its own evidence, decides the outcome.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::timing::{STUCK_AFTER, STUCK_TRANSFER_GRACE};

pub(crate) mod limit;

use limit::{Lateness, Silences};

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
    /// Time between two probes of a peer.
    pub interval: Duration,
    /// Silence that is evidence on an undisturbed network, in intervals; 0 disables all evidence.
    pub failures: u32,
}

impl ProbeLimits {
    /// Returns the silence that is evidence on an undisturbed network.
    fn silence(&self) -> Duration {
        self.interval * self.failures
    }
}

/// Maximum number of probes in flight whose departure is known. More than leave before a silent connection is
/// replaced, at any sensible interval.
const MAX_IN_FLIGHT: usize = 64;

/// Probes of all peers, by name.
#[derive(Debug)]
pub(crate) struct Detector {
    limits: ProbeLimits,
    /// Time at which the next probe is due.
    due: Option<Instant>,
    peers: BTreeMap<String, Probed>,
    /// Silences of all peers that ended: what interrupts one link on a shared network interrupts the others.
    silences: Silences,
    /// Lateness of the local node.
    lateness: Lateness,
}

/// Probes of one peer.
#[derive(Debug, Default)]
struct Probed {
    sent: u64,
    /// Number and departure of the unanswered probes.
    in_flight: VecDeque<(u64, Instant)>,
    /// Latest sign of life besides the answers to probes.
    alive_at: Option<Instant>,
    /// Longest silence since the latest answer to a probe that another sign of life ended. The next answer
    /// tells if the peer ran meanwhile.
    ended: Option<Duration>,
    /// Part of the present silence during which the local node did not run.
    missed_here: Duration,
    /// Departure of the latest answered probe: the peer lived then, or later.
    heard_at: Option<Instant>,
    round_trip: limit::RoundTrip,
    /// Lateness reported by the peer.
    lateness: Duration,
    refused: bool,
    stuck: Duration,
}

/// Result of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Number of the probe that leaves now.
    pub seq: u64,
    /// True if the previous probe is unanswered, at a local node that runs on time.
    pub missed: bool,
    /// True if two probes in a row are unanswered: another sign of life is to be sought.
    pub doubtful: bool,
}

/// Answer to a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// Number of the probe.
    pub seq: u64,
    /// Reported time for which the peer's Raft or disk has been blocked.
    pub stuck: Duration,
    /// Reported lateness of the peer.
    pub lateness: Duration,
    /// Reported longest time, of late, in which the peer did not run.
    pub stall: Duration,
}

impl Detector {
    /// Creates a detector for `peers`, without any result yet.
    pub(crate) fn new(limits: ProbeLimits, peers: impl IntoIterator<Item = String>) -> Self {
        let peers = peers.into_iter().map(|name| (name, Probed::default())).collect();
        Self { limits, due: None, peers, silences: Silences::default(), lateness: Lateness::default() }
    }

    /// Counts a probe of `peer` that was due at `due` and leaves now, or would leave with a connection.
    pub(crate) fn tick(&mut self, peer: &str, due: Instant, now: Instant) -> Tick {
        let late = now.saturating_duration_since(due);
        let Some(probed) = self.peers.get_mut(peer) else {
            return Tick { seq: 0, missed: false, doubtful: false };
        };
        let is_late = late > self.limits.interval / 2;
        if !probed.in_flight.is_empty() {
            probed.missed_here += late;
        }
        let missed = !is_late && !probed.in_flight.is_empty();
        let doubtful = probed.silence(now).is_some_and(|silence| silence >= self.limits.interval * 2);
        probed.sent += 1;
        if probed.in_flight.len() < MAX_IN_FLIGHT {
            probed.in_flight.push_back((probed.sent, now));
        }
        Tick { seq: probed.sent, missed, doubtful }
    }

    /// Records by how much the local node ran late during the latest interval, and the time of the next
    /// probe.
    pub(crate) fn ran_late(&mut self, lateness: Duration, due: Instant) {
        self.lateness.observe(lateness);
        self.due = Some(due);
    }

    /// Returns the lateness to be expected of the local node.
    pub(crate) fn lateness(&self) -> Duration {
        self.lateness.expected()
    }

    /// Returns the longest time, of late, in which the local node did not run. A process that was stopped
    /// tells so in its first answer: a probe is overdue then.
    pub(crate) fn stall(&self, now: Instant) -> Duration {
        let overdue = self.due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        self.lateness.greatest().max(overdue)
    }

    /// Records an answer of `peer`. Returns the departure of the probe, if known.
    pub(crate) fn answered(&mut self, peer: &str, answer: Answer, now: Instant) -> Option<Instant> {
        let probed = self.peers.get_mut(peer)?;
        probed.refused = false;
        probed.stuck = answer.stuck;
        probed.lateness = answer.lateness;
        let silence = probed.silence(now).max(probed.ended.take());
        let mut departed = None;
        while let Some((seq, at)) = probed.in_flight.front().copied().filter(|(seq, _)| *seq <= answer.seq) {
            probed.in_flight.pop_front();
            departed = (seq == answer.seq).then_some(at);
        }
        probed.missed_here = Duration::ZERO;
        // An answer that comes late because the peer did not run says nothing about the network.
        let interval = self.limits.interval;
        let is_of_network = |time: &Duration| *time <= interval || answer.stall < *time / 2;
        if let Some(departed) = departed {
            probed.heard_at = Some(departed);
            let round_trip = Some(now.saturating_duration_since(departed)).filter(is_of_network);
            round_trip.into_iter().for_each(|time| probed.round_trip.observe(time));
        }
        if let Some(silence) = silence.filter(|silence| *silence > interval && is_of_network(silence)) {
            self.silences.observe(silence, now);
        }
        departed
    }

    /// Records a sign of life of `peer` besides an answer to a probe: an append of the leader, or an answer
    /// to another call.
    pub(crate) fn lives(&mut self, peer: &str, now: Instant) {
        let Some(probed) = self.peers.get_mut(peer) else { return };
        probed.ended = probed.silence(now).max(probed.ended);
        probed.alive_at = Some(now);
        probed.missed_here = Duration::ZERO;
    }

    /// Records that no process listens at the address of `peer`.
    pub(crate) fn refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = true;
            // What follows is another process.
            probed.forget_in_flight();
            probed.ended = None;
        }
    }

    /// Records that the port of `peer` is not closed, though possibly silent.
    pub(crate) fn not_refused(&mut self, peer: &str) {
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = false;
        }
    }

    /// Records a new connection to `peer`, a sign of life: probes of an earlier connection are not answered
    /// any more.
    pub(crate) fn connected(&mut self, peer: &str, now: Instant) {
        self.lives(peer, now);
        if let Some(probed) = self.peers.get_mut(peer) {
            probed.refused = false;
            probed.forget_in_flight();
        }
    }

    /// Returns the time at which the silence of `peer` becomes evidence if it lasts.
    pub(crate) fn suspect_at(&self, peer: &str, now: Instant) -> Option<Instant> {
        let probed = self.peers.get(peer).filter(|_| self.limits.failures > 0)?;
        Some(probed.silent_since()? + probed.missed_here + self.limit(probed, now))
    }

    /// Returns the present silence of `peer`, and the silence that is evidence.
    pub(crate) fn silence(&self, peer: &str, now: Instant) -> Option<(Duration, Duration)> {
        let probed = self.peers.get(peer)?;
        Some((probed.silence(now)?, self.limit(probed, now)))
    }

    /// Returns the present evidence against `leader`. `other_voters` are the names of all voters besides the
    /// local node.
    pub(crate) fn evidence(&self, leader: &str, other_voters: &[String], now: Instant) -> Option<Evidence> {
        let probed = self.peers.get(leader).filter(|_| self.limits.failures > 0)?;
        if probed.refused {
            return Some(Evidence::Refused);
        }
        let silent = probed.silence(now).is_some_and(|silence| silence >= self.limit(probed, now));
        if silent && self.hears_a_quorum(leader, probed, other_voters) {
            return Some(Evidence::Unanswered);
        }
        let stuck = probed.stuck >= STUCK_AFTER + STUCK_TRANSFER_GRACE && !silent;
        stuck.then_some(Evidence::Stuck)
    }

    /// Returns the silence of a peer that is evidence.
    fn limit(&self, probed: &Probed, now: Instant) -> Duration {
        limit::silence(
            self.limits.silence(),
            &probed.round_trip,
            self.silences.longest(now),
            self.lateness.expected() + probed.lateness,
        )
    }

    /// True if the voters heard since the start of the leader's silence make a quorum with the local node.
    fn hears_a_quorum(&self, leader: &str, silent: &Probed, other_voters: &[String]) -> bool {
        let heard = |name: &&String| {
            let heard_at = self.peers.get(*name).and_then(|probed| probed.heard_at);
            **name != *leader && heard_at.is_some() && heard_at >= silent.silent_since()
        };
        let heard = other_voters.iter().filter(heard).count();
        let all = other_voters.len() + 1;
        debug_assert!(heard < all, "the local node and the silent leader do not hear themselves");
        heard + 1 > all / 2
    }
}

impl Probed {
    /// Returns the start of the present silence: the departure of the oldest unanswered probe, or a later
    /// sign of life.
    fn silent_since(&self) -> Option<Instant> {
        let (_, oldest) = self.in_flight.front()?;
        Some(self.alive_at.map_or(*oldest, |alive_at| alive_at.max(*oldest)))
    }

    /// Returns the duration of the present silence, less the time during which the local node did not run.
    fn silence(&self, now: Instant) -> Option<Duration> {
        let lasts = now.saturating_duration_since(self.silent_since()?);
        Some(lasts.saturating_sub(self.missed_here))
    }

    fn forget_in_flight(&mut self) {
        self.in_flight.clear();
        self.missed_here = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests;

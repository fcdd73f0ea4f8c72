//! Results of the probes of the peers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::status::Role;

use crate::ids::RaftId;
use crate::lag::Lag;
use crate::message::Report;
use crate::timing::{DISCLAIMED_AFTER, HEALTHY_WITHIN, HEARD_WITHIN, REFUSAL_VALID_FOR};

/// Failed probes in a row after which a peer counts as away, if its port is not closed.
const AWAY_AFTER: u64 = 3;

/// State of one peer, as found by the probes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// Time of the latest answer.
    pub answered_at: Option<Instant>,
    /// Latest report.
    pub report: Option<Arc<Report>>,
    /// Failed probes since the latest answer.
    pub failed_probes: u64,
    /// True if the peer counts as away.
    pub away: bool,
    /// Cause of the latest failure.
    pub failure: Option<String>,
    /// Time of the latest refusal: the peer answers, but has another key, version or cluster name.
    pub refused_at: Option<Instant>,
    /// True if the peer's port has refused a connection since the latest answer.
    pub port_closed: bool,
    /// Lag of the peer's applied state.
    pub lag: Lag,
    /// Start of an unbroken series of reports without leadership, all of the latest report's term.
    disclaims_since: Option<Instant>,
    /// Offset of the peer's clock; none before a measurement.
    pub clock: Option<ClockOffset>,
}

/// Offset of a peer's clock, measured on a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockOffset {
    /// Peer's clock less the local clock, in milliseconds.
    pub ms: i64,
    /// Greatest error of the measurement, in milliseconds: the duration of the probe.
    pub error_ms: u64,
}

impl ClockOffset {
    /// True if the clocks differ by more than `limit_ms`, whatever the error of the measurement.
    pub(crate) fn exceeds(&self, limit_ms: u64) -> bool {
        self.ms.unsigned_abs().saturating_sub(self.error_ms) > limit_ms
    }
}

impl Peer {
    /// True if the peer answered recently, and its port has refused no connection since.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        !self.port_closed && self.heard_within(HEALTHY_WITHIN, now)
    }

    /// Returns the latest report, if recent enough to count.
    pub(crate) fn recent_report(&self, now: Instant) -> Option<&Arc<Report>> {
        self.report.as_ref().filter(|_| self.heard_within(HEARD_WITHIN, now))
    }

    /// True if the peer denies leading in `term`, for longer than the news of an election takes, or cannot
    /// lead: its port is closed, or the name belongs to another data directory.
    pub(crate) fn denies_leading(&self, id: RaftId, term: u64, now: Instant) -> bool {
        let disclaimed = |since: Instant| now.saturating_duration_since(since) >= DISCLAIMED_AFTER;
        let replaced = |report: &Arc<Report>| report.raft_id != id;
        let disclaims =
            |report: &Arc<Report>| report.term >= term && self.disclaims_since.is_some_and(disclaimed);
        self.port_closed
            || self.recent_report(now).is_some_and(|report| replaced(report) || disclaims(report))
    }

    /// Returns the peer as updated by its next report.
    fn after(&self, report: Report, committed: Option<u64>, now: Instant) -> Self {
        let same_term = self.report.as_ref().is_some_and(|before| before.term == report.term);
        let disclaims_since = match report.role {
            Role::Leader => None,
            _ => Some(self.disclaims_since.filter(|_| same_term).unwrap_or(now)),
        };
        let mut lag = self.lag.clone();
        lag.observe(report.applied_index, committed, now);
        let (answered_at, report) = (Some(now), Some(Arc::new(report)));
        Self { answered_at, report, lag, disclaims_since, clock: self.clock, ..Self::default() }
    }

    /// True if the peer recently refused to talk to the local node.
    pub(crate) fn refuses(&self, now: Instant) -> bool {
        self.refused_at.is_some_and(|at| now.saturating_duration_since(at) < REFUSAL_VALID_FOR)
    }

    fn heard_within(&self, limit: Duration, now: Instant) -> bool {
        self.answered_at.is_some_and(|at| now.saturating_duration_since(at) < limit)
    }
}

/// Failure of a probe.
pub(crate) struct ProbeFailure {
    /// Description for people.
    pub reason: String,
    /// True if the peer answered but refused to talk to the local node.
    pub refused: bool,
    /// True if no process listens at the peer's address.
    pub port_closed: bool,
}

/// Effect of a failed probe on a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedProbes {
    /// Failed probes in a row.
    pub count: u64,
    /// True if the peer counts as away from now on.
    pub is_newly_away: bool,
}

/// All peers by name. Locked for moments only.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<String, Peer>>);

impl Peers {
    /// Creates the peers of `names`, not heard yet.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(Mutex::new(names.into_iter().map(|name| (name, Peer::default())).collect()))
    }

    /// Records an answer of the peer; `committed` is the leader's committed index. Returns the state before.
    pub(crate) fn answered(
        &self,
        name: &str,
        report: Report,
        committed: Option<u64>,
        clock: Option<ClockOffset>,
        now: Instant,
    ) -> Peer {
        let mut peers = self.0.lock().expect("no panic while it is held");
        let peer = peers.entry(name.to_owned()).or_default();
        let mut after = peer.after(report, committed, now);
        after.clock = clock.or(after.clock);
        std::mem::replace(peer, after)
    }

    /// Returns the present state of one peer.
    pub(crate) fn get(&self, name: &str) -> Option<Peer> {
        self.0.lock().expect("no panic while it is held").get(name).cloned()
    }

    /// Records a failed probe of the peer.
    pub(crate) fn failed(&self, name: &str, failure: &ProbeFailure, now: Instant) -> FailedProbes {
        debug_assert!(!(failure.refused && failure.port_closed), "a closed port answers nothing");
        let mut peers = self.0.lock().expect("no panic while it is held");
        let peer = peers.entry(name.to_owned()).or_default();
        peer.failed_probes += 1;
        peer.failure = Some(failure.reason.clone());
        // A closed port counts as closed while the latest answer would still make the peer healthy.
        let still_closed = peer.port_closed && !failure.refused && peer.heard_within(HEALTHY_WITHIN, now);
        peer.port_closed = failure.port_closed || still_closed;
        peer.refused_at = if failure.refused { Some(now) } else { peer.refused_at };
        let was_away = peer.away;
        peer.away |= failure.port_closed || peer.failed_probes >= AWAY_AFTER;
        FailedProbes { count: peer.failed_probes, is_newly_away: peer.away && !was_away }
    }

    /// Returns the present state of all peers.
    pub(crate) fn all(&self) -> BTreeMap<String, Peer> {
        self.0.lock().expect("no panic while it is held").clone()
    }

    /// Returns the Raft id of each recently heard peer.
    pub(crate) fn present(&self, now: Instant) -> BTreeMap<String, RaftId> {
        let peers = self.0.lock().expect("no panic while it is held");
        let heard =
            peers.iter().filter_map(|(name, peer)| Some((name.clone(), peer.recent_report(now)?.raft_id)));
        // A peer with an unreadable directory may have any id.
        heard.filter(|(_, id)| *id != RaftId::UNKNOWN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::tests::report;

    const CLOSED: (bool, bool) = (true, false);
    const STRANGE: (bool, bool) = (false, true);
    const LATE: (bool, bool) = (false, false);

    /// Checks that after `failures`, as (ms after the answer, (port closed, refused)), the port counts as
    /// `closed`.
    fn check(failures: &[(u64, (bool, bool))], closed: bool) {
        let (peers, start) = (Peers::default(), Instant::now());
        peers.answered("n1", report(1, Role::Leader, 3), Some(10), None, start);
        for (ms, (port_closed, refused)) in failures.iter().copied() {
            let failure = ProbeFailure { reason: "a".to_owned(), refused, port_closed };
            peers.failed("n1", &failure, start + Duration::from_millis(ms));
        }
        assert_eq!(peers.get("n1").unwrap().port_closed, closed, "{failures:?}");
    }

    #[test]
    fn a_closed_port_counts_until_the_peer_answers_or_shows_something_else() {
        check(&[(1, LATE)], false);
        check(&[(1, CLOSED)], true);
        check(&[(1, CLOSED), (50, LATE)], true);
        check(&[(1, CLOSED), (600, LATE)], false);
        check(&[(1, CLOSED), (600, CLOSED)], true);
        check(&[(1, CLOSED), (50, STRANGE)], false);
    }

    #[test]
    fn a_leader_is_denied_by_its_own_word_after_a_while_and_by_another_directory_at_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let check = |reports: &[(u64, u64, Role, u64)], at_ms, denied| {
            let peers = Peers::default();
            for (ms, id, role, term) in reports.iter().copied() {
                peers.answered("n1", report(id, role, term), Some(10), None, at(ms));
            }
            let peer = peers.get("n1").unwrap();
            assert_eq!(peer.denies_leading(RaftId::from(1), 3, at(at_ms)), denied, "{reports:?} at {at_ms}");
        };
        check(&[(0, 1, Role::Leader, 3)], 400, false);
        check(&[(0, 1, Role::Candidate, 3)], 299, false);
        check(&[(0, 1, Role::Candidate, 3)], 300, true);
        check(&[(0, 1, Role::Candidate, 3), (200, 1, Role::Leader, 3)], 500, false);
        // A report of an older term does not deny leading in a later term.
        check(&[(0, 1, Role::Follower, 2)], 900, false);
        check(&[(0, 1, Role::Follower, 2), (900, 1, Role::Candidate, 3)], 901, false);
        check(&[(0, 9, Role::Learner, 0)], 1, true);
        check(&[(0, 9, Role::Learner, 0)], 1000, false);
    }
}

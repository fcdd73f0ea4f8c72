//! What the other nodes said when they were last probed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::status::Role;

use crate::message::Report;
use crate::progress::Progress;
use crate::types::RaftId;

/// A node that answered a probe within this time is healthy.
pub(crate) const HEALTHY_WITHIN: Duration = Duration::from_millis(500);
/// What a node said counts for this time.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Failed probes in a row after which a peer counts as away, if its port is not closed.
const AWAY_AFTER: u64 = 3;
/// A leader whose own word has been for this time that it does not lead is none. Longer than the first acknowledgement
/// by a quorum takes to arrive, and its news.
const DISCLAIMED_AFTER: Duration = Duration::from_millis(300);
/// A refusal counts for this time.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// One peer, as the probes found it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// When it last answered.
    pub answered_at: Option<Instant>,
    /// What it said.
    pub report: Option<Arc<Report>>,
    /// Probes that failed since.
    pub failed_probes: u64,
    /// Whether it counts as away.
    pub away: bool,
    /// Why the last one failed.
    pub failure: Option<String>,
    /// When it last refused to talk to this node: it is there, but has another key, version or cluster name.
    pub refused_at: Option<Instant>,
    /// True if its port has refused a connection since the latest answer.
    pub port_closed: bool,
    /// Progress of its applied state.
    pub progress: Progress,
    /// Start of an unbroken series of reports, all of the latest one's term, in which it does not lead.
    disclaims_since: Option<Instant>,
    /// Its clock less this node's, and the uncertainty of that, both in milliseconds.
    pub clock: Option<ClockOffset>,
}

/// Offset of a peer's clock, measured on a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockOffset {
    /// Peer's clock less this node's, in milliseconds.
    pub ms: i64,
    /// Greatest error of the measurement, in milliseconds: the time that the probe took.
    pub error_ms: u64,
}

impl ClockOffset {
    /// True if the clocks differ by more than `limit_ms`, whatever the error of the measurement.
    pub(crate) fn exceeds(&self, limit_ms: u64) -> bool {
        self.ms.unsigned_abs().saturating_sub(self.error_ms) > limit_ms
    }
}

impl Peer {
    /// True if it answered lately, and its port has refused no connection since.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        !self.port_closed && self.heard_within(HEALTHY_WITHIN, now)
    }

    /// What it said, if that is recent enough to count.
    pub(crate) fn recent_report(&self, now: Instant) -> Option<&Arc<Report>> {
        self.report.as_ref().filter(|_| self.heard_within(HEARD_WITHIN, now))
    }

    /// True if the peer itself says, for longer than an election takes to be known, that it does not lead in `term`, or
    /// if it cannot: its port is closed, or another data directory is under its name.
    pub(crate) fn denies_leading(&self, id: RaftId, term: u64, now: Instant) -> bool {
        let disclaimed = |since: Instant| now.saturating_duration_since(since) >= DISCLAIMED_AFTER;
        let replaced = |report: &Arc<Report>| report.raft_id != id;
        let disclaims =
            |report: &Arc<Report>| report.term >= term && self.disclaims_since.is_some_and(disclaimed);
        self.port_closed
            || self.recent_report(now).is_some_and(|report| replaced(report) || disclaims(report))
    }

    /// The peer with what its next report says.
    fn after(&self, report: Report, committed: Option<u64>, now: Instant) -> Self {
        let same_term = self.report.as_ref().is_some_and(|before| before.term == report.term);
        let disclaims_since = match report.role {
            Role::Leader => None,
            _ => Some(self.disclaims_since.filter(|_| same_term).unwrap_or(now)),
        };
        let mut progress = self.progress.clone();
        progress.observe(report.applied_index, committed, now);
        let (answered_at, report) = (Some(now), Some(Arc::new(report)));
        Self { answered_at, report, progress, disclaims_since, clock: self.clock, ..Self::default() }
    }

    /// Whether it refused to talk to this node lately.
    pub(crate) fn refuses(&self, now: Instant) -> bool {
        self.refused_at.is_some_and(|at| now.saturating_duration_since(at) < REFUSED_WITHIN)
    }

    fn heard_within(&self, limit: Duration, now: Instant) -> bool {
        self.answered_at.is_some_and(|at| now.saturating_duration_since(at) < limit)
    }
}

/// Why a probe failed.
pub(crate) struct Failure {
    /// In words.
    pub reason: String,
    /// Whether the peer is there but refused to talk to this node.
    pub refused: bool,
    /// Whether nobody listens at its address.
    pub port_closed: bool,
}

/// What a failed probe makes of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Failed probes in a row.
    pub count: u64,
    /// Whether it counts as away from now on.
    pub is_news: bool,
}

/// All peers by name. Locked for moments only.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<String, Peer>>);

impl Peers {
    /// Of these names, nothing heard yet.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(Mutex::new(names.into_iter().map(|name| (name, Peer::default())).collect()))
    }

    /// The peer answered; `committed` is the leader's committed index. Returns how it was before.
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

    /// One of them as it is now.
    pub(crate) fn get(&self, name: &str) -> Option<Peer> {
        self.0.lock().expect("no panic while it is held").get(name).cloned()
    }

    /// A probe of the peer failed.
    pub(crate) fn failed(&self, name: &str, failure: &Failure, now: Instant) -> Failed {
        let mut peers = self.0.lock().expect("no panic while it is held");
        let peer = peers.entry(name.to_owned()).or_default();
        peer.failed_probes += 1;
        peer.failure = Some(failure.reason.clone());
        // A port that was closed counts as such while the latest answer would still make the peer healthy.
        let still_closed = peer.port_closed && !failure.refused && peer.heard_within(HEALTHY_WITHIN, now);
        peer.port_closed = failure.port_closed || still_closed;
        peer.refused_at = if failure.refused { Some(now) } else { peer.refused_at };
        let was_away = peer.away;
        peer.away |= failure.port_closed || peer.failed_probes >= AWAY_AFTER;
        Failed { count: peer.failed_probes, is_news: peer.away && !was_away }
    }

    /// All of them as they are now.
    pub(crate) fn all(&self) -> BTreeMap<String, Peer> {
        self.0.lock().expect("no panic while it is held").clone()
    }

    /// The id that each peer has at the moment, as far as it was heard lately.
    pub(crate) fn present(&self, now: Instant) -> BTreeMap<String, RaftId> {
        let peers = self.0.lock().expect("no panic while it is held");
        let heard =
            peers.iter().filter_map(|(name, peer)| Some((name.clone(), peer.recent_report(now)?.raft_id)));
        // One that cannot read its directory may be any.
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

    /// Failures as (ms after the answer, (port closed, refused)), and whether the port counts as closed then.
    fn check(failures: &[(u64, (bool, bool))], closed: bool) {
        let (peers, start) = (Peers::default(), Instant::now());
        peers.answered("n1", report(1, Role::Leader, 3), Some(10), None, start);
        for (ms, (port_closed, refused)) in failures.iter().copied() {
            let failure = Failure { reason: "a".to_owned(), refused, port_closed };
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
        // What it said in an older term is no word about this one.
        check(&[(0, 1, Role::Follower, 2)], 900, false);
        check(&[(0, 1, Role::Follower, 2), (900, 1, Role::Candidate, 3)], 901, false);
        check(&[(0, 9, Role::Learner, 0)], 1, true);
        check(&[(0, 9, Role::Learner, 0)], 1000, false);
    }
}

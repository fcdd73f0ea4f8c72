//! What the other nodes said when they were last probed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::message::Report;
use crate::types::RaftId;

/// A node that answered a probe within this time is healthy.
pub(crate) const HEALTHY_WITHIN: Duration = Duration::from_millis(500);
/// What a node said counts for this time.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Failed probes in a row after which a peer counts as away, if its port is not closed.
const AWAY_AFTER: u64 = 3;
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
}

impl Peer {
    /// Whether it answered lately.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        self.heard_within(HEALTHY_WITHIN, now)
    }

    /// What it said, if that is recent enough to count.
    pub(crate) fn recent_report(&self, now: Instant) -> Option<&Arc<Report>> {
        self.report.as_ref().filter(|_| self.heard_within(HEARD_WITHIN, now))
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

    /// The peer answered. Returns how it was before.
    pub(crate) fn answered(&self, name: &str, report: Report, now: Instant) -> Peer {
        let after = Peer { answered_at: Some(now), report: Some(Arc::new(report)), ..Peer::default() };
        let mut peers = self.0.lock().expect("no panic while it is held");
        peers.insert(name.to_owned(), after).unwrap_or_default()
    }

    /// A probe of the peer failed.
    pub(crate) fn failed(&self, name: &str, failure: &Failure) -> Failed {
        let mut peers = self.0.lock().expect("no panic while it is held");
        let peer = peers.entry(name.to_owned()).or_default();
        peer.failed_probes += 1;
        peer.failure = Some(failure.reason.clone());
        peer.refused_at = if failure.refused { Some(Instant::now()) } else { peer.refused_at };
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
        heard.collect()
    }
}

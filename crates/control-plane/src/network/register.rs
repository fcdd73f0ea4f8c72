//! Register of the listener's current connections: decides by [`places`](super::places), and executes the
//! decisions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::handshake::Purpose;
use super::places::{ConnectionId, Places, Rules, Verdict};

/// Cause for which this node closed a connection at the port for nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No byte from a stranger in time.
    Silent,
    /// Handshake of a stranger not finished in time.
    Slow,
    /// Stranger closed in favour of a newer connection.
    Displaced,
    /// Handshake of a stranger failed.
    Handshake,
    /// Peer with a call in flight on every permitted connection.
    PeerRefused,
    /// Connection of a peer closed in favour of a newer connection of the same peer.
    PeerDisplaced,
}

impl Reason {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Silent, "silent"),
        (Self::Slow, "slow"),
        (Self::Displaced, "displaced"),
        (Self::Handshake, "handshake"),
        (Self::PeerRefused, "peer_refused"),
        (Self::PeerDisplaced, "peer_displaced"),
    ];
}

/// Figures of the port for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFigures {
    /// Connections in the handshake.
    pub strangers: usize,
    /// Connections of other nodes.
    pub members: usize,
    /// Connections closed by this node since start, by reason.
    pub closed: Vec<(&'static str, u64)>,
}

/// Connections of a listener.
#[derive(Debug)]
pub(crate) struct Register {
    held: Mutex<Held>,
    closed: [AtomicU64; Reason::ALL.len()],
}

#[derive(Debug)]
struct Held {
    places: Places,
    /// Cancelled to close a connection.
    tokens: BTreeMap<ConnectionId, CancellationToken>,
}

impl Held {
    /// Checks that every connection can be closed.
    fn check(&self) {
        let (strangers, members) = self.places.counts();
        debug_assert_eq!(self.tokens.len(), strangers + members, "one token for each connection");
    }
}

impl Register {
    /// Creates an empty register; `peers` are the configured names, without this node.
    pub(crate) fn new(rules: Rules, peers: impl IntoIterator<Item = String>) -> Arc<Self> {
        let held = Held { places: Places::new(rules, peers), tokens: BTreeMap::new() };
        Arc::new(Self { held: Mutex::new(held), closed: Default::default() })
    }

    /// Returns the current figures.
    pub(crate) fn figures(&self) -> PortFigures {
        let (strangers, members) = self.lock().places.counts();
        let closed = Reason::ALL.iter().zip(&self.closed);
        let closed = closed.map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        PortFigures { strangers, members, closed: closed.collect() }
    }

    /// Accepts a stranger, and closes another stranger beyond the limit.
    pub(super) fn arrive(
        self: &Arc<Self>,
        address: IpAddr,
        from_peer_address: bool,
        descriptor: OwnedSemaphorePermit,
    ) -> Place {
        let closed = CancellationToken::new();
        let mut held = self.lock();
        let (id, displaced) = held.places.arrive(address, from_peer_address);
        held.tokens.insert(id, closed.clone());
        let displaced = displaced.and_then(|id| held.tokens.remove(&id));
        held.check();
        drop(held);
        self.close(displaced, Reason::Displaced);
        Place { register: Arc::clone(self), id, closed, _descriptor: descriptor }
    }

    /// Closes the next stranger to be displaced, if there is any: the system is short of descriptors.
    pub(super) fn close_oldest_stranger(&self) {
        let mut held = self.lock();
        let oldest = held.places.oldest_stranger();
        let token = oldest.and_then(|id| {
            held.places.leave(id);
            held.tokens.remove(&id)
        });
        drop(held);
        self.close(token, Reason::Displaced);
    }

    /// Counts a connection closed for this reason.
    pub(super) fn count(&self, reason: Reason) {
        let index =
            Reason::ALL.iter().position(|(known, _)| *known == reason).expect("every reason is listed");
        self.closed[index].fetch_add(1, Ordering::Relaxed);
    }

    fn close(&self, token: Option<CancellationToken>, reason: Reason) {
        if let Some(token) = token {
            token.cancel();
            self.count(reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Place of a connection, released on drop.
#[derive(Debug)]
pub(super) struct Place {
    register: Arc<Register>,
    id: ConnectionId,
    closed: CancellationToken,
    _descriptor: OwnedSemaphorePermit,
}

impl Place {
    /// Returns the token cancelled when the place goes to another connection.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Moves the connection from the strangers to a peer. Returns false if the peer has no free place.
    pub(super) fn admit(&self, name: &str, purpose: Purpose) -> bool {
        let mut held = self.register.lock();
        let verdict = held.places.admit(self.id, name, purpose);
        let displaced = match verdict {
            Verdict::Admitted(displaced) => displaced.and_then(|id| held.tokens.remove(&id)),
            Verdict::Refused => None,
        };
        held.check();
        drop(held);
        self.register.close(displaced, Reason::PeerDisplaced);
        verdict != Verdict::Refused
    }

    /// Records a received frame.
    pub(super) fn received(&self) {
        self.register.lock().places.received(self.id);
    }

    /// Records a sent frame.
    pub(super) fn sent(&self) {
        self.register.lock().places.sent(self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.register.lock();
        held.places.leave(self.id);
        held.tokens.remove(&self.id);
    }
}

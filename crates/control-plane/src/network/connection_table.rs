//! ConnectionTable of the listener's current connections: decides by
//! [`connection_rules`](super::connection_rules), and executes the decisions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::connection_rules::{ConnectionId, ConnectionLimits, ConnectionRules, Decision};
use super::handshake::Purpose;

/// Cause for which this node closed a connection at the port for nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No byte from a pending connection in time.
    Silent,
    /// Handshake not finished in time.
    Slow,
    /// Pending connection closed in favour of a newer connection.
    Displaced,
    /// Handshake failed.
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
    pub pending: usize,
    /// Connections of other nodes.
    pub authenticated: usize,
    /// Connections closed by this node since start, by reason.
    pub closed: Vec<(&'static str, u64)>,
}

/// Connections of a listener.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    held: Mutex<TableState>,
    closed: [AtomicU64; Reason::ALL.len()],
}

#[derive(Debug)]
struct TableState {
    rules: ConnectionRules,
    /// Cancelled to close a connection.
    tokens: BTreeMap<ConnectionId, CancellationToken>,
}

impl TableState {
    /// Checks that every connection can be closed.
    fn check(&self) {
        let (pending, authenticated) = self.rules.counts();
        debug_assert_eq!(self.tokens.len(), pending + authenticated, "one token for each connection");
    }
}

impl ConnectionTable {
    /// Creates an empty table; `peers` are the configured names, without this node.
    pub(crate) fn new(rules: ConnectionLimits, peers: impl IntoIterator<Item = String>) -> Arc<Self> {
        let held = TableState { rules: ConnectionRules::new(rules, peers), tokens: BTreeMap::new() };
        Arc::new(Self { held: Mutex::new(held), closed: Default::default() })
    }

    /// Returns the current figures.
    pub(crate) fn figures(&self) -> PortFigures {
        let (pending, authenticated) = self.lock().rules.counts();
        let closed = Reason::ALL.iter().zip(&self.closed);
        let closed = closed.map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        PortFigures { pending, authenticated, closed: closed.collect() }
    }

    /// Accepts a connection, and closes a pending connection beyond the limit.
    pub(super) fn accept(
        self: &Arc<Self>,
        address: IpAddr,
        from_peer_address: bool,
        descriptor: OwnedSemaphorePermit,
    ) -> ConnectionSlot {
        let closed = CancellationToken::new();
        let mut held = self.lock();
        let (id, displaced) = held.rules.accept(address, from_peer_address);
        held.tokens.insert(id, closed.clone());
        let displaced = displaced.and_then(|id| held.tokens.remove(&id));
        held.check();
        drop(held);
        self.close(displaced, Reason::Displaced);
        ConnectionSlot { table: Arc::clone(self), id, closed, _descriptor: descriptor }
    }

    /// Closes the next pending connection to be displaced, if there is any: the system is short of
    /// descriptors.
    pub(super) fn close_oldest_pending(&self) {
        let mut held = self.lock();
        let oldest = held.rules.oldest_pending();
        let token = oldest.and_then(|id| {
            held.rules.leave(id);
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

    fn lock(&self) -> MutexGuard<'_, TableState> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// ConnectionSlot of a connection, released on drop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    table: Arc<ConnectionTable>,
    id: ConnectionId,
    closed: CancellationToken,
    _descriptor: OwnedSemaphorePermit,
}

impl ConnectionSlot {
    /// Returns the token cancelled when the slot goes to another connection.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Assigns the connection to an authenticated peer. False if the peer has no free slot.
    pub(super) fn admit(&self, name: &str, purpose: Purpose) -> bool {
        let mut held = self.table.lock();
        let decision = held.rules.admit(self.id, name, purpose);
        let displaced = match decision {
            Decision::Admitted(displaced) => displaced.and_then(|id| held.tokens.remove(&id)),
            Decision::Refused => None,
        };
        held.check();
        drop(held);
        self.table.close(displaced, Reason::PeerDisplaced);
        decision != Decision::Refused
    }

    /// Records a received frame.
    pub(super) fn received(&self) {
        self.table.lock().rules.received(self.id);
    }

    /// Records a sent frame.
    pub(super) fn sent(&self) {
        self.table.lock().rules.sent(self.id);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut held = self.table.lock();
        held.rules.leave(self.id);
        held.tokens.remove(&self.id);
    }
}

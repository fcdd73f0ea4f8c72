//! Listener for connections from other nodes, and from authenticated nodes only.
//!
//! Every connection is accepted at once, regardless of pending handshakes:
//! [`connection_rules`](super::connection_rules) decides about the connection to close in exchange. Only
//! closed connections with descriptors still in use can delay the next accept, so that the number of
//! descriptors is bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::connection_rules::ConnectionLimits;
use super::connection_table::{ConnectionSlot, ConnectionTable, Reason};
use super::frame::Channel;
use super::handshake::{self, Caller, Credentials, HandshakeError, Purpose};
use super::pause::{CloseWatch, Pause};
use super::socket::tune;
use crate::timing::{
    ACCEPT_RETRY_AFTER, FIRST_BYTE_WITHIN, HANDSHAKE_WITHIN, REFUSED_CONNECTION_LOG_INTERVAL,
};
use crate::world::clock;
use crate::world::net::{AttachedListener, Bound, Stream};
use crate::world::random;
use crate::world::task;

/// Maximum number of closed connections with descriptors still in use.
pub(crate) const MAX_CLOSING: usize = 16;
/// Connections completed by the system ahead of [`Listener::run`] (at most `net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// Consecutive accepts before the task yields to probes.
const ACCEPTED_IN_A_ROW: usize = 16;

/// An authenticated connection from another node.
pub(crate) struct Incoming {
    /// Purpose of the connection.
    pub(crate) purpose: Purpose,
    /// Name given by the peer: a holder of the cluster's key may give any name.
    pub(crate) peer_name: String,
    /// The connection. The slot is released once both halves are dropped.
    pub(crate) channel: Channel,
}

/// The configured nodes, as far as relevant before the end of a handshake.
pub(crate) struct KnownPeers {
    /// Names of the nodes, without this node.
    pub(crate) names: Vec<String>,
    /// True if the address belongs to a configured node.
    pub(crate) has_address: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

/// Listener for other nodes. Attached to a runtime by [`Self::run`] only.
pub(crate) struct Listener {
    socket: Bound,
    identity: Arc<Credentials>,
    pause: Pause,
    has_peer_address: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    table: Arc<ConnectionTable>,
    descriptors: Arc<Semaphore>,
    pub(super) limits: Limits,
}

/// Time limits of a pending connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) first_byte: Duration,
    pub(super) handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { first_byte: FIRST_BYTE_WITHIN, handshake: HANDSHAKE_WITHIN }
    }
}

impl Listener {
    /// Binds the address; connections wait in the system's backlog until [`Self::run`].
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub(crate) fn bind(
        address: SocketAddr,
        identity: Arc<Credentials>,
        peers: KnownPeers,
        rules: ConnectionLimits,
        pause: Pause,
    ) -> io::Result<Self> {
        let socket = Bound::bind(address, BACKLOG)?;
        let KnownPeers { names, has_address } = peers;
        let descriptors = Arc::new(Semaphore::new(rules.total(names.len()) + MAX_CLOSING));
        let limits = Limits::default();
        let table = ConnectionTable::new(rules, names);
        Ok(Self { socket, identity, pause, has_peer_address: has_address, table, descriptors, limits })
    }

    /// Returns the table of connections.
    pub(crate) fn table(&self) -> Arc<ConnectionTable> {
        Arc::clone(&self.table)
    }

    /// Returns the address, with the port chosen by the system for port 0.
    ///
    /// # Errors
    /// Errors of the operating system.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Passes every authenticated connection to `handle`, which must not block, until `stop` is cancelled.
    /// Afterwards the port is free, `handle` is not called any more, and the passed connections stay open.
    ///
    /// # Errors
    /// If the runtime cannot take the socket.
    pub(crate) async fn run(
        self,
        handle: impl Fn(Incoming) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { socket, identity, pause, has_peer_address, table, descriptors, limits } = self;
        let socket = socket.attach()?;
        let refusals = RefusalLog::default();
        let authenticator =
            Arc::new(Authenticator { identity, limits, handle, refusals, table: Arc::clone(&table) });
        let acceptor = Acceptor { socket, pause, has_peer_address, table, descriptors };
        let handshakes = TaskTracker::new();
        for accepted in 1_usize.. {
            let Some(arrival) = stop.run_until_cancelled(acceptor.accept()).await else { break };
            let (authenticator, stop) = (Arc::clone(&authenticator), stop.clone());
            task::spawn(handshakes.track_future(async move {
                stop.run_until_cancelled(authenticator.authenticate(arrival)).await
            }));
            if accepted.is_multiple_of(ACCEPTED_IN_A_ROW) {
                task::yield_now().await;
            }
        }
        drop(acceptor);
        handshakes.close();
        handshakes.wait().await;
        Ok(())
    }
}

struct Acceptor {
    socket: AttachedListener,
    pause: Pause,
    has_peer_address: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    table: Arc<ConnectionTable>,
    descriptors: Arc<Semaphore>,
}

/// An unauthenticated connection.
struct Arrival {
    stream: Stream,
    address: SocketAddr,
    slot: ConnectionSlot,
    close_watch: CloseWatch,
}

impl Acceptor {
    async fn accept(&self) -> Arrival {
        let descriptor = Arc::clone(&self.descriptors).acquire_owned().await;
        let descriptor = descriptor.expect("the semaphore is never closed");
        let (stream, address, close_watch) = self.accept_one().await;
        let from_peer_address = (self.has_peer_address)(address.ip());
        let slot = self.table.accept(address.ip(), from_peer_address, descriptor);
        let close_watch = close_watch.or_closed(slot.closed());
        Arrival { stream, address, slot, close_watch }
    }

    async fn accept_one(&self) -> (Stream, SocketAddr, CloseWatch) {
        let mut failed = false;
        loop {
            self.pause.resumed().await;
            let mut close_watch = self.pause.watch();
            let accepted = tokio::select! {
                biased;
                () = close_watch.closed() => continue,
                accepted = self.socket.accept() => accepted,
            };
            let error = match accepted {
                Ok((stream, address)) => return (stream, address, close_watch),
                Err(error) => error,
            };
            if !std::mem::replace(&mut failed, true) {
                warn!(%error, "cannot accept a connection from another node");
            }
            if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
                self.table.close_oldest_pending();
            }
            clock::sleep(ACCEPT_RETRY_AFTER).await;
        }
    }
}

struct Authenticator<F> {
    identity: Arc<Credentials>,
    limits: Limits,
    handle: F,
    refusals: RefusalLog,
    table: Arc<ConnectionTable>,
}

impl<F: Fn(Incoming)> Authenticator<F> {
    async fn authenticate(&self, arrival: Arrival) {
        let Arrival { mut stream, address, slot, mut close_watch } = arrival;
        let answered = tokio::select! {
            biased;
            // Counted where the connection was closed.
            () = close_watch.closed() => return,
            answered = self.answer(&mut stream, &slot) => answered,
        };
        match answered {
            Ok(caller) => {
                tune(&stream);
                let channel = Channel::new(stream, &caller.session, close_watch, Some(Arc::new(slot)));
                (self.handle)(Incoming { purpose: caller.purpose, peer_name: caller.node, channel });
            }
            Err(error) => {
                self.table.count(reason(&error));
                self.refusals.log(address, &error);
            }
        }
    }

    async fn answer(&self, stream: &mut Stream, slot: &ConnectionSlot) -> Result<Caller, HandshakeError> {
        let Limits { first_byte, handshake } = self.limits;
        let first = clock::timeout(first_byte, stream.readable());
        first.await.map_err(|_| HandshakeError::Silent)??;
        let admit = |name: &str, purpose| slot.admit(name, purpose);
        handshake::answer(stream, &self.identity, random(), admit, handshake).await
    }
}

fn reason(error: &HandshakeError) -> Reason {
    match error {
        HandshakeError::Silent => Reason::Silent,
        HandshakeError::TooSlow => Reason::Slow,
        HandshakeError::TooManyConnections { .. } => Reason::PeerRefused,
        _ => Reason::Handshake,
    }
}

/// Log of refused connections, with a limited rate.
#[derive(Default)]
struct RefusalLog(Mutex<Throttle>);

impl RefusalLog {
    fn log(&self, address: SocketAddr, error: &HandshakeError) {
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).due(clock::now());
        if let Some(suppressed) = due {
            warn!(%address, suppressed, "inbound connection refused: peer {address} {error}");
        }
    }
}

/// Rate limit with a count of suppressed events.
#[derive(Default)]
struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Returns the number of suppressed events since the previous permitted event, if an event is permitted
    /// now.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < REFUSED_CONNECTION_LOG_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_and_a_count() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut due = |ms| throttle.due(start + Duration::from_millis(ms));
        assert_eq!([due(0), due(1), due(999)], [Some(0), None, None]);
        assert_eq!([due(1000), due(1001), due(5000)], [Some(2), None, Some(1)]);
    }
}

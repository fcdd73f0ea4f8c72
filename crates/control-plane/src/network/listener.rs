//! Lets other nodes in, and nobody else.
//!
//! Connections have a bounded number of places, those that have not shown who they are far fewer and not for long. Where
//! there is no place, a connection waits in the system's backlog.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::frame::Channel;
use super::handshake::{self, HANDSHAKE_TIME_LIMIT, HandshakeError, Identity, Purpose};
use super::{Cut, Pause, tune};

/// Connections at a time.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Those among them that have not shown yet who they are.
pub(super) const MAX_STRANGERS: usize = 32;
/// How long to wait after an accept failed, mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Between two log lines about connections that were turned away.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// A connection from another node, which has shown that it is one.
pub(crate) struct Incoming {
    /// What for.
    pub(crate) purpose: Purpose,
    /// The name that the node gave: a holder of the cluster's key may give any.
    pub(crate) peer_name: String,
    /// The connection. Its place is free once this is dropped, both halves of it.
    pub(crate) channel: Channel,
}

/// Where other nodes connect. It is on no runtime until [`Self::run`].
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    identity: Arc<Identity>,
    pause: Pause,
    pub(super) limits: Limits,
}

/// Bounds.
pub(super) struct Limits {
    pub(super) places: Arc<Semaphore>,
    pub(super) strangers: Arc<Semaphore>,
    pub(super) handshake: Duration,
}

impl Listener {
    /// Takes the address; connections wait in the system's backlog until [`Self::run`].
    ///
    /// # Errors
    /// If the address cannot be had.
    pub(crate) fn bind(address: SocketAddr, identity: Arc<Identity>, pause: Pause) -> io::Result<Self> {
        // The standard library sets SO_REUSEADDR: a restart does not wait for connections of the last run to fade.
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let limits = Limits {
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(MAX_STRANGERS)),
            handshake: HANDSHAKE_TIME_LIMIT,
        };
        Ok(Self { socket, identity, pause, limits })
    }

    /// The address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// If the system does not say.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Hands every authenticated connection to `handle`, which must not block, until `stop` is cancelled. Then the port
    /// is free, `handle` is not called any more, and connections that were handed over go on.
    ///
    /// # Errors
    /// If the runtime cannot take the socket.
    pub(crate) async fn run(
        self,
        handle: impl Fn(Incoming) + Send + Sync + 'static,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let Self { socket, identity, pause, limits } = self;
        let limit = limits.handshake;
        let door = Door { socket: TcpListener::from_std(socket)?, pause, limits };
        let greeter = Arc::new(Greeter { identity, limit, handle, complaints: Complaints::default() });
        let greetings = TaskTracker::new();
        while let Some(visit) = stop.run_until_cancelled(door.accept()).await {
            let (greeter, stop) = (Arc::clone(&greeter), stop.clone());
            greetings.spawn(async move { stop.run_until_cancelled(greeter.greet(visit)).await });
        }
        drop(door);
        greetings.close();
        greetings.wait().await;
        Ok(())
    }
}

struct Door {
    socket: TcpListener,
    pause: Pause,
    limits: Limits,
}

/// A connection of which nothing is known yet.
struct Visit {
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    stranger: OwnedSemaphorePermit,
    cut: Cut,
}

impl Door {
    /// The next connection. The places come first: a connection too many stays in the system's backlog.
    async fn accept(&self) -> Visit {
        let stranger = acquire(&self.limits.strangers).await;
        let place = acquire(&self.limits.places).await;
        let mut failed = false;
        loop {
            self.pause.resumed().await;
            let mut cut = self.pause.watch();
            let accepted = tokio::select! {
                biased;
                () = cut.cut() => continue,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => return Visit { stream, address, place, stranger, cut },
                Err(error) if !failed => warn!(%error, "cannot accept a connection from another node"),
                Err(_) => {}
            }
            failed = true;
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
}

struct Greeter<F> {
    identity: Arc<Identity>,
    limit: Duration,
    handle: F,
    complaints: Complaints,
}

impl<F: Fn(Incoming)> Greeter<F> {
    async fn greet(&self, visit: Visit) {
        let Visit { mut stream, address, place, stranger, mut cut } = visit;
        tune(&stream);
        let answered = tokio::select! {
            biased;
            () = cut.cut() => return,
            answered = handshake::answer(&mut stream, &self.identity, rand::random(), self.limit) => answered,
        };
        drop(stranger);
        match answered {
            Ok(caller) => {
                let channel = Channel::new(stream, &caller.session, cut, Some(Arc::new(place)));
                (self.handle)(Incoming { purpose: caller.purpose, peer_name: caller.node, channel });
            }
            Err(error) => self.complaints.log(address, &error),
        }
    }
}

/// Says who was turned away, one line in a while.
#[derive(Default)]
struct Complaints(Mutex<Throttle>);

impl Complaints {
    fn log(&self, address: SocketAddr, error: &HandshakeError) {
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now());
        if let Some(suppressed) = due {
            warn!(%address, suppressed, "turned away a connection: peer {address} {error}");
        }
    }
}

/// Lets one thing through in an interval and counts the others.
#[derive(Default)]
struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// How many were suppressed since the last one that was due, if this one is.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
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

//! The accept loop: accepts every connection at once, serves a bounded number, and stops within a deadline.
//! No connection may stall.
//!
//! | module | contents |
//! |---|---|
//! | `admission` | rules for admitting connections and closing idle ones |
//! | `house` | the open connections under these rules |
//! | `connection` | one connection, and the reports about its requests |
//! | `opening` | detection of other protocols by the first bytes of a connection |

mod admission;
mod connection;
mod house;
mod opening;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::LimitsConfig;
use crate::pace::Pacing;
pub(crate) use admission::Rules;
use connection::connection;
pub(crate) use connection::{LocalAddress, NoPlace, PeerAddress};
pub(crate) use house::{ConnectionFigures, Reason};
use house::{Guest, House};
pub(crate) use opening::Foreign;

/// Maximum number of closed connections whose descriptors are not free yet.
pub(crate) const MAX_CLOSING: usize = 16;
/// Pause after a failed accept, mostly for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Bytes of an answer that the system buffers.
const SEND_BUFFER_BYTES: u32 = 256 << 10;
/// Connections completed by the system ahead of the accept loop (at most `net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Binds the address. The system's send buffers are small: only then does a slow reader's progress show, and
/// a stalled reader differ from a slow one.
///
/// # Errors
/// Those of the system.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` until `stop` is cancelled, then lets requests in flight finish within the drain deadline;
/// new connections are served meanwhile by a router that reports the drain. Returns the number of connections
/// that were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &LimitsConfig,
    pacing: &Pacing,
    figures: Arc<ConnectionFigures>,
    stop: CancellationToken,
) -> usize {
    let rules = figures.rules;
    let descriptors = Arc::new(Semaphore::new(rules.places + rules.lobby + MAX_CLOSING));
    let door = Door { listener, descriptors, house: House::new(figures) };
    let graceful = GracefulShutdown::new();
    while let Some(visit) = stop.run_until_cancelled(door.accept()).await {
        let (serving, leave) = visit.begin(router.clone(), limits.idle_timeout(), pacing);
        tokio::spawn(leave.after(graceful.watch(serving)));
    }
    drain(door, graceful, router, limits, pacing).await
}

/// State of the accept loop.
struct Door {
    listener: TcpListener,
    /// Permits for open descriptors. Only connections that are closed but not yet dropped can delay the next
    /// accept: closing late does not raise the bound.
    descriptors: Arc<Semaphore>,
    house: Arc<House>,
}

/// An admitted connection.
struct Visit {
    stream: TcpStream,
    address: SocketAddr,
    guest: Guest,
    leave: Leave,
}

/// End of a connection: the signal to close, and the descriptor to free.
struct Leave {
    closed: oneshot::Receiver<()>,
    _descriptor: OwnedSemaphorePermit,
}

impl Visit {
    fn begin(
        self,
        router: Router,
        idle_timeout: Duration,
        pacing: &Pacing,
    ) -> (connection::Connection, Leave) {
        let Self { stream, address, guest, leave } = self;
        let peer = Some(address.ip().to_canonical());
        (connection(stream, peer, router, guest, idle_timeout, pacing), leave)
    }
}

impl Leave {
    /// Serves until the connection ends, or is closed to make room.
    async fn after(self, serving: impl Future<Output = hyper::Result<()>>) {
        let ended = tokio::select! {
            ended = serving => ended,
            _ = self.closed => Ok(()),
        };
        if let Err(error) = ended {
            debug!(%error, "connection ended");
        }
    }
}

impl Door {
    /// Accepts connections until one is admitted.
    async fn accept(&self) -> Visit {
        loop {
            let descriptor = Arc::clone(&self.descriptors).acquire_owned().await;
            let descriptor = descriptor.expect("the semaphore is never closed");
            let (stream, address) = self.accept_one().await;
            if let Some((guest, closed)) = self.house.arrive(Some(address.ip())) {
                return Visit { stream, address, guest, leave: Leave { closed, _descriptor: descriptor } };
            }
        }
    }

    async fn accept_one(&self) -> (TcpStream, SocketAddr) {
        let mut failed = false;
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => error,
            };
            if failed {
                debug!(%error, "still cannot accept a connection");
            } else {
                warn!(%error, "cannot accept a connection");
            }
            failed = true;
            if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
                self.house.relieve();
            }
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

async fn drain(
    door: Door,
    graceful: GracefulShutdown,
    router: Router,
    limits: &LimitsConfig,
    pacing: &Pacing,
) -> usize {
    let deadline = limits.drain_timeout();
    info!(open = graceful.count(), deadline_ms = deadline.as_millis() as u64, "draining connections");
    let late = async {
        loop {
            let (serving, leave) = door.accept().await.begin(router.clone(), limits.idle_timeout(), pacing);
            tokio::spawn(leave.after(serving));
        }
    };
    tokio::select! {
        () = graceful.shutdown() => 0,
        () = tokio::time::sleep(deadline) => door.house.open(),
        () = late => 0,
    }
}

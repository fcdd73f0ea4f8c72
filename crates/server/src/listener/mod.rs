//! The accept loop: accepts every connection at once, serves a bounded number, and stops within a deadline.
//! No connection may stall.
//!
//! | module | contents |
//! |---|---|
//! | `admission` | rules for admitting connections and closing idle ones |
//! | `open` | the open connections under these rules |
//! | `connection` | one connection, and the reports about its requests |
//! | `opening` | detection of other protocols by the first bytes of a connection |
//! | `transport` | sources of connections: TCP |
//! | `tls` | TLS over TCP, with a certificate that is read anew |

mod admission;
mod connection;
mod open;
mod opening;
mod tls;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::LimitsConfig;
use crate::pace::Pacing;
pub(crate) use admission::Rules;
use connection::connection;
pub(crate) use connection::{Encrypted, LocalAddress, NoPlace, PeerAddress};
pub(crate) use open::{ConnectionFigures, Reason};
use open::{ConnectionPermit, OpenConnections};
pub(crate) use opening::Foreign;
pub(crate) use tls::{Certificate, TlsTransport};
use transport::{Accepted, Transport};

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
pub(crate) async fn serve<T: Transport>(
    transport: T,
    router: Router,
    limits: &LimitsConfig,
    pacing: &Pacing,
    figures: Arc<ConnectionFigures>,
    stop: CancellationToken,
) -> usize {
    let rules = figures.rules;
    let descriptors = Arc::new(Semaphore::new(rules.places + rules.lobby + MAX_CLOSING));
    let acceptor = Acceptor { transport, descriptors, open: OpenConnections::new(figures) };
    let graceful = GracefulShutdown::new();
    while let Some(admitted) = stop.run_until_cancelled(acceptor.accept()).await {
        let (serving, closing) = admitted.begin(router.clone(), limits.idle_timeout(), pacing);
        tokio::spawn(closing.after(graceful.watch(serving)));
    }
    drain(acceptor, graceful, router, limits, pacing).await
}

/// State of the accept loop.
struct Acceptor<T> {
    transport: T,
    /// Permits for open descriptors. Only connections that are closed but not yet dropped can delay the next
    /// accept: closing late does not raise the bound.
    descriptors: Arc<Semaphore>,
    open: Arc<OpenConnections>,
}

/// An admitted connection that is not served yet.
struct Admitted<S> {
    connection: Accepted<S>,
    permit: ConnectionPermit,
    closing: Closing,
}

/// End of a connection: the signal to close, and the descriptor to free.
struct Closing {
    closed: oneshot::Receiver<()>,
    _descriptor: OwnedSemaphorePermit,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Admitted<S> {
    fn begin(
        self,
        router: Router,
        idle_timeout: Duration,
        pacing: &Pacing,
    ) -> (connection::Connection<S>, Closing) {
        let Self { connection: accepted, permit, closing } = self;
        (connection(accepted, router, permit, idle_timeout, pacing), closing)
    }
}

impl Closing {
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

impl<T: Transport> Acceptor<T> {
    /// Accepts connections until one is admitted.
    async fn accept(&self) -> Admitted<T::Stream> {
        loop {
            let descriptor = Arc::clone(&self.descriptors).acquire_owned().await;
            let descriptor = descriptor.expect("the semaphore is never closed");
            let connection = self.accept_one().await;
            if let Some((permit, closed)) = self.open.admit(Some(connection.peer.ip())) {
                let closing = Closing { closed, _descriptor: descriptor };
                return Admitted { connection, permit, closing };
            }
        }
    }

    async fn accept_one(&self) -> Accepted<T::Stream> {
        let mut failed = false;
        loop {
            let error = match self.transport.accept().await {
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
                self.open.relieve();
            }
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

async fn drain<T: Transport>(
    acceptor: Acceptor<T>,
    graceful: GracefulShutdown,
    router: Router,
    limits: &LimitsConfig,
    pacing: &Pacing,
) -> usize {
    let deadline = limits.drain_timeout();
    info!(open = graceful.count(), deadline_ms = deadline.as_millis() as u64, "draining connections");
    let late = async {
        loop {
            let admitted = acceptor.accept().await;
            let (serving, closing) = admitted.begin(router.clone(), limits.idle_timeout(), pacing);
            tokio::spawn(closing.after(serving));
        }
    };
    tokio::select! {
        () = graceful.shutdown() => 0,
        () = tokio::time::sleep(deadline) => acceptor.open.count(),
        () = late => 0,
    }
}

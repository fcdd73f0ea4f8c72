//! The accept loop: a bounded number of connections, none of which may stall, and a stop with a deadline.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::LimitsConfig;

/// How long to wait after an accept failed, mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// What the system buffers of an answer.
const SEND_BUFFER_BYTES: u32 = 256 << 10;
/// Connections that the system holds until there is a place for them.
const BACKLOG: u32 = 1024;

/// Binds the address. Answers are buffered by the system in small pieces: only then does a slow reader's progress show,
/// and one that makes none can be told from one that does.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` until `stop` is cancelled, then lets requests under way finish within the drain deadline; whoever
/// connects meanwhile is served too, by a router that says that the node is about to stop. Returns the number of
/// connections that were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &LimitsConfig,
    stop: CancellationToken,
) -> usize {
    let door = Door { listener, places: Arc::new(Semaphore::new(limits.max_connections)) };
    let graceful = GracefulShutdown::new();
    while let Some((stream, place)) = stop.run_until_cancelled(door.accept()).await {
        let router = for_peer(&router, &stream);
        let connection = graceful.watch(connection(stream, router, limits.idle_timeout()));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                debug!(%error, "connection ended");
            }
        });
    }
    drain(door, graceful, router, limits).await
}

/// Where connections come in, as many at a time as there are places.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    /// The next connection and its place. The place comes first: a connection too many stays in the system's backlog.
    async fn accept(&self) -> (TcpStream, OwnedSemaphorePermit) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let mut failed = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) if failed => debug!(%error, "still cannot accept a connection"),
                Err(error) => warn!(%error, "cannot accept a connection"),
            }
            failed = true;
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}

async fn drain(door: Door, graceful: GracefulShutdown, router: Router, limits: &LimitsConfig) -> usize {
    let deadline = limits.drain_timeout();
    info!(open = graceful.count(), deadline_ms = deadline.as_millis() as u64, "draining connections");
    let late = async {
        loop {
            let (stream, place) = door.accept().await;
            let router = for_peer(&router, &stream);
            let connection = connection(stream, router, limits.idle_timeout());
            tokio::spawn(async move {
                let _place = place;
                let _ = connection.await;
            });
        }
    };
    tokio::select! {
        () = graceful.shutdown() => 0,
        () = tokio::time::sleep(deadline) => limits.max_connections - door.places.available_permits(),
        () = late => 0,
    }
}

/// The other end of a connection, in the extensions of each of its requests. None: the system did not tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub Option<IpAddr>);

fn for_peer(router: &Router, stream: &TcpStream) -> Router {
    let peer = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
    router.clone().layer(Extension(PeerAddress(peer)))
}

type Stream = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    router: Router,
    idle_timeout: Duration,
) -> http1::Connection<Stream, TowerToHyperService<Router>> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut stream = TimeoutStream::new(stream);
    // Reading has limits of its own: for the head below, for the body where it is read.
    stream.set_write_timeout(Some(idle_timeout));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle_timeout)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
}

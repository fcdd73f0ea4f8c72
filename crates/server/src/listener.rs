//! The accept loop: a bounded number of connections, none of which may stall, and a stop with a deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::LimitsConfig;

/// How long to wait after an accept failed, mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` is cancelled, then lets requests under way finish within the drain deadline.
/// Returns the number of connections that were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &LimitsConfig,
    stop: CancellationToken,
) -> usize {
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    loop {
        // The place comes first: a connection too many stays in the system's backlog.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            () = stop.cancelled() => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let connection = graceful.watch(connection(stream, router.clone(), limits.idle_timeout()));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    drain(graceful, limits.drain_timeout()).await
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

async fn drain(graceful: GracefulShutdown, deadline: Duration) -> usize {
    let open = graceful.count();
    info!(open, deadline_ms = deadline.as_millis() as u64, "draining connections");
    match tokio::time::timeout(deadline, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => open,
    }
}

//! One connection: hyper's, with the beginning and end of each request reported to its [`Guest`].

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tracing::debug;

use super::house::{Admitted, Guest};
use super::opening::{OpenedStream, Opening};
use crate::pace::{PacedStream, Pacing};

/// Time limit for the head of a request in the lobby.
const LOBBY_HEAD_TIME_LIMIT: Duration = Duration::from_secs(1);
/// Maximum length of a refused request's body that is read and discarded; the constant below is the time
/// limit.
const MAX_DISCARDED_BYTES: usize = 1 << 20;
const DISCARD_TIME_LIMIT: Duration = Duration::from_secs(1);
/// Calls answered from memory and served without an ordinary place.
const HEALTH_CALLS: [&str; 5] = ["/livez", "/readyz", "/healthz", "/metrics", "/cluster/status"];

/// Peer address of a connection, in the extensions of each request. `None` if the system did not report one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub Option<IpAddr>);

/// Local address of a connection, in the extensions of each request. `None` if the system did not report one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub Option<IpAddr>);

/// Marks a request that is to be refused for lack of a place, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoPlace;

/// A connection being served.
pub(super) type Connection = http1::Connection<Stream, Served>;

/// Serves `stream` by `router`.
pub(super) fn connection(
    stream: TcpStream,
    peer: Option<IpAddr>,
    router: Router,
    guest: Guest,
    idle_timeout: Duration,
    pacing: &Pacing,
) -> Connection {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let local = LocalAddress(stream.local_addr().ok().map(|address| address.ip().to_canonical()));
    let opening = Opening::default();
    let stream = OpenedStream::new(stream, Arc::clone(&opening));
    // Reading has limits of its own: the header timeout below, and for the body where the body is read.
    let stream = PacedStream::new(stream, pacing.clone());
    let head_timeout =
        if guest.began_in_lobby() { idle_timeout.min(LOBBY_HEAD_TIME_LIMIT) } else { idle_timeout };
    let guest = Arc::new(guest);
    let stream = Stream { inner: TokioIo::new(stream), guest: Arc::clone(&guest) };
    let (router, peer) = (TowerToHyperService::new(router), PeerAddress(peer));
    let service = Served { router, peer, local, opening, guest };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(stream, service)
}

/// Service for the requests of a connection.
pub(super) struct Served {
    router: TowerToHyperService<Router>,
    peer: PeerAddress,
    local: LocalAddress,
    opening: Opening,
    guest: Arc<Guest>,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let (router, guest) = (self.router.clone(), Arc::clone(&self.guest));
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.local);
        if let Some(protocol) = self.opening.get() {
            request.extensions_mut().insert(*protocol);
        }
        Box::pin(async move {
            let admitted = guest.begin(is_health_call(&request)).await;
            let mut response = match admitted {
                Admitted::Yes | Admitted::Once => router.call(request).await?,
                Admitted::No => router.call(without_place(request).await).await?,
            };
            if admitted != Admitted::Yes {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answer { body, guest }))
        })
    }
}

/// Marks a request as refused and discards its body within bounds, because the system may drop the answer to
/// a client that is still sending.
async fn without_place(request: Request<Incoming>) -> Request<Body> {
    let (mut parts, mut body) = request.into_parts();
    let discarding = async {
        let mut discarded_bytes = 0;
        while discarded_bytes < MAX_DISCARDED_BYTES {
            match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                Some(Ok(frame)) => discarded_bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME_LIMIT, discarding).await;
    parts.extensions.insert(NoPlace);
    Request::from_parts(parts, Body::empty())
}

fn is_health_call<B>(request: &Request<B>) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && HEALTH_CALLS.contains(&request.uri().path())
}

/// Body of an answer; reports its end to the [`Guest`].
pub(super) struct Answer {
    body: Body,
    guest: Arc<Guest>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.guest.answered();
    }
}

/// Byte stream of a connection; reports to the [`Guest`] once all bytes are handed to the system.
pub(super) struct Stream {
    inner: TokioIo<PacedStream<OpenedStream<TcpStream>>>,
    guest: Arc<Guest>,
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    // hyper flushes once all buffered bytes are written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.guest.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, pieces)
    }
}

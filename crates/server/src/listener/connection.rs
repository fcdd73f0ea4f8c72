//! One connection: hyper's, with the beginning and end of each request reported to its [`ConnectionPermit`].

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use tokio::io::{AsyncRead, AsyncWrite};

use super::open::{ConnectionPermit, Turn};
use super::opening::{OpenedStream, Opening};
use super::transport::Accepted;
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

/// True for a connection over TLS, in the extensions of each request. Known once the first byte was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encrypted(pub(super) Arc<AtomicBool>);

impl Encrypted {
    /// True for a connection over TLS.
    pub(crate) fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A connection that is known from the start.
    #[cfg(test)]
    pub(crate) fn of_test(is_encrypted: bool) -> Self {
        Self(Arc::new(AtomicBool::new(is_encrypted)))
    }
}

/// Marks a request that is to be refused for lack of a place, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoPlace;

/// A connection being served.
pub(super) type Connection<S> = http1::Connection<Stream<S>, Served>;

/// Serves a connection by `router`.
pub(super) fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    accepted: Accepted<S>,
    router: Router,
    permit: ConnectionPermit,
    idle_timeout: Duration,
    pacing: &Pacing,
) -> Connection<S> {
    let Accepted { stream, peer, local, encrypted } = accepted;
    let opening = Opening::default();
    let stream = OpenedStream::new(stream, Arc::clone(&opening));
    // Reading has limits of its own: the header timeout below, and for the body where the body is read.
    let stream = PacedStream::new(stream, pacing.clone());
    let head_timeout =
        if permit.began_in_lobby() { idle_timeout.min(LOBBY_HEAD_TIME_LIMIT) } else { idle_timeout };
    let permit = Arc::new(permit);
    let stream = Stream { inner: TokioIo::new(stream), permit: Arc::clone(&permit) };
    let peer = PeerAddress(Some(peer.ip().to_canonical()));
    let router = TowerToHyperService::new(router);
    let service = Served { router, peer, local: LocalAddress(local), encrypted, opening, permit };
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
    encrypted: Encrypted,
    opening: Opening,
    permit: Arc<ConnectionPermit>,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response<AnsweredBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let (router, permit) = (self.router.clone(), Arc::clone(&self.permit));
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.local);
        request.extensions_mut().insert(self.encrypted.clone());
        if let Some(protocol) = self.opening.get() {
            request.extensions_mut().insert(*protocol);
        }
        Box::pin(async move {
            let turn = permit.begin(is_health_call(&request)).await;
            let mut response = match turn {
                Turn::Yes | Turn::Once => router.call(request).await?,
                Turn::No => router.call(without_place(request).await).await?,
            };
            if turn != Turn::Yes {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnsweredBody { body, permit }))
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

/// Body of an answer; reports its end to the [`ConnectionPermit`].
pub(super) struct AnsweredBody {
    body: Body,
    permit: Arc<ConnectionPermit>,
}

impl HttpBody for AnsweredBody {
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

impl Drop for AnsweredBody {
    fn drop(&mut self) {
        self.permit.answered();
    }
}

/// Byte stream of a connection; reports to the [`ConnectionPermit`] once all bytes are handed to the system.
pub(super) struct Stream<S> {
    inner: TokioIo<PacedStream<OpenedStream<S>>>,
    permit: Arc<ConnectionPermit>,
}

impl<S: AsyncRead + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for Stream<S> {
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
            self.permit.flushed();
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

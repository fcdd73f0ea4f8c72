//! Detection of TLS and HTTP/2 by the first bytes of a connection, so that such clients get a helpful answer.
//!
//! Such an opening is replaced by a plain request, marked with the [`Foreign`] protocol, which is refused
//! like any other: with a problem document, an id, a log line and an entry in the metrics.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// First line of HTTP/2's connection preface (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// Content type of a handshake and major version of every record of TLS (RFC 8446, section 5.1).
const TLS_HANDSHAKE: &[u8] = &[22, 3];
/// Request that replaces an opening in another protocol.
const REPLACEMENT: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";

/// A protocol that this port does not support, in the extensions of the substituted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// HTTP/2 with prior knowledge.
    Http2,
    /// TLS.
    Tls,
}

/// Protocol of a connection's opening, set once known to be other than HTTP/1.
pub(super) type Opening = Arc<OnceLock<Foreign>>;

/// State of a connection's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All bytes so far may belong to an opening in another protocol.
    Undecided,
    /// The bytes are HTTP/1, or nothing known here.
    Decided,
    /// The bytes were replaced, and later bytes are dropped.
    Replaced,
}

/// A connection whose first bytes are inspected.
#[derive(Debug)]
pub(super) struct OpenedStream<S> {
    stream: S,
    state: State,
    /// First bytes not passed on yet.
    held: Vec<u8>,
    opening: Opening,
}

impl<S> OpenedStream<S> {
    /// Wraps the connection `stream`; `opening` receives the protocol.
    pub(super) fn new(stream: S, opening: Opening) -> Self {
        Self { stream, state: State::Undecided, held: Vec::new(), opening }
    }

    /// Decides by the bytes held so far. `is_end` means that no more bytes follow.
    fn decide(&mut self, is_end: bool) {
        let is_begun = |protocol: &Foreign| protocol.opening().starts_with(&self.held);
        let is_whole = |protocol: &Foreign| self.held.starts_with(protocol.opening());
        let all = [Foreign::Http2, Foreign::Tls];
        if let Some(protocol) = all.into_iter().find(is_whole) {
            let _ = self.opening.set(protocol);
            self.held = REPLACEMENT.to_vec();
            self.state = State::Replaced;
        } else if is_end || !all.iter().any(is_begun) {
            self.state = State::Decided;
        }
    }

    /// Passes on the held bytes; false without any.
    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let passed = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..passed]);
        self.held.drain(..passed);
        passed > 0
    }
}

impl Foreign {
    const fn opening(self) -> &'static [u8] {
        match self {
            Self::Http2 => HTTP2_PREFACE,
            Self::Tls => TLS_HANDSHAKE,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OpenedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.state == State::Undecided {
            let mut bytes = [0; HTTP2_PREFACE.len()];
            let mut first = ReadBuf::new(&mut bytes[this.held.len()..]);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut first))?;
            this.held.extend_from_slice(first.filled());
            let is_end = first.filled().is_empty();
            this.decide(is_end);
        }
        if this.pass_on(buf) {
            return Poll::Ready(Ok(()));
        }
        if this.state == State::Decided {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        // The rest is read and dropped: closing a connection over unread bytes may lose the answer in
        // transit.
        loop {
            let mut bytes = [0; 1024];
            let mut dropped = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut dropped))?;
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OpenedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Sends `bytes` in pieces of `piece` bytes. Returns the bytes that the reader gets, and the protocol.
    async fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<Foreign>) {
        let (mut far, near) = duplex(1 << 16);
        let opening = Opening::default();
        let mut stream = OpenedStream::new(near, Arc::clone(&opening));
        let reader = tokio::spawn(async move {
            let mut found = Vec::new();
            stream.read_to_end(&mut found).await.map(|_| found)
        });
        for bytes in bytes.chunks(piece) {
            far.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(far);
        (reader.await.unwrap().unwrap(), opening.get().copied())
    }

    async fn check(bytes: &[u8], expected: Option<Foreign>) {
        for piece in [1, 2, 3, 15, 16, 17, 10_000] {
            let (found, protocol) = read(bytes, piece).await;
            assert_eq!(protocol, expected, "{piece}");
            let passed = if expected.is_some() { REPLACEMENT } else { bytes };
            assert!(found == passed, "in pieces of {piece}: {}", found.escape_ascii());
        }
    }

    #[tokio::test]
    async fn other_protocols_are_told_from_http_in_any_pieces() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        check(preface, Some(Foreign::Http2)).await;
        check(&[preface, &[7; 5000][..]].concat(), Some(Foreign::Http2)).await;
        check(&[&[22, 3, 1, 2, 0][..], &[7; 5000]].concat(), Some(Foreign::Tls)).await;
        for plain in ["", "P", "PRI * HTTP/2.0", "PRI * HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "GET"] {
            check(plain.as_bytes(), None).await;
        }
        check(&[22], None).await;
        check(&[22, 4, 0], None).await;
    }
}

//! Sources of connections. The rest of the listener works on byte streams.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use super::connection::Encrypted;

/// An accepted connection.
pub(crate) struct Accepted<S> {
    /// The byte stream.
    pub stream: S,
    /// Address of the peer.
    pub peer: SocketAddr,
    /// Local address, if the system reports one.
    pub local: Option<IpAddr>,
    /// True for TLS, once known.
    pub encrypted: Encrypted,
}

/// A source of connections.
pub(crate) trait Transport: Sync {
    /// Byte stream of one connection. A handshake belongs to its first read: a slow peer then delays only
    /// itself, within the time limit of a request's head.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts one connection. Dropping the future loses none.
    ///
    /// # Errors
    /// Those of the system. The source stays usable.
    fn accept(&self) -> impl Future<Output = io::Result<Accepted<Self::Stream>>> + Send;
}

impl Transport for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<Accepted<TcpStream>> {
        let (stream, peer) = Self::accept(self).await?;
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY not set");
        }
        let local = stream.local_addr().ok().map(|address| address.ip().to_canonical());
        Ok(Accepted { stream, peer, local, encrypted: Encrypted::default() })
    }
}

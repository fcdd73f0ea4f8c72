//! Connections and listeners: of TCP, or of the world.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Operation;

/// Receiving side of a connection of a world.
pub trait Input: AsyncRead + Send + Unpin {
    /// Waits for bytes, or for the end of the connection.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// True if the connection is open and holds no bytes.
    fn is_silent(&self) -> bool;
}

/// A connection of a world.
pub struct Pipe {
    /// Receiving side.
    pub input: Box<dyn Input>,
    /// Sending side.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipe")
    }
}

/// A listener of a world.
pub trait Accept: Send + Sync {
    /// Waits for the next connection; returns the address of the peer too.
    fn accept(&self) -> Operation<(Pipe, SocketAddr)>;
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    World(Pipe),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Stream {
    /// Opens a connection.
    ///
    /// # Errors
    /// Errors of the operating system, or of the world.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        match super::current() {
            Some(world) => Ok(Self::World(world.connect(address).await?)),
            None => Ok(Self::Tcp(TcpStream::connect(address).await?)),
        }
    }

    /// Waits for the first byte, or for the end of the connection.
    ///
    /// # Errors
    /// Errors of the connection.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        match self {
            // The system may report a stream as readable too early.
            Self::Tcp(stream) => stream.peek(&mut [0]).await.map(drop),
            Self::World(pipe) => {
                std::future::poll_fn(|cx| pipe.input.poll_readable(cx)).await;
                Ok(())
            }
        }
    }

    /// Splits the connection into its two directions.
    pub(crate) fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (input, output) = stream.into_split();
                (ReadHalf::Tcp(input), WriteHalf::Tcp(output))
            }
            Self::World(Pipe { input, output }) => (ReadHalf::World(input), WriteHalf::World(output)),
        }
    }

    /// Detaches the connection from the current runtime.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn detach(self) -> io::Result<DetachedStream> {
        Ok(match self {
            Self::Tcp(stream) => DetachedStream::Tcp(stream.into_std()?),
            Self::World(pipe) => DetachedStream::World(pipe),
        })
    }
}

/// A connection without a runtime.
pub(crate) enum DetachedStream {
    Tcp(std::net::TcpStream),
    World(Pipe),
}

impl DetachedStream {
    /// Attaches the connection to the current runtime.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::World(pipe) => Stream::World(pipe),
        })
    }
}

/// Receiving side of a [`Stream`].
pub(crate) enum ReadHalf {
    Tcp(OwnedReadHalf),
    World(Box<dyn Input>),
}

/// Sending side of a [`Stream`].
pub(crate) enum WriteHalf {
    Tcp(OwnedWriteHalf),
    World(Box<dyn AsyncWrite + Send + Unpin>),
}

impl ReadHalf {
    /// True if the connection is open and holds no bytes, as far as known.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Tcp(input) => {
                matches!(input.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::World(input) => input.is_silent(),
        }
    }

    /// Joins the two sides of one connection.
    pub(crate) fn reunite(self, output: WriteHalf) -> Stream {
        match (self, output) {
            (Self::Tcp(input), WriteHalf::Tcp(output)) => {
                Stream::Tcp(input.reunite(output).expect("two sides of one connection"))
            }
            (Self::World(input), WriteHalf::World(output)) => Stream::World(Pipe { input, output }),
            _ => unreachable!("two sides of one connection are of one kind"),
        }
    }
}

/// Calls a method of the inner stream of either kind, pinned.
macro_rules! pinned {
    ($stream:expr, $kind:ident, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            $kind::Tcp(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
            $kind::World(inner) => {
                let $inner = Pin::new(inner);
                $call
            }
        }
    };
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        pinned!(self, Self, inner => inner.poll_read(cx, buf))
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pinned!(self, Self, inner => inner.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pinned!(self, Self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pinned!(self, Self, inner => inner.poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::World(pipe) => Pin::new(&mut pipe.input).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::World(pipe) => Pin::new(&mut pipe.output).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::World(pipe) => Pin::new(&mut pipe.output).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::World(pipe) => Pin::new(&mut pipe.output).poll_shutdown(cx),
        }
    }
}

/// A bound address, outside of any runtime.
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    World(Arc<dyn Accept>),
}

/// A listener.
pub(crate) enum AttachedListener {
    Tcp(tokio::net::TcpListener),
    World(Arc<dyn Accept>),
}

impl Bound {
    /// Binds `address`; at most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub(crate) fn bind(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        if let Some(world) = super::current() {
            return Ok(Self::World(world.listen(address)?));
        }
        // The standard library sets SO_REUSEADDR: a restart does not wait for connections of the last run
        // in TIME_WAIT.
        let socket = std::net::TcpListener::bind(address)?;
        rustix::net::listen(&socket, backlog)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Tcp(socket))
    }

    /// Attaches the listener to the current runtime.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn attach(self) -> io::Result<AttachedListener> {
        Ok(match self {
            Self::Tcp(socket) => AttachedListener::Tcp(tokio::net::TcpListener::from_std(socket)?),
            Self::World(listener) => AttachedListener::World(listener),
        })
    }

    /// Returns the bound address.
    ///
    /// # Errors
    /// Errors of the operating system.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::World(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AttachedListener {
    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    /// Errors of the operating system, or of the world.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok((Stream::Tcp(stream), address))
            }
            Self::World(listener) => {
                let (pipe, address) = listener.accept().await?;
                Ok((Stream::World(pipe), address))
            }
        }
    }
}

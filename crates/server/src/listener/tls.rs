//! TLS on the HTTP port. The first byte of a connection decides: a TLS handshake, or plain HTTP, which stays
//! possible for health checks and programs on the machine.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::{info, warn};

use super::connection::Encrypted;
use super::transport::{Accepted, Transport};

/// Content type of a handshake record (RFC 8446, section 5.1), the first byte of a TLS connection.
const HANDSHAKE: u8 = 22;
/// Interval in which the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reason why a certificate is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("cannot read {path} as PEM")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{path} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that does not go with the key, or a kind of key that is not supported.
    #[error("certificate {cert} and key {key} cannot be used together")]
    Unusable {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// Cause.
        #[source]
        source: rustls::Error,
    },
}

/// Certificate and key of a node, read anew when their files change.
pub(crate) struct Certificate {
    config: Arc<ArcSwap<ServerConfig>>,
}

impl Certificate {
    /// Reads the files, and looks at them from then on.
    ///
    /// # Errors
    /// A [`TlsError`] for files that are not a certificate and its key.
    pub(crate) fn watch(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned() };
        let seen = files.state();
        let config = Arc::new(ArcSwap::from_pointee(files.load()?));
        let watched = Arc::clone(&config);
        // A file system may hang, which no async thread may wait for. The thread ends with the process.
        let look = move || files.watch(seen, &watched);
        if let Err(error) = std::thread::Builder::new().name("tls-files".to_owned()).spawn(look) {
            warn!(%error, "certificate not watched; a new one needs a restart");
        }
        Ok(Self { config })
    }
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// Time of the last change and length of both files.
type FilesState = [Option<(SystemTime, u64)>; 2];

impl Files {
    fn state(&self) -> FilesState {
        [&self.cert, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let Self { cert, key } = self;
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Read { path, source }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
            .map_err(read(cert))?
            .collect::<Result<_, _>>()
            .map_err(read(cert))?;
        if chain.is_empty() {
            return Err(TlsError::Empty { path: cert.clone() });
        }
        let private_key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
        let unusable = |source| TlsError::Unusable { cert: cert.clone(), key: key.clone(), source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, private_key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Replaces the certificate after each change of a file. Files that do not go together, as between the
    /// writing of one and the other, leave the certificate as it is.
    fn watch(self, mut seen: FilesState, config: &ArcSwap<ServerConfig>) {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let state = self.state();
            if state == seen {
                continue;
            }
            seen = state;
            match self.load() {
                Ok(new) => {
                    config.store(Arc::new(new));
                    info!(cert = %self.cert.display(), "certificate replaced");
                }
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    warn!(
                        error = format!("{error:#}"),
                        "changed certificate not usable; the former one stays"
                    );
                }
            }
        }
    }
}

/// Connections over TLS, and plain ones.
pub(crate) struct TlsTransport {
    listener: TcpListener,
    certificate: Certificate,
}

impl TlsTransport {
    /// Serves TLS on the connections of `listener`.
    pub(crate) fn new(listener: TcpListener, certificate: Certificate) -> Self {
        Self { listener, certificate }
    }
}

impl Transport for TlsTransport {
    type Stream = MaybeTls;

    async fn accept(&self) -> io::Result<Accepted<MaybeTls>> {
        let Accepted { stream, peer, local, .. } = Transport::accept(&self.listener).await?;
        let encrypted = Encrypted::default();
        let state = State::Opening { stream, config: self.certificate.config.load_full() };
        Ok(Accepted { stream: MaybeTls { state, encrypted: encrypted.clone() }, peer, local, encrypted })
    }
}

/// A connection that may turn out to be one over TLS.
pub(crate) struct MaybeTls {
    state: State,
    encrypted: Encrypted,
}

enum State {
    /// No byte arrived yet.
    Opening {
        stream: TcpStream,
        config: Arc<ServerConfig>,
    },
    Handshake(Box<Accept<TcpStream>>),
    Encrypted(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
    /// After a failed handshake.
    Failed,
}

impl MaybeTls {
    /// Finds out what the connection is.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Opening { stream, .. } => {
                    let mut byte = [0; 1];
                    let mut first = ReadBuf::new(&mut byte);
                    ready!(stream.poll_peek(cx, &mut first))?;
                    let is_tls = first.filled() == [HANDSHAKE];
                    if let State::Opening { stream, config } =
                        std::mem::replace(&mut self.state, State::Failed)
                    {
                        self.state = match is_tls {
                            true => State::Handshake(Box::new(TlsAcceptor::from(config).accept(stream))),
                            false => State::Plain(stream),
                        };
                    }
                }
                State::Handshake(handshake) => match ready!(Pin::new(&mut **handshake).poll(cx)) {
                    Ok(stream) => {
                        self.encrypted.0.store(true, Ordering::Relaxed);
                        self.state = State::Encrypted(Box::new(stream));
                    }
                    Err(error) => {
                        self.state = State::Failed;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Encrypted(_) | State::Plain(_) => return Poll::Ready(Ok(())),
                State::Failed => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

impl AsyncRead for MaybeTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            State::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            State::Opening { .. } | State::Handshake(_) | State::Failed => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }
}

/// Nothing is written before the first request was read.
impl AsyncWrite for MaybeTls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            State::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            State::Opening { .. } | State::Handshake(_) | State::Failed => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
            State::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            State::Opening { .. } | State::Handshake(_) | State::Failed => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(&mut **stream).poll_flush(cx),
            State::Plain(stream) => Pin::new(stream).poll_flush(cx),
            State::Opening { .. } | State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            State::Plain(stream) | State::Opening { stream, .. } => Pin::new(stream).poll_shutdown(cx),
            State::Handshake(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}

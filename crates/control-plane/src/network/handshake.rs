//! The handshake: two nodes prove to each other that they know the cluster's secret, without revealing the
//! secret.
//!
//! ```text
//! dialer   → hello      purpose, nonce, cluster, own name, wanted name
//! listener → challenge  nonce, own name, HMAC("listener", hello ‖ challenge so far)
//! dialer   → proof      HMAC("dialer", hello ‖ challenge)
//! listener → welcome    HMAC("welcome", hello ‖ challenge ‖ proof)
//! ```
//!
//! Instead of the next message, either side may send a refusal with the cause and close the connection.
//! Every authenticator covers both nonces and is computed under a label for the role of the sender: an
//! authenticator reflected to the sender, or replayed from another connection, proves nothing. The keys of
//! the connection derive from the secret and the transcript.
//!
//! A message is `STEG`, the sender's protocol version (u16), the message kind (u8), the length of the body
//! (u16), all big-endian, and the body; a name is a length (u8) and UTF-8. This framing and the refusal are
//! the same in every version.

use std::io;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::secret::ClusterSecret;
use crate::world::clock;

/// Version of handshake and frames.
pub(crate) const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"STEG";
const HEADER_BYTES: usize = 9;
/// Maximum length of a message with the header: a hello with three names of maximum length fits.
const MAX_MESSAGE_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 255;
const MAC_BYTES: usize = 32;

const HELLO: u8 = 1;
const CHALLENGE: u8 = 2;
const PROOF: u8 = 3;
const WELCOME: u8 = 4;
const REFUSAL: u8 = 5;

type HmacSha256 = Hmac<Sha256>;

/// Random value that distinguishes handshakes between the same nodes.
pub(super) type Nonce = [u8; 32];

/// Names and keys of this node. Without `Debug`, because of the keys.
pub(crate) struct Credentials {
    cluster: String,
    node: String,
    secret: ClusterSecret,
    key: [u8; 32],
}

impl Credentials {
    /// Creates the identity of the node `node` in the cluster `cluster`.
    pub(crate) fn new(cluster: &str, node: &str, secret: ClusterSecret) -> Self {
        let key = secret.derive("handshake", cluster.as_bytes());
        Self { cluster: cluster.to_owned(), node: node.to_owned(), secret, key }
    }

    fn mac(&self, label: &str, transcript: &[u8]) -> HmacSha256 {
        let mut mac = HmacSha256::new_from_slice(&self.key).expect("any length of key");
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(transcript);
        mac
    }

    fn sign(&self, label: &str, transcript: &[u8]) -> [u8; MAC_BYTES] {
        self.mac(label, transcript).finalize().into_bytes().into()
    }

    fn verify(&self, label: &str, transcript: &[u8], tag: &[u8]) -> Result<(), HandshakeError> {
        self.mac(label, transcript).verify_slice(tag).map_err(|_| HandshakeError::OtherKey)
    }

    /// Derives the keys from dialer to listener and from listener to dialer.
    fn session_keys(&self, transcript: &[u8]) -> ([u8; 32], [u8; 32]) {
        let digest = Sha256::digest(transcript);
        let key = |purpose| self.secret.derive(purpose, &digest);
        let keys = (key("frames from dialer to listener"), key("frames from listener to dialer"));
        debug_assert!(keys.0 != keys.1, "each direction has a key of its own");
        keys
    }
}

/// Purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests and answers, one after the other.
    Rpc,
    /// Probes.
    Probe,
    /// A single snapshot.
    Snapshot,
}

impl Purpose {
    fn code(self) -> u8 {
        match self {
            Self::Rpc => 1,
            Self::Probe => 2,
            Self::Snapshot => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Rpc, Self::Probe, Self::Snapshot].into_iter().find(|purpose| purpose.code() == code)
    }
}

/// Failure of a handshake. The texts follow "peer 10.0.0.2:5001".
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Wrong authenticator from the peer.
    #[error("does not know this cluster's key")]
    OtherKey,
    /// Authenticator of this node refused by the peer.
    #[error("refused this node's proof of the cluster's key")]
    KeyRefused,
    /// Different protocol version.
    #[error("speaks version {theirs} of the protocol between nodes, this node speaks version {ours}")]
    Version {
        /// Version of the peer.
        theirs: u16,
        /// Version of this node.
        ours: u16,
    },
    /// Different cluster name.
    #[error("belongs to cluster `{theirs}`, this node to `{ours}`")]
    OtherCluster {
        /// Cluster of the peer.
        theirs: String,
        /// Cluster of this node.
        ours: String,
    },
    /// Unexpected node at the dialed address.
    #[error("is {found}, not {wanted}")]
    OtherNode {
        /// Name of the node at the address.
        found: String,
        /// Expected name.
        wanted: String,
    },
    /// Connection intended for a different node.
    #[error("dialled {wanted}, but this node is {own}")]
    Misdirected {
        /// Node wanted by the peer.
        wanted: String,
        /// Name of this node.
        own: String,
    },
    /// First bytes not from the node protocol.
    #[error("does not speak the protocol between nodes")]
    Foreign,
    /// Malformed message after a valid beginning.
    #[error("sent a malformed handshake")]
    Malformed,
    /// All connections of the peer for this purpose in use, each with a call in flight.
    #[error("({node}) has a call in flight on every permitted connection ({purpose:?})")]
    TooManyConnections {
        /// Name of the peer.
        node: String,
        /// Purpose of the connection.
        purpose: Purpose,
    },
    /// No byte received in time.
    #[error("sent no byte in time")]
    Silent,
    /// Names too long for a hello.
    #[error("cannot be dialled: names of clusters and nodes have at most {MAX_NAME_BYTES} bytes")]
    LongName,
    /// Connection closed by the peer.
    #[error("closed the connection during the handshake")]
    Closed,
    /// Handshake not finished in time.
    #[error("did not finish the handshake in time")]
    TooSlow,
    /// I/O error on the connection.
    #[error("lost the connection during the handshake: {0}")]
    Io(io::Error),
}

impl HandshakeError {
    /// True if the connection ended.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }

    /// True if the configurations of the two nodes are incompatible, as opposed to a failed connection.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Closed | Self::TooSlow | Self::Silent | Self::TooManyConnections { .. } | Self::Io(_)
        )
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | BrokenPipe | ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Keys of a connection. Without `Debug`.
pub(super) struct Session {
    /// Key for sent frames.
    pub(super) send_key: [u8; 32],
    /// Key for received frames.
    pub(super) receive_key: [u8; 32],
}

/// Dialer of a connection, as authenticated by the listener.
pub(super) struct Caller {
    pub(super) node: String,
    pub(super) purpose: Purpose,
    pub(super) session: Session,
}

/// Runs the dialer's side, within `limit`.
pub(super) async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Credentials,
    wanted: &str,
    purpose: Purpose,
    nonce: Nonce,
    limit: Duration,
) -> Result<Session, HandshakeError> {
    within(limit, async {
        let mut transcript =
            Hello { purpose, nonce, cluster: &identity.cluster, node: &identity.node, wanted }
                .encode()
                .map(|body| message(HELLO, &body))?;
        stream.write_all(&transcript).await?;

        let challenge = read_expected(stream, CHALLENGE, identity, wanted).await?;
        if let Err(error) = challenge_from(&challenge, identity, wanted, &mut transcript) {
            return refuse(stream, error).await;
        }
        let proof = message(PROOF, &identity.sign("dialer", &transcript));
        stream.write_all(&proof).await?;
        transcript.extend(proof);

        let welcome = read_expected(stream, WELCOME, identity, wanted).await?;
        identity.verify("welcome", &transcript, &welcome)?;
        let (send_key, receive_key) = identity.session_keys(&transcript);
        Ok(Session { send_key, receive_key })
    })
    .await
}

/// Runs the listener's side, within `limit`. `admit` decides about a caller with a verified proof: a
/// refused caller receives no welcome and sends no frame.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Credentials,
    nonce: Nonce,
    admit: impl FnOnce(&str, Purpose) -> bool,
    limit: Duration,
) -> Result<Caller, HandshakeError> {
    within(limit, async {
        let hello = read(stream).await?;
        let (node, purpose) = match hello_from(&hello, identity) {
            Ok(caller) => caller,
            Err(error) => return refuse(stream, error).await,
        };
        let mut transcript = message(hello.kind, &hello.body);
        let challenge = challenge_for(identity, &transcript, nonce)?;
        stream.write_all(&challenge).await?;
        transcript.extend(challenge);

        let proof = read_expected(stream, PROOF, identity, "").await?;
        if let Err(error) = identity.verify("dialer", &transcript, &proof) {
            return refuse(stream, error).await;
        }
        if !admit(&node, purpose) {
            return Err(HandshakeError::TooManyConnections { node, purpose });
        }
        transcript.extend(message(PROOF, &proof));
        stream.write_all(&message(WELCOME, &identity.sign("welcome", &transcript))).await?;
        let (receive_key, send_key) = identity.session_keys(&transcript);
        Ok(Caller { node, purpose, session: Session { send_key, receive_key } })
    })
    .await
}

async fn within<T>(
    limit: Duration,
    handshake: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    clock::timeout(limit, handshake).await.unwrap_or(Err(HandshakeError::TooSlow))
}

struct Hello<'a> {
    purpose: Purpose,
    nonce: Nonce,
    cluster: &'a str,
    node: &'a str,
    wanted: &'a str,
}

impl Hello<'_> {
    fn encode(&self) -> Result<Vec<u8>, HandshakeError> {
        let mut body = vec![self.purpose.code()];
        body.extend(self.nonce);
        for name in [self.cluster, self.node, self.wanted] {
            put_name(&mut body, name)?;
        }
        Ok(body)
    }
}

/// Parses a hello; returns the dialer's name and purpose.
fn hello_from(hello: &Message, identity: &Credentials) -> Result<(String, Purpose), HandshakeError> {
    hello.of_this_version()?;
    if hello.kind != HELLO {
        return Err(HandshakeError::Malformed);
    }
    let mut rest = Fields(&hello.body);
    let purpose = Purpose::from_code(rest.byte()?).ok_or(HandshakeError::Malformed)?;
    rest.bytes(size_of::<Nonce>())?;
    let (cluster, node, wanted) = (rest.name()?, rest.name()?, rest.name()?);
    rest.end()?;
    if cluster != identity.cluster {
        return Err(HandshakeError::OtherCluster { theirs: cluster, ours: identity.cluster.clone() });
    }
    if wanted != identity.node {
        return Err(HandshakeError::Misdirected { wanted, own: identity.node.clone() });
    }
    Ok((node, purpose))
}

/// Encodes the challenge to a hello, with the authenticator at the end.
fn challenge_for(identity: &Credentials, hello: &[u8], nonce: Nonce) -> Result<Vec<u8>, HandshakeError> {
    let mut body = nonce.to_vec();
    put_name(&mut body, &identity.node)?;
    let mac = identity.sign("listener", &[hello, &body].concat());
    body.extend(mac);
    Ok(message(CHALLENGE, &body))
}

/// Verifies the challenge to the hello in `transcript` and appends the challenge there.
fn challenge_from(
    body: &[u8],
    identity: &Credentials,
    wanted: &str,
    transcript: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    let (signed, mac) = body.split_last_chunk::<MAC_BYTES>().ok_or(HandshakeError::Malformed)?;
    let mut rest = Fields(signed);
    rest.bytes(size_of::<Nonce>())?;
    let found = rest.name()?;
    rest.end()?;
    identity.verify("listener", &[transcript, signed].concat(), mac)?;
    if found != wanted {
        return Err(HandshakeError::OtherNode { found, wanted: wanted.to_owned() });
    }
    transcript.extend(message(CHALLENGE, body));
    Ok(())
}

// Causes of a refusal, the first byte of the body. The rest depends on the cause.
const REFUSED_VERSION: u8 = 1; // the refuser's version, the refused one
const REFUSED_CLUSTER: u8 = 2; // the refuser's cluster
const REFUSED_TARGET: u8 = 3; // the refuser's name
const REFUSED_KEY: u8 = 4;

/// Sends a refusal to the peer, if the cause has a code, and returns the error.
async fn refuse<S: AsyncWrite + Unpin, T>(
    stream: &mut S,
    error: HandshakeError,
) -> Result<T, HandshakeError> {
    let mut body = Vec::new();
    match &error {
        HandshakeError::Version { theirs, ours } => {
            body.push(REFUSED_VERSION);
            body.extend(ours.to_be_bytes());
            body.extend(theirs.to_be_bytes());
        }
        HandshakeError::OtherCluster { ours, .. } => {
            body.push(REFUSED_CLUSTER);
            put_name(&mut body, ours)?;
        }
        HandshakeError::Misdirected { own, .. } => {
            body.push(REFUSED_TARGET);
            put_name(&mut body, own)?;
        }
        HandshakeError::OtherKey => body.push(REFUSED_KEY),
        _ => return Err(error),
    }
    // The error is the same even if the peer does not receive the refusal.
    let _ = stream.write_all(&message(REFUSAL, &body)).await;
    let _ = stream.shutdown().await;
    Err(error)
}

/// Parses a refusal.
fn refused(body: &[u8], identity: &Credentials, wanted: &str) -> Result<HandshakeError, HandshakeError> {
    let mut rest = Fields(body);
    Ok(match rest.byte()? {
        REFUSED_VERSION => HandshakeError::Version { theirs: rest.u16()?, ours: rest.u16()? },
        REFUSED_CLUSTER => {
            HandshakeError::OtherCluster { theirs: rest.name()?, ours: identity.cluster.clone() }
        }
        REFUSED_TARGET => HandshakeError::OtherNode { found: rest.name()?, wanted: wanted.to_owned() },
        REFUSED_KEY => HandshakeError::KeyRefused,
        _ => HandshakeError::Malformed,
    })
}

struct Message {
    version: u16,
    kind: u8,
    body: Vec<u8>,
}

impl Message {
    fn of_this_version(&self) -> Result<(), HandshakeError> {
        if self.version == PROTOCOL_VERSION {
            return Ok(());
        }
        Err(HandshakeError::Version { theirs: self.version, ours: PROTOCOL_VERSION })
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    debug_assert!(HEADER_BYTES + body.len() <= MAX_MESSAGE_BYTES, "names are bounded");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(PROTOCOL_VERSION.to_be_bytes());
    bytes.push(kind);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Reads exactly one message.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Message, HandshakeError> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header[..MAGIC.len()]).await?;
    if !header.starts_with(&MAGIC) {
        return Err(HandshakeError::Foreign);
    }
    stream.read_exact(&mut header[MAGIC.len()..]).await?;
    let [_, _, _, _, v1, v0, kind, l1, l0] = header;
    let length = usize::from(u16::from_be_bytes([l1, l0]));
    if length > MAX_MESSAGE_BYTES - HEADER_BYTES {
        return Err(HandshakeError::Malformed);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Message { version: u16::from_be_bytes([v1, v0]), kind, body })
}

/// Reads the body of a message of this kind and version; a refusal of the peer is the error.
async fn read_expected<S: AsyncRead + Unpin>(
    stream: &mut S,
    kind: u8,
    identity: &Credentials,
    wanted: &str,
) -> Result<Vec<u8>, HandshakeError> {
    let message = read(stream).await?;
    if message.kind == REFUSAL {
        return Err(refused(&message.body, identity, wanted)?);
    }
    message.of_this_version()?;
    if message.kind == kind { Ok(message.body) } else { Err(HandshakeError::Malformed) }
}

fn put_name(body: &mut Vec<u8>, name: &str) -> Result<(), HandshakeError> {
    body.push(u8::try_from(name.len()).map_err(|_| HandshakeError::LongName)?);
    body.extend(name.as_bytes());
    Ok(())
}

/// Remaining fields of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], HandshakeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HandshakeError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, HandshakeError> {
        Ok(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, HandshakeError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Reads a name. Names go into logs before authentication: no control characters.
    fn name(&mut self) -> Result<String, HandshakeError> {
        let length = self.byte()?;
        let text = std::str::from_utf8(self.bytes(length.into())?).map_err(|_| HandshakeError::Malformed)?;
        if text.chars().any(char::is_control) {
            return Err(HandshakeError::Malformed);
        }
        Ok(text.to_owned())
    }

    fn end(&self) -> Result<(), HandshakeError> {
        if self.0.is_empty() { Ok(()) } else { Err(HandshakeError::Malformed) }
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;

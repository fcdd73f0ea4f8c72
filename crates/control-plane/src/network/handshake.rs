//! The handshake: two nodes show each other that they know the cluster's secret, without a word about the secret.
//!
//! ```text
//! dialer   → hello      purpose, nonce, cluster, own name, wanted name
//! listener → challenge  nonce, own name, HMAC("listener", hello ‖ challenge so far)
//! dialer   → proof      HMAC("dialer", hello ‖ challenge)
//! listener → welcome    HMAC("welcome", hello ‖ challenge ‖ proof)
//! ```
//!
//! or, instead of its next message, either side's refusal with the reason, and the end. Every authenticator covers both
//! nonces and is made under a label of its own role: an authenticator sent back to its maker, or one of another
//! connection, proves nothing. The keys of the connection come from the secret and the transcript.
//!
//! A message is `STEG`, the sender's protocol version (u16), its kind (u8), the length of its body (u16), all big-endian,
//! and the body; a name is its length (u8) and UTF-8. This framing and the refusal are the same in every version.

use std::io;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::secret::ClusterSecret;

/// The version of handshake and frames.
pub(crate) const PROTOCOL_VERSION: u16 = 1;
/// How long a handshake may take.
pub(super) const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(2);

const MAGIC: [u8; 4] = *b"STEG";
const HEADER_BYTES: usize = 9;
/// Bytes of a message with its header, at most: a hello with three names of the greatest length fits.
const MAX_MESSAGE_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 255;
const MAC_BYTES: usize = 32;

const HELLO: u8 = 1;
const CHALLENGE: u8 = 2;
const PROOF: u8 = 3;
const WELCOME: u8 = 4;
const REFUSAL: u8 = 5;

type HmacSha256 = Hmac<Sha256>;

/// Makes two handshakes of the same nodes differ.
pub(super) type Nonce = [u8; 32];

/// Who this node is and what it proves itself with. It has no `Debug`: it holds keys.
pub(crate) struct Identity {
    cluster: String,
    node: String,
    secret: ClusterSecret,
    key: [u8; 32],
}

impl Identity {
    /// The node `node` of the cluster `cluster`.
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

    /// The keys from dialer to listener and back.
    fn session_keys(&self, transcript: &[u8]) -> ([u8; 32], [u8; 32]) {
        let digest = Sha256::digest(transcript);
        let key = |purpose| self.secret.derive(purpose, &digest);
        (key("frames from dialer to listener"), key("frames from listener to dialer"))
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests and their answers, one after the other.
    Rpc,
    /// Probes.
    Probe,
    /// One snapshot.
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

/// Why a handshake failed. The texts go after "peer 10.0.0.2:5001".
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Its authenticator is wrong.
    #[error("does not know this cluster's key")]
    OtherKey,
    /// It found this node's authenticator wrong.
    #[error("says that this node does not know its cluster's key")]
    KeyRefused,
    /// Another version.
    #[error("speaks version {theirs} of the protocol between nodes, this node speaks version {ours}")]
    Version {
        /// The peer's.
        theirs: u16,
        /// This node's.
        ours: u16,
    },
    /// Another cluster name.
    #[error("belongs to cluster `{theirs}`, this node to `{ours}`")]
    OtherCluster {
        /// The peer's.
        theirs: String,
        /// This node's.
        ours: String,
    },
    /// The dialer found another node at the address.
    #[error("is {found}, not {wanted}")]
    OtherNode {
        /// Who is there.
        found: String,
        /// Who should be.
        wanted: String,
    },
    /// The listener was taken for another node.
    #[error("looks for {wanted} here, but this is {own}")]
    Misdirected {
        /// Whom the peer wanted.
        wanted: String,
        /// This node.
        own: String,
    },
    /// It does not begin like a node.
    #[error("does not speak the protocol between nodes")]
    Foreign,
    /// It begins like a node and goes on otherwise.
    #[error("sent a malformed handshake")]
    Malformed,
    /// It holds as many connections for this purpose as one peer may, each with a call in flight.
    #[error("({node}) holds all the connections that one node may ({purpose:?})")]
    NoPlace {
        /// The peer's name.
        node: String,
        /// The connection's purpose.
        purpose: Purpose,
    },
    /// It sent nothing at all.
    #[error("sent nothing")]
    Silent,
    /// The names do not fit into a hello.
    #[error("cannot be greeted: names of clusters and nodes have at most {MAX_NAME_BYTES} bytes")]
    LongName,
    /// It closed the connection.
    #[error("hung up during the handshake")]
    Closed,
    /// It did not answer in time.
    #[error("did not finish the handshake in time")]
    TooSlow,
    /// The connection broke.
    #[error("was lost during the handshake: {0}")]
    Io(io::Error),
}

impl HandshakeError {
    /// Whether the connection ended.
    pub(crate) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }

    /// Whether the two can never talk as they are configured, in contrast to a connection that failed.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Closed | Self::TooSlow | Self::Silent | Self::NoPlace { .. } | Self::Io(_))
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

/// The keys of a connection. It has no `Debug`.
pub(super) struct Session {
    /// For what this node sends.
    pub(super) send_key: [u8; 32],
    /// For what it receives.
    pub(super) receive_key: [u8; 32],
}

/// Who dialled, as the listener learns it.
pub(super) struct Caller {
    pub(super) node: String,
    pub(super) purpose: Purpose,
    pub(super) session: Session,
}

/// The dialer's part, within `limit`.
pub(super) async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Identity,
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

/// The listener's part, within `limit`. `admit` has the last word on a caller that has proven that it knows the secret:
/// one that is not admitted hears no welcome and sends nothing.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Identity,
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
            return Err(HandshakeError::NoPlace { node, purpose });
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
    tokio::time::timeout(limit, handshake).await.unwrap_or(Err(HandshakeError::TooSlow))
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

/// Checks a hello; gives the dialer's name and purpose.
fn hello_from(hello: &Message, identity: &Identity) -> Result<(String, Purpose), HandshakeError> {
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

/// The challenge to a hello, its authenticator at the end.
fn challenge_for(identity: &Identity, hello: &[u8], nonce: Nonce) -> Result<Vec<u8>, HandshakeError> {
    let mut body = nonce.to_vec();
    put_name(&mut body, &identity.node)?;
    let mac = identity.sign("listener", &[hello, &body].concat());
    body.extend(mac);
    Ok(message(CHALLENGE, &body))
}

/// Checks the challenge to the hello in `transcript` and adds it there.
fn challenge_from(
    body: &[u8],
    identity: &Identity,
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

// Why a node refuses: the first byte of a refusal. What follows depends on it.
const REFUSED_VERSION: u8 = 1; // the refuser's version, the refused one
const REFUSED_CLUSTER: u8 = 2; // the refuser's cluster
const REFUSED_TARGET: u8 = 3; // the refuser's name
const REFUSED_KEY: u8 = 4;

/// Tells the peer why, if there is a word for it, and fails.
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
    // The reason stays the same whether or not the peer hears it.
    let _ = stream.write_all(&message(REFUSAL, &body)).await;
    let _ = stream.shutdown().await;
    Err(error)
}

/// What a refusal says.
fn refused(body: &[u8], identity: &Identity, wanted: &str) -> Result<HandshakeError, HandshakeError> {
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

/// Reads the body of a message of this kind and version, or fails with what the peer says instead.
async fn read_expected<S: AsyncRead + Unpin>(
    stream: &mut S,
    kind: u8,
    identity: &Identity,
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

/// What is left of a body.
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

    /// A name. It may be a stranger's and goes into logs: no control characters.
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

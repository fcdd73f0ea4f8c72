//! Calls to the configured peers, over persistent connections.
//!
//! Idle connections belong to the runtime of the dial: use one [`Links`] on one runtime. A call dropped
//! before completion closes the connection, so that a late answer cannot be mistaken for the answer to
//! another call.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};

use super::addresses::Addresses;
use super::frame::{Channel, FrameError, encode};
use super::handshake::{self, Credentials, HandshakeError, Purpose};
use super::pause::Pause;
use super::resolver::{Lookups, Resolve};
use super::socket::{limit_in_flight, tune};
use crate::host::Host;
use crate::timing::{DIAL_WITHIN, HANDSHAKE_WITHIN};
use crate::world::clock;
use crate::world::net::Stream;
use crate::world::random;
use crate::world::task;

/// Maximum number of idle connections per peer.
pub(crate) const MAX_IDLE_PER_PEER: usize = 8;
/// Number of connections to open in advance to a newly reachable peer: one for a vote, one for the
/// following calls.
const WARM_PER_PEER: usize = 2;
/// Maximum number of concurrent dials to a peer, for calls.
pub(crate) const MAX_DIALLING_PER_PEER: usize = 4;

/// Failure of a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No part of the request was sent.
    #[error("cannot call {peer}")]
    NotSent {
        /// Name of the peer.
        peer: String,
        /// Cause.
        #[source]
        source: Unsent,
    },
    /// The configurations of the two nodes are incompatible. No part of the request was sent.
    #[error("peer {peer} at {address} {reason}")]
    Refused {
        /// Name of the peer.
        peer: String,
        /// Address of the peer.
        address: SocketAddr,
        /// Cause.
        reason: HandshakeError,
    },
    /// The request was sent, at least in part, without an answer: the peer may have executed the request.
    #[error("no answer from {peer}")]
    Lost {
        /// Name of the peer.
        peer: String,
        /// Cause.
        #[source]
        source: Loss,
    },
}

/// Number of times that a call may reach the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Twice if the peer closed an idle connection in the meantime: for idempotent requests.
    AtLeastOnce,
    /// Once or never.
    AtMostOnce,
}

impl CallError {
    /// True if the host at the peer's address reported a closed port.
    pub(crate) fn is_port_closed(&self) -> bool {
        let Self::NotSent { source: Unsent::Connect { source, .. }, .. } = self else { return false };
        source.kind() == io::ErrorKind::ConnectionRefused
    }

    /// True if an established connection ended before the peer was authenticated.
    pub(crate) fn ended_before_authentication(&self) -> bool {
        match self {
            Self::NotSent { source: Unsent::Connect { source, .. }, .. } => {
                source.kind() == io::ErrorKind::ConnectionReset
            }
            Self::NotSent { source: Unsent::Handshake { reason, .. }, .. } => reason.is_closed_by_peer(),
            _ => false,
        }
    }
}

/// Cause for which a request was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsent {
    /// Name missing in the configuration.
    #[error("not in this node's configuration")]
    UnknownPeer,
    /// Host name without a known address.
    #[error("the host name {name} has no address yet: the resolver has not answered, or knows none")]
    Unresolved {
        /// Host name.
        name: String,
    },
    /// Connection not established.
    #[error("cannot connect to {address}")]
    Connect {
        /// Address of the peer.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Connection failed before the peer was authenticated.
    #[error("peer {address} {reason}")]
    Handshake {
        /// Address of the peer.
        address: SocketAddr,
        /// Cause.
        reason: HandshakeError,
    },
    /// Request too large for a frame, or not encodable.
    #[error(transparent)]
    Request(FrameError),
    /// No connection before the deadline.
    #[error("no connection before the deadline")]
    Deadline,
}

/// Cause for which an answer was lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Loss {
    /// No answer before the deadline.
    #[error("deadline passed")]
    Deadline,
    /// Connection failed.
    #[error(transparent)]
    Connection(FrameError),
}

/// Connections to this node's peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links(Arc<LinksState>);

struct LinksState {
    identity: Arc<Credentials>,
    pause: Pause,
    peers: BTreeMap<String, PeerLink>,
}

struct PeerLink {
    address: PeerAddress,
    port: u16,
    idle: Mutex<Vec<Channel>>,
    dialling: Arc<Semaphore>,
}

/// Addresses of a peer: configured, or looked up by name.
enum PeerAddress {
    Fixed(Addresses),
    Named(Arc<Lookups>),
}

impl PeerAddress {
    fn addresses(&self) -> &Addresses {
        match self {
            Self::Fixed(addresses) => addresses,
            Self::Named(lookups) => lookups.addresses(),
        }
    }
}

impl Links {
    /// Creates links to peers with these names, hosts and ports. Host names are looked up by `resolver`, in
    /// the background.
    ///
    /// # Errors
    /// If the thread for a host name cannot be started.
    pub(crate) fn new(
        identity: Arc<Credentials>,
        peers: impl IntoIterator<Item = (String, Host, u16)>,
        pause: Pause,
        resolver: &Arc<dyn Resolve>,
    ) -> io::Result<Self> {
        let peer = |(name, host, port)| {
            let address = match host {
                Host::Address(ip) => PeerAddress::Fixed(Addresses::fixed(ip)),
                Host::Name(name) => PeerAddress::Named(Lookups::begin(name, Arc::clone(resolver))?),
            };
            let dialling = Arc::new(Semaphore::new(MAX_DIALLING_PER_PEER));
            Ok((name, PeerLink { address, port, idle: Mutex::default(), dialling }))
        };
        let peers = peers.into_iter().map(peer).collect::<io::Result<_>>()?;
        Ok(Self(Arc::new(LinksState { identity, pause, peers })))
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// [`CallError`], by which the caller knows if the peer may have executed the request.
    pub(crate) async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        peer: &str,
        request: &Q,
        delivery: Delivery,
        deadline: Instant,
    ) -> Result<A, CallError> {
        let body = self.body(peer, request)?;
        if let Some(channel) = self.take_idle(peer) {
            match self.exchange(peer, channel, &body, deadline).await {
                Err(CallError::Lost { source: Loss::Connection(error), .. })
                    if delivery == Delivery::AtLeastOnce && error.is_closed_by_peer() => {}
                answered => return answered,
            }
        }
        let channel = self.connection(peer, deadline).await?;
        self.exchange(peer, channel, &body, deadline).await
    }

    /// Returns a new connection for a call. A dial takes several round trips, more than the time limit of a
    /// heartbeat: the dial runs on a separate task, and if the caller times out, the connection is kept for
    /// the next call.
    async fn connection(&self, peer: &str, deadline: Instant) -> Result<Channel, CallError> {
        let not_sent = |source| CallError::NotSent { peer: peer.to_owned(), source };
        let dialling = self.0.peers.get(peer).map(|peer| Arc::clone(&peer.dialling));
        let dialling = dialling.ok_or_else(|| not_sent(Unsent::UnknownPeer))?;
        if deadline <= clock::now() {
            return Err(not_sent(Unsent::Deadline));
        }
        let permit = clock::timeout_at(deadline, dialling.acquire_owned()).await;
        let permit = permit.map_err(|_| not_sent(Unsent::Deadline))?.expect("the semaphore is never closed");
        if let Some(channel) = self.take_idle(peer) {
            return Ok(channel);
        }
        let (sender, receiver) = oneshot::channel();
        let (links, name) = (self.clone(), peer.to_owned());
        task::spawn(async move {
            let _permit = permit;
            let dialled = links.dial(&name, Purpose::Rpc, clock::now() + DIAL_WITHIN).await;
            if let Err(Ok(unclaimed)) = sender.send(dialled) {
                links.keep(&name, unclaimed);
            }
        });
        match clock::timeout_at(deadline, receiver).await {
            Ok(Ok(dialled)) => dialled,
            _ => Err(not_sent(Unsent::Deadline)),
        }
    }

    /// Opens the connections for the first calls to a peer in advance, so that an election does not wait
    /// for a dial.
    pub(crate) async fn warm_up(&self, peer: &str) {
        let deadline = clock::now() + DIAL_WITHIN;
        let missing = self.0.peers.get(peer).map_or(0, |peer| WARM_PER_PEER.saturating_sub(peer.open_idle()));
        for _ in 0..missing {
            // The next call reports the error.
            let Ok(channel) = self.dial(peer, Purpose::Rpc, deadline).await else { return };
            self.keep(peer, channel);
        }
    }

    /// Opens a dedicated connection.
    ///
    /// # Errors
    /// [`CallError::NotSent`] or [`CallError::Refused`].
    pub(crate) async fn dial(
        &self,
        peer: &str,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Channel, CallError> {
        let not_sent = |source| CallError::NotSent { peer: peer.to_owned(), source };
        let Some(PeerLink { address, port, .. }) = self.0.peers.get(peer) else {
            return Err(not_sent(Unsent::UnknownPeer));
        };
        if deadline <= clock::now() {
            return Err(not_sent(Unsent::Deadline));
        }
        let dialled = clock::timeout_at(deadline, self.dial_any(peer, address, *port, purpose)).await;
        let dialled = dialled.unwrap_or_else(|_| Err(not_sent(Unsent::Deadline)));
        if let (Err(_), PeerAddress::Named(lookups)) = (&dialled, address) {
            lookups.look_up_soon();
        }
        dialled
    }

    /// Dials the known addresses of a peer one after the other until a connection succeeds. The result is a
    /// closed port only if the port is closed at every address: a closed port at one of several addresses
    /// is no evidence of a dead peer.
    async fn dial_any(
        &self,
        peer: &str,
        address: &PeerAddress,
        port: u16,
        purpose: Purpose,
    ) -> Result<Channel, CallError> {
        let addresses = address.addresses();
        let mut failed: Option<CallError> = None;
        for (position, ip) in addresses.in_order() {
            addresses.begin(position);
            match self.dial_at(peer, SocketAddr::new(ip, port), purpose).await {
                Err(error) if is_worth_another_address(&error) => {
                    let open = failed.take().filter(|earlier| !earlier.is_port_closed());
                    failed = Some(open.unwrap_or(error));
                }
                dialled => {
                    addresses.worked(position);
                    return dialled;
                }
            }
        }
        Err(failed.unwrap_or_else(|| {
            let name = match address {
                PeerAddress::Named(lookups) => lookups.name.clone(),
                PeerAddress::Fixed(_) => peer.to_owned(),
            };
            CallError::NotSent { peer: peer.to_owned(), source: Unsent::Unresolved { name } }
        }))
    }

    /// True if the address belongs to a peer.
    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.peers.values().any(|peer| peer.address.addresses().contains(address))
    }

    /// Closes the idle connections, and stalls every call and dial up to the respective deadline, until
    /// [`Self::resume`]. Affects every user of the same [`Pause`].
    pub(crate) fn pause(&self) {
        self.0.pause.pause();
        for peer in self.0.peers.values() {
            peer.close_idle();
        }
    }

    /// Ends [`Self::pause`].
    pub(crate) fn resume(&self) {
        self.0.pause.resume();
    }

    fn body(&self, peer: &str, request: &impl Serialize) -> Result<Vec<u8>, CallError> {
        encode(request)
            .map_err(|error| CallError::NotSent { peer: peer.to_owned(), source: Unsent::Request(error) })
    }

    fn take_idle(&self, peer: &str) -> Option<Channel> {
        self.0.peers.get(peer)?.take_idle()
    }

    async fn dial_at(&self, peer: &str, address: SocketAddr, purpose: Purpose) -> Result<Channel, CallError> {
        let LinksState { identity, pause, .. } = &*self.0;
        let mut close_watch = pause.watch();
        let dialled = tokio::select! {
            biased;
            // A paused node receives nothing, not even a refusal.
            () = close_watch.closed() => std::future::pending().await,
            dialled = connect(identity, peer, address, purpose) => dialled,
        };
        match dialled {
            Ok((stream, session)) => Ok(Channel::new(stream, &session, close_watch, None)),
            Err(Unsent::Handshake { address, reason }) if reason.is_refusal() => {
                Err(CallError::Refused { peer: peer.to_owned(), address, reason })
            }
            Err(source) => Err(CallError::NotSent { peer: peer.to_owned(), source }),
        }
    }

    /// Sends the request and receives the answer; keeps the connection only after a complete exchange.
    async fn exchange<A: DeserializeOwned>(
        &self,
        peer: &str,
        mut channel: Channel,
        body: &[u8],
        deadline: Instant,
    ) -> Result<A, CallError> {
        if deadline <= clock::now() {
            self.keep(peer, channel);
            return Err(CallError::NotSent { peer: peer.to_owned(), source: Unsent::Deadline });
        }
        let answer = clock::timeout_at(deadline, async {
            match round_trip(&mut channel, body).await {
                Err(FrameError::Paused) => std::future::pending().await,
                answer => answer,
            }
        });
        let source = match answer.await {
            Ok(Ok(answer)) => {
                self.keep(peer, channel);
                return Ok(answer);
            }
            Ok(Err(error)) => Loss::Connection(error),
            Err(_) => Loss::Deadline,
        };
        // A broken connection suggests that the other idle connections are broken too; a late answer does
        // not.
        if let (Loss::Connection(_), Some(peer)) = (&source, self.0.peers.get(peer)) {
            peer.close_idle();
        }
        Err(CallError::Lost { peer: peer.to_owned(), source })
    }

    fn keep(&self, peer: &str, channel: Channel) {
        if let Some(peer) = self.0.peers.get(peer) {
            peer.keep(channel);
        }
    }
}

/// True if another address of the same peer may succeed: the connection failed, or another process
/// answered.
fn is_worth_another_address(error: &CallError) -> bool {
    matches!(
        error,
        CallError::NotSent { source: Unsent::Connect { .. } | Unsent::Handshake { .. }, .. }
            | CallError::Refused { .. }
    )
}

async fn connect(
    identity: &Credentials,
    peer: &str,
    address: SocketAddr,
    purpose: Purpose,
) -> Result<(Stream, handshake::Session), Unsent> {
    let mut stream = Stream::connect(address).await.map_err(|source| Unsent::Connect { address, source })?;
    tune(&stream);
    if purpose == Purpose::Snapshot {
        limit_in_flight(&stream);
    }
    let session = handshake::dial(&mut stream, identity, peer, purpose, random(), HANDSHAKE_WITHIN)
        .await
        .map_err(|reason| Unsent::Handshake { address, reason })?;
    Ok((stream, session))
}

async fn round_trip<A: DeserializeOwned>(channel: &mut Channel, body: &[u8]) -> Result<A, FrameError> {
    channel.send_bytes(body).await?;
    channel.recv().await
}

impl PeerLink {
    /// Returns the most recently used connection that is still open.
    fn take_idle(&self) -> Option<Channel> {
        let mut idle = self.lock();
        while let Some(channel) = idle.pop() {
            if channel.is_idle() {
                return Some(channel);
            }
        }
        None
    }

    /// Keeps an open connection if the limit allows. A pause either precedes the check or clears the list
    /// afterwards.
    fn keep(&self, channel: Channel) {
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE_PER_PEER && channel.is_idle() {
            idle.push(channel);
        }
        debug_assert!(idle.len() <= MAX_IDLE_PER_PEER, "idle connections are bounded");
    }

    /// Returns the number of open idle connections.
    fn open_idle(&self) -> usize {
        let mut idle = self.lock();
        idle.retain(Channel::is_idle);
        idle.len()
    }

    fn close_idle(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        // No panic while the lock is held; the list is consistent at any time.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

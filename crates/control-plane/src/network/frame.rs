//! Frames: the length of a body (u32, big-endian), the body, and an authenticator (16 bytes: HMAC-SHA-256, truncated,
//! under the key of the connection and direction, over the frame's number, u64 from 0, and the body).
//!
//! A frame that is forged, damaged, repeated, out of order or cut short is not delivered and ends the connection: no
//! frame comes after it. A length is checked before anything is read for it, and memory grows with what arrives.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::Cut;
use super::handshake::Session;
use super::register::Place;

/// Bytes of a body, at most.
pub(crate) const MAX_FRAME_BYTES: usize = 16 << 20;
/// From the first byte of a frame to its last.
pub(super) const FRAME_TIME_LIMIT: Duration = Duration::from_secs(10);

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// What is read, written and authenticated in one go of a long frame, so that no thread is busy with it for long.
const PIECE_BYTES: usize = 64 << 10;
/// What an idle connection keeps ready for the beginning of a frame.
const IDLE_BUFFER_BYTES: usize = 4 << 10;

type HmacSha256 = Hmac<Sha256>;

/// Why frames ended, or a frame was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The peer closed the connection, between two frames.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed the connection within a frame.
    #[error("the connection ended in the middle of a frame")]
    CutShort,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// More than a frame holds. One that was to be sent was not, and the connection goes on.
    #[error("a frame of {bytes} bytes is longer than {MAX_FRAME_BYTES}")]
    TooLong {
        /// Bytes of the body.
        bytes: usize,
    },
    /// The authenticator is wrong.
    #[error("a frame was forged, damaged, repeated or out of order")]
    Forged,
    /// A frame was begun and not finished.
    #[error("a frame was not finished in time")]
    TooSlow,
    /// An authentic frame that is not what was expected.
    #[error("a frame cannot be understood")]
    Malformed(#[source] serde_json::Error),
    /// What was to be sent cannot be. Nothing was, and the connection goes on.
    #[error("a message cannot be put into a frame")]
    Encode(#[source] serde_json::Error),
    /// This node is or was paused since; a drill.
    #[error("this node was paused")]
    Paused,
    /// The peer holds as many connections as it may, and this one was silent the longest.
    #[error("the connection made room for a newer one of the same peer")]
    Displaced,
    /// An earlier error, or a `send` that was given up half-way, made the connection useless.
    #[error("the connection cannot be used any more")]
    Ended,
}

impl FrameError {
    /// Whether the peer went away before the first byte of an answer.
    pub(super) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

/// The body of a message.
///
/// # Errors
/// [`FrameError::Encode`] or [`FrameError::TooLong`].
pub(super) fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let body = serde_json::to_vec(message).map_err(FrameError::Encode)?;
    check_length(body.len()).map(|()| body)
}

fn check_length(bytes: usize) -> Result<(), FrameError> {
    if bytes > MAX_FRAME_BYTES { Err(FrameError::TooLong { bytes }) } else { Ok(()) }
}

/// An authenticated connection to another node. Sending does not wait for answers.
///
/// `recv` and `recv_bytes` may be dropped half-way: what has arrived is kept for the next call. A `send` or `send_bytes`
/// that is dropped half-way leaves half a frame behind: every later one fails with [`FrameError::Ended`].
pub(crate) struct Channel {
    sender: FrameSender,
    receiver: FrameReceiver,
}

impl Channel {
    pub(super) fn new(stream: TcpStream, session: &Session, cut: Cut, place: Option<Arc<Place>>) -> Self {
        let outbound = Outbound::new(&session.send_key, cut.clone(), place.clone());
        let inbound = Inbound::new(&session.receive_key, cut, place);
        Self::assemble(stream, outbound, inbound)
    }

    fn assemble(stream: TcpStream, outbound: Outbound, inbound: Inbound) -> Self {
        let (input, output) = stream.into_split();
        Self {
            sender: FrameSender { output, state: outbound },
            receiver: FrameReceiver { input, state: inbound },
        }
    }

    /// Sends a message as JSON. Not to be dropped half-way.
    ///
    /// # Errors
    /// [`FrameError`]; after [`FrameError::Encode`] and [`FrameError::TooLong`] the connection goes on.
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        self.sender.send(message).await
    }

    /// Sends bytes as they are. Not to be dropped half-way.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) async fn send_bytes(&mut self, body: &[u8]) -> Result<(), FrameError> {
        self.sender.send_bytes(body).await
    }

    /// The next message.
    ///
    /// # Errors
    /// [`FrameError`]; nothing is received after it.
    pub(crate) async fn recv<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        self.receiver.recv().await
    }

    /// The body of the next frame.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub(crate) async fn recv_bytes(&mut self) -> Result<Bytes, FrameError> {
        self.receiver.recv_bytes().await
    }

    /// The two directions, for two tasks.
    pub(crate) fn split(self) -> (FrameSender, FrameReceiver) {
        (self.sender, self.receiver)
    }

    /// Takes the connection off this runtime. To be called on the runtime that it is on.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let Self { sender, receiver } = self;
        let stream = receiver.input.reunite(sender.output).expect("two halves of one connection");
        Ok(Detached { stream: stream.into_std()?, outbound: sender.state, inbound: receiver.state })
    }

    /// Whether the connection is open and silent, as far as the system has heard: whatever arrives unasked makes it
    /// useless.
    pub(super) fn is_idle(&self) -> bool {
        let (outbound, inbound) = (&self.sender.state, &self.receiver.state);
        if outbound.ended || inbound.ended || inbound.cut.is_cut() || !inbound.buffer.is_empty() {
            return false;
        }
        let unasked = self.receiver.input.try_read(&mut [0]);
        matches!(unasked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A connection that is on no runtime.
pub(crate) struct Detached {
    stream: std::net::TcpStream,
    outbound: Outbound,
    inbound: Inbound,
}

impl Detached {
    /// Puts the connection on the runtime that this is called on.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn attach(self) -> io::Result<Channel> {
        Ok(Channel::assemble(TcpStream::from_std(self.stream)?, self.outbound, self.inbound))
    }
}

/// The key and the number of the next frame of one direction.
struct Seal {
    keyed: HmacSha256,
    number: u64,
}

impl Seal {
    fn new(key: &[u8; 32]) -> Self {
        Self { keyed: HmacSha256::new_from_slice(key).expect("any length of key"), number: 0 }
    }

    /// The authenticator of the next frame, to be fed with its body.
    fn next(&self) -> HmacSha256 {
        self.keyed.clone().chain_update(self.number.to_be_bytes())
    }
}

/// Sends frames.
pub(crate) struct FrameSender<W = OwnedWriteHalf> {
    output: W,
    state: Outbound,
}

struct Outbound {
    seal: Seal,
    /// Nothing can be sent any more; also while a frame is being written.
    ended: bool,
    limit: Duration,
    cut: Cut,
    /// Free again with the last owner.
    place: Option<Arc<Place>>,
}

impl Outbound {
    fn new(key: &[u8; 32], cut: Cut, place: Option<Arc<Place>>) -> Self {
        Self { seal: Seal::new(key), ended: false, limit: FRAME_TIME_LIMIT, cut, place }
    }
}

impl<W: AsyncWrite + Unpin> FrameSender<W> {
    /// As [`Channel::send`].
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        self.send_bytes(&encode(message)?).await
    }

    /// As [`Channel::send_bytes`].
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub(crate) async fn send_bytes(&mut self, body: &[u8]) -> Result<(), FrameError> {
        check_length(body.len())?;
        let Self { output, state } = self;
        if std::mem::replace(&mut state.ended, true) {
            return Err(FrameError::Ended);
        }
        let written = tokio::time::timeout(state.limit, write_frame(output, &state.seal, body));
        tokio::select! {
            biased;
            () = state.cut.cut() => return Err(state.cut.error()),
            written = written => written.map_err(|_| FrameError::TooSlow)?.map_err(FrameError::Io)?,
        }
        state.seal.number += 1;
        state.ended = false;
        if let Some(place) = &state.place {
            place.sent();
        }
        Ok(())
    }
}

async fn write_frame<W: AsyncWrite + Unpin>(output: &mut W, seal: &Seal, body: &[u8]) -> io::Result<()> {
    let mut mac = seal.next();
    let mut piece = Vec::with_capacity(LENGTH_BYTES + body.len().min(PIECE_BYTES) + TAG_BYTES);
    piece.extend((body.len() as u32).to_be_bytes());
    let mut rest = body;
    while rest.len() > PIECE_BYTES {
        let (now, later) = rest.split_at(PIECE_BYTES);
        mac.update(now);
        piece.extend(now);
        output.write_all(&piece).await?;
        piece.clear();
        rest = later;
    }
    mac.update(rest);
    piece.extend(rest);
    piece.extend(&mac.finalize().into_bytes()[..TAG_BYTES]);
    output.write_all(&piece).await
}

/// Receives frames.
pub(crate) struct FrameReceiver<R = OwnedReadHalf> {
    input: R,
    state: Inbound,
}

struct Inbound {
    seal: Seal,
    /// What has arrived of the frames that were not delivered yet.
    buffer: BytesMut,
    /// The authenticator of the frame that `buffer` begins with, and how many bytes of its body it has seen.
    mac: Option<HmacSha256>,
    authenticated: usize,
    /// When this frame was first waited for.
    begun: Option<Instant>,
    ended: bool,
    limit: Duration,
    cut: Cut,
    /// Free again with the last owner.
    place: Option<Arc<Place>>,
}

impl<R: AsyncRead + Unpin> FrameReceiver<R> {
    /// As [`Channel::recv`].
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub(crate) async fn recv<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        let body = self.recv_bytes().await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.state.ended = true;
            FrameError::Malformed(error)
        })
    }

    /// As [`Channel::recv_bytes`].
    ///
    /// # Errors
    /// As [`Channel::recv`].
    pub(crate) async fn recv_bytes(&mut self) -> Result<Bytes, FrameError> {
        if self.state.ended {
            return Err(FrameError::Ended);
        }
        let received = self.next().await;
        self.state.ended = received.is_err();
        received
    }

    async fn next(&mut self) -> Result<Bytes, FrameError> {
        let Self { input, state } = self;
        loop {
            if state.cut.is_cut() {
                return Err(state.cut.error());
            }
            if let Some(body) = state.take()? {
                if let Some(place) = &state.place {
                    place.received();
                }
                return Ok(body);
            }
            let deadline = state.deadline();
            state.make_room();
            let read = tokio::select! {
                biased;
                () = state.cut.cut() => return Err(state.cut.error()),
                read = input.read_buf(&mut state.buffer) => read.map_err(FrameError::Io)?,
                () = until(deadline) => return Err(FrameError::TooSlow),
            };
            if read == 0 {
                let whole = state.buffer.is_empty();
                return Err(if whole { FrameError::Closed } else { FrameError::CutShort });
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Inbound {
    fn new(key: &[u8; 32], cut: Cut, place: Option<Arc<Place>>) -> Self {
        Self {
            seal: Seal::new(key),
            buffer: BytesMut::new(),
            mac: None,
            authenticated: 0,
            begun: None,
            ended: false,
            limit: FRAME_TIME_LIMIT,
            cut,
            place,
        }
    }

    /// The body of the frame that the buffer begins with, once it is whole.
    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        check_length(length)?;
        let arrived = rest.len().min(length);
        let mac = self.mac.get_or_insert_with(|| self.seal.next());
        mac.update(&rest[self.authenticated..arrived]);
        self.authenticated = arrived;
        let Some(tag) = rest.get(length..length + TAG_BYTES) else {
            return Ok(None);
        };
        let mac = self.mac.take().expect("made above");
        mac.verify_truncated_left(tag).map_err(|_| FrameError::Forged)?;
        Ok(Some(self.deliver(length)))
    }

    fn deliver(&mut self, length: usize) -> Bytes {
        self.seal.number += 1;
        self.authenticated = 0;
        self.begun = None;
        self.buffer.advance(LENGTH_BYTES);
        let body = self.buffer.split_to(length).freeze();
        self.buffer.advance(TAG_BYTES);
        if length > PIECE_BYTES {
            // Not to keep a long frame's memory for the sake of what follows it.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        body
    }

    /// When the frame that is waited for must be whole; none before its first byte.
    fn deadline(&mut self) -> Option<Instant> {
        if self.buffer.is_empty() {
            return None;
        }
        Some(*self.begun.get_or_insert_with(Instant::now) + self.limit)
    }

    fn make_room(&mut self) {
        let room = if self.buffer.is_empty() { IDLE_BUFFER_BYTES } else { PIECE_BYTES };
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(room);
        }
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;

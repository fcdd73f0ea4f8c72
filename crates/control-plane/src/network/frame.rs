//! Frames: the length of a body (u32, big-endian), the body, and an authenticator (16 bytes: HMAC-SHA-256,
//! truncated, under the key of the connection and direction, over the frame's number, u64 from 0, and the
//! body).
//!
//! A forged, damaged, repeated, reordered or truncated frame is not delivered and ends the connection: no
//! frame is delivered afterwards. A length is checked before the body is read, and memory grows with the
//! received bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection_table::ConnectionSlot;
use super::handshake::Session;
use super::pause::CloseWatch;
use crate::timing::FRAME_WITHIN;
use crate::world::clock;
use crate::world::net::{DetachedStream, ReadHalf, Stream, WriteHalf};

/// Maximum length of a body.
pub(crate) const MAX_FRAME_BYTES: usize = 16 << 20;

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// Bytes of a long frame to read, write and authenticate at a time, so that a thread is never busy for
/// long.
const PIECE_BYTES: usize = 64 << 10;
/// Buffer of an idle connection, for the beginning of a frame.
const IDLE_BUFFER_BYTES: usize = 4 << 10;

type HmacSha256 = Hmac<Sha256>;

/// Failure to send or receive a frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// Connection closed by the peer, between two frames.
    #[error("the peer closed the connection")]
    Closed,
    /// Connection closed by the peer within a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// I/O error on the connection.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// Frame longer than the limit. The connection stays usable after a refused send.
    #[error("a frame of {bytes} bytes is longer than {MAX_FRAME_BYTES}")]
    TooLong {
        /// Length of the body in bytes.
        bytes: usize,
    },
    /// Wrong authenticator.
    #[error("a frame was forged, damaged, repeated or out of order")]
    Forged,
    /// Frame not finished in time.
    #[error("a frame was not finished in time")]
    TooSlow,
    /// Authentic frame with unexpected content.
    #[error("malformed frame")]
    Malformed(#[source] serde_json::Error),
    /// Message not encodable. Nothing was sent, and the connection stays usable.
    #[error("message not encodable")]
    Encode(#[source] serde_json::Error),
    /// This node was paused since the connection began; a drill.
    #[error("this node was paused")]
    Paused,
    /// Closed in favour of a newer connection of the same peer, as the longest silent connection beyond the
    /// limit.
    #[error("connection closed in favour of a newer one of the same peer")]
    Displaced,
    /// Connection unusable after an earlier error or a cancelled `send`.
    #[error("the connection cannot be used any more")]
    Ended,
}

impl FrameError {
    /// Returns the error of a frame on a closed connection.
    fn of_closed(close_watch: &CloseWatch) -> Self {
        if close_watch.is_paused() { Self::Paused } else { Self::Displaced }
    }

    /// True if the peer closed the connection before the first byte of an answer.
    pub(super) fn is_closed_by_peer(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

/// Encodes the body of a message.
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
/// `recv` and `recv_bytes` are cancel safe: received bytes are kept for the next call. A cancelled `send`
/// or `send_bytes` leaves an incomplete frame behind: every later send fails with [`FrameError::Ended`].
pub(crate) struct Channel {
    sender: FrameSender,
    receiver: FrameReceiver,
}

impl Channel {
    pub(super) fn new(
        stream: impl Into<Stream>,
        session: &Session,
        close_watch: CloseWatch,
        slot: Option<Arc<ConnectionSlot>>,
    ) -> Self {
        let outbound = SendState::new(&session.send_key, close_watch.clone(), slot.clone());
        let inbound = ReceiveState::new(&session.receive_key, close_watch, slot);
        Self::assemble(stream.into(), outbound, inbound)
    }

    fn assemble(stream: Stream, outbound: SendState, inbound: ReceiveState) -> Self {
        let (input, output) = stream.split();
        Self {
            sender: FrameSender { output, state: outbound },
            receiver: FrameReceiver { input, state: inbound },
        }
    }

    /// Sends a message as JSON. Not cancel safe.
    ///
    /// # Errors
    /// [`FrameError`]; after [`FrameError::Encode`] and [`FrameError::TooLong`] the connection stays
    /// usable.
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        self.sender.send(message).await
    }

    /// Sends raw bytes. Not cancel safe.
    ///
    /// # Errors
    /// Same as [`Self::send`].
    pub(crate) async fn send_bytes(&mut self, body: &[u8]) -> Result<(), FrameError> {
        self.sender.send_bytes(body).await
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// [`FrameError`]; no message is received afterwards.
    pub(crate) async fn recv<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        self.receiver.recv().await
    }

    /// Receives the body of the next frame.
    ///
    /// # Errors
    /// Same as [`Self::recv`].
    pub(crate) async fn recv_bytes(&mut self) -> Result<Bytes, FrameError> {
        self.receiver.recv_bytes().await
    }

    /// Splits the channel into the two directions, for two tasks.
    pub(crate) fn split(self) -> (FrameSender, FrameReceiver) {
        (self.sender, self.receiver)
    }

    /// Detaches the connection from the current runtime. Must be called on the runtime of the connection.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let Self { sender, receiver } = self;
        let stream = receiver.input.reunite(sender.output);
        Ok(Detached { stream: stream.detach()?, outbound: sender.state, inbound: receiver.state })
    }

    /// True if the connection is open and silent, as far as known to the system: unsolicited bytes make a
    /// connection unusable.
    pub(super) fn is_idle(&self) -> bool {
        let (outbound, inbound) = (&self.sender.state, &self.receiver.state);
        if outbound.ended || inbound.ended || inbound.close_watch.is_closed() || !inbound.buffer.is_empty() {
            return false;
        }
        self.receiver.input.is_silent()
    }
}

/// A connection without a runtime.
pub(crate) struct Detached {
    stream: DetachedStream,
    outbound: SendState,
    inbound: ReceiveState,
}

impl Detached {
    /// Attaches the connection to the current runtime.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub(crate) fn attach(self) -> io::Result<Channel> {
        Ok(Channel::assemble(self.stream.attach()?, self.outbound, self.inbound))
    }
}

/// Key and next frame number of one direction.
struct Seal {
    keyed: HmacSha256,
    number: u64,
}

impl Seal {
    fn new(key: &[u8; 32]) -> Self {
        Self { keyed: HmacSha256::new_from_slice(key).expect("any length of key"), number: 0 }
    }

    /// Returns the authenticator of the next frame, before the body is added.
    fn next(&self) -> HmacSha256 {
        self.keyed.clone().chain_update(self.number.to_be_bytes())
    }
}

/// Sending half of a channel.
pub(crate) struct FrameSender<W = WriteHalf> {
    output: W,
    state: SendState,
}

struct SendState {
    seal: Seal,
    /// True if no further frame can be sent; also during the write of a frame.
    ended: bool,
    limit: Duration,
    close_watch: CloseWatch,
    /// Released with the last owner.
    slot: Option<Arc<ConnectionSlot>>,
}

impl SendState {
    fn new(key: &[u8; 32], close_watch: CloseWatch, slot: Option<Arc<ConnectionSlot>>) -> Self {
        Self { seal: Seal::new(key), ended: false, limit: FRAME_WITHIN, close_watch, slot }
    }
}

impl<W: AsyncWrite + Unpin> FrameSender<W> {
    /// Same as [`Channel::send`].
    ///
    /// # Errors
    /// Same as [`Channel::send`].
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        self.send_bytes(&encode(message)?).await
    }

    /// Same as [`Channel::send_bytes`].
    ///
    /// # Errors
    /// Same as [`Channel::send`].
    pub(crate) async fn send_bytes(&mut self, body: &[u8]) -> Result<(), FrameError> {
        check_length(body.len())?;
        let Self { output, state } = self;
        if std::mem::replace(&mut state.ended, true) {
            return Err(FrameError::Ended);
        }
        let written = clock::timeout(state.limit, write_frame(output, &state.seal, body));
        tokio::select! {
            biased;
            () = state.close_watch.closed() => return Err(FrameError::of_closed(&state.close_watch)),
            written = written => written.map_err(|_| FrameError::TooSlow)?.map_err(FrameError::Io)?,
        }
        state.seal.number += 1;
        state.ended = false;
        if let Some(slot) = &state.slot {
            slot.sent();
        }
        Ok(())
    }
}

async fn write_frame<W: AsyncWrite + Unpin>(output: &mut W, seal: &Seal, body: &[u8]) -> io::Result<()> {
    debug_assert!(body.len() <= MAX_FRAME_BYTES, "the length was checked");
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

/// Receiving half of a channel.
pub(crate) struct FrameReceiver<R = ReadHalf> {
    input: R,
    state: ReceiveState,
}

struct ReceiveState {
    seal: Seal,
    /// Received bytes of undelivered frames.
    buffer: BytesMut,
    /// Authenticator of the frame at the beginning of `buffer`, and the number of authenticated bytes of
    /// the body.
    mac: Option<HmacSha256>,
    authenticated: usize,
    /// Time of the first wait for the frame.
    begun: Option<Instant>,
    ended: bool,
    limit: Duration,
    close_watch: CloseWatch,
    /// Released with the last owner.
    slot: Option<Arc<ConnectionSlot>>,
}

impl<R: AsyncRead + Unpin> FrameReceiver<R> {
    /// Same as [`Channel::recv`].
    ///
    /// # Errors
    /// Same as [`Channel::recv`].
    pub(crate) async fn recv<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        let body = self.recv_bytes().await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.state.ended = true;
            FrameError::Malformed(error)
        })
    }

    /// Same as [`Channel::recv_bytes`].
    ///
    /// # Errors
    /// Same as [`Channel::recv`].
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
            if state.close_watch.is_closed() {
                return Err(FrameError::of_closed(&state.close_watch));
            }
            if let Some(body) = state.take()? {
                if let Some(slot) = &state.slot {
                    slot.received();
                }
                return Ok(body);
            }
            let deadline = state.deadline();
            state.make_room();
            let read = tokio::select! {
                biased;
                () = state.close_watch.closed() => return Err(FrameError::of_closed(&state.close_watch)),
                read = input.read_buf(&mut state.buffer) => read.map_err(FrameError::Io)?,
                () = until(deadline) => return Err(FrameError::TooSlow),
            };
            if read == 0 {
                let whole = state.buffer.is_empty();
                return Err(if whole { FrameError::Closed } else { FrameError::Truncated });
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => clock::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl ReceiveState {
    fn new(key: &[u8; 32], close_watch: CloseWatch, slot: Option<Arc<ConnectionSlot>>) -> Self {
        Self {
            seal: Seal::new(key),
            buffer: BytesMut::new(),
            mac: None,
            authenticated: 0,
            begun: None,
            ended: false,
            limit: FRAME_WITHIN,
            close_watch,
            slot,
        }
    }

    /// Takes the body of the frame at the beginning of the buffer, once complete.
    fn take(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        check_length(length)?;
        let arrived = rest.len().min(length);
        debug_assert!(self.authenticated <= arrived, "bytes are authenticated once");
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
        debug_assert!(self.buffer.len() >= LENGTH_BYTES + length + TAG_BYTES, "the frame is complete");
        self.seal.number += 1;
        self.authenticated = 0;
        self.begun = None;
        self.buffer.advance(LENGTH_BYTES);
        let body = self.buffer.split_to(length).freeze();
        self.buffer.advance(TAG_BYTES);
        if length > PIECE_BYTES {
            // Releases the memory of a long frame.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        body
    }

    /// Returns the deadline of the current frame; none before the first byte.
    fn deadline(&mut self) -> Option<Instant> {
        if self.buffer.is_empty() {
            return None;
        }
        Some(*self.begun.get_or_insert_with(clock::now) + self.limit)
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

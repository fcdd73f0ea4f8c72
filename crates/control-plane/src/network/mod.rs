//! Communication between nodes: authenticated, bounded frames over persistent TCP connections.
//!
//! A connection begins with a mutual handshake ([`handshake`]): both sides prove that they know the
//! cluster's secret and are the intended nodes. Afterwards every frame ([`frame`]) carries an authenticator
//! under a key for the direction and connection. [`links`] calls other nodes, [`listener`] accepts
//! connections by the rules in [`places`]. The content of frames is unknown to this module. Frames are
//! authenticated, not encrypted.

mod addresses;
mod frame;
mod handshake;
mod links;
mod listener;
mod places;
mod raft_client;
mod register;
mod resolver;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

#[cfg(feature = "fuzzing")]
pub(crate) use frame::fuzzing::check as check_frames;
pub(crate) use frame::{Channel, FrameError, FrameReceiver, FrameSender};
#[cfg(feature = "fuzzing")]
pub(crate) use handshake::fuzzing::{check as check_handshake, samples as sample_handshakes};
pub(crate) use handshake::{Identity, Purpose};
pub(crate) use links::{CallError, Links, MAX_DIALLING_PER_PEER, MAX_IDLE_PER_PEER};
pub(crate) use listener::{Incoming, Listener, MAX_CLOSING, Peers};
pub(crate) use places::Rules;
pub(crate) use raft_client::Factory;
pub use register::PortFigures;
pub(crate) use register::Register;
pub(crate) use resolver::{Resolve, SystemResolver};

/// Silence on a connection before the first keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Interval between two keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered keepalive probes that end the connection.
const KEEPALIVE_COUNT: u32 = 3;

/// Sets the socket options: frames leave at once, and a vanished peer does not hold a place for ever.
fn tune(stream: &TcpStream) {
    let tuned = || -> io::Result<()> {
        use rustix::net::sockopt;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
        Ok(())
    };
    if let Err(error) = tuned() {
        debug!(%error, "cannot set the options of a connection");
    }
}

/// Pause of a node, for drills: a paused node neither calls nor answers, as if all packets were dropped.
/// Shared by all communication with other nodes.
#[derive(Debug, Clone)]
pub(crate) struct Pause(Arc<watch::Sender<bool>>);

impl Pause {
    /// Returns a pause in the resumed state.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Cuts every connection and prevents new connections.
    pub(crate) fn pause(&self) {
        self.set(true);
    }

    /// True if the node is paused.
    pub(crate) fn is_paused(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends [`Self::pause`].
    pub(crate) fn resume(&self) {
        self.set(false);
    }

    fn set(&self, paused: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, paused) != paused);
    }

    /// Waits until the node is not paused.
    async fn resumed(&self) {
        // The sender is in `self`: it cannot be dropped.
        let _ = self.0.subscribe().wait_for(|paused| !paused).await;
    }

    /// Returns a watch for operations starting now, which reports any later pause, even if already over.
    fn watch(&self) -> Cut {
        Cut { pause: self.0.subscribe(), closed: None }
    }
}

/// Watch on the end of a connection: by a pause, or because the place went to another connection.
#[derive(Debug, Clone)]
struct Cut {
    pause: watch::Receiver<bool>,
    closed: Option<CancellationToken>,
}

impl Cut {
    /// Adds a token that cuts as well.
    fn or_closed(self, closed: CancellationToken) -> Self {
        Self { closed: Some(closed), ..self }
    }

    fn is_cut(&self) -> bool {
        self.is_paused() || self.closed.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    fn is_paused(&self) -> bool {
        // The first change since is a pause. An error means that no sender is left.
        *self.pause.borrow() || self.pause.has_changed().unwrap_or(false)
    }

    /// Waits until the connection is cut. Cancel safe.
    async fn cut(&mut self) {
        if self.is_cut() {
            return;
        }
        let Self { pause, closed } = self;
        let closed = async {
            match closed {
                Some(closed) => closed.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let paused = async {
            if pause.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = paused => {}
            () = closed => {}
        }
    }

    /// Returns the error of a frame on a cut connection.
    fn error(&self) -> FrameError {
        if self.is_paused() { FrameError::Paused } else { FrameError::Displaced }
    }
}

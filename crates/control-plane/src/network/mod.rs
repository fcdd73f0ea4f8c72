//! How nodes talk: authenticated, bounded frames over TCP connections that stay open.
//!
//! A connection begins with a mutual handshake ([`handshake`]) in which both sides prove that they know the cluster's
//! secret and that they are the nodes the other one means; after it, every frame ([`frame`]) carries an authenticator
//! under a key of its own direction and connection. [`links`] calls other nodes, [`listener`] lets them in, by the rules
//! in [`places`]. What is said in the frames is not known here. Frames are authenticated, not encrypted.

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

/// Silence on a connection before the system asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered ones that end the connection.
const KEEPALIVE_COUNT: u32 = 3;

/// Frames leave at once, and a peer that vanished without a word does not keep its place for ever.
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

/// A drill: while it is paused, this node neither calls nor answers, as if its packets were dropped. Shared by
/// everything that talks to other nodes.
#[derive(Debug, Clone)]
pub(crate) struct Pause(Arc<watch::Sender<bool>>);

impl Pause {
    /// Not paused.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Cuts every connection and lets none begin.
    pub(crate) fn pause(&self) {
        self.set(true);
    }

    /// Whether it is paused.
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

    /// Returns once it is not paused.
    async fn resumed(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|paused| !paused).await;
    }

    /// What tells whoever begins something now that a pause came since, even if that is over already.
    fn watch(&self) -> Cut {
        Cut { pause: self.0.subscribe(), closed: None }
    }
}

/// Tells what began with it that it was cut: by a pause, or because its place went to another connection.
#[derive(Debug, Clone)]
struct Cut {
    pause: watch::Receiver<bool>,
    closed: Option<CancellationToken>,
}

impl Cut {
    /// The same, cut by this token as well.
    fn or_closed(self, closed: CancellationToken) -> Self {
        Self { closed: Some(closed), ..self }
    }

    fn is_cut(&self) -> bool {
        self.is_paused() || self.closed.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    fn is_paused(&self) -> bool {
        // The first change since is a pause. An error says that nobody is left who could pause.
        *self.pause.borrow() || self.pause.has_changed().unwrap_or(false)
    }

    /// Returns once it is cut. May be dropped half-way.
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

    /// The error of a frame that was cut.
    fn error(&self) -> FrameError {
        if self.is_paused() { FrameError::Paused } else { FrameError::Displaced }
    }
}

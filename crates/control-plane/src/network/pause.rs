//! Pause of all communication with other nodes, for drills.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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
    pub(super) async fn resumed(&self) {
        // The sender is in `self`: it cannot be dropped.
        let _ = self.0.subscribe().wait_for(|paused| !paused).await;
    }

    /// Returns a watch for operations starting now, which reports any later pause, even if already over.
    pub(super) fn watch(&self) -> CloseWatch {
        CloseWatch { pause: self.0.subscribe(), closed: None }
    }
}

/// Watch on the end of a connection: by a pause, or because the slot went to another connection.
#[derive(Debug, Clone)]
pub(super) struct CloseWatch {
    pause: watch::Receiver<bool>,
    closed: Option<CancellationToken>,
}

impl CloseWatch {
    /// Adds a token that closes as well.
    pub(super) fn or_closed(self, closed: CancellationToken) -> Self {
        Self { closed: Some(closed), ..self }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_paused() || self.closed.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    pub(super) fn is_paused(&self) -> bool {
        // The first change since is a pause. An error means that no sender is left.
        *self.pause.borrow() || self.pause.has_changed().unwrap_or(false)
    }

    /// Waits until the connection is closed. Cancel safe.
    pub(super) async fn closed(&mut self) {
        if self.is_closed() {
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
            biased;
            () = paused => {}
            () = closed => {}
        }
    }
}

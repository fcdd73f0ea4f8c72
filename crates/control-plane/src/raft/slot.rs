//! The place of the running Raft, which is replaced when the storage is opened again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwapOption;

use super::node::Node;
use crate::format::FormatVersion;
use crate::storage::StorageFailure;

/// The running Raft of the local node, or the failure that keeps Raft from running.
#[derive(Default)]
pub(crate) struct RaftSlot {
    /// The running Raft; none while the storage is being reopened.
    node: ArcSwapOption<Node>,
    /// Failure that ended Raft or keeps the storage from opening; none while Raft runs.
    failure: Mutex<Option<StorageFailure>>,
    /// True if Raft was ended by request, not by a failure, and is to be started anew.
    restart_requested: AtomicBool,
}

impl RaftSlot {
    /// Returns the running Raft.
    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.node.load_full()
    }

    /// Stores a Raft that has just started.
    pub(crate) fn store(&self, node: Node) {
        let replaced = self.node.swap(Some(Arc::new(node)));
        debug_assert!(replaced.is_none(), "the previous Raft is taken before the next is opened");
    }

    /// Takes the running Raft, to close it.
    pub(crate) fn take(&self) -> Option<Arc<Node>> {
        self.node.swap(None)
    }

    /// Returns the format version activated by the cluster, as far as the local node has applied.
    pub(crate) fn activated(&self) -> FormatVersion {
        self.node.load().as_ref().map_or(FormatVersion::FIRST, |node| node.state.activated_version())
    }

    /// Returns the failure that keeps Raft from running.
    pub(crate) fn failure(&self) -> Option<StorageFailure> {
        self.lock().clone()
    }

    /// Records a storage failure, or its end. True if a failure was recorded before.
    pub(crate) fn fail(&self, failure: Option<StorageFailure>) -> bool {
        std::mem::replace(&mut *self.lock(), failure).is_some()
    }

    /// Records a storage failure unless one is recorded.
    pub(crate) fn fail_first(&self, failure: StorageFailure) {
        self.lock().get_or_insert(failure);
    }

    /// Requests that Raft, which is about to end, is started anew without a pause.
    pub(crate) fn request_restart(&self) {
        self.restart_requested.store(true, Ordering::Relaxed);
    }

    /// Takes the request for a restart.
    pub(crate) fn take_restart_request(&self) -> bool {
        self.restart_requested.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<StorageFailure>> {
        self.failure.lock().expect("no panic while it is held")
    }
}

//! The place of the running Raft, which is replaced when the storage is opened again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use arc_swap::ArcSwapOption;

use super::node::Node;
use crate::format::FormatVersion;
use crate::message::Divergence;
use crate::storage::StorageFailure;
use crate::world::task;

/// The running Raft of the local node, or the failure that keeps Raft from running.
#[derive(Default)]
pub(crate) struct RaftSlot {
    /// The running Raft; none while the storage is being reopened.
    node: ArcSwapOption<Node>,
    /// Failure that ended Raft or keeps the storage from opening; none while Raft runs.
    failure: Mutex<Option<StorageFailure>>,
    /// True if Raft was ended by request, not by a failure, and is to be started anew.
    restart_requested: AtomicBool,
    /// The last Raft of a node whose history differs from that of the others: its state remains readable.
    diverged: ArcSwapOption<Diverged>,
    /// Time since when the directory is known to have lost votes or entries.
    excluded_since: Mutex<Option<Instant>>,
}

/// A node with an applied entry that the leader of its cluster does not have.
pub(crate) struct Diverged {
    /// The ended Raft.
    pub node: Arc<Node>,
    /// The difference.
    pub divergence: Divergence,
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

    /// Returns the ended Raft of a node whose history differs.
    pub(crate) fn diverged(&self) -> Option<Arc<Diverged>> {
        self.diverged.load_full()
    }

    /// Takes the node out of its cluster, since an applied entry differs from the leader's. Nothing is cut.
    pub(crate) fn diverge(&self, node: &Arc<Node>, divergence: Divergence, data_dir: &Path) {
        if !node.exclude() {
            return;
        }
        self.fail(Some(StorageFailure::diverged(data_dir, &divergence)));
        self.diverged.store(Some(Arc::new(Diverged { node: Arc::clone(node), divergence })));
        end_raft(node);
    }

    /// Takes the node out of its cluster, since its directory has lost votes or entries.
    pub(crate) fn revert(&self, node: &Arc<Node>, data_dir: &Path, reason: String) {
        if node.exclude() {
            self.fail(Some(StorageFailure::reverted(data_dir, data_dir, reason)));
            end_raft(node);
        }
    }

    /// Returns the time since when the node takes no part, `now` for a node just taken out.
    pub(crate) fn excluded_since(&self, now: Instant) -> Instant {
        *self.excluded_since.lock().expect("no panic while it is held").get_or_insert(now)
    }

    /// Records that the directory was replaced.
    pub(crate) fn excluded_since_ends(&self) {
        *self.excluded_since.lock().expect("no panic while it is held") = None;
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

/// Ends Raft; the supervisor observes the end and does the rest.
fn end_raft(node: &Arc<Node>) {
    let raft = node.raft.clone();
    task::spawn(async move { raft.shutdown().await });
}

//! Read access to the applied state for the rest of the node.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::watch;

use super::applied::Applied;
use super::state_file::StateFile;
use crate::catalog::Catalog;
use crate::format::{Activated, FormatVersion, NeedsRelease};
use crate::types::LogId;
use crate::world::task;

/// The applied state, in memory. Cheap to clone; follows the originating [`super::StateMachine`] until
/// closed.
#[derive(Clone)]
pub(crate) struct StateView(Arc<ViewState>);

struct ViewState {
    applied: RwLock<Applied>,
    reached: watch::Sender<Option<u64>>,
    file: Arc<StateFile>,
    /// Release required for committed data unreadable by this release.
    needed: OnceLock<NeedsRelease>,
}

impl StateView {
    pub(super) fn new(applied: Applied, file: Arc<StateFile>) -> Self {
        let reached = watch::Sender::new(applied.progress.last_applied.as_ref().map(|id| id.index));
        let (applied, needed) = (RwLock::new(applied), OnceLock::new());
        Self(Arc::new(ViewState { applied, reached, file, needed }))
    }

    /// Calls `look` with the catalogue. No entry is applied during the call, which must be short.
    pub(crate) fn catalog<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        self.with_applied(|applied| look(&applied.catalog))
    }

    /// Returns the last applied entry.
    pub(crate) fn last_applied(&self) -> Option<LogId> {
        self.with_applied(|applied| applied.progress.last_applied)
    }

    /// Returns the time to which a command of the local node, as the leader of `term`, advances the
    /// catalogue's clock; 0 if the command leaves the clock alone.
    pub(crate) fn stamp_ms(&self, term: u64) -> u64 {
        self.with_applied(|applied| applied.stamp_ms(term))
    }

    /// Returns the last applied membership.
    #[cfg(test)]
    pub(crate) fn membership(&self) -> crate::types::StoredMembership {
        self.with_applied(|applied| applied.progress.membership.clone())
    }

    /// Returns the greatest number of voters of any uniform membership applied so far.
    pub(crate) fn largest_voter_set(&self) -> usize {
        self.with_applied(|applied| applied.progress.largest_voter_set)
    }

    /// Returns the activated version of the formats.
    pub(crate) fn activated(&self) -> Activated {
        self.with_applied(|applied| applied.progress.activated.clone())
    }

    /// Returns the activated version without the release.
    pub(crate) fn activated_version(&self) -> FormatVersion {
        self.with_applied(|applied| applied.progress.activated.version)
    }

    /// Records committed data unreadable by this release.
    pub(crate) fn note_needed(&self, needed: &NeedsRelease) {
        // The first record suffices.
        let _ = self.0.needed.set(needed.clone());
    }

    /// Returns the release required for committed data unreadable by this release.
    pub(crate) fn needed(&self) -> Option<&NeedsRelease> {
        self.0.needed.get()
    }

    /// Waits until the entry at `index` is applied. Never returns if the state machine is closed before.
    pub(crate) async fn wait_applied(&self, index: u64) {
        let mut reached = self.0.reached.subscribe();
        // The sender lives as long as this view.
        let _ = reached.wait_for(|reached| *reached >= Some(index)).await;
    }

    /// Makes the state durable, closes the file and releases the file lock, regardless of other handles. No
    /// entry is applied afterwards.
    pub(crate) async fn close(&self) {
        let file = self.0.file.clone();
        // A panic of the library leaves the file for the next open to verify.
        let _ = task::blocking(move || file.close()).await;
    }

    pub(super) fn with_applied<T>(&self, look: impl FnOnce(&Applied) -> T) -> T {
        look(&self.0.applied.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Applied) -> T) -> T {
        change(&mut self.0.applied.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notifies waiters of the last applied entry.
    pub(super) fn announce(&self) {
        let reached = self.last_applied().map(|id| id.index);
        let before = self.0.reached.send_replace(reached);
        debug_assert!(before <= reached, "the applied index never decreases");
    }
}

//! The applied state as the rest of the node sees it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::watch;

use super::state_file::{Progress, StateFile};
use crate::LogId;
use crate::catalog::Catalog;
use crate::format::{Activated, FormatVersion, NeedsRelease};

/// Everything that applying entries makes.
#[derive(Default)]
pub(super) struct Applied {
    /// What the commands made.
    pub catalog: Catalog,
    /// How far they were applied.
    pub progress: Progress,
}

/// The applied state, in memory. Cheap to clone; follows the [`super::StateMachine`] that it came from, and is at rest
/// once that one is closed.
#[derive(Clone)]
pub(crate) struct StateView(Arc<Shared>);

struct Shared {
    applied: RwLock<Applied>,
    reached: watch::Sender<Option<u64>>,
    file: Arc<StateFile>,
    /// The release that reads what was committed and cannot be read here.
    needed: OnceLock<NeedsRelease>,
}

impl StateView {
    pub(super) fn new(applied: Applied, file: Arc<StateFile>) -> Self {
        let reached = watch::Sender::new(applied.progress.last_applied.as_ref().map(|id| id.index));
        let (applied, needed) = (RwLock::new(applied), OnceLock::new());
        Self(Arc::new(Shared { applied, reached, file, needed }))
    }

    /// Has `look` look at the catalogue. No entry is applied meanwhile: it must not take long.
    pub(crate) fn catalog<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        self.look(|applied| look(&applied.catalog))
    }

    /// The last applied entry.
    pub(crate) fn last_applied(&self) -> Option<LogId> {
        self.look(|applied| applied.progress.last_applied)
    }

    /// The last applied membership.
    #[cfg(test)]
    pub(crate) fn membership(&self) -> crate::StoredMembership {
        self.look(|applied| applied.progress.membership.clone())
    }

    /// The greatest number of voters that any applied uniform membership ever had.
    pub(crate) fn largest_voter_set(&self) -> usize {
        self.look(|applied| applied.progress.largest_voter_set)
    }

    /// The activated version of the formats.
    pub(crate) fn activated(&self) -> Activated {
        self.look(|applied| applied.progress.activated.clone())
    }

    /// The same without its release.
    pub(crate) fn activated_version(&self) -> FormatVersion {
        self.look(|applied| applied.progress.activated.version)
    }

    /// Notes that something was committed that this release cannot read.
    pub(crate) fn note_needed(&self, needed: &NeedsRelease) {
        // The first one says enough.
        let _ = self.0.needed.set(needed.clone());
    }

    /// The release that reads what was committed and cannot be read here.
    pub(crate) fn needed(&self) -> Option<&NeedsRelease> {
        self.0.needed.get()
    }

    /// Waits until the entry at `index` is applied. For ever, if the state machine is closed before.
    pub(crate) async fn wait_applied(&self, index: u64) {
        let mut reached = self.0.reached.subscribe();
        // The sender lives as long as this view.
        let _ = reached.wait_for(|reached| *reached >= Some(index)).await;
    }

    /// Makes the state durable, closes its file and gives up its lock, whoever still has a handle. Nothing is applied
    /// any more.
    pub(crate) async fn close(&self) {
        let file = self.0.file.clone();
        // A panic of the library leaves the file for the next open to verify.
        let _ = tokio::task::spawn_blocking(move || file.close()).await;
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Applied) -> T) -> T {
        look(&self.0.applied.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Applied) -> T) -> T {
        change(&mut self.0.applied.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes who waits for what is applied now.
    pub(super) fn announce(&self) {
        self.0.reached.send_replace(self.last_applied().map(|id| id.index));
    }
}

//! Permits for reads and writes in flight on the local node.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::descriptors::Descriptors;
use crate::errors::ControlError;

/// Permits of one kind, up to a limit.
struct Limit {
    permits: Arc<Semaphore>,
    max: usize,
}

impl Limit {
    fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), max }
    }

    fn take(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.map_err(|_| ControlError::Overloaded { max: self.max })
    }
}

/// Permits for the calls of one node. Reads have permits of their own, so that writes continue under any
/// number of reads.
pub(crate) struct Permits {
    writes: Limit,
    reads: Limit,
}

impl Permits {
    /// Creates the permits that the file descriptors allow.
    pub(crate) fn new(descriptors: &Descriptors) -> Self {
        Self { writes: Limit::new(descriptors.writes()), reads: Limit::new(descriptors.reads()) }
    }

    /// Takes a permit for a write.
    ///
    /// # Errors
    /// [`ControlError::Overloaded`] with the limit.
    pub(crate) fn write(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        self.writes.take()
    }

    /// Takes a permit for a linearizable read.
    ///
    /// # Errors
    /// [`ControlError::Overloaded`] with the limit.
    pub(crate) fn read(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        self.reads.take()
    }
}

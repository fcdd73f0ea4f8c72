//! Runtime of a command that asks a cluster.

use tokio::runtime::Runtime;

use crate::failure::Failure;

/// Builds a runtime on the calling thread.
///
/// # Errors
/// If the system refuses what a runtime needs.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::setup(&error.into()))
}

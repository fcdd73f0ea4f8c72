//! The supervisor that keeps Raft running, and opens its storage again after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::error::OpenError;
use super::open;
use crate::backoff::Backoff;
use crate::core::Core;
use crate::storage::{LOG_FILE, StorageFailure};
use crate::timing::{STORAGE_CLOSE_WITHIN, STORAGE_REOPEN_BACKOFF};

/// Opens the storage and keeps Raft running on the storage: after a failure, the storage is reopened and
/// verified. The data plane is not affected. `first` receives the result of the first attempt: a mistake of
/// the operator, after which no attempt follows, or success in any other case.
pub(crate) async fn supervise(core: Arc<Core>, first: oneshot::Sender<Result<(), OpenError>>) {
    let mut first = Some(first);
    let mut backoff = Backoff::new(STORAGE_REOPEN_BACKOFF);
    while open_until_it_works(&core, &mut backoff, &mut first).await {
        let running_since = Instant::now();
        let Some(ended) = core.stopping.run_until_cancelled(until_fatal(&core)).await else { return };
        if let Some(failure) = needs_release(&core) {
            let StorageFailure { file, error, remedy, .. } = &failure;
            error!(file = %file.display(), error, remedy, "raft ended: the cluster needs a newer release here");
            core.fail(Some(failure));
            close(&core).await;
            // Only another binary repairs the failure.
            return core.stopping.cancelled().await;
        }
        let wanted = core.restart_wanted.swap(false, Ordering::Relaxed);
        if !wanted {
            let failure = ended_failure(&core, ended);
            error!(file = %failure.file.display(), error = failure.error, "raft ended; opening its storage again");
            core.fail(Some(failure));
        }
        close(&core).await;
        if wanted || running_since.elapsed() > 2 * STORAGE_REOPEN_BACKOFF.1 {
            backoff.reset();
        }
        // Without a failure there is no reason to wait.
        if !wanted && !wait_to_reopen(&core, backoff.pause()).await {
            return;
        }
    }
}

/// Opens the storage in as many attempts as necessary. False if the node stops.
async fn open_until_it_works(
    core: &Arc<Core>,
    backoff: &mut Backoff,
    first: &mut Option<oneshot::Sender<Result<(), OpenError>>>,
) -> bool {
    loop {
        let error = match open::open(core).await {
            Ok(node) => {
                core.node.store(Some(Arc::new(node)));
                if core.stopping.is_cancelled() {
                    close(core).await;
                    return false;
                }
                if core.fail(None) {
                    info!("storage opened");
                }
                // The caller that started the node may have stopped waiting.
                let _ = first.take().map(|first| first.send(Ok(())));
                core.changed.notify_waiters();
                return true;
            }
            Err(error) => error,
        };
        let failure = error.failure(core.data.path());
        if error.is_mistake()
            && let Some(first) = first.take().filter(|first| !first.is_closed())
        {
            let _ = first.send(Err(error));
            return false;
        }
        let pause = backoff.pause();
        let StorageFailure { file, error, remedy, .. } = &failure;
        error!(file = %file.display(), error, remedy, retry_ms = pause.as_millis() as u64, "cannot open the storage");
        core.fail(Some(failure));
        let _ = first.take().map(|first| first.send(Ok(())));
        if !wait_to_reopen(core, pause).await {
            return false;
        }
    }
}

/// Waits for `pause`. False if the node stops.
async fn wait_to_reopen(core: &Core, pause: Duration) -> bool {
    core.stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
}

/// Returns the failure that ended Raft at a committed entry that only a newer release reads.
fn needs_release(core: &Core) -> Option<StorageFailure> {
    let node = core.node.load_full()?;
    let needed = node.state.needed()?;
    let dir = core.data.path();
    Some(StorageFailure::needs(&dir.join(LOG_FILE), dir, needed.to_string(), &needed.release))
}

/// Returns the failure that ended Raft, with the file if known.
fn ended_failure(core: &Core, ended: String) -> StorageFailure {
    let dir = core.data.path();
    let Some(node) = core.node.load_full() else { return StorageFailure::other(dir, dir, ended) };
    let (file, reason) = match node.log.failure() {
        Some(reason) => (dir.join(LOG_FILE), reason),
        None => (dir.to_owned(), ended),
    };
    if node.room.may_open().is_err() {
        return StorageFailure::full(&file, dir, reason);
    }
    StorageFailure::other(&file, dir, reason)
}

/// Waits for the running Raft to end by itself; returns the cause.
async fn until_fatal(core: &Core) -> String {
    let Some(node) = core.node.load_full() else { return "it is not running".to_owned() };
    let mut metrics = node.raft.metrics();
    drop(node);
    loop {
        if let Err(fatal) = &metrics.borrow_watched().running_state {
            return fatal.to_string();
        }
        if metrics.changed().await.is_err() {
            return "it stopped".to_owned();
        }
    }
}

/// Ends the running Raft and closes its files, even if handles remain in use.
pub(crate) async fn close(core: &Core) {
    let Some(node) = core.node.swap(None) else { return };
    let closing = async {
        let _ = node.raft.shutdown().await;
        // The log first: applied entries must be durable in the log.
        node.log.clone().close().await;
        node.state.close().await;
    };
    if tokio::time::timeout(STORAGE_CLOSE_WITHIN, closing).await.is_err() {
        error!("the storage does not close in time; what was promised is on disk already");
    }
}

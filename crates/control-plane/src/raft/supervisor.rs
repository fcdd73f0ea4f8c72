//! The supervisor that keeps Raft running, and opens its storage again after a failure.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::error::RaftOpenError;
use super::open;
use super::slot::RaftSlot;
use crate::backoff::Backoff;
use crate::error_chain::text_with_sources;
use crate::identity::DataDir;
use crate::network::Links;
use crate::observer::Observer;
use crate::options::Options;
use crate::signals::Signals;
use crate::storage::{LOG_FILE, StorageFailure};
use crate::timing::{
    EXCLUDED_BEFORE_REPLACED, REPLACEMENT_CHECK_INTERVAL, SET_ASIDE_RETRY_AFTER, STORAGE_CLOSE_WITHIN,
    STORAGE_REOPEN_BACKOFF,
};
use crate::world::{self, Note, clock, task};

/// The supervisor of one data directory.
pub(crate) struct Supervisor {
    pub options: Arc<Options>,
    pub data: Arc<DataDir>,
    pub links: Links,
    pub raft: Arc<RaftSlot>,
    pub signals: Arc<Signals>,
    pub observer: Arc<Observer>,
}

impl Supervisor {
    /// Opens the storage and keeps Raft running on the storage: after a failure, the storage is reopened and
    /// verified. The data plane is not affected. `first` receives the result of the first attempt: a mistake
    /// of the operator, after which no attempt follows, or success in any other case.
    pub(crate) async fn run(self, first: oneshot::Sender<Result<(), RaftOpenError>>) {
        let mut first = Some(first);
        let mut backoff = Backoff::new(STORAGE_REOPEN_BACKOFF);
        while self.open(&mut backoff, &mut first).await {
            let running_since = clock::now();
            let Some(ended) = self.signals.unless_stopped(until_fatal(&self.raft)).await else { return };
            if let Some(failure) = self.needs_release() {
                let StorageFailure { file, error, remedy, .. } = &failure;
                error!(file = %file.display(), error, remedy, "raft ended; newer release required");
                self.raft.fail(Some(failure));
                close(&self.raft).await;
                // Only another binary repairs the failure.
                return self.signals.stopping().cancelled().await;
            }
            if self.raft.diverged().is_some() {
                self.log_exclusion("history differs from the leader's; raft ended, nothing moved");
                close(&self.raft).await;
                // Only an operator decides which history counts.
                return self.signals.stopping().cancelled().await;
            }
            if self.is_reverted() {
                self.log_exclusion("data directory went back in time; raft ended");
                close(&self.raft).await;
                if !self.replace_directory(None).await {
                    return;
                }
                backoff.reset();
                continue;
            }
            let wanted = self.raft.take_restart_request();
            if !wanted {
                let failure = self.ended_failure(ended);
                error!(file = %failure.file.display(), error = failure.error, "raft ended; storage to be reopened");
                self.raft.fail(Some(failure));
            }
            close(&self.raft).await;
            if wanted || clock::since(running_since) > 2 * STORAGE_REOPEN_BACKOFF.1 {
                backoff.reset();
            }
            // Without a failure there is no reason to wait.
            if !wanted && !self.signals.sleep(backoff.pause()).await {
                return;
            }
        }
    }

    /// Opens the storage in as many attempts as necessary. False if the node stops.
    async fn open(
        &self,
        backoff: &mut Backoff,
        first: &mut Option<oneshot::Sender<Result<(), RaftOpenError>>>,
    ) -> bool {
        loop {
            debug_assert!(self.raft.node().is_none(), "one Raft at a time");
            let error = match open::open(&self.options, &self.data, &self.links).await {
                Ok(node) => {
                    // Before the new Raft may fail.
                    let had_failed = self.raft.fail(None);
                    self.raft.excluded_since_ends();
                    self.raft.store(node);
                    self.allow_elections_once_verified();
                    if self.signals.is_stopping() {
                        close(&self.raft).await;
                        return false;
                    }
                    if had_failed {
                        info!("storage opened");
                    }
                    // The caller that started the node may have stopped waiting.
                    let _ = first.take().map(|first| first.send(Ok(())));
                    self.signals.wake();
                    return true;
                }
                Err(error) => error,
            };
            let failure = error.failure(self.data.path());
            if error.is_mistake()
                && let Some(first) = first.take().filter(|first| !first.is_closed())
            {
                let _ = first.send(Err(error));
                return false;
            }
            let pause = backoff.pause();
            let StorageFailure { file, error, remedy, .. } = &failure;
            error!(file = %file.display(), error, remedy, retry_ms = pause.as_millis() as u64, "cannot open the storage");
            let reverted = failure.reverted;
            self.raft.fail(Some(failure));
            let _ = first.take().map(|first| first.send(Ok(())));
            let goes_on = if reverted {
                self.replace_directory(Some(pause)).await
            } else {
                self.signals.sleep(pause).await
            };
            if !goes_on {
                return false;
            }
        }
    }

    /// Lets Raft's timers start elections once the peers were heard.
    fn allow_elections_once_verified(&self) {
        let Some(node) = self.raft.node() else { return };
        let signals = Arc::clone(&self.signals);
        task::spawn(async move {
            if signals.unless_stopped(node.verification.done()).await.is_some() && node.may_promise() {
                node.raft.runtime_config().elect(true);
                signals.wake();
            }
        });
    }

    fn is_reverted(&self) -> bool {
        self.raft.failure().is_some_and(|failure| failure.reverted)
    }

    fn log_exclusion(&self, what: &str) {
        if let Some(StorageFailure { file, error, remedy, .. }) = self.raft.failure() {
            error!(file = %file.display(), error, remedy, "{what}");
        }
    }

    /// Replaces a directory that has lost votes or entries, once the others are a quorum without it. Returns
    /// after `limit` in any case. False if the node stops.
    async fn replace_directory(&self, limit: Option<Duration>) -> bool {
        let since = clock::now();
        let excluded_since = self.raft.excluded_since(since);
        while limit.is_none_or(|limit| clock::since(since) < limit) {
            if !self.signals.sleep(REPLACEMENT_CHECK_INTERVAL).await {
                return false;
            }
            if clock::since(excluded_since) < EXCLUDED_BEFORE_REPLACED {
                continue;
            }
            let Some(cluster) = self.observer.cluster_without_us() else { continue };
            let data = Arc::clone(&self.data);
            let unix_s = clock::unix_time().as_secs();
            let moved = task::blocking(move || data.set_aside(cluster, unix_s)).await;
            match moved {
                Ok(Ok(aside)) => {
                    world::note(Note::SetAside);
                    warn!(aside = %aside.display(), cluster = %cluster, "data directory set aside; joining anew");
                    return true;
                }
                Ok(Err(failed)) => {
                    let failed = text_with_sources(&failed);
                    error!(error = failed, "cannot set the data directory aside; move it away by hand");
                }
                Err(failed) => error!(error = %failed, "cannot set the data directory aside"),
            }
            if !self.signals.sleep(SET_ASIDE_RETRY_AFTER).await {
                return false;
            }
        }
        true
    }

    /// Returns the failure that ended Raft at a committed entry that only a newer release reads.
    fn needs_release(&self) -> Option<StorageFailure> {
        let node = self.raft.node()?;
        let needed = node.state.needed()?;
        let dir = self.data.path();
        Some(StorageFailure::needs(&dir.join(LOG_FILE), dir, needed.to_string(), &needed.release))
    }

    /// Returns the failure that ended Raft, with the file if known.
    fn ended_failure(&self, ended: String) -> StorageFailure {
        let dir = self.data.path();
        let Some(node) = self.raft.node() else { return StorageFailure::other(dir, dir, ended) };
        let (file, reason) = match node.log.failure() {
            Some(reason) => (dir.join(LOG_FILE), reason),
            None => (dir.to_owned(), ended),
        };
        if node.disk.may_open().is_err() {
            return StorageFailure::full(&file, dir, reason);
        }
        StorageFailure::other(&file, dir, reason)
    }
}

/// Waits for the running Raft to end by itself; returns the cause.
async fn until_fatal(raft: &RaftSlot) -> String {
    let Some(node) = raft.node() else { return "it is not running".to_owned() };
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
pub(crate) async fn close(raft: &RaftSlot) {
    let Some(node) = raft.take() else { return };
    let closing = async {
        let _ = node.raft.shutdown().await;
        // The log first: applied entries must be durable in the log.
        node.log.clone().close().await;
        node.state.close().await;
    };
    if clock::timeout(STORAGE_CLOSE_WITHIN, closing).await.is_err() {
        error!("storage not closed in time; acknowledged writes are durable");
    }
}

//! The storage test suite of openraft.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::*;
use crate::types::TypeConfig;

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = open_log(&dir.path().join(LOG_FILE)).unwrap();
        // The suite applies entries that it never appends.
        let state = state_in(dir.path());
        Ok((dir, log, state))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_is_content() {
    Suite::test_all(OnDisk).await.unwrap();
}

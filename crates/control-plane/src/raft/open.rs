//! Opening of the storage, and the start of Raft on the storage.

use std::sync::Arc;

use openraft::Raft;

use super::client::Factory;
use super::config::{entries_kept, raft_config};
use super::error::OpenError;
use super::node::Node;
use crate::core::Core;
use crate::storage::{self, LOG_FILE, Storage, Unopened};

/// Opens the data directory and the storage of `core`, and starts Raft.
pub(crate) async fn open(core: &Arc<Core>) -> Result<Node, OpenError> {
    let options = &core.options;
    let kept = entries_kept(options.max_log_bytes);
    let config = raft_config(&options.cluster_name, &options.timing, options.snapshot_every, kept)
        .map_err(|error| OpenError::Timers(error.to_string()))?;
    let opening = Arc::clone(core);
    let opened = tokio::task::spawn_blocking(move || {
        opening.data.open()?;
        storage::open(opening.data.path(), opening.options.max_log_bytes).map_err(OpenError::Storage)
    });
    // A panic of the library on damaged bytes counts as a failure.
    let Storage { log, state: machine, room } =
        opened.await.map_err(|error| OpenError::Raft(error.to_string()))??;
    let state = machine.view();
    let factory = Factory::new(Arc::clone(core));
    let id = core.identity().raft_id;
    let raft = Raft::new(id, Arc::new(config), factory, log.clone(), machine).await;
    let raft = raft.map_err(|error| match state.needed() {
        Some(needed) => {
            let (file, error) = (core.data.path().join(LOG_FILE), needed.clone().into());
            OpenError::Storage(Unopened { file, error })
        }
        None => OpenError::Raft(error.to_string()),
    })?;
    Ok(Node::new(raft, state, log, room))
}

//! Opening of the storage, and the start of Raft on the storage.

use std::sync::Arc;

use openraft::Raft;

use super::client::Factory;
use super::config::{entries_kept, raft_config};
use super::error::RaftOpenError;
use super::node::Node;
use crate::identity::DataDir;
use crate::network::Links;
use crate::options::Options;
use crate::storage::{self, LOG_FILE, Storage, Unopened};
use crate::world::task;

/// Opens the data directory and its storage, and starts Raft.
///
/// # Errors
/// [`RaftOpenError`] if the directory or the storage cannot be opened, or if openraft does not start.
pub(super) async fn open(
    options: &Options,
    data: &Arc<DataDir>,
    links: &Links,
) -> Result<Node, RaftOpenError> {
    let kept = entries_kept(options.max_log_bytes);
    let config = raft_config(&options.cluster_name, &options.timing, options.snapshot_every, kept)
        .map_err(|error| RaftOpenError::Timers(error.to_string()))?;
    let (opening, max_log_bytes) = (Arc::clone(data), options.max_log_bytes);
    let opened = task::blocking(move || {
        opening.open()?;
        storage::open(opening.path(), max_log_bytes).map_err(RaftOpenError::Storage)
    });
    // A panic of the library on damaged bytes counts as a failure.
    let Storage { log, state: machine, disk } =
        opened.await.map_err(|error| RaftOpenError::Raft(error.to_string()))??;
    let state = machine.view();
    let factory = Factory::new(Arc::clone(data), links.clone(), state.clone());
    let id = data.identity().raft_id;
    let raft = Raft::new(id, Arc::new(config), factory, log.clone(), machine).await;
    let raft = raft.map_err(|error| match state.needed() {
        Some(needed) => {
            let (file, error) = (data.path().join(LOG_FILE), needed.clone().into());
            RaftOpenError::Storage(Unopened { file, error })
        }
        None => RaftOpenError::Raft(error.to_string()),
    })?;
    Ok(Node::new(raft, state, log, disk))
}

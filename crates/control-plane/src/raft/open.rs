//! Opening of the storage, and the start of Raft on the storage.

use std::sync::Arc;

use openraft::Raft;

use super::client::Factory;
use super::config::{entries_kept, raft_config};
use super::directories::Directories;
use super::error::RaftOpenError;
use super::node::Node;
use crate::identity::DataDir;
use crate::network::Links;
use crate::options::Options;
use crate::storage::{self, LOG_FILE, LogOwner, Storage, Unopened};
use crate::verification::Verification;
use crate::world::clock;
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
        let identity = opening.identity();
        let owner = LogOwner { raft_id: identity.raft_id, is_member: identity.cluster_id.is_some() };
        storage::open(opening.path(), max_log_bytes, owner).map_err(RaftOpenError::Storage)
    });
    // A panic of the library on damaged bytes counts as a failure.
    let Storage { log, state: machine, disk } =
        opened.await.map_err(|error| RaftOpenError::Raft(error.to_string()))??;
    let state = machine.view();
    let directories = Arc::new(Directories::new(log.clone()));
    let factory = Factory::new(Arc::clone(data), links.clone(), state.clone(), Arc::clone(&directories));
    let id = data.identity().raft_id;
    let raft = Raft::new(id, Arc::new(config), factory, log.clone(), machine).await;
    let raft = raft.map_err(|error| match state.needed() {
        Some(needed) => {
            let (file, error) = (data.path().join(LOG_FILE), needed.clone().into());
            RaftOpenError::Storage(Unopened { file, error })
        }
        None => RaftOpenError::Raft(error.to_string()),
    })?;
    // No peer has heard of an identity that was just minted.
    let others = options.nodes.iter().filter(|node| node.name != options.me && !data.is_new());
    let verification = Verification::begin(others.map(|node| node.name.clone()), clock::now());
    if !verification.is_done(clock::now()) {
        raft.runtime_config().elect(false);
    }
    Ok(Node::new(raft, state, log, disk, directories, verification))
}

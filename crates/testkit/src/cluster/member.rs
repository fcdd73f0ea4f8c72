//! One node of a cluster: folder and process.
//!
//! Each node has a folder of its own with the files of a device: `config/cluster.yaml`, `config/cluster.key`,
//! `data`, and `log`. The configurations are identical byte for byte; the admin token therefore lies in one
//! place for all nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use local_cluster::{LocalNode, NodeSpec};

use crate::addresses::NodeAddress;
use crate::node::exit_status;
use crate::server_program::settings_in_environment;

/// One node of a cluster, running or stopped.
#[derive(Debug)]
pub struct Member {
    /// The node id, such as `n1`.
    pub id: String,
    /// The node's addresses.
    pub address: NodeAddress,
    pub(super) folder: PathBuf,
    pub(super) node: LocalNode,
}

impl Member {
    /// Creates a stopped node with its files below `folder`; `prefix` is put in front of the command: a
    /// network namespace, a limit.
    pub(super) fn new(
        id: String,
        address: NodeAddress,
        folder: PathBuf,
        program: &Path,
        prefix: Vec<String>,
        args: Vec<String>,
    ) -> Self {
        let spec = NodeSpec {
            id: id.clone(),
            program: program.to_owned(),
            prefix,
            config: folder.join("config/cluster.yaml"),
            data_dir: folder.join("data"),
            log: folder.join("log"),
            pid_file: None,
            args: args.into_iter().map(Into::into).collect(),
            working_dir: Some(folder.clone()),
            hidden_variables: settings_in_environment(),
            stops_with_parent: false,
        };
        Self { id, address, folder, node: LocalNode::new(spec) }
    }

    /// Returns the path of the configuration file.
    pub fn config_path(&self) -> &Path {
        &self.node.spec().config
    }

    /// Returns the path of the node's copy of the cluster key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("config/cluster.key")
    }

    /// Returns the path of the data directory.
    pub fn data_dir(&self) -> &Path {
        &self.node.spec().data_dir
    }

    /// Returns the path of the log, shared by all processes of the node in turn.
    pub fn log_path(&self) -> &Path {
        &self.node.spec().log
    }

    /// True if the node's process was started and has not ended.
    pub fn is_running(&self) -> bool {
        self.node.is_running()
    }

    /// Creates the configuration folder, with this node's copy of the cluster key.
    pub(super) fn write_key(&self, key: &str) {
        fs::create_dir_all(self.folder.join("config")).expect("a folder for the configuration");
        write_private(&self.key_path(), key);
    }

    /// Describes the state of the node's process, for messages.
    pub(super) fn state(&self) -> String {
        let Some(process) = self.node.process() else { return "not started".to_owned() };
        match exit_status(process) {
            Some(status) => format!("ended: {status}"),
            None if self.node.is_paused() => format!("paused, process {}", process.id()),
            None => format!("running, process {}", process.id()),
        }
    }
}

/// Writes a file readable only by its owner.
pub(super) fn write_private(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("a secret can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .expect("a file of ours can be closed to others");
}

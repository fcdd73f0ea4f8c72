//! One node of a cluster: folder, configuration and process.
//!
//! Each node has a folder of its own with the files of a device: `config/cluster.yaml`, `config/cluster.key`,
//! `data`, and `log`. The configurations are identical byte for byte; the admin token therefore lies in one
//! place for all nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::addresses::NodeAddress;
use crate::process::{self, Process};

/// One node of a cluster, running or stopped.
#[derive(Debug)]
pub struct Member {
    /// The node id, such as `n1`.
    pub id: String,
    /// The node's addresses.
    pub address: NodeAddress,
    pub(super) folder: PathBuf,
    pub(super) data: PathBuf,
    /// Prefix of the process's command: a network namespace, a limit.
    pub(super) prefix: Vec<String>,
    pub(super) args: Vec<String>,
    /// Program of this node in place of the cluster's.
    pub(super) program: Option<PathBuf>,
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
}

impl Member {
    /// Returns the path of the configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("config/cluster.yaml")
    }

    /// Returns the path of the node's copy of the cluster key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("config/cluster.key")
    }

    /// Returns the path of the data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Returns the path of the log, shared by all processes of the node in turn.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// True if the node's process was started and has not ended.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.exited().is_none())
    }

    /// Creates the configuration folder, with this node's copy of the cluster key.
    pub(super) fn write_key(&self, key: &str) {
        fs::create_dir_all(self.folder.join("config")).expect("a folder for the configuration");
        write_private(&self.key_path(), key);
    }

    /// Builds the command to run this node, or `program` in place of the server.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = process::command(&self.prefix, program);
        command.current_dir(&self.folder);
        command.arg("--config").arg(self.config_path());
        command.args(["--node-id", &self.id]);
        command.arg("--data-dir").arg(&self.data);
        command.args(&self.args);
        command
    }

    /// Describes the state of the node's process, for messages.
    pub(super) fn state(&self) -> String {
        match &self.process {
            None => "not started".to_owned(),
            Some(process) => match process.exited() {
                Some(status) => format!("ended: {status}"),
                None if self.paused => format!("paused, process {}", process.id()),
                None => format!("running, process {}", process.id()),
            },
        }
    }
}

/// Builds a configuration as YAML.
pub(super) fn configuration<'a>(
    cluster_name: &str,
    nodes: impl Iterator<Item = (&'a str, String, NodeAddress)>,
    admin_token: &Path,
) -> String {
    let nodes = nodes.map(|(id, host, NodeAddress { http_port, raft_port, .. })| {
        format!("  - {{ id: {id}, ip: {host}, http_port: {http_port}, raft_port: {raft_port} }}\n")
    });
    let nodes: String = nodes.collect();
    let token = admin_token.display();
    let security = format!("{{ admin_token_file: \"{token}\", loopback: trusted }}");
    format!("cluster_name: {cluster_name}\nnodes:\n{nodes}security: {security}\n")
}

/// Writes a file readable only by its owner.
pub(super) fn write_private(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("a secret can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .expect("a file of ours can be closed to others");
}

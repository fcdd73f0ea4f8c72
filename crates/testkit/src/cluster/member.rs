//! One node of a cluster: its folder, its configuration, its process.
//!
//! Each has a folder of its own with what lies on a device: `config/cluster.yaml`, `config/cluster.key`, `data`, and its
//! `log`. The configurations are the same to the byte; that is why the admin token lies in one place for all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::addresses::NodeAddress;
use crate::process::{self, Process};

/// One node of a cluster, running or not.
#[derive(Debug)]
pub struct Member {
    /// Its name, such as `n1`.
    pub id: String,
    /// Where it is found.
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
    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("config/cluster.yaml")
    }

    /// Its copy of the cluster's key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("config/cluster.key")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The file with its log, of all its processes one after the other.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether its process was started and has not ended.
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.exited().is_none())
    }

    /// Makes the configuration's folder, with this node's copy of the cluster's key in it.
    pub(super) fn write_key(&self, key: &str) {
        fs::create_dir_all(self.folder.join("config")).expect("a folder for the configuration");
        write_private(&self.key_path(), key);
    }

    /// The command that runs this node, or with `program` something else in its place.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = process::command(&self.prefix, program);
        command.current_dir(&self.folder);
        command.arg("--config").arg(self.config_path());
        command.args(["--node-id", &self.id]);
        command.arg("--data-dir").arg(&self.data);
        command.args(&self.args);
        command
    }

    /// What it is doing, for people.
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

/// A configuration, as YAML.
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

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("a secret can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .expect("a file of ours can be closed to others");
}

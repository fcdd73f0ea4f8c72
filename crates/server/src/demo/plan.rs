//! Plan of a demo: nodes, ports, paths and configuration.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use client::Endpoint;
use local_cluster::{ConfiguredNode, NodeSpec, configuration};

use super::options::DemoOptions;
use crate::log::Speaker;

/// The nodes of a demo.
pub(super) const NODE_IDS: [&str; 3] = ["n1", "n2", "n3"];
/// Environment variables for a node started by hand, hidden from the demo's nodes.
const NOT_FOR_NODES: [&str; 7] = [
    "CONFIG_PATH",
    "NODE_ID",
    "STEG_BIND_IP",
    "STEG_HTTP_PORT",
    "STEG_DATA_DIR",
    "STEG_LOG_FILE",
    "STEG_FAULT_INJECTION",
];
/// First line that identifies a demo's own configuration file.
const CONFIG_HEAD: &str = "# Written by `server demo` at every start.";

/// The nodes to start, and the paths of their data.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) nodes: Vec<NodePlan>,
    /// Progress messages for people; on standard error if standard output is for a report.
    pub(super) messages: Speaker,
}

/// Plan of a node.
#[derive(Debug, Clone)]
pub(super) struct NodePlan {
    pub(super) id: &'static str,
    pub(super) http_port: u16,
    pub(super) raft_port: u16,
    pub(super) endpoint: Endpoint,
    pub(super) data_dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) pid_file: PathBuf,
}

impl Plan {
    /// Builds the plan from the options. All paths are absolute, so that printed commands work in any
    /// directory.
    ///
    /// # Errors
    /// If a path cannot be made absolute, or the ports leave no room for three nodes.
    pub(super) fn new(options: &DemoOptions) -> anyhow::Result<Self> {
        let absolute =
            |path: &Path| std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()));
        let (data_dir, log_dir) = (absolute(&options.data_dir)?, absolute(&options.log_dir)?);
        let nodes = NODE_IDS.iter().zip(0_u16..).map(|(&id, offset)| {
            let port = |base: u16, flag: &str| {
                let port = base.checked_add(offset).filter(|_| base > 0);
                port.with_context(|| format!("{flag} {base} leaves no room for three ports"))
            };
            let http_port = port(options.http_port, "--http-port")?;
            Ok(NodePlan {
                id,
                http_port,
                raft_port: port(options.raft_port, "--raft-port")?,
                endpoint: format!("http://{}:{http_port}", Ipv4Addr::LOCALHOST).parse()?,
                data_dir: data_dir.join(id),
                log: log_dir.join(format!("phase1-{id}.log")),
                pid_file: data_dir.join(format!("{id}.pid")),
            })
        });
        let nodes: Vec<NodePlan> = nodes.collect::<anyhow::Result<_>>()?;
        let apart = options.http_port.abs_diff(options.raft_port);
        ensure!(usize::from(apart) >= nodes.len(), "--http-port and --raft-port must be three or more apart");
        let program = std::env::current_exe().context("cannot determine the path of this program")?;
        let messages = if options.drill.is_some() { Speaker::err() } else { Speaker::out() };
        Ok(Self { program, data_dir, nodes, messages })
    }

    fn config_file(&self) -> PathBuf {
        self.data_dir.join("cluster.yaml")
    }

    /// Creates the data directory; with `fresh`, removes the data of an earlier demo. The returned lock
    /// excludes a second demo.
    ///
    /// # Errors
    /// If the directory cannot be used, or another demo runs in it.
    pub(super) fn prepare(&self, fresh: bool) -> anyhow::Result<File> {
        let cannot = |path: &Path| format!("cannot use the data directory: {}", path.display());
        std::fs::create_dir_all(&self.data_dir).with_context(|| cannot(&self.data_dir))?;
        let path = self.data_dir.join("demo.lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.with_context(|| cannot(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "a demo is running in {}; stop it with Ctrl-C, or choose another directory with --data-dir",
                self.data_dir.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| cannot(&path)),
        }
        if fresh {
            self.remove_earlier()?;
        }
        Ok(lock)
    }

    /// Removes the data of an earlier demo, and nothing else: the directory may be a node's own, given by
    /// mistake.
    fn remove_earlier(&self) -> anyhow::Result<()> {
        let node_dirs = self.nodes.iter().map(|node| node.data_dir.clone());
        let left: Vec<_> =
            node_dirs.chain([self.data_dir.join("cluster.key")]).filter(|path| path.exists()).collect();
        let config = std::fs::read_to_string(self.config_file()).unwrap_or_default();
        ensure!(
            left.is_empty() || config.starts_with(CONFIG_HEAD),
            "{} not removed: not created by a demo, or its cluster.yaml was changed",
            self.data_dir.display()
        );
        for path in left {
            remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Writes the configuration file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write_config(&self) -> anyhow::Result<()> {
        let path = self.config_file();
        std::fs::write(&path, self.config()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn config(&self) -> String {
        let nodes = self.nodes.iter().map(|node| ConfiguredNode {
            id: node.id.to_owned(),
            host: Ipv4Addr::LOCALHOST.to_string(),
            http_port: node.http_port,
            raft_port: node.raft_port,
        });
        // Every client of the demo is on this machine and belongs to the user who started it.
        let text = configuration("phase1", nodes, "{ loopback: trusted }");
        format!("{CONFIG_HEAD}\n{text}")
    }

    /// Returns program and files of a node.
    pub(super) fn spec(&self, node: &NodePlan) -> NodeSpec {
        NodeSpec {
            id: node.id.to_owned(),
            program: self.program.clone(),
            prefix: Vec::new(),
            config: self.config_file(),
            data_dir: node.data_dir.clone(),
            log: node.log.clone(),
            pid_file: Some(node.pid_file.clone()),
            args: vec!["--log-file".into(), node.log.clone().into(), "--enable-fault-injection".into()],
            working_dir: None,
            hidden_variables: NOT_FOR_NODES.iter().map(Into::into).collect(),
            stops_with_parent: true,
        }
    }

    /// Returns the shell command that starts a node by hand.
    pub(super) fn command_line(&self, node: &NodePlan) -> String {
        let words = std::iter::once(self.program.clone().into()).chain(self.spec(node).arguments());
        let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let (log, pid_file) = (node.log.to_string_lossy(), node.pid_file.to_string_lossy());
        format!("{} >> {} 2>&1 & echo $! > {}", words.join(" "), quoted(&log), quoted(&pid_file))
    }
}

/// Removes a file or a directory; a missing one is no error.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Quotes a word for a shell, if needed.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Checks that every port of the nodes is free.
///
/// # Errors
/// If ports are taken or not permitted; the error names each.
pub(super) fn check_ports(nodes: &[NodePlan]) -> anyhow::Result<()> {
    let mut problems = String::new();
    for node in nodes {
        for (port, what) in [(node.http_port, "HTTP"), (node.raft_port, "the other nodes")] {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                // Writing to a string does not fail.
                let _ = write!(problems, "\n  port {port} ({} for {what}): {error}", node.id);
            }
        }
    }
    ensure!(
        problems.is_empty(),
        "ports of the demo cannot be used:{problems}\nStop what listens there (`ss -ltnp` shows it; perhaps an \
         earlier demo or a node), or choose other ports with --http-port and --raft-port."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_three_nodes_on_loopback() {
        let expected = "\
# Written by `server demo` at every start.
cluster_name: phase1
nodes:
  - { id: n1, ip: 127.0.0.1, http_port: 8081, raft_port: 5001 }
  - { id: n2, ip: 127.0.0.1, http_port: 8082, raft_port: 5002 }
  - { id: n3, ip: 127.0.0.1, http_port: 8083, raft_port: 5003 }
security: { loopback: trusted }
";
        assert_eq!(Plan::new(&options(8081, 5001)).unwrap().config(), expected);
    }

    #[test]
    fn ports_that_cannot_be_are_refused() {
        let check = |http_port, raft_port, expected: &str| {
            let error = Plan::new(&options(http_port, raft_port)).unwrap_err().to_string();
            assert_eq!(error, expected);
        };
        check(65_534, 5001, "--http-port 65534 leaves no room for three ports");
        check(0, 5001, "--http-port 0 leaves no room for three ports");
        check(8081, 8083, "--http-port and --raft-port must be three or more apart");
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut nodes = Plan::new(&options(8081, 5001)).unwrap().nodes;
        nodes.truncate(1);
        nodes[0].http_port = port;
        let error = check_ports(&nodes).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} (n1 for HTTP)")), "{error}");
        assert!(error.contains("--http-port"), "{error}");
    }

    #[test]
    fn a_second_demo_is_held_off_and_a_fresh_one_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let options = DemoOptions { data_dir: folder.path().join("demo"), ..options(8081, 5001) };
        let plan = Plan::new(&options).unwrap();
        let lock = plan.prepare(false).unwrap();
        assert!(plan.prepare(false).unwrap_err().to_string().starts_with("a demo is running in "));
        drop(lock);
        std::fs::create_dir_all(plan.nodes[1].data_dir.join("snapshots")).unwrap();
        std::fs::write(plan.data_dir.join("not-ours"), "").unwrap();
        drop(plan.prepare(false).unwrap());
        assert!(plan.prepare(true).is_err(), "no demo made this");
        assert!(plan.nodes[1].data_dir.is_dir());
        plan.write_config().unwrap();
        drop(plan.prepare(true).unwrap());
        assert!(!plan.nodes[1].data_dir.exists());
        assert!(plan.data_dir.join("not-ours").exists());
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in
            [("/tmp/a-b.log", "/tmp/a-b.log"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    fn options(http_port: u16, raft_port: u16) -> DemoOptions {
        let (data_dir, log_dir) = ("data/demo".into(), "/tmp".into());
        let output = loadgen::drill::Output::Text;
        DemoOptions { data_dir, fresh: false, log_dir, http_port, raft_port, drill: None, output }
    }
}

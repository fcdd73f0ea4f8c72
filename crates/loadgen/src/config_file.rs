//! Settings of a load generator in a cluster's configuration file: addresses of the nodes and defaults.
//!
//! All other settings concern the nodes and are ignored here; a node checks the whole file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use client::{Endpoint, EndpointError};
use serde::Deserialize;

/// Largest configuration or token file that is read.
const MAX_LEN_BYTES: u64 = 1024 * 1024;

/// The part of a configuration file used by the load generator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default)]
    nodes: Vec<NodeEntry>,
    #[serde(default)]
    pub(crate) loadgen: LoadgenSection,
}

/// A node's endpoint, built from `ip` and `http_port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenEntry")]
struct NodeEntry {
    endpoint: Endpoint,
}

#[derive(Deserialize)]
struct WrittenEntry {
    ip: String,
    http_port: u16,
}

impl TryFrom<WrittenEntry> for NodeEntry {
    type Error = EndpointError;

    fn try_from(WrittenEntry { ip, http_port }: WrittenEntry) -> Result<Self, EndpointError> {
        Ok(Self { endpoint: Endpoint::of_node(&ip, http_port)? })
    }
}

/// The `loadgen` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadgenSection {
    pub(crate) request_timeout_ms: Option<u64>,
    pub(crate) max_retries: Option<u32>,
}

impl ConfigFile {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such YAML.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || Self::parse(&read_text(path)?);
        read().with_context(|| format!("cannot use the configuration file {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(serde_saphyr::from_str(text)?)
    }

    /// Returns the nodes' addresses; `None` if the file names no nodes.
    pub(crate) fn server_list(&self) -> Option<Vec<Endpoint>> {
        (!self.nodes.is_empty()).then(|| self.nodes.iter().map(|node| node.endpoint.clone()).collect())
    }
}

/// Reads a small text file.
///
/// # Errors
/// If the file cannot be read, is no text or too large.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_LEN_BYTES + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_LEN_BYTES, "the file is larger than {MAX_LEN_BYTES} bytes");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "
cluster_name: phase1
nodes:
  - { id: n1, ip: 172.20.10.2, http_port: 8081, raft_port: 5001 }
  - { id: n2, ip: '::1', http_port: 8082, raft_port: 5002 }
  - { id: n3, ip: n3.lan, http_port: 8083, raft_port: 5003 }
stego:   { lsb_per_channel: 1, compress: true, max_pixels: 0 }
gui:     { status_poll_ms: 1000 }
loadgen: { request_timeout_ms: 4000, max_retries: 3 }
";

    #[test]
    fn a_cluster_file_gives_servers_and_defaults() {
        let file = ConfigFile::parse(CLUSTER).unwrap();
        let servers: Vec<_> = file.server_list().unwrap().iter().map(Endpoint::to_string).collect();
        assert_eq!(servers, ["http://172.20.10.2:8081", "http://[::1]:8082", "http://n3.lan:8083"]);
        assert_eq!(file.loadgen.request_timeout_ms, Some(4000));
        assert_eq!(file.loadgen.max_retries, Some(3));
    }

    #[test]
    fn what_is_left_out_stays_at_the_defaults() {
        let file = ConfigFile::parse("cluster_name: x\n").unwrap();
        assert_eq!(file, ConfigFile::default());
        assert_eq!(file.server_list(), None);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = ConfigFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected:?} in {error}");
        };
        check("nodes: [{ id: n1, ip: 172.20.10.2 }]", "http_port");
        check("nodes: [{ ip: 'not here', http_port: 8081 }]", "not here");
        check("loadgen: { max_retrys: 2 }", "max_retrys");
    }
}

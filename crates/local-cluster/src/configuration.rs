//! Configuration of a cluster, as YAML.

use std::fmt::Write as _;

/// Node as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredNode {
    /// Node id.
    pub id: String,
    /// Address or host name.
    pub host: String,
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Port of connections between nodes.
    pub raft_port: u16,
}

/// Returns the configuration of a cluster, the same for every node; `security` is that section in YAML's flow
/// style.
pub fn configuration(
    cluster_name: &str,
    nodes: impl IntoIterator<Item = ConfiguredNode>,
    security: &str,
) -> String {
    let mut text = format!("cluster_name: {cluster_name}\nnodes:\n");
    for ConfiguredNode { id, host, http_port, raft_port } in nodes {
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "  - {{ id: {id}, ip: {host}, http_port: {http_port}, raft_port: {raft_port} }}");
    }
    text + &format!("security: {security}\n")
}

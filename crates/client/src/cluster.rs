//! What nodes say of their cluster.
//!
//! Members that are not known here are passed over, so that newer nodes can say more. Times are as the node wrote
//! them (RFC 3339).

use serde::Deserialize;
use serde_json::Value;

use crate::error::BadAnswer;
use crate::reply::RawReply;

/// A cluster as one of its nodes sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClusterStatus {
    /// Its name.
    pub cluster_name: String,
    /// Its id; `None` while it has none.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The node that says all this.
    pub node_id: String,
    /// The term of the consensus.
    pub term: u64,
    /// The node that leads, as far as this one knows.
    #[serde(default)]
    pub leader_id: Option<String>,
    /// Whether the control plane can write.
    pub quorum: bool,
    /// The names of the nodes that vote.
    #[serde(default)]
    pub voters: Vec<String>,
    /// The names of those that only follow.
    #[serde(default)]
    pub learners: Vec<String>,
    /// What an operator should know.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// Every node, in the order of the configuration.
    pub nodes: Vec<NodeStatus>,
}

impl ClusterStatus {
    /// The node of this name.
    pub fn node(&self, id: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// How far a node's log is behind the leader's, in entries, where both are known.
    pub fn behind(&self, node: &NodeStatus) -> Option<u64> {
        let leader = self.node(self.leader_id.as_deref()?)?;
        Some(leader.last_log_index?.saturating_sub(node.last_log_index?))
    }
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notice {
    /// Its stable name.
    pub code: String,
    /// What it is, for people.
    pub message: String,
}

/// A node as another one, or itself, sees it. Figures that are not known are `None`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub id: String,
    /// The address others reach it at.
    pub ip: String,
    /// The port of the HTTP API.
    pub http_port: u16,
    /// The port on which nodes talk to each other.
    pub raft_port: u16,
    /// The id of its data directory, 16 hex digits.
    #[serde(default)]
    pub raft_id: Option<String>,
    /// `Leader`, `Follower`, `Candidate`, `Learner` or `Unknown`.
    pub role: String,
    /// Whether it answers probes.
    pub healthy: bool,
    /// Whether it votes.
    #[serde(default)]
    pub voter: bool,
    /// Load of its machine's processors.
    #[serde(default)]
    pub cpu_pct: Option<f64>,
    /// Memory of its machine that is in use.
    #[serde(default)]
    pub mem_pct: Option<f64>,
    /// Load of its process, 100 for one core.
    #[serde(default)]
    pub process_cpu_pct: Option<f64>,
    /// Memory of its process.
    #[serde(default)]
    pub process_memory_bytes: Option<u64>,
    /// Requests per second over the last minute.
    #[serde(default)]
    pub qps_1m: Option<f64>,
    /// The 95th percentile of its answers' latency, in milliseconds.
    #[serde(default)]
    pub p95_ms: Option<f64>,
    /// Seconds since it started.
    #[serde(default)]
    pub uptime_s: Option<u64>,
    /// The last entry of its log.
    #[serde(default)]
    pub last_log_index: Option<u64>,
    /// The last entry that it has applied.
    #[serde(default)]
    pub applied_index: Option<u64>,
    /// Its release.
    #[serde(default)]
    pub version: Option<String>,
    /// Milliseconds since it was last heard.
    #[serde(default)]
    pub last_heard_ms: Option<u64>,
    /// Whether its configuration is the same as that of the node that says all this.
    #[serde(default)]
    pub same_config: Option<bool>,
}

/// Who belongs to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Members {
    /// The cluster's id; `None` while it has none.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// The members.
    pub members: Vec<Member>,
    /// Whether a change of the members is under way.
    #[serde(default)]
    pub joint: bool,
    /// The nodes that are configured and not there yet.
    #[serde(default)]
    pub waiting_for: Vec<String>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The id of its data directory, 16 hex digits.
    pub raft_id: String,
    /// Whether it votes.
    pub voter: bool,
}

/// The settings of a cluster that are set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Settings {
    /// One for each key.
    pub settings: Vec<Setting>,
}

/// A setting of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Setting {
    /// Its key, such as `bits`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Grows with every change.
    pub version: u64,
    /// When it was set, RFC 3339.
    pub updated_at: String,
    /// Who set it.
    pub updated_by: UpdatedBy,
    /// The value before.
    #[serde(default)]
    pub previous: Option<Value>,
    /// The id of the write; only in the answer to one.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// Who changed a setting.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UpdatedBy {
    /// As the operator called themselves.
    #[serde(default)]
    pub name: Option<String>,
    /// What allowed it: `loopback` or `admin_token`.
    pub authority: String,
    /// The node that took the call.
    pub via: String,
}

/// Leadership that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LeaderTransfer {
    /// The node that led.
    pub from: String,
    /// The node that leads now; the same where it led already and nothing was changed.
    pub to: String,
    /// The term that it leads in.
    pub term: u64,
}

/// Reads an answer of the cluster's calls.
pub(crate) fn read<A: for<'a> Deserialize<'a>>(raw: &RawReply) -> Result<A, BadAnswer> {
    raw.check_content_type()?;
    raw.json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_new_does_not_hinder_reading() {
        let text = r#"{"cluster_name": "phase1", "cluster_id": null, "node_id": "n2", "term": 3, "leader_id": "n1",
            "quorum": true, "voters": ["n1"], "learners": [], "notices": [{"code": "c", "message": "m", "new": 1}],
            "nodes": [
                {"id": "n1", "ip": "::1", "http_port": 1, "raft_port": 2, "raft_id": null, "role": "Leader",
                 "healthy": true, "voter": true, "cpu_pct": 1.5, "last_log_index": 9, "added_later": {}},
                {"id": "n2", "ip": "::1", "http_port": 3, "raft_port": 4, "role": "Follower", "healthy": false,
                 "mem_pct": null, "last_log_index": 7}],
            "added_later": []}"#;
        let status: ClusterStatus = serde_json::from_str(text).unwrap();
        assert_eq!(status.nodes[0].cpu_pct, Some(1.5));
        assert_eq!(status.nodes[1].mem_pct, None);
        assert_eq!(status.behind(&status.nodes[1]), Some(2));
        assert_eq!(status.behind(&status.nodes[0]), Some(0));
    }
}

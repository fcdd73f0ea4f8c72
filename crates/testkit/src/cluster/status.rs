//! What a node says about its cluster: the shape of `GET /cluster/status`.

use serde::Deserialize;

/// The answer of one node. What it leaves out is empty here; what is new in it does not matter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Status {
    /// The configured name.
    pub cluster_name: String,
    /// The cluster's id, once the node belongs to one.
    pub cluster_id: Option<String>,
    /// Who answers.
    pub node_id: String,
    /// Its term.
    pub term: u64,
    /// The leader that it knows.
    pub leader_id: Option<String>,
    /// Whether writes can be acknowledged.
    pub quorum: bool,
    /// The names of the voters.
    pub voters: Vec<String>,
    /// The names of the learners.
    pub learners: Vec<String>,
    /// What an operator should know.
    pub notices: Vec<Notice>,
    /// Every configured node, in the configuration's order.
    pub nodes: Vec<NodeStatus>,
}

/// Something that an operator should know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// Which one, for programs.
    pub code: String,
    /// What it is, for people.
    pub message: String,
}

/// One node as another one (or itself) sees it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its name.
    pub id: String,
    /// Its configured host.
    pub ip: String,
    /// Its HTTP port.
    pub http_port: u16,
    /// Its Raft port.
    pub raft_port: u16,
    /// The Raft id of its data directory, 16 hexadecimal digits.
    pub raft_id: Option<String>,
    /// Leader, Follower, Candidate, Learner or Unknown.
    pub role: String,
    /// Whether it answered a probe of late.
    pub healthy: bool,
    /// Whether it votes.
    pub voter: bool,
    /// CPU of its machine, in percent.
    pub cpu_pct: Option<f64>,
    /// Memory of its machine, in percent.
    pub mem_pct: Option<f64>,
    /// CPU of its process, in percent.
    pub process_cpu_pct: Option<f64>,
    /// Memory of its process.
    pub process_memory_bytes: Option<u64>,
    /// Requests per second over the last minute.
    pub qps_1m: Option<f64>,
    /// 95th percentile of its latencies.
    pub p95_ms: Option<f64>,
    /// How long it has been running.
    pub uptime_s: Option<f64>,
    /// The last entry of its log.
    pub last_log_index: Option<u64>,
    /// The last entry it applied.
    pub applied_index: Option<u64>,
    /// Its release.
    pub version: Option<String>,
    /// How long ago it was heard.
    pub last_heard_ms: Option<u64>,
    /// Whether its configuration is the same as that of the one who answers.
    pub same_config: Option<bool>,
}

impl Status {
    /// Node `id` as the one who answered sees it.
    pub fn node(&self, id: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The role of node `id` as the one who answered sees it; `Unknown` without such a node.
    pub fn role(&self, id: &str) -> &str {
        self.node(id).map_or("Unknown", |node| &node.role)
    }

    /// Whether there is a notice with this code.
    pub fn has_notice(&self, code: &str) -> bool {
        self.notices.iter().any(|notice| notice.code == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_figures_are_empty_and_new_ones_do_not_matter() {
        let text = r#"{"cluster_name":"phase1","cluster_id":null,"node_id":"n2","term":3,"leader_id":"n1",
            "quorum":true,"voters":["n1"],"learners":[],"later":1,
            "notices":[{"code":"waiting","message":"for n3"}],
            "nodes":[{"id":"n1","ip":"127.0.0.1","http_port":8081,"raft_port":5001,"raft_id":null,"role":"Leader",
              "healthy":true,"voter":true,"cpu_pct":1.5,"mem_pct":null,"uptime_s":4,"last_log_index":null}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.role("n1"), status.role("n9")), ("Leader", "Unknown"));
        assert!(status.has_notice("waiting") && !status.has_notice("foreign_cluster"));
        let node = status.node("n1").unwrap();
        assert_eq!((node.cpu_pct, node.mem_pct, node.uptime_s), (Some(1.5), None, Some(4.0)));
    }
}

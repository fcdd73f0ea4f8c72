//! Figures, addresses, conditions and members, which supplement the status document ([`api::status`]).

use api::status::NodeStatus;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::ids::{ClusterId, RaftId};

/// Figures of a node, measured by the node itself and carried to its peers on the probes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFigures {
    /// CPU time of the whole machine in use, in percent of all its cores.
    pub cpu_pct: f32,
    /// Memory of the whole machine in use, in percent.
    pub mem_pct: f32,
    /// CPU time of the node's own process, in percent of all the machine's cores.
    pub process_cpu_pct: f32,
    /// Resident memory of the node's own process, in bytes.
    pub process_memory_bytes: u64,
    /// Requests to the API per second, over the last minute.
    pub qps_1m: f32,
    /// Median duration of the requests over the last minute, in milliseconds. None from releases without the
    /// figure.
    #[serde(default)]
    pub p50_ms: Option<f32>,
    /// 95th percentile of the duration of the requests over the last minute, in milliseconds.
    pub p95_ms: f32,
    /// Number of requests to the API answered since the process started. None from releases without the
    /// figure.
    #[serde(default)]
    pub requests_total: Option<u64>,
    /// Age of the process, in seconds.
    pub uptime_s: u64,
}

impl NodeFigures {
    /// Writes the figures into a node's row of the status, rounded to tenths.
    pub(crate) fn write_to(&self, row: &mut NodeStatus) {
        let rounded = |figure: f32| Some((f64::from(figure) * 10.0).round() / 10.0);
        row.cpu_pct = rounded(self.cpu_pct);
        row.mem_pct = rounded(self.mem_pct);
        row.process_cpu_pct = rounded(self.process_cpu_pct);
        row.process_memory_bytes = Some(self.process_memory_bytes);
        row.qps_1m = rounded(self.qps_1m);
        row.p50_ms = self.p50_ms.and_then(rounded);
        row.p95_ms = rounded(self.p95_ms);
        row.requests_total = self.requests_total;
        row.uptime_s = Some(self.uptime_s);
    }
}

/// Configured address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Name of the node, such as `n1`.
    pub name: String,
    /// Address or host name of the node, as configured.
    pub ip: Host,
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Port for connections between nodes.
    pub raft_port: u16,
}

/// Present condition for an operator's attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Stable name, for programs.
    pub code: &'static str,
    /// Node concerned; none: the cluster as a whole.
    pub node: Option<String>,
    /// Description for people: subject, state, and file or figures if there are any.
    pub message: String,
    /// Next step for an operator; none if the cluster acts by itself.
    pub remedy: Option<String>,
}

/// Members of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Id of the cluster.
    pub cluster_id: Option<ClusterId>,
    /// Every node in the membership.
    pub members: Vec<MemberInfo>,
    /// True during a joint change of the voters.
    pub joint: bool,
    /// Names of configured nodes that have to join and catch up before all become voters together.
    pub waiting_for: Vec<String>,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Name of the node.
    pub name: String,
    /// Raft id of the node.
    pub raft_id: RaftId,
    /// True if the node is a voter.
    pub voter: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_release_that_tells_less_are_understood() {
        let text = r#"{"cpu_pct": 1.5, "mem_pct": 2.5, "process_cpu_pct": 0.5, "process_memory_bytes": 7, "qps_1m": 3.5,
            "p95_ms": 4.5, "uptime_s": 9}"#;
        let figures: NodeFigures = serde_json::from_str(text).unwrap();
        assert_eq!((figures.p50_ms, figures.requests_total, figures.uptime_s), (None, None, 9));
    }
}

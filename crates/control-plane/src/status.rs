//! Figures, members, conditions and events: the parts of a node's account of its cluster besides the status document
//! ([`api::status`]).

use api::status::NodeStatus;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, Host, RaftId};

/// How a node is doing. Measured by each node of itself, carried to the others on the probes.
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
    /// Requests to the API a second, over the last minute.
    pub qps_1m: f32,
    /// Median of their duration over the last minute, in milliseconds. Other releases may not tell it.
    #[serde(default)]
    pub p50_ms: Option<f32>,
    /// 95th percentile of their duration over the last minute, in milliseconds.
    pub p95_ms: f32,
    /// Requests to the API that were answered since the process started. Other releases may not tell it.
    #[serde(default)]
    pub requests_total: Option<u64>,
    /// How long the process has run, in seconds.
    pub uptime_s: u64,
}

impl NodeFigures {
    /// Puts the figures into a node's row of the status, rounded to tenths.
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

/// Where a node is configured to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its name, such as `n1`.
    pub name: String,
    /// Its address or host name, as configured.
    pub ip: Host,
    /// The port of its HTTP API.
    pub http_port: u16,
    /// The port on which nodes talk to each other.
    pub raft_port: u16,
}

/// A condition that an operator should know of, as found at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Stable name, for programs.
    pub code: &'static str,
    /// Node concerned; none: the cluster as a whole.
    pub node: Option<String>,
    /// Description for people: subject, state, and file or figures where there are any.
    pub message: String,
    /// Next step for an operator; none where the cluster acts by itself.
    pub remedy: Option<String>,
}

/// Who belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The cluster's id.
    pub cluster_id: Option<ClusterId>,
    /// Everyone in the membership.
    pub members: Vec<MemberInfo>,
    /// Whether a change of voters is half done.
    pub joint: bool,
    /// Names of configured nodes that must come (and catch up) before all become voters together.
    pub waiting_for: Vec<String>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its name.
    pub name: String,
    /// Its Raft id.
    pub raft_id: RaftId,
    /// Whether it votes.
    pub voter: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_release_that_tells_less_are_understood() {
        let told = r#"{"cpu_pct": 1.5, "mem_pct": 2.5, "process_cpu_pct": 0.5, "process_memory_bytes": 7, "qps_1m": 3.5,
            "p95_ms": 4.5, "uptime_s": 9}"#;
        let figures: NodeFigures = serde_json::from_str(told).unwrap();
        assert_eq!((figures.p50_ms, figures.requests_total, figures.uptime_s), (None, None, 9));
    }
}

//! What a node knows of the cluster, and the rules by which that becomes a status.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{ClusterId, RaftId};

/// What a node is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It leads, and a quorum acknowledged it less than 800 ms ago.
    Leader,
    /// It follows a leader.
    Follower,
    /// It stands for election, or leads without a quorum.
    Candidate,
    /// It has no vote: it waits to join, or to become a voter.
    Learner,
    /// It was not heard for a second.
    Unknown,
}

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

/// Where a node is configured to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its name, such as `n1`.
    pub name: String,
    /// Its address.
    pub ip: IpAddr,
    /// The port of its HTTP API.
    pub http_port: u16,
    /// The port on which nodes talk to each other.
    pub raft_port: u16,
}

/// The cluster as one node sees it, computed when asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterStatus {
    /// The cluster's configured name.
    pub cluster_name: String,
    /// The cluster's id; none before this node has joined or founded one.
    pub cluster_id: Option<ClusterId>,
    /// The node that tells this.
    pub node_id: String,
    /// The Raft term.
    pub term: u64,
    /// Who leads: known only while that is certain enough (appends younger than a second, acknowledgements younger than
    /// 800 ms).
    pub leader_id: Option<String>,
    /// Whether the control plane has a quorum: a leader, with a second of grace during an election.
    pub quorum: bool,
    /// Names of those who vote.
    pub voters: Vec<String>,
    /// Names of those who receive the log without a vote.
    pub learners: Vec<String>,
    /// What an operator should know, most urgent first.
    pub notices: Vec<Notice>,
    /// Every configured node, in the configuration's order.
    pub nodes: Vec<NodeStatus>,
}

/// One node as another one (or itself) sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStatus {
    /// Where it is configured to be.
    pub address: NodeAddress,
    /// Its Raft id, once heard.
    pub raft_id: Option<RaftId>,
    /// What it says it is.
    pub role: Role,
    /// Whether it answered a probe within the last 500 ms.
    pub healthy: bool,
    /// Whether it votes.
    pub voter: bool,
    /// Its figures; none once it was not heard for a second.
    pub figures: Option<NodeFigures>,
    /// The index of its last log entry.
    pub last_log_index: Option<u64>,
    /// The index of the last entry it applied.
    pub applied_index: Option<u64>,
    /// Its release.
    pub version: Option<String>,
    /// When it was last heard, in milliseconds ago; 0 for the node that tells this.
    pub last_heard_ms: Option<u64>,
    /// Whether it runs with the same configuration as the node that tells this.
    pub same_config: Option<bool>,
}

/// Something an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
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

/// Something that happened, for `/cluster/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 for each start of a node.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The node that saw it.
    pub node: String,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// This node's role changed.
    Role {
        /// What it is now.
        role: Role,
        /// The Raft term.
        term: u64,
    },
    /// Somebody else leads, or nobody.
    Leader {
        /// Who.
        leader_id: Option<String>,
        /// The Raft term.
        term: u64,
    },
    /// A node answers again, or no longer.
    Peer {
        /// Which.
        peer: String,
        /// Whether it answers.
        healthy: bool,
        /// Probes that failed in a row.
        failed_probes: u64,
    },
    /// This node holds evidence that the leader is dead, and stands for election or helps another one to.
    Suspicion {
        /// The leader.
        peer: String,
        /// `refused`: its port is closed; `unanswered`: it answers no probes; `stuck`: it says that its disk or its
        /// Raft hangs; `drill`.
        evidence: String,
    },
    /// The membership changed.
    Members {
        /// Names of those who vote.
        voters: Vec<String>,
        /// Names of those who do not.
        learners: Vec<String>,
    },
    /// A peer's configuration differs from this node's, or no longer does.
    Config {
        /// Which.
        peer: String,
        /// Whether it is the same.
        same: bool,
    },
    /// A fault drill.
    Drill {
        /// What was done, such as `crash` or `restore`.
        action: String,
    },
    /// Something an operator should know.
    Notice {
        /// Stable, for programs.
        code: String,
        /// For people.
        message: String,
    },
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

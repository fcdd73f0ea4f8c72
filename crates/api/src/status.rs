//! The document of `GET /cluster/status`.
//!
//! A document is computed by one node from its own knowledge at one moment, and satisfies the rules of
//! [`ClusterStatus::contradictions`] whatever the state of the cluster; tests, drills and simulations check
//! them.

pub mod agreement;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Cluster as seen by one of its nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClusterStatus {
    /// Configured name.
    pub cluster_name: String,
    /// Id of the cluster; null before the node is a member.
    pub cluster_id: Option<String>,
    /// Answering node.
    pub node_id: String,
    /// Raft term.
    pub term: u64,
    /// Format version that the cluster has activated, as applied at the answering node; 0 from a release
    /// that names none. Nodes write stored and sent forms of this version.
    #[serde(default)]
    pub format_version: u32,
    /// Leader; null while no leader is certain.
    pub leader_id: Option<String>,
    /// True if a quorum of the voters is healthy and a leader is known, or was within the last second.
    pub quorum: bool,
    /// Names of the voters.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub voters: Vec<String>,
    /// Names of the members with the log and without a vote.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub learners: Vec<String>,
    /// Conditions relevant to an operator, most urgent first.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub notices: Vec<Notice>,
    /// Every configured node, in the configuration's order.
    pub nodes: Vec<NodeStatus>,
}

/// Answer of `GET /cluster/status`: the cluster as seen by the answering node, and the node's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusAnswer {
    /// Cluster.
    #[serde(flatten)]
    pub cluster: ClusterStatus,
    /// True if fault drills are enabled at the answering node.
    pub fault_injection: bool,
    /// Defaults for options left out of an embed at the answering node.
    pub embed_defaults: EmbedDefaults,
    /// Limits of the answering node.
    pub limits: NodeLimits,
}

/// Defaults for options left out of an embed: the cluster's settings, otherwise the node's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmbedDefaults {
    /// Bits per sample.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 4))]
    pub bits: u8,
    /// True if secrets are deflated when the result is shorter.
    pub compress: bool,
    /// Handling of the cover's metadata.
    pub metadata: MetadataPolicy,
}

/// Handling of the metadata in a cover's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MetadataPolicy {
    /// Metadata is kept.
    Keep,
    /// Metadata about place, time and camera is removed.
    Strip,
}

/// Limits of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeLimits {
    /// Length of a request body, in bytes.
    pub max_body_bytes: u64,
    /// Length of a secret, in bytes.
    pub max_secret_bytes: u64,
    /// Pixels of an image.
    pub max_pixels: u64,
}

/// Condition relevant to an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notice {
    /// Stable name, for programs.
    pub code: String,
    /// Node concerned; null: the cluster as a whole.
    pub node: Option<String>,
    /// Time of the first observation by the answering node (RFC 3339).
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub since: String,
    /// Description for people.
    pub message: String,
    /// Next step for an operator; null where the cluster acts by itself.
    pub remedy: Option<String>,
}

/// Configured node as seen by the answering node. Figures unknown at the moment are null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeStatus {
    /// Name.
    pub id: String,
    /// Address or host name of the node for all nodes.
    pub ip: String,
    /// Port of the HTTP API.
    pub http_port: u16,
    /// Port for connections between nodes.
    pub raft_port: u16,
    /// Number of the data directory, 16 hexadecimal digits; null before the node was heard.
    pub raft_id: Option<String>,
    /// Role at the moment.
    pub role: Role,
    /// True if the node answers and progresses: `health` is `ok` or `not_voting`.
    pub healthy: bool,
    /// Health, with the reason where the node is not healthy.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub health: Health,
    /// True if the node votes.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub voter: bool,
    /// CPU time of the machine in use, in percent of all cores.
    pub cpu_pct: Option<f64>,
    /// Memory of the machine in use, in percent.
    pub mem_pct: Option<f64>,
    /// CPU time of the node's process, in percent of all cores.
    pub process_cpu_pct: Option<f64>,
    /// Resident memory of the node's process, in bytes.
    pub process_memory_bytes: Option<u64>,
    /// API requests a second, over the last minute.
    pub qps_1m: Option<f64>,
    /// Median of the requests' duration over the last minute, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile of the requests' duration over the last minute, in milliseconds.
    pub p95_ms: Option<f64>,
    /// API requests answered since the process started.
    pub requests_total: Option<u64>,
    /// Age of the process, in seconds.
    pub uptime_s: Option<u64>,
    /// Index of the last log entry.
    pub last_log_index: Option<u64>,
    /// Index of the last applied entry.
    pub applied_index: Option<u64>,
    /// Release.
    pub version: Option<String>,
    /// Age of the latest answer to a probe, in milliseconds; 0 for the answering node itself.
    pub last_heard_ms: Option<u64>,
    /// True if the configuration is the same as the answering node's.
    pub same_config: Option<bool>,
}

/// Role of a node at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Leads, acknowledged by a quorum less than 800 ms ago.
    Leader,
    /// Follows a leader.
    Follower,
    /// Stands for election, or leads without a quorum.
    Candidate,
    /// Has no vote: waits to join, or to become a voter.
    Learner,
    /// Not heard for a second, or refusing connections.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Role {
    /// Name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "Leader",
            Self::Follower => "Follower",
            Self::Candidate => "Candidate",
            Self::Learner => "Learner",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Health of a node: answering and progressing, or the reason for being unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = NodeHealth))]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Answers probes, and votes without lagging.
    Ok,
    /// Answers probes, without a vote in this cluster so far.
    NotVoting,
    /// Connections to the Raft port are refused.
    Refused,
    /// Connections are accepted, but not the handshake: another key, cluster name or release.
    HandshakeFailed,
    /// No probe was answered within 500 ms.
    Silent,
    /// Storage failed, or a write to the disk hangs.
    StorageFailed,
    /// Belongs to another cluster.
    ForeignCluster,
    /// The data directory has lost votes or entries: put back from a copy, emptied, truncated or damaged.
    Reverted,
    /// An applied entry differs from the leader's.
    HistoryDiverged,
    /// Behind the leader's committed index without an advance for 2 s, or by more than 5,000 entries.
    Lagging,
    /// Unknown to this release.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Health {
    /// Every value sent by nodes, in the order of the document's schema.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::NotVoting,
        Self::Refused,
        Self::HandshakeFailed,
        Self::Silent,
        Self::StorageFailed,
        Self::ForeignCluster,
        Self::Reverted,
        Self::HistoryDiverged,
        Self::Lagging,
    ];

    /// True for a node answering and progressing.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Ok | Self::NotVoting)
    }

    /// Name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotVoting => "not_voting",
            Self::Refused => "refused",
            Self::HandshakeFailed => "handshake_failed",
            Self::Silent => "silent",
            Self::StorageFailed => "storage_failed",
            Self::ForeignCluster => "foreign_cluster",
            Self::Reverted => "reverted",
            Self::HistoryDiverged => "history_diverged",
            Self::Lagging => "lagging",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ClusterStatus {
    /// Returns the row of the named node.
    pub fn node(&self, id: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns the role of the named node; [`Role::Unknown`] without such a row.
    pub fn role(&self, id: &str) -> Role {
        self.node(id).map_or(Role::Unknown, |node| node.role)
    }

    /// True if a notice has this code.
    pub fn has_notice(&self, code: &str) -> bool {
        self.notices.iter().any(|notice| notice.code == code)
    }

    /// Returns the number of entries by which a node's log is behind the leader's, if both are known.
    pub fn behind(&self, node: &NodeStatus) -> Option<u64> {
        let leader = self.node(self.leader_id.as_deref()?)?;
        Some(leader.last_log_index?.saturating_sub(node.last_log_index?))
    }

    /// Returns the reasons why configured nodes are not healthy voters of this cluster, one text per node.
    pub fn deficiencies(&self) -> Vec<String> {
        // Nodes of the first release tell no health.
        let is_fine = |node: &NodeStatus| matches!(node.health, Health::Ok | Health::Unknown);
        let faulty = self.nodes.iter().filter(|node| !(node.healthy && node.voter && is_fine(node)));
        faulty
            .map(|node| {
                let health = match node.health {
                    Health::Unknown | Health::Ok if !node.healthy => "not healthy",
                    Health::Unknown | Health::Ok => "not_voting",
                    health => health.as_str(),
                };
                format!("{} ({health})", node.id)
            })
            .collect()
    }

    /// Returns breaches of the rules for every document, one text per breach; empty for a consistent
    /// document.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for node in self.nodes.iter().filter(|node| node.role == Role::Leader) {
            if self.leader_id.as_deref() != Some(node.id.as_str()) {
                found.push(format!("{} has the role Leader, leader_id is {:?}", node.id, self.leader_id));
            }
            if matches!(node.health, Health::Refused | Health::ForeignCluster) {
                found.push(format!("{} has the role Leader and the health {}", node.id, node.health));
            }
        }
        if let Some(leader) = &self.leader_id
            && let Some(node) = self.node(leader)
            && node.role != Role::Leader
        {
            found.push(format!("leader_id is {leader}, whose role is {}", node.role));
        }
        for node in self.nodes.iter().filter(|node| node.healthy != node.health.is_healthy()) {
            found.push(format!("{} is healthy: {}, with the health {}", node.id, node.healthy, node.health));
        }
        let healthy_voters = self.nodes.iter().filter(|node| node.voter && node.healthy).count();
        if self.quorum && healthy_voters <= self.voters.len() / 2 {
            found.push(format!("quorum with {healthy_voters} healthy of {} voters", self.voters.len()));
        }
        for notice in &self.notices {
            if notice.message.is_empty() || notice.since.is_empty() {
                found.push(format!("notice {} without a message or a time", notice.code));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;

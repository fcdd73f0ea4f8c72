//! `/cluster/status` and `/cluster/members`: from memory, at once, whatever the other nodes do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control_plane::status::{ClusterStatus, Members, NodeStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// The cluster as this node sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    /// The configured name.
    cluster_name: String,
    /// The cluster's id; null before this node belongs to one.
    cluster_id: Option<String>,
    /// The node that answers.
    node_id: String,
    /// The Raft term.
    term: u64,
    /// Who leads; null while nobody is known to with certainty.
    leader_id: Option<String>,
    /// Whether changes can be agreed on.
    quorum: bool,
    /// Who votes.
    voters: Vec<String>,
    /// Who receives the log without a vote.
    learners: Vec<String>,
    /// What an operator should know, most urgent first.
    notices: Vec<NoticeAnswer>,
    /// Every configured node, in the configuration's order.
    nodes: Vec<NodeAnswer>,
}

/// Something an operator should know.
#[derive(Serialize, ToSchema)]
pub(super) struct NoticeAnswer {
    /// Stable, for programs.
    code: String,
    /// For people.
    message: String,
}

/// One node. Figures that are not known at the moment are null.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeAnswer {
    /// Its name.
    id: String,
    #[schema(value_type = String)]
    ip: IpAddr,
    http_port: u16,
    raft_port: u16,
    /// The number of its data directory, in hexadecimal.
    raft_id: Option<String>,
    /// Leader, Follower, Candidate, Learner or Unknown.
    #[schema(value_type = String)]
    role: control_plane::status::Role,
    /// Whether it answered a probe within the last 500 ms.
    healthy: bool,
    /// Whether it votes.
    voter: bool,
    /// CPU time of the machine in use, in percent of all cores.
    cpu_pct: Option<f32>,
    /// Memory of the machine in use, in percent.
    mem_pct: Option<f32>,
    /// CPU time of the node's process, in percent of all cores.
    process_cpu_pct: Option<f32>,
    /// Resident memory of the node's process.
    process_memory_bytes: Option<u64>,
    /// API requests a second, over the last minute.
    qps_1m: Option<f32>,
    /// 95th percentile of their duration over the last minute, in milliseconds.
    p95_ms: Option<f32>,
    /// How long the process has run.
    uptime_s: Option<u64>,
    /// Index of its last log entry.
    last_log_index: Option<u64>,
    /// Index of the last entry it applied.
    applied_index: Option<u64>,
    /// Its release.
    version: Option<String>,
    /// When it was last heard by the node that answers, in milliseconds ago.
    last_heard_ms: Option<u64>,
    /// Whether it runs with the same configuration as the node that answers.
    same_config: Option<bool>,
}

impl From<ClusterStatus> for StatusAnswer {
    fn from(status: ClusterStatus) -> Self {
        Self {
            cluster_name: status.cluster_name,
            cluster_id: status.cluster_id.map(|id| id.to_string()),
            node_id: status.node_id,
            term: status.term,
            leader_id: status.leader_id,
            quorum: status.quorum,
            voters: status.voters,
            learners: status.learners,
            notices: status
                .notices
                .into_iter()
                .map(|notice| NoticeAnswer { code: notice.code, message: notice.message })
                .collect(),
            nodes: status.nodes.into_iter().map(NodeAnswer::from).collect(),
        }
    }
}

impl From<NodeStatus> for NodeAnswer {
    fn from(node: NodeStatus) -> Self {
        let figures = node.figures.as_ref();
        let rounded = |figure: f32| (figure * 10.0).round() / 10.0;
        Self {
            id: node.address.name,
            ip: node.address.ip,
            http_port: node.address.http_port,
            raft_port: node.address.raft_port,
            raft_id: node.raft_id.map(|id| id.to_string()),
            role: node.role,
            healthy: node.healthy,
            voter: node.voter,
            cpu_pct: figures.map(|figures| rounded(figures.cpu_pct)),
            mem_pct: figures.map(|figures| rounded(figures.mem_pct)),
            process_cpu_pct: figures.map(|figures| rounded(figures.process_cpu_pct)),
            process_memory_bytes: figures.map(|figures| figures.process_memory_bytes),
            qps_1m: figures.map(|figures| rounded(figures.qps_1m)),
            p95_ms: figures.map(|figures| rounded(figures.p95_ms)),
            uptime_s: figures.map(|figures| figures.uptime_s),
            last_log_index: node.last_log_index,
            applied_index: node.applied_index,
            version: node.version,
            last_heard_ms: node.last_heard_ms,
            same_config: node.same_config,
        }
    }
}

/// How is the cluster?
///
/// As this node sees it, from memory: to ask costs the others nothing, and never waits for them.
#[utoipa::path(get, path = "/cluster/status", tag = "cluster", responses((status = 200, description = "As this node sees it", body = StatusAnswer)))]
pub(super) async fn status(State(app): State<Arc<App>>) -> Json<StatusAnswer> {
    Json(app.control.status().into())
}

/// Who belongs to the cluster.
#[derive(Serialize, ToSchema)]
pub(super) struct MembersAnswer {
    /// The cluster's id.
    cluster_id: Option<String>,
    /// Everyone in the membership.
    members: Vec<MemberAnswer>,
    /// Whether a change of voters is half done.
    joint: bool,
    /// Configured nodes that must come and catch up before all vote together.
    waiting_for: Vec<String>,
}

/// One member.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberAnswer {
    /// Its name.
    name: String,
    /// The number of its data directory, in hexadecimal.
    raft_id: String,
    /// Whether it votes.
    voter: bool,
}

impl From<Members> for MembersAnswer {
    fn from(members: Members) -> Self {
        let member = |member: control_plane::status::MemberInfo| MemberAnswer {
            name: member.name,
            raft_id: member.raft_id.to_string(),
            voter: member.voter,
        };
        Self {
            cluster_id: members.cluster_id.map(|id| id.to_string()),
            members: members.members.into_iter().map(member).collect(),
            joint: members.joint,
            waiting_for: members.waiting_for,
        }
    }
}

/// Who belongs to the cluster?
///
/// As far as this node has heard.
#[utoipa::path(get, path = "/cluster/members", tag = "cluster", responses((status = 200, description = "Everyone in the membership", body = MembersAnswer)))]
pub(super) async fn members(State(app): State<Arc<App>>) -> Json<MembersAnswer> {
    Json(app.control.members().into())
}

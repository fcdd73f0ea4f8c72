//! `/cluster/status` and `/cluster/members`: from memory, at once, whatever the other nodes do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control_plane::status::{ClusterStatus, Members, NodeStatus, Role};
use serde::Serialize;
use stego::MetadataPolicy;
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
    /// Whether fault drills are allowed on the node that answers.
    fault_injection: bool,
    /// What an embed gets at the node that answers where it does not say.
    embed_defaults: EmbedDefaults,
    /// What the node that answers takes at most.
    limits: LimitsAnswer,
}

/// What an embed gets that does not say: the cluster's settings, and the configuration where they are not set.
#[derive(Serialize, ToSchema)]
pub(super) struct EmbedDefaults {
    /// Bits per sample.
    #[schema(minimum = 1, maximum = 4)]
    bits: u8,
    /// Whether secrets that get shorter by it are deflated.
    compress: bool,
    /// What becomes of a cover's metadata.
    metadata: MetadataAnswer,
}

/// What becomes of a cover's metadata.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MetadataAnswer {
    Keep,
    Strip,
}

/// What a node takes at most.
#[derive(Serialize, ToSchema)]
pub(super) struct LimitsAnswer {
    /// Length of a request's body.
    max_body_bytes: u64,
    /// Length of a secret.
    max_secret_bytes: u64,
    /// Pixels of an image.
    max_pixels: u64,
}

/// What a node is at the moment.
#[derive(Serialize, ToSchema)]
pub(super) enum RoleAnswer {
    Leader,
    Follower,
    /// It stands for election, or leads without a quorum.
    Candidate,
    /// It has no vote.
    Learner,
    /// It was not heard for a second.
    Unknown,
}

impl From<Role> for RoleAnswer {
    fn from(role: Role) -> Self {
        match role {
            Role::Leader => Self::Leader,
            Role::Follower => Self::Follower,
            Role::Candidate => Self::Candidate,
            Role::Learner => Self::Learner,
            Role::Unknown => Self::Unknown,
        }
    }
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
    /// What it is at the moment.
    role: RoleAnswer,
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
    /// Median of their duration over the last minute, in milliseconds.
    p50_ms: Option<f32>,
    /// 95th percentile of their duration over the last minute, in milliseconds.
    p95_ms: Option<f32>,
    /// API requests answered since its process started.
    requests_total: Option<u64>,
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

impl StatusAnswer {
    /// As this node sees it now, from memory.
    pub(super) fn now(app: &App) -> Self {
        let status: ClusterStatus = app.control.status();
        Self {
            fault_injection: app.fault_injection,
            embed_defaults: EmbedDefaults {
                bits: app.default_bits().as_u8(),
                compress: app.default_compress(),
                metadata: match app.default_metadata() {
                    MetadataPolicy::Keep => MetadataAnswer::Keep,
                    MetadataPolicy::Strip => MetadataAnswer::Strip,
                },
            },
            limits: LimitsAnswer {
                max_body_bytes: app.config.limits.max_body_bytes,
                max_secret_bytes: app.limits.max_secret_bytes,
                max_pixels: app.limits.max_pixels,
            },
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
            role: node.role.into(),
            healthy: node.healthy,
            voter: node.voter,
            cpu_pct: figures.map(|figures| rounded(figures.cpu_pct)),
            mem_pct: figures.map(|figures| rounded(figures.mem_pct)),
            process_cpu_pct: figures.map(|figures| rounded(figures.process_cpu_pct)),
            process_memory_bytes: figures.map(|figures| figures.process_memory_bytes),
            qps_1m: figures.map(|figures| rounded(figures.qps_1m)),
            p50_ms: figures.and_then(|figures| figures.p50_ms).map(rounded),
            p95_ms: figures.map(|figures| rounded(figures.p95_ms)),
            requests_total: figures.and_then(|figures| figures.requests_total),
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
    Json(StatusAnswer::now(&app))
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

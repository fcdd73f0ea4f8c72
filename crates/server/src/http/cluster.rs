//! `/cluster/status` and `/cluster/members`: from memory, at once, whatever the other nodes do.

use std::sync::Arc;

use api::status::ClusterStatus;
use axum::Json;
use axum::extract::State;
use control_plane::status::Members;
use serde::Serialize;
use stego::MetadataPolicy;
use utoipa::ToSchema;

use crate::app::App;

/// Cluster as seen by the node that answers, and what that node does by default.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    #[serde(flatten)]
    cluster: ClusterStatus,
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

impl StatusAnswer {
    /// As this node sees it now, from memory.
    pub(super) fn now(app: &App) -> Self {
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
            cluster: app.control.status(),
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

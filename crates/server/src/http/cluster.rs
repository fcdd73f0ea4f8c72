//! `/cluster/status` and `/cluster/members`: answered from memory, independently of the other nodes.

use std::sync::Arc;

use api::membership::{Member, Members};
use api::status::{EmbedDefaults, MetadataPolicy, NodeLimits, StatusAnswer};
use axum::Json;
use axum::extract::State;

use crate::app::App;

/// Returns the status as seen by this node, from memory.
pub(super) fn status_now(app: &App) -> StatusAnswer {
    StatusAnswer {
        cluster: app.control.status(),
        fault_injection: app.fault_injection,
        embed_defaults: EmbedDefaults {
            bits: app.default_bits().as_u8(),
            compress: app.default_compress(),
            metadata: match app.default_metadata() {
                stego::MetadataPolicy::Keep => MetadataPolicy::Keep,
                stego::MetadataPolicy::Strip => MetadataPolicy::Strip,
            },
        },
        limits: NodeLimits {
            max_body_bytes: app.config.limits.max_body_bytes,
            max_secret_bytes: app.limits.max_secret_bytes,
            max_pixels: app.limits.max_pixels,
        },
    }
}

/// Cluster status
///
/// As seen by this node, from memory: the call costs the other nodes nothing and never waits for them.
#[utoipa::path(get, path = "/cluster/status", tag = "cluster", responses((status = 200, description = "Status as seen by this node", body = StatusAnswer)))]
pub(super) async fn status(State(app): State<Arc<App>>) -> Json<StatusAnswer> {
    Json(status_now(&app))
}

/// Cluster members
///
/// As known to this node.
#[utoipa::path(get, path = "/cluster/members", tag = "cluster", responses((status = 200, description = "All voters and learners", body = Members)))]
pub(super) async fn members(State(app): State<Arc<App>>) -> Json<Members> {
    let control_plane::status::Members { cluster_id, members, joint, waiting_for } = app.control.members();
    let member = |member: control_plane::status::MemberInfo| Member {
        name: member.name,
        raft_id: member.raft_id.to_string(),
        voter: member.voter,
    };
    Json(Members {
        cluster_id: cluster_id.map(|id| id.to_string()),
        members: members.into_iter().map(member).collect(),
        joint,
        waiting_for,
    })
}

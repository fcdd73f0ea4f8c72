//! `/cluster/status` and `/cluster/members`: answered from memory, independently of other nodes.

use std::sync::Arc;

use api::membership::{Member, Members};
use api::status::{EmbedDefaults, MetadataPolicy, NodeLimits, StatusAnswer};
use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::control::Control;
use crate::http::middleware::principal::{Anonymous, Principal};

/// Returns the status as seen by this node, from memory.
pub(crate) fn status_now(app: &App) -> StatusAnswer {
    let defaults = app.control.embed_defaults();
    StatusAnswer {
        cluster: app.control.plane.status(),
        fault_injection: app.lifecycle.fault_injection,
        embed_defaults: EmbedDefaults {
            bits: defaults.bits.as_u8(),
            compress: defaults.compress,
            metadata: match defaults.metadata {
                stego::MetadataPolicy::Keep => MetadataPolicy::Keep,
                stego::MetadataPolicy::Strip => MetadataPolicy::Strip,
            },
        },
        limits: NodeLimits {
            max_body_bytes: app.data.config.max_body_bytes,
            max_secret_bytes: app.data.limits.max_secret_bytes,
            max_pixels: app.data.limits.max_pixels,
        },
    }
}

/// Cluster status
///
/// As seen by this node, from memory: the call neither waits for other nodes nor causes them work.
#[utoipa::path(get, path = "/cluster/status", tag = "cluster", responses((status = 200, description = "Status as seen by this node", body = StatusAnswer)))]
pub(crate) async fn status(_: Principal<Anonymous>, State(app): State<App>) -> Json<StatusAnswer> {
    Json(status_now(&app))
}

/// Cluster members
///
/// As known to this node.
#[utoipa::path(get, path = "/cluster/members", tag = "cluster", responses((status = 200, description = "All voters and learners", body = Members)))]
pub(crate) async fn members(_: Principal<Anonymous>, State(control): State<Arc<Control>>) -> Json<Members> {
    let control_plane::status::Members { cluster_id, members, joint, waiting_for } = control.plane.members();
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

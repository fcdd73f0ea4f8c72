//! `/admin/*`: fault drills. Off unless the node was started with them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control_plane::status::EventKind;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use utoipa::ToSchema;

use super::access::Operator;
use super::problem::{Problem, ProblemDocument};
use crate::app::App;

/// The answer has this long to leave before the node dies.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What a drill does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    /// The process ends at once, as with kill -9.
    Crash,
    /// The node answers neither clients nor other nodes, until it is restored.
    Pause,
}

/// Which drill.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FailRequest {
    action: Fault,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(super) struct DrillAnswer {
    /// `crash`, `pause` or `restore`.
    action: &'static str,
    /// The node that it was done to.
    node_id: String,
}

/// Let this node fail
///
/// A drill: `crash` ends the process as kill -9 does, `pause` makes it play dead until it is restored.
#[utoipa::path(
    post, path = "/admin/fail", tag = "admin", request_body = FailRequest,
    responses(
        (status = 202, description = "It will", body = DrillAnswer),
        (status = 401, description = "The admin token is missing", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "Drills are off, or the token is wrong", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn fail(
    State(app): State<Arc<App>>,
    Operator(actor): Operator,
    Json(FailRequest { action }): Json<FailRequest>,
) -> Result<(StatusCode, Json<DrillAnswer>), Problem> {
    check_enabled(&app)?;
    let action = match action {
        Fault::Crash => {
            warn!(?actor, "a drill ends this process");
            tokio::spawn(async {
                tokio::time::sleep(LAST_WORDS).await;
                let _ =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            });
            "crash"
        }
        Fault::Pause => {
            warn!(?actor, "a drill pauses this node");
            app.set_paused(true);
            "pause"
        }
    };
    app.control.tell(EventKind::Drill { action: action.to_owned() });
    Ok((StatusCode::ACCEPTED, Json(DrillAnswer { action, node_id: app.node_id.clone() })))
}

/// End a pause
#[utoipa::path(
    post, path = "/admin/restore", tag = "admin",
    responses(
        (status = 200, description = "The node takes part again", body = DrillAnswer),
        (status = 401, description = "The admin token is missing", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "Drills are off, or the token is wrong", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn restore(
    State(app): State<Arc<App>>,
    Operator(actor): Operator,
) -> Result<Json<DrillAnswer>, Problem> {
    check_enabled(&app)?;
    info!(?actor, "restored after a drill");
    app.set_paused(false);
    app.control.tell(EventKind::Drill { action: "restore".to_owned() });
    Ok(Json(DrillAnswer { action: "restore", node_id: app.node_id.clone() }))
}

fn check_enabled(app: &App) -> Result<(), Problem> {
    if app.fault_injection {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "fault_injection_off",
        "Fault drills are off",
        "start the node with --enable-fault-injection to allow them",
    ))
}

//! `/admin/*`: fault drills. Disabled unless the node was started with fault injection.

mod drill;

use std::time::Duration;

use api::drills::{DrillAnswer, FailRequest, RESTORE};
use api::events::EventKind;
use api::{Code, ProblemDocument};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tracing::{info, warn};

use crate::app::App;
use crate::drills::{self, ANSWER_GRACE, Isolation};
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::AccessProblems;
use crate::http::middleware::principal::{Operator, Principal};
use crate::lifecycle::AfterStop;
use drill::Drill;

/// Start a fault drill
///
/// `crash` ends the process as kill -9 does. `pause` makes the node seem dead to clients and to the other
/// nodes, `partition` to the other nodes only; both last until the node is restored, or for `for_ms`. `hang`
/// stops the whole process for `for_ms`. `restart` stops the process as SIGTERM does and starts it again.
/// `stall_disk` slows the next write to the disk down, and `false_alarm` makes the node suspect a healthy
/// leader.
#[utoipa::path(
    post, path = "/admin/fail", tag = "admin", security(("admin_token" = [])), request_body = FailRequest,
    responses(
        (status = 202, description = "Accepted; the fault starts `after_ms` later", body = DrillAnswer),
        AccessProblems,
        (status = 409, description = "`false_alarm`: the node follows no leader", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn fail(
    Principal(Operator(actor)): Principal<Operator>,
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<DrillAnswer>), Problem> {
    check_enabled(&app)?;
    let (fault, drill) = Drill::read(&headers, &body)?;
    warn!(?actor, ?drill, "drill started");
    let after = carry_out(&app, drill)?;
    let action = fault.as_str();
    app.control.plane.publish(EventKind::Drill { action: action.to_owned() });
    let (node_id, after_ms) = (app.setup.node_id.clone(), after.as_millis() as u64);
    Ok((StatusCode::ACCEPTED, Json(DrillAnswer { action: action.to_owned(), node_id, after_ms })))
}

/// Starts the drill, and returns the delay until the fault sets in.
fn carry_out(app: &App, drill: Drill) -> Result<Duration, Problem> {
    match drill {
        Drill::Crash => {
            drills::crash();
            return Ok(ANSWER_GRACE);
        }
        Drill::Hang(duration) => {
            drills::hang(duration).map_err(|error| {
                tracing::error!(%error, "cannot start the helper that ends the drill; process not stopped");
                Problem::internal()
            })?;
            return Ok(ANSWER_GRACE);
        }
        Drill::Pause(duration) => isolate(app, Isolation::FromAll, duration),
        Drill::Partition(duration) => isolate(app, Isolation::FromNodes, duration),
        Drill::Restart => app.lifecycle.begin_stop(AfterStop::Restart),
        Drill::StallDisk(duration) => app.control.plane.stall_disk(duration),
        Drill::FalseAlarm => {
            if !app.control.plane.raise_false_alarm() {
                return Err(follows_nobody());
            }
        }
    }
    Ok(Duration::ZERO)
}

/// Isolates the node. With a duration the isolation ends by itself, even if the client that asked is gone by
/// then.
fn isolate(app: &App, isolation: Isolation, duration: Option<Duration>) {
    let number = app.lifecycle.isolate(isolation);
    let Some(duration) = duration else { return };
    let app = app.clone();
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        if app.lifecycle.restore_from(number) {
            info!("drill ended after its duration");
            tell_restored(&app);
        }
    });
}

/// End a drill
///
/// Ends `pause` and `partition`. Without effect on a node that is not isolated.
#[utoipa::path(
    post, path = "/admin/restore", tag = "admin", security(("admin_token" = [])),
    responses(
        (status = 200, description = "Node restored", body = DrillAnswer),
        AccessProblems,
    )
)]
pub(crate) async fn restore(
    Principal(Operator(actor)): Principal<Operator>,
    State(app): State<App>,
) -> Result<Json<DrillAnswer>, Problem> {
    check_enabled(&app)?;
    info!(?actor, "drill ended by an operator");
    app.lifecycle.restore();
    tell_restored(&app);
    Ok(Json(DrillAnswer { action: RESTORE.to_owned(), node_id: app.setup.node_id.clone(), after_ms: 0 }))
}

fn tell_restored(app: &App) {
    app.control.plane.publish(EventKind::Drill { action: RESTORE.to_owned() });
}

fn follows_nobody() -> Problem {
    Problem::new(Code::FollowsNoLeader, "this node follows no leader: it leads, or no leader is known")
}

fn check_enabled(app: &App) -> Result<(), Problem> {
    if app.lifecycle.fault_injection {
        return Ok(());
    }
    Err(Problem::new(
        Code::FaultInjectionOff,
        "fault drills are disabled; start the node with --enable-fault-injection or STEG_FAULT_INJECTION=1",
    ))
}

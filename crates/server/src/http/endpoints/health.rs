//! `/livez`, `/readyz`, `/healthz` and `/metrics`. None of them depends on a quorum or waits for a pixel
//! thread.

use api::health::HealthAnswer;
use api::{Code, ProblemDocument};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::http::answer::negotiate::prefers;
use crate::http::answer::problem::Problem;
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::metrics::Readings;

/// Liveness of the process
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "The process is alive", body = String)))]
pub(crate) async fn livez(_: Principal<Anonymous>) -> &'static str {
    "ok\n"
}

/// State of the node
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "State of this node, from memory", body = HealthAnswer)))]
pub(crate) async fn healthz(_: Principal<Anonymous>, State(app): State<App>) -> Json<HealthAnswer> {
    let cluster = app.control.plane.status();
    Json(HealthAnswer {
        leader_id: cluster.leader_id,
        quorum: cluster.quorum,
        status: if app.lifecycle.is_draining() { "draining" } else { "ok" }.to_owned(),
        node_id: app.setup.node_id.clone(),
        cluster_name: app.setup.config.cluster_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: app.lifecycle.started.elapsed().as_secs(),
    })
}

/// Readiness for embeds and extracts
///
/// Covers the data plane only.
#[utoipa::path(
    get, path = "/readyz", tag = "health", params(("verbose" = Option<bool>, Query, description = "If present, the answer lists the checks")),
    responses(
        (status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(
    _: Principal<Anonymous>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<String, Problem> {
    let checks = [
        ("not-draining", !app.lifecycle.is_draining()),
        ("not-paused", !app.lifecycle.is_paused()),
        ("default-cover", app.data.is_warm()),
        ("pixel-queue", !app.data.pool.is_full()),
    ];
    if let Some((failed, _)) = checks.iter().find(|(_, passed)| !passed) {
        return Err(Problem::new(Code::NotReady, format!("the check `{failed}` does not pass")));
    }
    let verbose = query
        .is_some_and(|query| query.split('&').any(|key| key == "verbose" || key.starts_with("verbose=")));
    if !verbose {
        return Ok("ready\n".to_owned());
    }
    let lines: String = checks.iter().map(|(name, _)| format!("[+] {name} ok\n")).collect();
    Ok(lines + "ready\n")
}

/// Counters and gauges
///
/// In the OpenMetrics text format if `Accept` prefers that media type, as Prometheus does; otherwise the same
/// text as `text/plain`.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "All metrics of this node", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
pub(crate) async fn metrics(
    _: Principal<Anonymous>,
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = app.telemetry.metrics.render(readings(&app)).map_err(|error| {
        tracing::error!(%error, "cannot encode metrics");
        Problem::internal()
    })?;
    let content_type = match prefers(&headers, "application/openmetrics-text") {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// Reads the gauges of all parts now.
fn readings(app: &App) -> Readings<'_> {
    Readings {
        node_id: &app.setup.node_id,
        uptime: app.lifecycle.started.elapsed(),
        pixel_jobs: app.data.pool.jobs(),
        pixel_memory_bytes: app.data.pixel_memory.used_bytes(),
        transfer_memory_bytes: app.data.transfer_memory.used_bytes(),
        covers: app.data.covers().figures(),
        log: &app.telemetry.log,
        derivations: app.data.derivations.figures(),
        connections: &app.telemetry.connections,
        status: app.control.plane.status(),
        port: app.control.plane.port_figures(),
        flushes: app.control.plane.flush_stats(),
        disk: app.control.plane.disk_figures(),
        keys: app.control.plane.key_figures(),
    }
}

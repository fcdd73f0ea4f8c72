//! `/livez`, `/readyz`, `/healthz` and `/metrics`. None of them depends on a quorum or waits for a pixel
//! thread.

use std::sync::Arc;

use api::health::HealthAnswer;
use api::{Code, ProblemDocument};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::negotiate::prefers;
use super::problem::Problem;
use crate::app::App;

/// Liveness of the process
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "The process is alive", body = String)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// State of the node
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "State of this node, from its memory", body = HealthAnswer)))]
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Json<HealthAnswer> {
    let cluster = app.control.status();
    Json(HealthAnswer {
        leader_id: cluster.leader_id,
        quorum: cluster.quorum,
        status: if app.is_draining() { "draining" } else { "ok" }.to_owned(),
        node_id: app.node_id.clone(),
        cluster_name: app.config.cluster_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: app.started.elapsed().as_secs(),
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
pub(super) async fn readyz(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<String, Problem> {
    let checks = [
        ("not-draining", !app.is_draining()),
        ("not-paused", !app.is_paused()),
        ("default-cover", app.is_warm()),
        ("pixel-queue", !app.pool.is_full()),
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
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let text = app.metrics.render(&app).map_err(|error| {
        tracing::error!(%error, "cannot encode metrics");
        Problem::internal()
    })?;
    let content_type = match prefers(&headers, "application/openmetrics-text") {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

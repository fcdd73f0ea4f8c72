//! `GET /cluster/history`: requests and latencies of this node over the last hours.

use std::sync::Arc;

use api::ProblemDocument;
use api::history::{History, HistoryPoint};
use axum::Json;
use axum::extract::{Query, State};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::app::Setup;
use crate::figures::{STEP_MS, Step};
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::telemetry::Telemetry;

/// Range of the steps to return.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// Leave out steps that ended up to this time, in milliseconds since 1970.
    #[serde(default, deserialize_with = "up_to_the_year_9999")]
    #[param(required = false, maximum = 253_402_300_799_999_u64)]
    since: u64,
}

/// The last millisecond that RFC 3339 can express.
const MAX_SINCE_MS: u64 = 253_402_300_799_999;

fn up_to_the_year_9999<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let ms = u64::deserialize(deserializer)?;
    let unexpected = || Error::invalid_value(Unexpected::Unsigned(ms), &"milliseconds since 1970");
    (ms <= MAX_SINCE_MS).then_some(ms).ok_or_else(unexpected)
}

fn point(Step { at_ms, requests, p50_ms, p95_ms }: Step) -> HistoryPoint {
    let rounded = |ms: f32| (ms * 100.0).round() / 100.0;
    HistoryPoint { at_ms, requests, p50_ms: p50_ms.map(rounded), p95_ms: p95_ms.map(rounded) }
}

/// Request history of this node
///
/// Over the last six hours, or since the process started; from memory. Covers the answering node only.
#[utoipa::path(
    get, path = "/cluster/history", tag = "cluster", params(Since),
    responses(
        (status = 200, description = "Steps of this node", body = History),
        (status = 400, description = "`since` is not a time", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn history(
    _: Principal<Anonymous>,
    State(setup): State<Arc<Setup>>,
    State(telemetry): State<Arc<Telemetry>>,
    Query(Since { since }): Query<Since>,
) -> Json<History> {
    let points = telemetry.figures.history(since).into_iter().map(point).collect();
    Json(History { node_id: setup.node_id.clone(), step_ms: STEP_MS, points })
}

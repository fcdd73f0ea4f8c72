//! `/cluster/leader-transfers`: another node leads on an operator's word, as before maintenance of the one that does.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use control_plane::Transferred;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::access::Operator;
use super::problem::{Problem, ProblemDocument};
use super::responses::{AccessProblems, QuorumProblems};
use super::{json, settings};
use crate::app::App;

/// Who is to lead.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferRequest {
    /// The node's name; null or left out: the voter that is the furthest.
    #[serde(default)]
    to: Option<String>,
}

/// Who led and who leads.
#[derive(Serialize, ToSchema)]
pub(super) struct TransferAnswer {
    /// Who led.
    from: String,
    /// Who leads now; the same as `from` where that node led already, and nothing was changed.
    to: String,
    /// The term that it leads in.
    term: u64,
}

impl From<Transferred> for TransferAnswer {
    fn from(Transferred { from, to, term }: Transferred) -> Self {
        Self { from, to, term }
    }
}

/// Hand leadership over
///
/// Any node takes the call, whoever leads. Answered once the new leader leads; writes under way meanwhile wait for it.
/// An empty body stands for the best successor. There is no idempotency key: to ask again for the same node is harmless,
/// since one that leads already is an answer and changes nothing. Without a name, asking again moves leadership on.
#[utoipa::path(
    post, path = "/cluster/leader-transfers", tag = "cluster", request_body = Option<TransferRequest>,
    responses(
        (status = 200, description = "Who leads now", body = TransferAnswer),
        AccessProblems,
        (status = 404, description = "No such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The node, or every other one, cannot lead at the moment", body = ProblemDocument, content_type = "application/problem+json"),
        QuorumProblems,
    )
)]
pub(super) async fn transfer(
    State(app): State<Arc<App>>,
    Operator(actor): Operator,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<TransferAnswer>, Problem> {
    let TransferRequest { to } = match body.is_empty() {
        true => TransferRequest::default(),
        false => json::parse(&headers, &body, "{\"to\": \"NODE\"} or {\"to\": null}")?,
    };
    let transferred = app.control.transfer_leader(to, settings::deadline_of_change(&app, &headers)?).await?;
    let Transferred { from, to, term } = &transferred;
    info!(?actor, from, to, term, "leadership transferred for an operator");
    Ok(Json(transferred.into()))
}

//! `/cluster/leader-transfers`: another node leads on an operator's word, as before maintenance of the one that does.

use std::sync::Arc;

use api::ProblemDocument;
use api::membership::{LeaderTransfer, TransferRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use control_plane::Transferred;
use tracing::info;

use super::access::Operator;
use super::problem::Problem;
use super::responses::{AccessProblems, QuorumProblems};
use super::{json, settings};
use crate::app::App;

/// Hand leadership over
///
/// Any node takes the call, whoever leads. Answered once the new leader leads; writes under way meanwhile wait for it.
/// An empty body stands for the best successor. There is no idempotency key: to ask again for the same node is harmless,
/// since one that leads already is an answer and changes nothing. Without a name, asking again moves leadership on.
#[utoipa::path(
    post, path = "/cluster/leader-transfers", tag = "cluster", request_body = Option<TransferRequest>,
    responses(
        (status = 200, description = "Who leads now", body = LeaderTransfer),
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
) -> Result<Json<LeaderTransfer>, Problem> {
    let TransferRequest { to } = match body.is_empty() {
        true => TransferRequest::default(),
        false => json::parse(&headers, &body, "{\"to\": \"NODE\"} or {\"to\": null}")?,
    };
    let transferred = app.control.transfer_leader(to, settings::deadline_of_change(&app, &headers)?).await?;
    let Transferred { from, to, term } = transferred;
    info!(?actor, from, to, term, "leadership transferred for an operator");
    Ok(Json(LeaderTransfer { from, to, term }))
}

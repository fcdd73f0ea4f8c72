//! `/cluster/leader-transfers`: leadership transfer on an operator's request, for example before maintenance
//! of the leader.

use std::sync::Arc;

use api::ProblemDocument;
use api::membership::{LeaderTransfer, TransferRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use control_plane::Transferred;
use tracing::info;

use crate::control::Control;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::{AccessProblems, QuorumProblems};
use crate::http::body::json;
use crate::http::middleware::principal::{Operator, Principal};
use crate::http::proposal;

/// Transfer leadership
///
/// Accepted by any node. Answered once the new leader leads; writes in flight wait for the new leader. An
/// empty body selects the best successor. No idempotency key is needed: repeating the call for a named node
/// is harmless, since a node that leads already is a success without a change. Without a name, every call
/// moves leadership on.
#[utoipa::path(
    post, path = "/cluster/leader-transfers", tag = "cluster", security(("admin_token" = [])), request_body = Option<TransferRequest>,
    responses(
        (status = 200, description = "Leader after the transfer", body = LeaderTransfer),
        AccessProblems,
        (status = 404, description = "No such node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The named node, or without a name every other node, cannot lead at the moment", body = ProblemDocument, content_type = "application/problem+json"),
        QuorumProblems,
    )
)]
pub(crate) async fn transfer(
    Principal(Operator(actor)): Principal<Operator>,
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<LeaderTransfer>, Problem> {
    let TransferRequest { to } = match body.is_empty() {
        true => TransferRequest::default(),
        false => json::parse(&headers, &body, "{\"to\": \"NODE\"} or {\"to\": null}")?,
    };
    let transferred = control.plane.transfer_leader(to, proposal::deadline(&control, &headers)?).await?;
    let Transferred { from, to, term } = transferred;
    info!(?actor, from, to, term, "leadership transferred for an operator");
    Ok(Json(LeaderTransfer { from, to, term }))
}

//! `/cluster/access`: the right of whoever asks, for programs that have several tokens or none.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::Operator;
use crate::http::responses::AccessProblems;
use crate::http::settings::AuthorityAnswer;

/// The right of whoever asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessAnswer {
    /// The right by which a change would be made.
    authority: AuthorityAnswer,
}

/// Right to change the cluster
///
/// Answered where the same caller may change the cluster, and refused as a change would be. Changes nothing.
#[utoipa::path(
    get, path = "/cluster/access", tag = "cluster",
    responses((status = 200, description = "The caller may change the cluster", body = AccessAnswer), AccessProblems)
)]
pub(crate) async fn access(Operator(actor): Operator) -> Json<AccessAnswer> {
    Json(AccessAnswer { authority: actor.authority.into() })
}

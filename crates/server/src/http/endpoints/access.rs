//! `/cluster/access`: the caller's right to change the cluster, for programs with several tokens or none.

use api::settings::Access;
use axum::Json;

use super::settings::authority;
use crate::http::answer::responses::AccessProblems;
use crate::http::middleware::principal::{Operator, Principal};

/// Check the right to change the cluster
///
/// Succeeds if the caller may change the cluster; otherwise refused as a change would be. Changes nothing.
#[utoipa::path(
    get, path = "/cluster/access", tag = "cluster", security(("admin_token" = [])),
    responses((status = 200, description = "The caller may change the cluster", body = Access), AccessProblems)
)]
pub(crate) async fn access(Principal(Operator(actor)): Principal<Operator>) -> Json<Access> {
    Json(Access { authority: authority(actor.authority) })
}

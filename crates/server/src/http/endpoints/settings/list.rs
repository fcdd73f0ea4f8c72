//! `GET /cluster/settings`: the settings of the cluster, in pages.
//!
//! A page is bounded in bytes, counts as transfer memory until sent, and comes from this node's memory unless
//! the caller asks for a linearizable read. Many or slow readers therefore affect neither writes nor Raft.

use std::sync::Arc;

use api::settings::{Consistency, SettingsPage};
use api::{Code, ProblemDocument};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use control_plane::Read;
use control_plane::catalog::{PageBounds, SettingKey};
use serde::Deserialize;

use super::{answer_of, parse_key};
use crate::control::Control;
use crate::data_plane::DataPlane;
use crate::http::answer::Answer;
use crate::http::answer::problem::Problem;
use crate::http::middleware::principal::{Anonymous, Principal};

/// Default and maximum number of settings on a page.
const MAX_PAGE_SETTINGS: usize = 100;
/// Approximate size of a page's settings: small enough to be encoded as JSON on an async thread.
const MAX_PAGE_BYTES: usize = 64 << 10;

/// Range and consistency of a page.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Maximum number of settings on the page; a page with fewer is not necessarily the last.
    #[param(required = false, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only settings after this key: `next` of the previous page.
    #[param(required = false)]
    after: Option<String>,
    /// Consistency of the answer.
    #[serde(default)]
    #[param(required = false, inline)]
    consistency: Consistency,
}

fn read(consistency: Consistency, control: &Control) -> Read {
    match consistency {
        Consistency::Local => Read::Local,
        Consistency::Linearizable => Read::Linearizable { deadline: control.deadline() },
    }
}

/// List all settings
///
/// In pages; `next`, and a header `Link` with `rel="next"`, lead to the following page. Each page is as
/// recent as `consistency` says; settings may change between two pages.
#[utoipa::path(
    get, path = "/cluster/settings", tag = "cluster", params(PageQuery),
    responses(
        (status = 200, description = "A page of settings, ordered by key", body = SettingsPage),
        (status = 400, description = "Invalid parameter", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No quorum for a linearizable read, no cluster yet, or overload; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    _: Principal<Anonymous>,
    State(control): State<Arc<Control>>,
    State(data): State<Arc<DataPlane>>,
    Query(PageQuery { limit, after, consistency }): Query<PageQuery>,
) -> Result<Response, Problem> {
    let max_settings = limit.unwrap_or(MAX_PAGE_SETTINGS);
    if !(1..=MAX_PAGE_SETTINGS).contains(&max_settings) {
        let detail = format!("`limit` takes 1 to {MAX_PAGE_SETTINGS}");
        return Err(Problem::new(Code::MalformedRequest, detail));
    }
    let after: Option<SettingKey> = after.as_deref().map(parse_key).transpose()?;
    let bounds = PageBounds { max_settings, max_bytes: MAX_PAGE_BYTES };
    let page = control.plane.settings(after.as_ref(), bounds, read(consistency, &control)).await?;
    debug_assert!(page.settings.len() <= max_settings, "a page is bounded");
    let next = page.settings.last().filter(|_| page.has_more).map(|setting| setting.key.to_string());
    let link = next.as_ref().map(|next| link_to(next, limit, consistency));
    let settings = page.settings.into_iter().map(|setting| answer_of(setting, None)).collect();
    let mut answer = Answer::json(&SettingsPage { settings, next })?;
    answer.headers.extend(link.map(|link| (header::LINK, link)));
    answer.into_response(&data)
}

/// Returns the link to the following page (RFC 8288). Keys contain no characters that need escaping.
fn link_to(next: &str, limit: Option<usize>, consistency: Consistency) -> HeaderValue {
    let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
    let consistency = match consistency {
        Consistency::Local => "",
        Consistency::Linearizable => "&consistency=linearizable",
    };
    let link = format!("</cluster/settings?after={next}{limit}{consistency}>; rel=\"next\"");
    HeaderValue::try_from(link).expect("keys are visible ASCII")
}

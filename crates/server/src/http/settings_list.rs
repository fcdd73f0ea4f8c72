//! `GET /cluster/settings`: the settings of the cluster, a page at a time.
//!
//! A page is bounded in bytes, counts as transfer memory until it is sent, and comes from this node's memory unless the caller
//! asks for a linearizable read: however many read, and however slowly, neither writes nor Raft notice.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use control_plane::Read;
use control_plane::catalog::{PageBounds, SettingKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::Answer;
use super::code::Code;
use super::problem::{Problem, ProblemDocument};
use super::settings::{SettingAnswer, deadline, parse_key};
use crate::app::App;

/// Settings on a page, at most and unless the caller says.
const MAX_PAGE_SETTINGS: usize = 100;
/// Bytes of the settings on a page, roughly: few enough to be written as JSON on an async thread.
const MAX_PAGE_BYTES: usize = 64 << 10;

/// Part of the settings that is wanted.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Settings on the page, at most; it may have fewer, and is then not the last one.
    #[param(required = false, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only settings after this key: `next` of the page before.
    #[param(required = false)]
    after: Option<String>,
    /// Consistency of the answer.
    #[serde(default)]
    #[param(required = false, inline)]
    consistency: Consistency,
}

/// Consistency of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Consistency {
    /// As the node has it, from memory and without a quorum; another node may know more.
    #[default]
    Local,
    /// Whatever was acknowledged before is in it.
    Linearizable,
}

impl Consistency {
    fn read(self, app: &App) -> Read {
        match self {
            Self::Local => Read::Local,
            Self::Linearizable => Read::Linearizable { deadline: deadline(app) },
        }
    }
}

/// Settings, by key.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingsAnswer {
    /// By key.
    settings: Vec<SettingAnswer>,
    /// The key to go on after, for `after`; null: there are no further ones.
    next: Option<String>,
}

/// All settings
///
/// A page at a time; `next`, and a header `Link` with `rel="next"`, lead to the following one. Each page is as recent as
/// `consistency` says; settings may change between two pages.
#[utoipa::path(
    get, path = "/cluster/settings", tag = "cluster", params(PageQuery),
    responses(
        (status = 200, description = "By key", body = SettingsAnswer),
        (status = 400, description = "A parameter that is none", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No quorum where one is asked for, no cluster yet, or overload; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(PageQuery { limit, after, consistency }): Query<PageQuery>,
) -> Result<Response, Problem> {
    let max_settings = limit.unwrap_or(MAX_PAGE_SETTINGS);
    if !(1..=MAX_PAGE_SETTINGS).contains(&max_settings) {
        let detail = format!("`limit` takes 1 to {MAX_PAGE_SETTINGS}");
        return Err(Problem::new(Code::MalformedRequest, detail));
    }
    let after: Option<SettingKey> = after.as_deref().map(parse_key).transpose()?;
    let bounds = PageBounds { max_settings, max_bytes: MAX_PAGE_BYTES };
    let page = app.control.settings(after.as_ref(), bounds, consistency.read(&app)).await?;
    let next = page.settings.last().filter(|_| page.has_more).map(|setting| setting.key.to_string());
    let link = next.as_ref().map(|next| link_to(next, limit, consistency));
    let settings = page.settings.into_iter().map(|setting| SettingAnswer::new(setting, None)).collect();
    let mut answer = Answer::json(&SettingsAnswer { settings, next })?;
    answer.headers.extend(link.map(|link| (header::LINK, link)));
    answer.into_response(&app)
}

/// The following page (RFC 8288). Keys have no characters that would have to be escaped.
fn link_to(next: &str, limit: Option<usize>, consistency: Consistency) -> HeaderValue {
    let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
    let consistency = match consistency {
        Consistency::Local => "",
        Consistency::Linearizable => "&consistency=linearizable",
    };
    let link = format!("</cluster/settings?after={next}{limit}{consistency}>; rel=\"next\"");
    HeaderValue::try_from(link).expect("keys are visible ASCII")
}

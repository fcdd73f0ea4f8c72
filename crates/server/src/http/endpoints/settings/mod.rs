//! `/cluster/settings/{key}`: settings of the whole cluster. Reads are linearizable, writes are committed
//! before the answer, and repeating a write is safe.

pub(crate) mod list;

use std::sync::Arc;

use api::settings::{Actor, Authority, Change, PutSetting, Setting};
use api::{Code, ProblemDocument};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use control_plane::Read;
use control_plane::catalog::{self, Action, Outcome, SettingKey, SettingValue};

use crate::control::Control;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::{AccessProblems, QuorumProblems};
use crate::http::body::json;
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::http::proposal::Proposal;

/// Authority of a change in its wire form.
pub(crate) fn authority(authority: catalog::Authority) -> Authority {
    match authority {
        catalog::Authority::Loopback => Authority::Loopback,
        catalog::Authority::AdminToken => Authority::AdminToken,
    }
}

/// A setting in its wire form.
pub(crate) fn answer_of(setting: catalog::Setting, request_id: Option<String>) -> Setting {
    let catalog::Actor { name, authority: right, via } = setting.updated_by;
    Setting {
        key: setting.key.to_string(),
        value: json_of(setting.value),
        version: setting.version,
        updated_at: rfc3339(setting.updated_at_ms),
        updated_by: Actor { name, authority: authority(right), via },
        previous: setting.previous.map(json_of),
        request_id,
    }
}

fn json_of(value: SettingValue) -> serde_json::Value {
    match value {
        SettingValue::Number(number) => number.into(),
        SettingValue::Flag(flag) => flag.into(),
        SettingValue::Text(text) => text.into(),
    }
}

/// Formats milliseconds since 1970 as RFC 3339, UTC.
fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "unknown".to_owned(), |time| format!("{time:.3}"))
}

/// Get a setting
///
/// Linearizable. `ETag` is the version, for `If-Match`.
#[utoipa::path(
    get, path = "/cluster/settings/{key}", tag = "cluster", params(("key" = String, Path, description = "bits, compress, metadata or note.NAME")),
    responses(
        (status = 200, description = "The setting", body = Setting),
        (status = 404, description = "Not set, or no such setting", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No quorum; see Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    _: Principal<Anonymous>,
    State(control): State<Arc<Control>>,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let key = parse_key(&key)?;
    match control.plane.setting(&key, Read::Linearizable { deadline: control.deadline() }).await? {
        Some(setting) => Ok(answer(setting, None)),
        None => Err(not_set(&key)),
    }
}

/// Set a setting
///
/// Answered once a majority of voters has the change on disk. Repeating the call with the same
/// `Idempotency-Key` gives the same bytes, from any node, for 24 hours. `If-Match` prevents lost updates;
/// `If-None-Match: *` sets only a setting without a value.
#[utoipa::path(
    put, path = "/cluster/settings/{key}", tag = "cluster", security(("admin_token" = [])), request_body = PutSetting,
    params(
        ("key" = String, Path, description = "bits, compress, metadata or note.NAME"),
        ("idempotency-key" = Option<String>, Header, description = "Any text of up to 200 visible characters"),
        ("if-match" = Option<String>, Header, description = "Required current version"),
        ("x-steg-operator" = Option<String>, Header, description = "Name of the operator, stored with the change"),
    ),
    responses(
        (status = 200, description = "The version of the change, and the version before", body = Change),
        AccessProblems,
        (status = 409, description = "A request with the same key is in flight on this node", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "The setting has another version", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The key was used for another request", body = ProblemDocument, content_type = "application/problem+json"),
        QuorumProblems,
    )
)]
pub(crate) async fn put(
    Path(key): Path<String>,
    proposal: Proposal,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = parse_key(&key)?;
    let value = parse_value(&key, &headers, &body)?;
    let if_version = if_version(&headers)?;
    let canonical = serde_json::to_string(&(&value, if_version)).expect("plain values");
    let request = ["PUT", &key.to_string(), &canonical];
    proposal.submit(&request, Action::PutSetting { key, value, if_version }, changed).await
}

/// Delete a setting
///
/// The configured value applies again. As safe to repeat as setting a value.
#[utoipa::path(
    delete, path = "/cluster/settings/{key}", tag = "cluster", security(("admin_token" = [])), params(("key" = String, Path, description = "bits, compress, metadata or note.NAME")),
    responses(
        (status = 200, description = "The version of the deletion, and the version before", body = Change),
        AccessProblems,
        (status = 404, description = "Not set", body = ProblemDocument, content_type = "application/problem+json"),
        QuorumProblems,
    )
)]
pub(crate) async fn delete(
    Path(key): Path<String>,
    proposal: Proposal,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = parse_key(&key)?;
    let if_version = if_version(&headers)?;
    let canonical = serde_json::to_string(&if_version).expect("plain values");
    let request = ["DELETE", &key.to_string(), &canonical];
    proposal.submit(&request, Action::DeleteSetting { key, if_version }, changed).await
}

/// Answers a change of a setting.
fn changed(outcome: Outcome) -> Option<Response> {
    match outcome {
        Outcome::Changed { version, answer } => {
            let json = HeaderValue::from_static("application/json");
            let mut response = ([(header::CONTENT_TYPE, json)], String::from(answer)).into_response();
            response.headers_mut().extend(etag(version));
            Some(response)
        }
        Outcome::SettingPut { setting, request_id } | Outcome::SettingDeleted { setting, request_id } => {
            Some(answer(*setting, Some(request_id)))
        }
        Outcome::Nothing | Outcome::Announced | Outcome::Activated { .. } | Outcome::Refused { .. } => None,
    }
}

/// Answers with the setting, the version as the `ETag`.
fn answer(setting: catalog::Setting, request_id: Option<String>) -> Response {
    let etag = etag(setting.version);
    let mut response = Json(answer_of(setting, request_id)).into_response();
    response.headers_mut().extend(etag);
    response
}

fn etag(version: u64) -> Option<(header::HeaderName, HeaderValue)> {
    Some((header::ETAG, HeaderValue::from_str(&format!("\"{version}\"")).ok()?))
}

/// Parses the key of a setting.
///
/// # Errors
/// [`Code::UnknownSetting`] for a key that names no setting.
pub(crate) fn parse_key(text: &str) -> Result<SettingKey, Problem> {
    text.parse()
        .map_err(|error: catalog::SettingKeyError| Problem::new(Code::UnknownSetting, error.to_string()))
}

fn not_set(key: &SettingKey) -> Problem {
    let detail = format!("`{key}` is not set for the cluster");
    Problem::new(Code::NoSuchSetting, detail)
}

fn parse_value(key: &SettingKey, headers: &HeaderMap, body: &[u8]) -> Result<SettingValue, Problem> {
    let PutSetting { value } = json::parse(headers, body, "{\"value\": …}")?;
    SettingValue::from_json(key, &value)
        .map_err(|error| Problem::new(Code::InvalidSetting, error.to_string()))
}

fn if_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let bad = || {
        Problem::new(
            Code::InvalidPrecondition,
            "If-Match takes a version such as \"17\", If-None-Match takes *",
        )
    };
    let text = |name| headers.get(name).map(|value| value.to_str().map_err(|_| bad())).transpose();
    match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(0)),
        (Some(version), None) => {
            let digits = version.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(version);
            digits.parse().map(Some).map_err(|_| bad())
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_120), "2023-11-14T22:13:20.120Z");
        assert_eq!(rfc3339(u64::MAX), "unknown");
    }

    #[test]
    fn preconditions() {
        let check = |name: header::HeaderName, value: &'static str| {
            if_version(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))])).ok()
        };
        assert_eq!(check(header::IF_MATCH, "\"17\""), Some(Some(17)));
        assert_eq!(check(header::IF_MATCH, "17"), Some(Some(17)));
        assert_eq!(check(header::IF_MATCH, "*"), None);
        assert_eq!(check(header::IF_NONE_MATCH, "*"), Some(Some(0)));
        assert_eq!(check(header::IF_NONE_MATCH, "\"17\""), None);
        assert_eq!(if_version(&HeaderMap::new()).ok(), Some(None));
    }
}

//! Idempotent requests: the client's key, and the request id derived from key and request.

use std::sync::Arc;

use api::Code;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use control_plane::catalog::MAX_IDEMPOTENCY_KEY_CHARS;
use tokio::time::Instant;

use super::answer::problem::Problem;
use super::body::upload::Form;
use super::middleware::request::RequestId;
use crate::app::App;

/// Name of the header with the key.
const IDEMPOTENCY_KEY: &str = api::headers::IDEMPOTENCY_KEY;

/// The idempotency key, as the OpenAPI document describes it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header in the OpenAPI document")]
pub(super) struct KeyHeader {
    /// 1 to 200 visible ASCII characters.
    #[param(rename = "Idempotency-Key", required = false, pattern = "^[!-~]{1,200}$")]
    idempotency_key: Option<String>,
}

/// True if the client sent an idempotency key.
pub(super) fn is_keyed(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

/// Returns the client's idempotency key, if sent.
///
/// # Errors
/// [`Code::InvalidIdempotencyKey`] for a key that is empty, too long or not visible ASCII.
pub(super) fn client_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let fits = |key: &&str| {
        (1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
    };
    let key = value.to_str().ok().filter(fits).ok_or_else(|| {
        let detail =
            format!("Idempotency-Key takes 1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters");
        Problem::new(Code::InvalidIdempotencyKey, detail)
    })?;
    Ok(Some(key.to_owned()))
}

/// Answers under the request id that the body carries.
pub(super) fn under(request_id: Arc<str>, answer: Result<Response, Problem>) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(RequestId(request_id));
    response
}

/// Returns the request id of an upload to `path`: with an idempotency key the same id for the same upload on
/// every node, otherwise `own`. `options` are the values besides the upload that the answer depends on, such
/// as the defaults of fields that are left out.
///
/// # Errors
/// [`Code::InvalidIdempotencyKey`], or the pool's error if the digest cannot be computed in time.
pub(super) async fn id_of_upload(
    app: &App,
    (path, headers): (&str, &HeaderMap),
    form: Form,
    options: Option<&str>,
    own: Arc<str>,
    start_by: Instant,
) -> Result<(Form, Arc<str>), Problem> {
    let Some(key) = client_key(headers)? else { return Ok((form, own)) };
    let digested = move || {
        let digest = form.digest();
        (form, digest)
    };
    let (form, digest) = app.data.pool.run(start_by, digested).await?;
    let secret = app.control.plane.secret();
    let mut parts: Vec<&[u8]> = vec![b"POST", path.as_bytes(), &digest];
    parts.extend(options.map(str::as_bytes));
    let fingerprint = secret.fingerprint(&parts);
    Ok((form, secret.request_id(&key, &fingerprint).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        let key = |text: &str| {
            let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY.parse().unwrap(), text.parse().unwrap())]);
            client_key(&headers).map_err(|problem| problem.code().as_str())
        };
        assert_eq!(client_key(&HeaderMap::new()).ok(), Some(None));
        assert_eq!(key("order-17"), Ok(Some("order-17".to_owned())));
        assert!(key(&"k".repeat(200)).is_ok());
        for bad in ["", "a b", &"k".repeat(201)] {
            assert_eq!(key(bad), Err("invalid_idempotency_key"), "{bad}");
        }
    }
}

//! Requests that may be repeated: the key that a client gives, and the request id that follows from key and request.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use api::Code;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use control_plane::catalog::MAX_IDEMPOTENCY_KEY_CHARS;
use tokio::time::Instant;

use super::problem::Problem;
use super::request::RequestId;
use super::upload::Form;
use crate::app::App;

/// The header that makes repeating a request safe.
const IDEMPOTENCY_KEY: &str = api::headers::IDEMPOTENCY_KEY;
/// Writes under way on one node, at most.
const MAX_IN_FLIGHT: usize = 1024;

/// Whether the client sent an idempotency key.
pub(super) fn is_keyed(headers: &HeaderMap) -> bool {
    headers.contains_key(IDEMPOTENCY_KEY)
}

/// The client's idempotency key, if it sent one.
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

/// An answer under the request id that its body carries.
pub(super) fn under(request_id: Arc<str>, answer: Result<Response, Problem>) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(RequestId(request_id));
    response
}

/// The id that an upload to `path` is answered under: with a key the same for the same upload on every node, otherwise
/// `own`.
pub(super) async fn id_of_upload(
    app: &App,
    (path, headers): (&str, &HeaderMap),
    form: Form,
    own: Arc<str>,
    start_by: Instant,
) -> Result<(Form, Arc<str>), Problem> {
    let Some(key) = client_key(headers)? else { return Ok((form, own)) };
    let digested = move || {
        let digest = form.digest();
        (form, digest)
    };
    let (form, digest) = app.pool.run(start_by, digested).await?;
    let secret = app.control.secret();
    let fingerprint = secret.fingerprint(&[b"POST", path.as_bytes(), &digest]);
    Ok((form, secret.request_id(&key, &fingerprint).into()))
}

/// Idempotency keys of requests under way on this node.
#[derive(Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<String>>>);

/// A key's place among them, given back when dropped.
pub(super) struct InFlightGuard {
    keys: Arc<Mutex<HashSet<String>>>,
    key: String,
}

impl InFlight {
    pub(super) fn enter(&self, key: &str) -> Result<InFlightGuard, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_IN_FLIGHT {
            return Err(Problem::new(Code::Overloaded, "as many changes as may be are under way already"));
        }
        if !keys.insert(key.to_owned()) {
            return Err(Problem::new(
                Code::RequestInFlight,
                "wait for its answer, or ask again later with the same key",
            ));
        }
        Ok(InFlightGuard { keys: Arc::clone(&self.0), key: key.to_owned() })
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
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

    #[test]
    fn a_key_is_under_way_once() {
        let in_flight = InFlight::default();
        let first = in_flight.enter("a");
        assert_eq!(in_flight.enter("a").err().map(|problem| problem.code()), Some(Code::RequestInFlight));
        assert!(in_flight.enter("b").is_ok());
        drop(first);
        assert!(in_flight.enter("a").is_ok());
    }
}

//! Idempotent requests: the client's key, and the request id derived from key and request.

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

/// Name of the header with the key.
const IDEMPOTENCY_KEY: &str = api::headers::IDEMPOTENCY_KEY;
/// Maximum number of writes in flight on one node.
const MAX_IN_FLIGHT: usize = 1024;

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
/// every node, otherwise `own`.
///
/// # Errors
/// [`Code::InvalidIdempotencyKey`], or the pool's error if the digest cannot be computed in time.
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

/// Idempotency keys of requests in flight on this node.
#[derive(Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<String>>>);

/// Permit of a key in flight, returned on drop.
pub(super) struct InFlightGuard {
    keys: Arc<Mutex<HashSet<String>>>,
    key: String,
}

impl InFlight {
    /// Admits a request with this key.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if too many writes are in flight, [`Code::RequestInFlight`] if one with the same
    /// key is.
    pub(super) fn enter(&self, key: &str) -> Result<InFlightGuard, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MAX_IN_FLIGHT {
            let detail = format!("too many changes in flight on this node (limit {MAX_IN_FLIGHT})");
            return Err(Problem::new(Code::Overloaded, detail));
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

//! Idempotent requests: the client's key, and the request id and the salt derived from key and request.

use std::sync::Arc;

use api::Code;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use control_plane::ClusterSecret;
use control_plane::catalog::MAX_IDEMPOTENCY_KEY_CHARS;
use stego::Salt;
use tokio::time::Instant;

use super::answer::problem::Problem;
use super::body::upload::Form;
use super::middleware::request::RequestId;
use crate::app::App;

/// Name of the header with the key.
const IDEMPOTENCY_KEY: &str = api::headers::IDEMPOTENCY_KEY;

/// Purpose of the salts derived from the cluster's secret (`docs/format.md`, section "Body").
const SALT_PURPOSE: &str = "sealed salt v1";

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

/// Identity of an upload: the request id, and the source of its salt.
pub(super) struct Identity {
    /// The request id of the answer.
    pub request_id: Arc<str>,
    /// The salt under an idempotency key.
    derived_salt: Option<Salt>,
}

impl Identity {
    /// The identity of an upload without an idempotency key.
    pub(super) fn own(request_id: Arc<str>) -> Self {
        Self { request_id, derived_salt: None }
    }

    /// Returns the salt for a sealed payload: the same for the same upload under the same idempotency key,
    /// otherwise random by the system.
    ///
    /// # Errors
    /// [`Code::Internal`] without the system's randomness.
    pub(super) fn salt(&self) -> Result<Salt, Problem> {
        if let Some(salt) = self.derived_salt {
            return Ok(salt);
        }
        let mut salt = Salt([0; Salt::LEN_BYTES]);
        getrandom::fill(&mut salt.0).map_err(|error| {
            tracing::error!(%error, "no randomness from the system");
            Problem::internal()
        })?;
        Ok(salt)
    }
}

/// Returns the identity of an upload to `path`: with an idempotency key the same for the same upload on every
/// node, otherwise by the request id `own`. `options` are the values that shape the answer beside the upload,
/// such as the defaults for what the upload leaves out.
///
/// # Errors
/// [`Code::InvalidIdempotencyKey`], or the pool's error if the digest cannot be computed in time.
pub(super) async fn id_of_upload(
    app: &App,
    (path, headers): (&'static str, &HeaderMap),
    form: Form,
    options: String,
    own: Arc<str>,
    start_by: Instant,
) -> Result<(Form, Identity), Problem> {
    let Some(key) = client_key(headers)? else { return Ok((form, Identity::own(own))) };
    let secret = app.control.plane.secret().clone();
    let identified = move || {
        let identity = identity(&secret, &key, path, &form.pieces(), &options);
        (form, identity)
    };
    Ok(app.data.pool.run(start_by, identified).await?)
}

/// Derives the identity of an upload from all of its pieces. No digest of them exists without the cluster's
/// secret, so neither request id nor salt confirms a guessed passphrase or secret.
fn identity(secret: &ClusterSecret, key: &str, path: &str, pieces: &[&[u8]], options: &str) -> Identity {
    let head = [&b"POST"[..], path.as_bytes(), options.as_bytes()];
    let fingerprint = secret.fingerprint(&[&head, pieces].concat());
    let context = [key.as_bytes(), b"\0", fingerprint.as_bytes()].concat();
    let random = secret.derive(SALT_PURPOSE, &context);
    let mut salt = Salt([0; Salt::LEN_BYTES]);
    salt.0.copy_from_slice(&random[..Salt::LEN_BYTES]);
    Identity { request_id: secret.request_id(key, &fingerprint).into(), derived_salt: Some(salt) }
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

    /// The nonces of a sealed payload come from the salt: it must not repeat for another secret or
    /// passphrase.
    #[test]
    fn a_salt_is_that_of_one_request() {
        let secret = ClusterSecret::from_bytes([7; 32]);
        let of = |secret: &ClusterSecret, key: &str, pieces: &[&[u8]], options: &str| {
            let identity = identity(secret, key, "/api/embed", pieces, options);
            assert!(identity.salt().ok() == identity.derived_salt, "the derived one is used");
            (identity.salt().unwrap_or_else(|problem| panic!("{problem:?}")), identity.request_id)
        };
        let request: &[&[u8]] = &[b"+", b"a secret", b"+", b"a cover", b"+", b"a passphrase"];
        let first = of(&secret, "order-17", request, "bits=1");
        assert_eq!(of(&secret, "order-17", request, "bits=1"), first);
        let others = [
            of(&secret, "order-18", request, "bits=1"),
            of(&secret, "order-17", request, "bits=2"),
            of(&secret, "order-17", &[b"+", b"another", b"+", b"a cover", b"+", b"a passphrase"], "bits=1"),
            of(&secret, "order-17", &[b"+", b"a secret", b"+", b"another", b"+", b"a passphrase"], "bits=1"),
            of(&secret, "order-17", &[b"+", b"a secret", b"+", b"a cover", b"+", b"another"], "bits=1"),
            of(&secret, "order-17", &[b"+", b"a secreta", b"+", b" cover", b"+", b"a passphrase"], "bits=1"),
            of(&ClusterSecret::from_bytes([8; 32]), "order-17", request, "bits=1"),
        ];
        for (i, (salt, request_id)) in others.iter().enumerate() {
            assert!(*salt != first.0 && *request_id != first.1, "request {i}");
        }
        let random = || Identity::own("r".into()).salt().unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_ne!(random(), random());
    }
}

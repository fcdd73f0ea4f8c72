//! Proposal of a change of the replicated state: authority, idempotency key, deadline and outcome. Endpoints
//! build the action and convert the outcome; nothing else differs between changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Code;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use control_plane::catalog::{Action, Actor, Command, Outcome, RequestKey, Source, Stamp};
use uuid::Uuid;

use super::answer::problem::Problem;
use super::idempotency::{client_key, under};
use super::middleware::principal::{Operator, Principal};
use crate::app::App;
use crate::control::Control;
use crate::listener::PeerAddress;

/// Head of a change: the operator, the idempotency key and the deadline.
pub(crate) struct Proposal {
    control: Arc<Control>,
    actor: Actor,
    /// Network of the connection: its share of the deduplication table is charged.
    source: Option<Source>,
    /// The client's idempotency key; none if the request has none.
    key: Option<String>,
    deadline: Instant,
}

impl FromRequestParts<App> for Proposal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Principal(Operator(actor)) = Principal::<Operator>::from_request_parts(parts, app).await?;
        let key = client_key(&parts.headers)?;
        let deadline = deadline(&app.control, &parts.headers)?;
        let peer = parts.extensions.get::<PeerAddress>().and_then(|peer| peer.0);
        let source = peer.map(Source::of);
        Ok(Self { control: Arc::clone(&app.control), actor, source, key, deadline })
    }
}

impl Proposal {
    /// Proposes `action` and answers with its outcome. `request` is the canonical form of the request; a key
    /// used with another form is refused.
    ///
    /// # Errors
    /// [`Code::RequestInFlight`] or [`Code::Overloaded`] before anything is proposed, the problem of a
    /// refusal or of a [`control_plane::ControlError`], and [`Problem::internal`] for an outcome refused by
    /// `answer`.
    pub(crate) async fn submit(
        self,
        request: &[&str],
        action: Action,
        answer: impl FnOnce(Outcome) -> Option<Response>,
    ) -> Result<Response, Problem> {
        let Self { control, actor, source, key, deadline } = self;
        let request = request_key(&control, key, request);
        let _in_flight = control.in_flight.enter(&request.key)?;
        let request_id = Arc::from(request.request_id.as_str());
        let (proposed_at_ms, stamp) = (control_plane::unix_ms(), Stamp::default());
        let command = Command { request, proposed_at_ms, stamp, actor, source, action };
        let answered = match control.plane.submit(command, deadline).await {
            Ok(Outcome::Refused { refusal, .. }) => Err(refusal.into()),
            Ok(outcome) => answer(outcome).ok_or_else(Problem::internal),
            Err(error) => Err(error.into()),
        };
        Ok(under(request_id, answered))
    }
}

/// Deadline of a call that changes the cluster: no later than the caller's own, who could not learn the
/// outcome afterwards.
///
/// # Errors
/// [`Code::MalformedRequest`] if the caller's own limit ([`api::headers::TIMEOUT_MS`]) is not a number.
pub(crate) fn deadline(control: &Control, headers: &HeaderMap) -> Result<Instant, Problem> {
    let name = api::headers::TIMEOUT_MS;
    let Some(value) = headers.get(name) else { return Ok(control.deadline()) };
    let ms = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Problem::new(Code::MalformedRequest, format!("{name} takes a number of milliseconds"))
    })?;
    Ok(control.deadline().min(Instant::now() + Duration::from_millis(ms)))
}

/// The client's key, or a new one, with the fingerprint of the request.
fn request_key(control: &Control, given: Option<String>, request: &[&str]) -> RequestKey {
    let minted = given.is_none();
    let key = given.unwrap_or_else(|| Uuid::new_v4().to_string());
    let parts: Vec<&[u8]> = request.iter().map(|part| part.as_bytes()).collect();
    let secret = control.plane.secret();
    let fingerprint = secret.fingerprint(&parts);
    let request_id = secret.request_id(&key, &fingerprint);
    RequestKey { key, minted, fingerprint, request_id }
}

//! The layer around every request: id, span, metrics, host check and the rendering of problems.

use std::sync::Arc;
use std::time::Instant;

use api::Code;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, debug, field, info, info_span, warn};
use uuid::Uuid;

use super::confidential;
use crate::app::App;
use crate::http::answer::problem::{ErrorPage, Problem};
use crate::listener::{Foreign, NoPlace, PeerAddress};

/// Header with the request id, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(api::headers::REQUEST_ID);
/// Maximum length of a request id accepted from the client.
const MAX_ID_LEN: usize = 64;
/// The route label of requests that match no route.
const NO_ROUTE: &str = "none";

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub Arc<str>);

/// Wraps every route and every fallback.
pub(crate) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| Arc::<str>::from(path.as_str()));
    let peer = request.extensions().get::<PeerAddress>().and_then(|address| address.0).map(field::display);
    let span = info_span!("request", id = %id, peer, %method, path = request.uri().path());
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let confidential =
        confidential::judge(request.extensions(), request.headers(), &app.setup.config.security);
    request.extensions_mut().insert(confidential);

    let started = Instant::now();
    async move {
        let (parts, body) = request.into_parts();
        let refusal = foreign(&parts)
            .or_else(|| misdirected(&app, route.as_deref(), &parts))
            .or_else(|| refusal(&app, &parts, route.as_deref()));
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => next.run(Request::from_parts(parts, body)).await,
        };
        // A handler may have derived the id from an idempotency key.
        let id = response.extensions_mut().remove().map_or(id, |RequestId(derived)| derived);
        let is_page = response.extensions_mut().remove::<ErrorPage>().is_some();
        let bare = if is_page { None } else { Problem::of_bare(response.status()) };
        let problem = response.extensions_mut().remove::<Problem>().or(bare);
        if let Some(problem) = problem {
            app.telemetry.metrics.count_problem(problem.code().as_str());
            info!(code = problem.code().as_str(), detail = problem.detail(), "refused");
            if let Some((format, message)) = problem.decoder_panic() {
                app.telemetry.metrics.count_decoder_panic(format);
                warn!(%format, message, "decoder panicked");
            }
            let kept = [ALLOW, CONNECTION].map(|name| (response.headers_mut().remove(&name), name));
            response = problem.render(&id);
            for (value, name) in kept {
                response.headers_mut().extend(value.map(|value| (name, value)));
            }
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let took = started.elapsed();
        if is_work(route.as_deref()) {
            app.telemetry.figures.count(took);
        }
        let status = response.status().as_u16();
        app.telemetry.metrics.count_request(
            route.as_deref().unwrap_or(NO_ROUTE),
            method_label(&method),
            status,
            took,
        );
        debug!(status, took_ms = took.as_secs_f64() * 1e3, "answered");
        response
    }
    .instrument(span)
    .await
}

/// True for health calls, which report a drain instead of being refused for it.
fn is_health(route: Option<&str>) -> bool {
    matches!(route, Some("/livez" | "/readyz" | "/healthz" | "/metrics"))
}

/// True for routes served during a pause: the end of the pause, and the calls for observing a drill.
fn is_open_in_a_pause(route: Option<&str>) -> bool {
    matches!(
        route,
        Some(
            "/livez"
                | "/metrics"
                | "/admin/restore"
                | "/cluster/status"
                | "/cluster/events"
                | "/cluster/history"
        )
    )
}

/// True for data-plane calls, which the rate and the percentiles cover.
fn is_work(route: Option<&str>) -> bool {
    route.is_some_and(|route| route.starts_with("/api/") && route != "/api/openapi.json")
}

/// Refuses a connection in another protocol, for which the listener substituted a request.
fn foreign(parts: &Parts) -> Option<Response> {
    let problem = match parts.extensions.get::<Foreign>()? {
        Foreign::Tls => {
            let detail = "a TLS handshake was sent to a port for plain HTTP; use http:// in place of https://, or a proxy \
                          in front of this node that ends TLS";
            Problem::new(Code::TlsNotSupported, detail)
        }
        Foreign::Http2 => {
            let detail = "this node speaks HTTP/1.1; HTTP/2 with prior knowledge (curl: --http2-prior-knowledge) is not \
                          supported";
            Problem::new(Code::HttpVersionNotSupported, detail)
        }
    };
    let mut response = problem.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// Refuses a request for a host that is not this node's. Load balancers use names of their own for `/livez`
/// and `/readyz`, whose answers reveal nothing.
fn misdirected(app: &App, route: Option<&str>, parts: &Parts) -> Option<Response> {
    if matches!(route, Some("/livez" | "/readyz")) {
        return None;
    }
    app.auth.check_host(parts).err().map(|error| Problem::from(error).into_response())
}

/// Refuses requests that the node does not admit at the moment.
fn refusal(app: &App, parts: &Parts, route: Option<&str>) -> Option<Response> {
    if parts.extensions.get::<NoPlace>().is_some() {
        let places = app.telemetry.connections.rules.places;
        let detail = format!("all {places} connection places are in use; retry at another node");
        return Some(Problem::new(Code::Overloaded, detail).into_response());
    }
    if app.lifecycle.is_draining() && !is_health(route) {
        return Some(draining());
    }
    let paused = app.lifecycle.is_paused() && !is_open_in_a_pause(route);
    paused.then(|| {
        Problem::new(Code::Paused, "a drill pauses this node; retry at another node").into_response()
    })
}

fn draining() -> Response {
    let mut response =
        Problem::new(Code::Draining, "this node is about to stop; retry at another node").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the client's id if harmless, otherwise a new id.
fn request_id(request: &Request) -> Arc<str> {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if is_harmless(id) => id.into(),
        _ => Uuid::new_v4().to_string().into(),
    }
}

fn is_harmless(id: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Method names are free text; methods without a route share one label.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

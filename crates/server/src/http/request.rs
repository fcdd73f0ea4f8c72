//! What every request gets: an id, a log line, its place in the metrics, and problems written out.

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

use super::console::ErrorPage;
use super::problem::Problem;
use crate::app::App;
use crate::listener::{Foreign, NoPlace, PeerAddress};

/// The header that names a request, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(api::headers::REQUEST_ID);
/// Length of a request id that is taken over from the client, at most.
const MAX_ID_LEN: usize = 64;
/// The route label of requests that match no route.
const NO_ROUTE: &str = "none";

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub Arc<str>);

/// Wraps every route and every fallback.
pub(super) async fn layer(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| Arc::<str>::from(path.as_str()));
    let peer = request.extensions().get::<PeerAddress>().and_then(|address| address.0).map(field::display);
    let span = info_span!("request", id = %id, peer, %method, path = request.uri().path());
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));

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
        // A handler may have derived another id, from an idempotency key.
        let id = response.extensions_mut().remove().map_or(id, |RequestId(derived)| derived);
        let is_page = response.extensions_mut().remove::<ErrorPage>().is_some();
        let bare = if is_page { None } else { Problem::of_bare(response.status()) };
        let problem = response.extensions_mut().remove::<Problem>().or(bare);
        if let Some(problem) = problem {
            app.metrics.count_problem(problem.code().as_str());
            info!(code = problem.code().as_str(), detail = problem.detail(), "refused");
            if let Some((format, message)) = problem.decoder_panic() {
                app.metrics.count_decoder_panic(format);
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
            app.figures.count(took);
        }
        let status = response.status().as_u16();
        app.metrics.count_request(route.as_deref().unwrap_or(NO_ROUTE), method_label(&method), status, took);
        debug!(status, took_ms = took.as_secs_f64() * 1e3, "answered");
        response
    }
    .instrument(span)
    .await
}

/// Health calls tell of the stop instead of being refused for it.
fn is_health(route: Option<&str>) -> bool {
    matches!(route, Some("/livez" | "/readyz" | "/healthz" | "/metrics"))
}

/// What a paused node still answers: how to end the pause, and what drills are watched by.
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

/// The calls that the node is there for, which its rate and its percentiles are about.
fn is_work(route: Option<&str>) -> bool {
    route.is_some_and(|route| route.starts_with("/api/") && route != "/api/openapi.json")
}

/// The refusal of a connection in another protocol, for which a request stands that nobody sent.
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

/// The refusal of a request for a host that is not this node's. Load balancers ask for the health under names of their own, and
/// what they get tells nothing.
fn misdirected(app: &App, route: Option<&str>, parts: &Parts) -> Option<Response> {
    if matches!(route, Some("/livez" | "/readyz")) {
        return None;
    }
    app.access.check_host(parts).err().map(IntoResponse::into_response)
}

/// Why the node takes no request of this kind at the moment.
fn refusal(app: &App, parts: &Parts, route: Option<&str>) -> Option<Response> {
    if parts.extensions.get::<NoPlace>().is_some() {
        let places = app.connections.rules.places;
        let detail = format!("all {places} places for connections are taken; ask another node");
        return Some(Problem::new(Code::Overloaded, detail).into_response());
    }
    if app.is_draining() && !is_health(route) {
        return Some(draining());
    }
    let paused = app.is_paused() && !is_open_in_a_pause(route);
    paused.then(|| Problem::new(Code::Paused, "a drill pauses this node; ask another one").into_response())
}

fn draining() -> Response {
    let mut response =
        Problem::new(Code::Draining, "this node is about to stop; ask another one").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The client's own id if it is a harmless one, otherwise a new one.
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

/// Method names are free text; those that no route has share one label.
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

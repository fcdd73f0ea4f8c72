//! Cross-origin access (CORS) for the pages of the cluster's own nodes, so that the console works on with the
//! other nodes when its own node fails.

use std::time::Duration;

use api::headers;
use axum::Router;
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE,
    ETAG, IF_MATCH, IF_NONE_MATCH, LINK, ORIGIN, RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::map_response;
use axum::response::Response;
use tower_http::cors::CorsLayer;
use uuid::Uuid;

use super::request::REQUEST_ID;
use crate::config::Config;
use crate::origins::{self, Scheme};

/// Lifetime of a preflight's result in browsers.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Request headers allowed to pages, besides those of this API.
const REQUEST_HEADERS: [HeaderName; 6] =
    [ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, HeaderName::from_static("last-event-id")];
/// Further headers of answers for pages: file name, version, next page, retry time.
const ANSWER_HEADERS: [HeaderName; 4] = [CONTENT_DISPOSITION, ETAG, LINK, RETRY_AFTER];

/// Headers of HTTP and of this API.
fn all(of_http: &[HeaderName], own: &[&'static str]) -> Vec<HeaderName> {
    of_http.iter().cloned().chain(own.iter().map(|name| HeaderName::from_static(name))).collect()
}

/// CORS headers that only allowed pages receive: they are longer than most other heads.
const FOR_ALLOWED: [HeaderName; 4] = [
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Answers preflights, and allows the cluster's pages to read answers. The outermost layer: a page can read
/// problems too, and preflights are answered even while the node is paused or draining.
pub(crate) fn around<S: Clone + Send + Sync + 'static>(router: Router<S>, config: &Config) -> Router<S> {
    router.layer(layer(config)).layer(map_response(finished))
}

/// Removes CORS headers meant for allowed pages from all other answers, and gives preflights, which never
/// reach the request layer, a request id.
async fn finished(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(REQUEST_ID) {
        headers.extend(HeaderValue::try_from(Uuid::new_v4().to_string()).ok().map(|id| (REQUEST_ID, id)));
    }
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        for name in &FOR_ALLOWED {
            headers.remove(name);
        }
    }
    response
}

fn layer(config: &Config) -> CorsLayer {
    let origins = origins::all(&config.nodes, Scheme::of(&config.security))
        .into_iter()
        .filter_map(|origin| HeaderValue::try_from(origin).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(all(&REQUEST_HEADERS, &headers::OF_REQUESTS))
        .expose_headers(all(&ANSWER_HEADERS, &headers::OF_ANSWERS))
        .max_age(MAX_AGE)
        .vary([ORIGIN])
}

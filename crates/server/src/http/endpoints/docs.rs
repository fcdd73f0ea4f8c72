//! `GET /docs`: Swagger UI with every call. Loads nothing from other servers.

use axum::Router;
use axum::http::{HeaderValue, header};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Path of the OpenAPI document.
const DOCUMENT: &str = "/api/openapi.json";
/// Swagger UI has inline styles, icons as data URLs, and shows images of answers from memory.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                                       img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'; object-src 'none'";

/// Serves Swagger UI with `document`, and the document itself.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(document: OpenApi) -> Router<S> {
    // The validator badge would send a request to an external service.
    let config = Config::default().validator_url("none");
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    Router::from(SwaggerUi::new("/docs").config(config).url(DOCUMENT, document))
        .layer(SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, policy))
}

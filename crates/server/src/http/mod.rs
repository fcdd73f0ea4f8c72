//! The HTTP API. Handlers translate between HTTP and the library; they decide nothing about either.

mod answer;
mod capacity;
mod dataset;
mod embed;
mod extract;
mod health;
mod negotiate;
mod problem;
mod request;
mod status_page;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stego cluster",
        description = "Hides files in images and finds them again.\n\nErrors are problem documents (RFC 9457) \
                       with a stable `code`. Every answer carries `x-request-id`."
    ),
    tags(
        (name = "stego", description = "Hide, find, and what fits"),
        (name = "health", description = "For load balancers and dashboards"),
    )
)]
struct ApiDoc;

/// Every route of a node.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (api, document) = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(embed::embed))
        .routes(routes!(extract::extract))
        .routes(routes!(capacity::capacity))
        .routes(routes!(dataset::dataset))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::healthz))
        .routes(routes!(health::metrics))
        .split_for_parts();
    api.route("/", get(status_page::status_page))
        .merge(SwaggerUi::new("/docs").url("/api/openapi.json", document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), request::layer))
        .with_state(app)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no page or call `{}`; /docs lists the calls", uri.path()))
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This call takes another method",
        "the header Allow names the methods of this call",
    )
}

/// The panic itself is in the log, written by the panic hook.
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}

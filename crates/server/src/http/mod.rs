//! The HTTP API. Handlers translate between HTTP and the library and contain no logic of either.

mod answer;
mod body;
mod endpoints;
mod idempotency;
mod middleware;
mod proposal;

use api::Code;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa::openapi::extensions::{Extensions, ExtensionsBuilder};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use answer::negotiate::prefers;
use answer::problem::Problem;
use endpoints::settings::list;
use endpoints::{
    access, admin, capacity, cluster, compare, console, dataset, docs, embed, error_page, events, extract,
    health, history, leader, settings,
};
use middleware::{cors, request};

#[cfg(feature = "fuzzing")]
pub(crate) use body::upload::fuzzing::check as check_upload;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stego cluster",
        description = "Hides files in images and finds them again.\n\nErrors are problem documents (RFC 9457) \
                       with a stable `code`; [/docs/errors](/docs/errors) gives the meaning and the remedy of \
                       each, and `x-retry` of this document the retry class: `elsewhere` (the same request at another \
                       node), `later` (after `Retry-After`), `same_key` (with the same `Idempotency-Key`), \
                       `never`. Every answer carries `x-request-id`."
    ),
    tags(
        (name = "stego", description = "Hiding, finding and capacity"),
        (name = "cluster", description = "Leader, membership and replicated settings"),
        (name = "admin", description = "Fault drills; disabled unless the node was started with them"),
        (name = "health", description = "Probes for load balancers, metrics for dashboards"),
    )
)]
struct ApiDoc;

/// Every route of a node.
pub(crate) fn router(app: App) -> Router {
    let (api, document) = calls();
    // Without this header a browser may guess a type other than the declared one.
    let nosniff = HeaderValue::from_static("nosniff");
    let routes = api
        .route("/", get(console::page))
        .route("/assets/{file}", get(console::asset))
        .route("/docs/errors", get(error_page::error_page))
        .merge(docs::router(document))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), request::layer));
    cors::around(routes, &app.setup.config)
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, nosniff))
        .with_state(app)
}

/// Retry class of each problem by code: the member `x-retry` of the OpenAPI document.
fn retry_classes() -> Extensions {
    let classes: serde_json::Map<_, _> =
        Code::ALL.iter().map(|code| (code.to_string(), code.retry().as_str().into())).collect();
    ExtensionsBuilder::new().add("x-retry", classes).build()
}

/// Authentication of an operator: the scheme that operations with a requirement name.
fn admin_token() -> SecurityScheme {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some(
        "The admin token of the cluster. Programs on the node's machine need none where the configuration says \
         `security.loopback: trusted`."
            .to_owned(),
    );
    SecurityScheme::Http(scheme)
}

/// The calls of the API, and the document that describes the calls.
fn calls() -> (Router<App>, utoipa::openapi::OpenApi) {
    let mut document = ApiDoc::openapi();
    document.extensions = Some(retry_classes());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("admin_token", admin_token());
    OpenApiRouter::with_openapi(document)
        .routes(routes!(embed::embed))
        .routes(routes!(extract::extract))
        .routes(routes!(capacity::capacity))
        .routes(routes!(compare::compare))
        .routes(routes!(dataset::dataset))
        .routes(routes!(cluster::status))
        .routes(routes!(cluster::members))
        .routes(routes!(access::access))
        .routes(routes!(events::events))
        .routes(routes!(history::history))
        .routes(routes!(leader::transfer))
        .routes(routes!(list::list))
        .routes(routes!(settings::get, settings::put, settings::delete))
        .routes(routes!(admin::fail))
        .routes(routes!(admin::restore))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::healthz))
        .routes(routes!(health::metrics))
        .split_for_parts()
}

/// Answers requests without a route: browsers with the console, programs with a problem document.
async fn not_found(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let answer = if method == Method::GET && prefers(&headers, "text/html") {
        console::navigation(&app.setup, uri.path()).into_response()
    } else {
        let detail = format!("no page or call `{}`; /docs lists the calls", uri.path());
        Problem::new(Code::NotFound, detail).into_response()
    };
    ([(header::VARY, "accept")], answer).into_response()
}

async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the header Allow names the methods of this call")
}

/// Answers a request whose handler panicked. The panic hook logs the panic itself; the line here names the
/// request.
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("request ended by a panic");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The OpenAPI document.
    fn document() -> serde_json::Value {
        serde_json::to_value(calls().1).unwrap()
    }

    #[test]
    fn fields_that_take_a_few_words_list_them() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let words = |schema: &str, field: &str| {
            let field = &schemas[schema]["properties"][field];
            let choices = field["oneOf"].as_array().into_iter().flatten();
            let found = choices.chain([field]).find_map(|choice| choice["enum"].as_array());
            found.unwrap_or_else(|| panic!("{schema}: {field}")).clone()
        };
        assert_eq!(words("EmbedForm", "mode"), ["sequential", "scattered", "adaptive"]);
        assert_eq!(words("EmbedForm", "metadata"), ["keep", "strip"]);
        assert_eq!(words("ModeCapacity", "mode"), ["sequential", "scattered", "adaptive"]);
    }

    /// Constructs that break client generators, openapi-python-client among them.
    #[test]
    fn generators_of_clients_understand_every_schema() {
        fn walk(value: &serde_json::Value, path: &str, schemas: &serde_json::Value) {
            if let Some(parts) = value["allOf"].as_array() {
                for part in parts {
                    let name = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                    let schema = name.map_or(part, |name| &schemas[name]);
                    assert!(schema["oneOf"].is_null(), "{path}: a oneOf within an allOf");
                }
            }
            if value["items"]["format"] == "int32" && value["items"]["minimum"] == 0 {
                panic!("{path}: bytes as a list of numbers");
            }
            match value {
                serde_json::Value::Object(members) => {
                    members.iter().for_each(|(name, value)| walk(value, &format!("{path}/{name}"), schemas));
                }
                serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, path, schemas)),
                _ => {}
            }
        }
        let document = document();
        walk(&document, "", &document["components"]["schemas"]);
        let event = &document["components"]["schemas"]["ClusterEvent"]["oneOf"];
        for kind in event.as_array().unwrap() {
            for member in ["id", "at_ms", "node", "kind"] {
                assert!(kind["properties"][member].is_object(), "{member}: {kind}");
                assert!(kind["required"].as_array().unwrap().contains(&member.into()), "{member}: {kind}");
            }
        }
        let metrics = &document["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
        assert!(metrics["text/plain"].is_object(), "{metrics}");
    }

    /// The console's types are generated from this file.
    #[test]
    fn the_openapi_document_is_the_one_that_the_console_is_built_from() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/openapi.json");
        let served = calls().1.to_pretty_json().unwrap() + "\n";
        if std::env::var_os("STEG_OVERWRITE").is_some() {
            std::fs::write(path, &served).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            served == committed,
            "web/openapi.json is not what a node serves; `STEG_OVERWRITE=1 cargo nextest run -p server openapi` writes it \
             anew, then `cargo xtask console --check` tells what the console does not know of yet"
        );
    }
}

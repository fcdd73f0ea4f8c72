//! `GET /` and `GET /assets/{file}`: the web console, which works with every node of the cluster. Console
//! pages lie behind `/#/`; addresses without the `#` redirect there.

use std::sync::Arc;

use api::Code;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Serialize;

use crate::app::Setup;
use crate::config::NodeConfig;
use crate::http::answer::negotiate::takes_gzip;
use crate::http::answer::problem::{ErrorPage, Problem};
use crate::http::middleware::confidential;
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::listener::Encrypted;
use crate::origins::{self, Scheme};

/// The cluster as embedded in the page: the serving node and the origins of all nodes.
#[derive(Serialize)]
struct Cluster<'a> {
    cluster_name: &'a str,
    /// Id of the serving node.
    node_id: &'a str,
    /// In the configuration's order.
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: &'a str,
    origin: String,
}

/// Pages of the console that are reachable without the `#` too: `PAGES` in `web/src/pages.ts`.
const PAGES: [&str; 5] = ["hide", "find", "cluster", "drill", "settings"];

/// Serves the console's page.
pub(crate) async fn page(
    _: Principal<Anonymous>,
    State(setup): State<Arc<Setup>>,
    encrypted: Option<Extension<Encrypted>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_encrypted = encrypted.is_some_and(|Extension(encrypted)| encrypted.is_true());
    let is_direct = !confidential::is_forwarded(&headers);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host {
        // A page of another scheme is of another origin, which the other nodes do not answer.
        Some(host) if Scheme::of(&setup.config.security) == Scheme::Https && is_direct && !is_encrypted => {
            Ok(Redirect::temporary(&format!("https://{host}/")).into_response())
        }
        _ => render(&setup),
    }
}

/// Answers a browser that navigates to a path without a route: with a redirect to the console's page of that
/// name, or with the console under status 404.
pub(crate) fn navigation(setup: &Setup, path: &str) -> Result<Response, Problem> {
    let name = path.trim_matches('/');
    if PAGES.contains(&name) {
        return Ok(Redirect::to(&format!("/#/{name}")).into_response());
    }
    Ok((StatusCode::NOT_FOUND, Extension(ErrorPage), render(setup)?).into_response())
}

fn render(setup: &Setup) -> Result<Response, Problem> {
    let scheme = Scheme::of(&setup.config.security);
    let nodes: Vec<_> = setup
        .config
        .nodes
        .iter()
        .map(|node| Node { id: &node.id, origin: origins::origin(node, scheme) })
        .collect();
    let policy = content_security_policy(&setup.config.nodes, scheme);
    let cluster = Cluster { cluster_name: &setup.config.cluster_name, node_id: &setup.node_id, nodes };
    let cluster = serde_json::to_string(&cluster).map_err(|error| {
        tracing::error!(%error, "cannot encode the cluster as JSON");
        Problem::internal()
    })?;
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((headers, Html(console::page(&cluster))).into_response())
}

/// Content security policy of the page: own scripts and styles, own and generated images, calls to the
/// cluster's nodes.
fn content_security_policy(nodes: &[NodeConfig], scheme: Scheme) -> HeaderValue {
    let sources: Vec<_> = nodes.iter().map(|node| origins::policy_source(node, scheme)).collect();
    let policy = format!(
        "default-src 'self'; img-src 'self' blob:; connect-src 'self' {}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; object-src 'none'",
        sources.join(" ")
    );
    HeaderValue::try_from(policy).expect("addresses and ports are ASCII")
}

/// Serves a file that the page loads. File names change with the content, so that browsers may cache for
/// good.
pub(crate) async fn asset(
    _: Principal<Anonymous>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = name.ok().and_then(|Path(name)| console::asset(&name)).ok_or_else(|| {
        Problem::new(Code::NotFound, "no such file in this node's console; reload the page")
    })?;
    let caching = [(header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    let content_type = [(header::CONTENT_TYPE, asset.media_type)];
    let Some(gzip) = asset.gzip else {
        return Ok((caching, content_type, Bytes::from_static(asset.bytes)).into_response());
    };
    let vary = [(header::VARY, "accept-encoding")];
    Ok(if takes_gzip(&headers) {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        (caching, content_type, vary, encoding, Bytes::from_static(gzip)).into_response()
    } else {
        (caching, content_type, vary, Bytes::from_static(asset.bytes)).into_response()
    })
}

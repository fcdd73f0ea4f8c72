//! Pages of a node, and the rights of other nodes' pages.
//!
//! The tests pass with the built console and with the placeholder page.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use stego::{Channels, Cover};
use testkit::{Cluster, ClusterBuilder, Node, NodeBuilder, wait_for};

use crate::overload::{begin_upload, finish};
use crate::request::{add_file, file, get, post, problem};

/// Origin of an unrelated page.
const FOREIGN: &str = "http://evil.example";

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Returns the assets loaded by a page.
fn loaded(page: &str) -> Vec<&str> {
    page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The first of three nodes, alone. The addresses of its peers are configured.
fn one_of_three() -> Cluster {
    let mut cluster = ClusterBuilder::new().flags(["--enable-fault-injection"]).build();
    cluster.start(0);
    wait_for("a cluster of one", || {
        let agreed = "/cluster/settings?consistency=linearizable";
        cluster.get(0, agreed).filter(|reply| reply.status == 200).map(|_| ())
    });
    cluster
}

fn call(cluster: &Cluster, method: Method, path: &str, origin: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, format!("{}{path}", cluster.url(0))).header("origin", origin)
}

fn put(cluster: &Cluster, origin: &str) -> RequestBuilder {
    call(cluster, Method::PUT, "/cluster/settings/note.a", origin)
        .header("sec-fetch-site", "cross-site")
        .json(&json!({"value": "from a page"}))
}

async fn preflight(cluster: &Cluster, origin: &str) -> Response {
    let request = call(cluster, Method::OPTIONS, "/cluster/settings/note.a", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type,idempotency-key");
    request.send().await.unwrap()
}

fn allowed(answer: &Response) -> Option<&str> {
    text(answer.headers(), "access-control-allow-origin")
}

#[tokio::test]
async fn the_page_names_the_cluster_and_is_held_to_it() {
    let cluster = one_of_three();
    let answer = call(&cluster, Method::GET, "/", &cluster.url(0)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    assert_eq!(text(&headers, "content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(text(&headers, "cache-control"), Some("no-store"));
    assert_eq!(text(&headers, "x-content-type-options"), Some("nosniff"));
    assert_eq!(text(&headers, "referrer-policy"), Some("no-referrer"));
    let policy = format!(
        "default-src 'self'; img-src 'self' blob:; connect-src 'self' {}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; object-src 'none'",
        cluster.urls().join(" ")
    );
    assert_eq!(text(&headers, "content-security-policy"), Some(&*policy));

    let page = answer.text().await.unwrap();
    let (_, description) = page.split_once("<meta name=\"steg-cluster\" content=\"").unwrap();
    let description = description.split('"').next().unwrap().replace("&quot;", "\"");
    let nodes: Vec<_> = (0..3).map(|i| json!({"id": cluster.id(i), "origin": cluster.url(i)})).collect();
    let expected = json!({"cluster_name": "test", "node_id": "n1", "nodes": nodes});
    assert_eq!(serde_json::from_str::<Value>(&description).unwrap(), expected);
    for inline in ["<style", "style=", "<script>", "onclick"] {
        assert!(!page.contains(inline), "the policy forbids `{inline}`: {page}");
    }
}

#[tokio::test]
async fn what_the_page_loads_is_served_to_be_kept() {
    let node = Node::start();
    let page = get(&node, "/").await.text().await.unwrap();
    let names = loaded(&page);
    assert!(names.iter().any(|name| name.ends_with(".css")), "{page}");
    for name in names {
        let ask = async |encodings: &str| {
            let url = format!("{}/assets/{name}", node.url());
            let request = reqwest::Client::new().get(url).header("accept-encoding", encodings);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            let headers = answer.headers().clone();
            assert_eq!(text(&headers, "cache-control"), Some("public, max-age=31536000, immutable"));
            assert_eq!(text(&headers, "x-content-type-options"), Some("nosniff"));
            let media_type = match name.rsplit_once('.').unwrap().1 {
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "svg" => "image/svg+xml",
                other => panic!("what type has .{other}?"),
            };
            assert_eq!(text(&headers, "content-type"), Some(media_type));
            (headers, answer.bytes().await.unwrap())
        };
        let (headers, plain) = ask("identity").await;
        assert_eq!(text(&headers, "content-encoding"), None);
        let (headers, packed) = ask("br, gzip").await;
        if packed == plain {
            assert_eq!(text(&headers, "content-encoding"), None, "{name} does not get shorter");
            continue;
        }
        assert_eq!(text(&headers, "content-encoding"), Some("gzip"));
        assert!(headers.get_all("vary").iter().any(|value| value == "accept-encoding"), "{headers:?}");
        assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < plain.len());
    }
}

#[tokio::test]
async fn assets_that_are_not_there_are_problems() {
    let node = Node::start();
    for path in ["/assets/none.js", "/assets/", "/assets/a/b.js", "/assets/..%2Findex.html", "/assets/%ff"] {
        problem(get(&node, path).await, 404, "not_found").await;
    }
    problem(post(&node, "/").send().await.unwrap(), 405, "method_not_allowed").await;
}

#[tokio::test]
async fn browsers_find_pages_without_the_hash_and_programs_get_problems() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let node = Node::start();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let navigate = async |path: &str| {
        let request = client.get(format!("{}{path}", node.url())).header("accept", BROWSER);
        request.send().await.unwrap()
    };
    for page in ["hide", "find", "cluster", "drill", "settings"] {
        for path in [format!("/{page}"), format!("/{page}/")] {
            let answer = navigate(&path).await;
            assert_eq!(answer.status(), 303, "{path}");
            assert_eq!(text(answer.headers(), "location"), Some(&*format!("/#/{page}")), "{path}");
            assert!(answer.headers().get_all("vary").iter().any(|value| value == "accept"), "{path}");
            problem(get(&node, &path).await, 404, "not_found").await;
        }
    }
    let answer = navigate("/nonsense").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(text(answer.headers(), "content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.text().await.unwrap().contains("steg-cluster"));
    problem(get(&node, "/nonsense").await, 404, "not_found").await;
    // Calls of the API stay calls, whoever makes them.
    assert_eq!(text(navigate("/cluster/status").await.headers(), "content-type"), Some("application/json"));
}

#[tokio::test]
async fn pages_of_configured_nodes_may_read_answers_and_others_may_not() {
    let cluster = one_of_three();
    let port = cluster.address(1).port();
    for origin in [cluster.url(0), cluster.url(2)] {
        let answer = preflight(&cluster, &origin).await;
        assert_eq!((answer.status().as_u16(), allowed(&answer)), (200, Some(&*origin)));
        let headers = answer.headers();
        assert_eq!(text(headers, "access-control-allow-methods"), Some("GET,HEAD,POST,PUT,DELETE"));
        assert_eq!(text(headers, "access-control-max-age"), Some("600"));
        assert_eq!(text(headers, "access-control-allow-credentials"), None);
        assert_eq!(text(headers, "vary"), Some("origin"));
        for (path, status) in [("/cluster/status", 200), ("/nowhere", 404), ("/docs/errors", 200)] {
            let answer = call(&cluster, Method::GET, path, &origin).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), allowed(&answer)), (status, Some(&*origin)), "{path}");
            assert!(answer.headers().get_all("vary").iter().any(|value| value == "origin"), "{path}");
        }
    }
    let other_port = format!("http://{}:{}", cluster.address(1).ip(), port + 1);
    // These nodes have loopback addresses of their own, which are not what `localhost` stands for.
    let localhost = format!("http://localhost:{port}");
    for origin in [FOREIGN, "null", &other_port, &localhost, &cluster.url(1).replace("http:", "https:")] {
        let read = call(&cluster, Method::GET, "/cluster/status", origin).send().await.unwrap();
        for answer in [preflight(&cluster, origin).await, read] {
            let names = answer.headers().keys().map(|name| name.as_str());
            let told: Vec<_> = names.filter(|name| name.starts_with("access-control-")).collect();
            assert_eq!(told, [""; 0], "{origin}");
            assert_eq!(text(answer.headers(), "vary"), Some("origin"));
        }
    }
}

/// Pages can read a header of an answer only if it is exposed by name.
#[tokio::test]
async fn every_figure_of_an_answer_can_be_read_by_a_page() {
    let cluster = one_of_three();
    let origin = cluster.url(1);
    let send = async |path, accept, field, bytes: Vec<u8>| {
        let form = file(field, "a.bin", bytes);
        let request = call(&cluster, Method::POST, path, &origin).header("accept", accept).multipart(form);
        request.send().await.unwrap()
    };
    let embedded = send("/api/embed", "image/png", "file", b"secret".to_vec()).await;
    let embedded_headers = embedded.headers().clone();
    let image = embedded.bytes().await.unwrap().to_vec();
    let extracted = send("/api/extract", "application/octet-stream", "file", image).await;
    let image = Cover::from_samples(20, 20, Channels::Rgb, testkit::noise(1, 1200)).unwrap().to_png();
    let images = add_file(file("a", "a.png", image.clone()), "b", "b.png", image);
    let compare = call(&cluster, Method::POST, "/api/compare", &origin).header("accept", "image/png");
    let compared = compare.multipart(images).send().await.unwrap();
    assert_eq!(compared.status(), 200);
    for headers in [&embedded_headers, extracted.headers(), compared.headers()] {
        let exposed: Vec<_> = text(headers, "access-control-expose-headers").unwrap().split(',').collect();
        let figures: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("x-")).collect();
        assert!(figures.len() > 3, "{figures:?}");
        for name in
            figures.into_iter().map(|name| name.as_str()).filter(|name| *name != "x-content-type-options")
        {
            assert!(exposed.contains(&name), "{name} is not in {exposed:?}");
        }
        for name in ["etag", "retry-after", "link", "content-disposition"] {
            assert!(exposed.contains(&name), "{name} is not in {exposed:?}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_node_operates_this_one_and_a_foreign_one_does_not() {
    let cluster = one_of_three();
    let answer = put(&cluster, &cluster.url(1)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), allowed(&answer)), (200, Some(&*cluster.url(1))));
    for origin in [FOREIGN, "null"] {
        let answer = put(&cluster, origin).send().await.unwrap();
        assert_eq!(allowed(&answer), None);
        problem(answer, 403, "cross_origin").await;
    }
}

#[tokio::test]
async fn pages_read_why_a_paused_node_refuses() {
    let cluster = one_of_three();
    let origin = cluster.url(1);
    let pause = call(&cluster, Method::POST, "/admin/fail", &origin).json(&json!({"action": "pause"}));
    assert_eq!(pause.send().await.unwrap().status(), 202);
    wait_for("a pause", || cluster.get(0, "/api/dataset/1").filter(|reply| reply.status == 503).map(|_| ()));
    assert_eq!(allowed(&preflight(&cluster, &origin).await), Some(&*origin));
    let answer = put(&cluster, &origin).send().await.unwrap();
    assert_eq!(allowed(&answer), Some(&*origin));
    problem(answer, 503, "paused").await;
    let restore = call(&cluster, Method::POST, "/admin/restore", &origin);
    assert_eq!(restore.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn pages_read_that_a_node_is_about_to_stop() {
    /// Configured address of a node that listens on any free port.
    const CONFIGURED: &str = "http://127.0.0.1:0";
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 60_000).start();
    let (stream, rest) = begin_upload(&node);
    node.terminate();
    wait_for("the drain to begin", || node.log().contains("draining").then_some(()));
    let url = format!("{}/cluster/settings/note.a", node.url());
    let request = |method| reqwest::Client::new().request(method, &url).header("origin", CONFIGURED);
    let asked = request(Method::OPTIONS).header("access-control-request-method", "PUT").send().await.unwrap();
    assert_eq!((asked.status().as_u16(), allowed(&asked)), (200, Some(CONFIGURED)));
    let refused = request(Method::PUT).json(&json!({"value": "late"})).send().await.unwrap();
    assert_eq!(allowed(&refused), Some(CONFIGURED));
    problem(refused, 503, "draining").await;
    assert!(finish(stream, &rest).starts_with("HTTP/1.1 415"));
}

//! The right to change the cluster, and the hosts accepted by a node.

use std::os::unix::fs::PermissionsExt;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder, Proxy};

use crate::request::{LIMIT, answer, get, must_put, wait_for_status};

/// A cluster with the defaults: loopback is no right, and the token is derived from the key.
fn builder() -> ClusterBuilder {
    ClusterBuilder::new()
        .set("security.loopback", "token")
        .set("security.admin_token_file", "")
        .flags(["--enable-fault-injection"])
}

/// The token in the data directory of node `i`.
fn token(cluster: &Cluster, i: usize) -> String {
    let path = cluster.node(i).data_dir().join("admin.token");
    let text = cluster.wait_until("the admin token", LIMIT, |_| std::fs::read_to_string(&path).ok());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    text.trim().to_owned()
}

/// Every call with an effect on the cluster or a node.
fn changes(url: &str) -> Vec<RequestBuilder> {
    let client = reqwest::Client::new();
    let call = |method: Method, path: &str, body: Value| {
        client.request(method, format!("{url}{path}")).timeout(LIMIT).json(&body)
    };
    vec![
        call(Method::PUT, "/cluster/settings/bits", json!({"value": 2})),
        call(Method::DELETE, "/cluster/settings/bits", json!(null)),
        call(Method::POST, "/cluster/leader-transfers", json!({"to": null})),
        call(Method::POST, "/admin/fail", json!({"action": "crash"})),
        call(Method::POST, "/admin/restore", json!({})),
        call(Method::GET, "/cluster/access", json!(null)),
    ]
}

/// Each operation of the OpenAPI document refuses a caller without a token if the document says so, and
/// serves the caller otherwise.
#[tokio::test]
async fn operations_require_what_the_document_says() {
    let cluster = builder().nodes(1).start();
    wait_for_status(&cluster, 0, "a leader", |status| status.quorum);
    let (_, document) = get(&cluster, 0, "/api/openapi.json").await;
    let scheme = &document["components"]["securitySchemes"]["admin_token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    let mut refused = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if path == "/cluster/events" {
                assert!(operation["security"].is_null(), "the stream is open to everybody");
                continue;
            }
            let url = cluster.url(0) + &path.replace("{key}", "bits").replace("{index}", "49");
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = reqwest::Client::new().request(method, url).timeout(LIMIT);
            let status = request.send().await.unwrap().status().as_u16();
            let requires = !operation["security"].is_null();
            assert_eq!(status == 401, requires, "{path}: {status}");
            refused += usize::from(requires);
        }
    }
    assert_eq!(refused, changes("").len());
}

#[tokio::test]
async fn loopback_is_no_right_directly_or_through_a_proxy_that_says_nothing() {
    let cluster = builder().start();
    let leader = cluster.wait_all_healthy();
    let before = cluster.status(leader).unwrap();
    let proxy = Proxy::start(cluster.address(0));
    for url in [cluster.url(0), format!("http://{}", proxy.address())] {
        for call in changes(&url) {
            let (status, body) = answer(call).await;
            assert_eq!((status.as_u16(), &body["code"]), (401, &json!("token_required")), "{url}");
        }
    }
    assert_eq!(get(&cluster, 0, "/cluster/settings/bits").await.0, 404, "nothing was changed");
    assert_eq!(cluster.status(leader).unwrap().leader_id, before.leader_id);
    assert!(!cluster.log_contains(0, "loopback trusted"));

    let with_token = reqwest::Client::new()
        .put(format!("http://{}/cluster/settings/bits", proxy.address()))
        .bearer_auth(token(&cluster, 0))
        .json(&json!({"value": 2}));
    assert_eq!(answer(with_token).await.0, 200);
}

#[tokio::test]
async fn the_derived_token_is_the_same_on_all_nodes_and_in_no_log() {
    let mut cluster = builder().start();
    cluster.wait_all_healthy();
    let tokens: Vec<_> = (0..3).map(|i| token(&cluster, i)).collect();
    assert!(tokens[0].len() == 64 && tokens.iter().all(|token| *token == tokens[0]));
    for i in 0..3 {
        let request = reqwest::Client::new().get(format!("{}/cluster/access", cluster.url(i)));
        let (status, body) = answer(request.bearer_auth(&tokens[(i + 1) % 3])).await;
        assert_eq!((status.as_u16(), &body["authority"]), (200, &json!("admin_token")));
    }
    // A node makes the file again where it finds another one, and starts where it cannot.
    let path = cluster.node(2).data_dir().join("admin.token");
    cluster.kill(2);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    cluster.start(2);
    cluster.wait_until("a warning", LIMIT, |cluster| {
        cluster.log_contains(2, "admin token not written").then_some(())
    });
    cluster.wait_all_healthy();
    cluster.kill(2);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "another").unwrap();
    cluster.start(2);
    cluster.wait_until("the token", LIMIT, |_| {
        std::fs::read_to_string(&path).ok().filter(|text| text.trim() == tokens[0])
    });
    assert_eq!(token(&cluster, 2), tokens[0]);
    for i in 0..3 {
        assert!(!cluster.log_contains(i, &tokens[0]));
        assert!(cluster.log_contains(i, "console at http://"));
    }
}

#[tokio::test]
async fn guesses_are_slowed_down() {
    let cluster = builder().nodes(1).start();
    wait_for_status(&cluster, 0, "a leader", |status| status.quorum);
    let right = token(&cluster, 0);
    let ask = |token: &str| {
        let request = reqwest::Client::new().get(format!("{}/cluster/access", cluster.url(0)));
        request.bearer_auth(token).send()
    };
    for i in 0..10 {
        assert_eq!(ask(&format!("guess-{i}")).await.unwrap().status(), 403);
    }
    let refused = ask("guess-10").await.unwrap();
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(refused.status() == 429 && (1..=6).contains(&wait), "{refused:?}");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "too_many_guesses");
    assert_eq!(ask(&right).await.unwrap().status(), 429);
    assert!(cluster.log_contains(0, "too many wrong admin tokens"));
    assert!(!cluster.log_contains(0, "guess-"));
}

#[tokio::test]
async fn a_node_answers_to_its_own_hosts() {
    let cluster = builder().nodes(1).set("security.hosts", "stego.example.com").start();
    wait_for_status(&cluster, 0, "a leader", |status| status.quorum);
    let ask = async |path: &str, host: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", cluster.url(0)));
        answer(request.header("host", host)).await
    };
    for path in ["/", "/cluster/status", "/metrics", "/healthz", "/docs/", "/api/dataset/0", "/no/such/path"]
    {
        let (status, body) = ask(path, "evil.example").await;
        assert_eq!((status.as_u16(), &body["code"]), (421, &json!("unknown_host")), "{path}");
        assert!(body["detail"].as_str().unwrap().contains("security.hosts"), "{body}");
    }
    for path in ["/livez", "/readyz"] {
        cluster.wait_until("a ready node", LIMIT, |cluster| {
            cluster.get(0, "/readyz").filter(|reply| reply.status == 200)
        });
        assert_eq!(ask(path, "some-load-balancer").await.0, 200, "{path}");
    }
    for host in ["stego.example.com", "localhost:1", "127.0.0.1"] {
        assert_eq!(ask("/cluster/status", host).await.0, 200, "{host}");
    }
    assert_eq!(ask("/cluster/status", "a b").await.0, 400);
}

#[tokio::test]
async fn loopback_is_trusted_where_the_configuration_says_so() {
    let cluster = ClusterBuilder::new().nodes(1).start();
    wait_for_status(&cluster, 0, "a leader", |status| status.quorum);
    assert!(cluster.log_contains(0, "loopback trusted"));
    let (_, body) = get(&cluster, 0, "/cluster/access").await;
    assert_eq!(body, json!({"authority": "loopback"}));
    must_put(&cluster, 0, "note.a", json!("x")).await;
}

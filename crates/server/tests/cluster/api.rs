//! The calls of the cluster, on three nodes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{ClusterBuilder, Role};

use crate::request::{LATEST_FORMAT, LIMIT, answer, get, must_put, put, put_request, value, wait_for_status};

#[tokio::test]
async fn settings_are_what_embedding_uses() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let set = must_put(&cluster, 1, "bits", json!(3)).await;
    let (status, found) = get(&cluster, 0, "/cluster/settings/bits").await;
    assert_eq!(
        (status.as_u16(), &found["version"], &found["previous"]),
        (200, &set["version"], &json!(null))
    );
    assert_eq!(found["updated_by"]["via"], "n2");
    for i in 0..3 {
        assert_eq!(value(&cluster, i, "bits").await, json!(3));
        let form = reqwest::multipart::Form::new()
            .part("file", reqwest::multipart::Part::bytes(vec![1; 100]).file_name("a"));
        let embedded = reqwest::Client::new().post(format!("{}/api/embed", cluster.url(i))).multipart(form);
        assert_eq!(answer(embedded).await.1["cover_info"]["bits"], 3);
    }
    let url = format!("{}/cluster/settings/bits", cluster.url(2));
    let (status, deleted) = answer(reqwest::Client::new().delete(url)).await;
    assert_eq!((status.as_u16(), &deleted["key"]), (200, &json!("bits")));
    assert!(deleted["version"].is_u64(), "{deleted}");
    let (status, gone) = get(&cluster, 0, "/cluster/settings/bits").await;
    assert_eq!((status.as_u16(), &gone["code"]), (404, &json!("no_such_setting")));
}

#[tokio::test]
async fn a_repeated_request_has_the_same_answer_from_any_node() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let repeat = |i: usize, text: &str| {
        put_request(&cluster, i, "note.a", json!(text)).header("idempotency-key", "the-same")
    };
    wait_for_status(&cluster, 0, "the latest format", |status| status.format_version == LATEST_FORMAT);
    let first = repeat(0, "x").send().await.unwrap();
    assert_eq!(first.status(), 200);
    let first = first.text().await.unwrap();
    let change: Value = first.parse().unwrap();
    assert!(change["version"].is_u64() && change["previous_version"].is_null(), "{change}");
    assert!(first.len() <= 256, "{first}");
    must_put(&cluster, 1, "note.a", json!("y")).await;
    for i in 0..3 {
        let again = repeat(i, "x").send().await.unwrap();
        assert_eq!(again.headers()["x-request-id"], change["request_id"].as_str().unwrap());
        assert_eq!(again.text().await.unwrap(), first, "the same bytes");
    }
    assert_eq!(value(&cluster, 2, "note.a").await, json!("y"), "it was not done again");
    let (status, other) = answer(repeat(1, "z")).await;
    assert_eq!((status.as_u16(), &other["code"]), (422, &json!("idempotency_key_reused")));
}

#[tokio::test]
async fn a_repeated_embed_has_the_same_body_from_any_node() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let embed = async |i: usize, secret: &'static str| {
        let part = reqwest::multipart::Part::bytes(secret.as_bytes()).file_name("a");
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = reqwest::Client::new().post(format!("{}/api/embed", cluster.url(i)));
        let answer = request.header("idempotency-key", "once").multipart(form).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        (id, answer.bytes().await.unwrap())
    };
    let first = embed(0, "a secret").await;
    assert_eq!(embed(1, "a secret").await, first);
    assert_ne!(embed(2, "another one").await.0, first.0);
    // Under other settings of the cluster it is another request.
    for (key, set) in [("bits", json!(3)), ("compress", json!(false)), ("metadata", json!("strip"))] {
        let before = embed(0, "a secret").await;
        must_put(&cluster, 0, key, set.clone()).await;
        assert_eq!(value(&cluster, 0, key).await, set);
        let after = embed(0, "a secret").await;
        assert!(after.0 != before.0, "{key}: one request id for two options");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    for (key, sent, status, code) in [
        ("bits", json!(5), 400, "invalid_setting"),
        ("metadata", json!("some"), 400, "invalid_setting"),
        ("leader", json!("n1"), 404, "unknown_setting"),
    ] {
        let (got, body) = put(&cluster, 0, key, sent).await;
        assert_eq!((got.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    }
    let version = must_put(&cluster, 0, "bits", json!(1)).await["version"].clone();
    let guarded = put_request(&cluster, 1, "bits", json!(2)).header("if-match", "\"1\"");
    let (status, body) = answer(guarded).await;
    assert_eq!(
        (status.as_u16(), &body["code"], &body["actual"]),
        (412, &json!("version_mismatch"), &version)
    );
    let key = put_request(&cluster, 1, "bits", json!(2)).header("idempotency-key", "with a space");
    assert_eq!(answer(key).await.1["code"], "invalid_idempotency_key");
    let page = put_request(&cluster, 1, "bits", json!(2)).header("origin", "http://evil.example");
    let mut page = page.build().unwrap();
    page.headers_mut().remove("authorization");
    assert_eq!(reqwest::Client::new().execute(page).await.unwrap().status(), 403);
    let (status, off) = answer(
        reqwest::Client::new()
            .post(format!("{}/admin/fail", cluster.url(0)))
            .json(&json!({"action": "crash"})),
    )
    .await;
    assert_eq!((status.as_u16(), &off["code"]), (403, &json!("fault_injection_off")));
}

#[tokio::test]
async fn a_status_waits_for_nobody_and_every_node_has_its_figures() {
    let mut cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let status = wait_for_status(&cluster, leader, "figures of all nodes", |status| {
        status.nodes.iter().all(|node| node.cpu_pct.is_some() && node.same_config == Some(true))
    });
    assert!(status.nodes.iter().all(|node| node.version.as_deref() == Some(env!("CARGO_PKG_VERSION"))));
    let [hung, asked] = [(leader + 1) % 3, (leader + 2) % 3];
    let hung_name = cluster.id(hung).to_owned();
    cluster.pause(hung);
    let started = Instant::now();
    let status = wait_for_status(&cluster, asked, "an unknown node", |status| {
        status.role(&hung_name) == Role::Unknown
    });
    assert!(started.elapsed() < LIMIT && status.quorum);
    let node = status.node(&hung_name).unwrap();
    assert_eq!((node.healthy, node.cpu_pct), (false, None));
    cluster.resume(hung);
    cluster.wait_all_healthy();
}

#[tokio::test]
async fn another_configuration_shows() {
    let cluster = ClusterBuilder::new().set_on(2, "stego.lsb_per_channel", 2).start();
    cluster.wait_all_healthy();
    let status = wait_for_status(&cluster, 0, "the difference", |status| status.has_notice("config_differs"));
    assert_eq!((status.nodes[1].same_config, status.nodes[2].same_config), (Some(true), Some(false)));
    assert!(cluster.log_contains(0, "another configuration"));
}

#[tokio::test]
async fn events_tell_of_a_new_leader() {
    let mut cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let watcher = (leader + 1) % 3;
    let mut stream = reqwest::get(format!("{}/cluster/events", cluster.url(watcher))).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    cluster.kill(leader);
    let started = Instant::now();
    let mut text = String::new();
    let old = format!("\"leader_id\":\"{}\"", cluster.id(leader));
    let seen = |text: &str| {
        let elections: Vec<&str> = text.lines().filter(|line| line.contains("\"kind\":\"leader\"")).collect();
        elections.last().is_some_and(|line| line.contains("\"leader_id\":\"") && !line.contains(&old))
    };
    while !seen(&text) {
        assert!(started.elapsed() < LIMIT, "no new leader in {text}");
        let chunk = tokio::time::timeout(LIMIT, stream.chunk()).await.expect("an event in time");
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: peer"), "{text}");
}

/// Reads a stream of events until `enough` accepts the text.
async fn read_until(stream: &mut reqwest::Response, enough: impl Fn(&str) -> bool) -> String {
    let started = Instant::now();
    let mut text = String::new();
    while !enough(&text) {
        assert!(started.elapsed() < LIMIT, "not enough in {text}");
        let chunk = tokio::time::timeout(LIMIT, stream.chunk()).await.expect("an event in time");
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn the_status_comes_with_the_events_where_it_is_asked_for() {
    let cluster =
        ClusterBuilder::new().flags(["--enable-fault-injection"]).set("gui.status_poll_ms", 100).start();
    cluster.wait_all_healthy();
    let watch = || reqwest::get(format!("{}/cluster/events?status=true", cluster.url(0)));
    let mut stream = watch().await.unwrap();
    let text = read_until(&mut stream, |text| text.matches("event: status").count() >= 3).await;
    let first = text.split("\n\n").next().unwrap();
    assert!(first.starts_with("event: status\n"), "{first}");
    let told: Value = serde_json::from_str(first.split_once("data: ").unwrap().1).unwrap();
    let (_, asked) = get(&cluster, 0, "/cluster/status").await;
    for member in ["leader_id", "cluster_id", "fault_injection", "embed_defaults", "limits", "voters"] {
        assert_eq!(told[member], asked[member], "{member}");
    }
    assert_eq!(asked["embed_defaults"], json!({"bits": 1, "compress": true, "metadata": "keep"}));
    assert_eq!(asked["fault_injection"], true);
    assert!(
        asked["nodes"][2]["requests_total"].is_u64() && asked["nodes"][2]["p50_ms"].is_number(),
        "{asked}"
    );

    // A paused node goes on telling, so that a drill can be watched; and whoever comes then is told, too.
    let pause = json!({"action": "pause"});
    let url = |path: &str| format!("{}{path}", cluster.url(0));
    let client = reqwest::Client::new();
    assert!(client.post(url("/admin/fail")).json(&pause).send().await.unwrap().status().is_success());
    let is_told = |text: &str| {
        text.split_once("event: drill").is_some_and(|(_, after)| after.contains("event: status"))
    };
    read_until(&mut stream, is_told).await;
    let mut late = watch().await.unwrap();
    read_until(&mut late, |text| text.contains("event: drill")).await;

    let (status, body) = get(&cluster, 0, "/cluster/events?status=perhaps").await;
    assert_eq!((status.as_u16(), &body["code"]), (400, &json!("malformed_request")), "{body}");
    // Nobody is told what they did not ask for.
    let mut plain = reqwest::get(url("/cluster/events")).await.unwrap();
    let text = read_until(&mut plain, |text| text.contains("event: drill")).await;
    assert!(!text.contains("event: status"), "{text}");
}

#[tokio::test]
async fn each_node_tells_what_it_did() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    assert_eq!(get(&cluster, 1, "/api/dataset/1").await.0, 200);
    let history = || async { get(&cluster, 1, "/cluster/history").await.1 };
    let started = Instant::now();
    let told = loop {
        let told = history().await;
        if told["points"].as_array().unwrap().iter().any(|point| point["requests"] == 1) {
            break told;
        }
        assert!(started.elapsed() < LIMIT, "{told}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!((&told["node_id"], &told["step_ms"]), (&json!("n2"), &json!(10_000)));
    let points = told["points"].as_array().unwrap();
    let point = points.iter().find(|point| point["requests"] == 1).unwrap();
    assert_eq!(point["p50_ms"], point["p95_ms"]);
    assert!(point["p50_ms"].as_f64().unwrap() > 0.0);
    let at_ms = point["at_ms"].as_u64().unwrap();
    assert_eq!(at_ms % 10_000, 0);
    let (_, later) = get(&cluster, 1, &format!("/cluster/history?since={at_ms}")).await;
    assert!(later["points"].as_array().unwrap().iter().all(|later| later["at_ms"].as_u64() > Some(at_ms)));
}

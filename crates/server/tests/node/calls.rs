//! Every call, used as intended.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stego::{Channels, Cover, Limits};
use testkit::{Node, wait_for};

use crate::request::{add_file, embed, extract, file, get, post};

#[tokio::test]
async fn a_file_goes_in_and_comes_out_with_its_name_and_type() {
    let node = Node::start();
    let secret = testkit::text(20_000);
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(secret.clone())
            .file_name("größe 1.pdf")
            .mime_str("application/pdf")
            .unwrap(),
    );
    let answer = post(&node, "/api/embed").multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let embedded: Value = answer.json().await.unwrap();
    assert_eq!(embedded["request_id"], request_id);
    let info = &embedded["cover_info"];
    assert_eq!((&info["width"], &info["height"], &info["channels"]), (&1920.into(), &1080.into(), &3.into()));
    assert_eq!((&info["bit_depth"], &info["bits"]), (&8.into(), &1.into()));
    assert_eq!(info["capacity_bytes"], (1920 * 1080 * 3 - 224) / 8);
    assert_eq!(embedded["secret_size_bytes"], secret.len());
    assert!(embedded["payload_size_bytes"].as_u64().unwrap() < secret.len() as u64);
    assert!(embedded["psnr_db"].as_f64().unwrap() > 60.0);
    assert_eq!(embedded["mark_id"], Value::Null);
    assert!(embedded["notes"][0].as_str().unwrap().contains("analysis"));

    let image = STANDARD.decode(embedded["stego_image_b64"].as_str().unwrap()).unwrap();
    let answer =
        post(&node, "/api/extract").multipart(file("file", "x.png", image.clone())).send().await.unwrap();
    let extracted: Value = answer.json().await.unwrap();
    assert_eq!(extracted["filename"], "größe 1.pdf");
    assert_eq!(extracted["recovered_mime"], "application/pdf");
    assert_eq!(extracted["recovered_size_bytes"], secret.len());
    assert_eq!(extracted["mark"], Value::Null);
    assert_eq!(extracted["notes"], serde_json::json!([]));
    assert_eq!(STANDARD.decode(extracted["recovered_b64"].as_str().unwrap()).unwrap(), secret);

    let answer = post(&node, "/api/extract")
        .header("accept", "application/octet-stream")
        .multipart(file("file", "x.png", image))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename=\"gr__e 1.pdf\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.pdf"
    );
    assert_eq!(answer.headers()["x-stego-recovered-mime"], "application/pdf");
    assert!(!answer.headers().contains_key("x-stego-note"));
    assert_eq!(answer.bytes().await.unwrap(), secret);
}

#[tokio::test]
async fn a_png_answer_has_its_figures_in_headers() {
    let node = Node::start();
    let form = file("file", "a.bin", testkit::noise(1, 1000)).text("bits", "2").text("mode", "sequential");
    let answer =
        post(&node, "/api/embed").header("accept", "image/png").multipart(form).send().await.unwrap();
    let figure = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(figure("content-type"), "image/png");
    assert_eq!(figure("x-stego-bit-depth"), "8");
    assert_eq!(figure("x-stego-bits"), "2");
    assert_eq!(figure("x-stego-secret-size-bytes"), "1000");
    assert_eq!(figure("x-stego-payload-size-bytes"), (28 + 1000 + "a.bin".len()).to_string());
    assert_eq!(figure("x-stego-capacity-bytes"), ((1920 * 1080 * 3 - 224) * 2 / 8).to_string());
    assert!(figure("x-stego-note").contains("analysis"));
    let length: usize = figure("content-length").parse().unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), length);
}

#[tokio::test]
async fn metadata_is_what_the_request_says_then_the_cluster_then_kept() {
    const TEXT: &[u8] = b"Comment\0by the sea";
    let node = Node::start();
    let cover = testkit::PngParts {
        width: 64,
        height: 64,
        depth: 8,
        colour: 2,
        chunks: vec![(*b"tEXt", TEXT.to_vec())],
        rows: vec![vec![7; 64 * 3]; 64],
    }
    .to_file();
    let keeps = async |policy: Option<&'static str>| {
        let mut form = add_file(file("file", "s", "secret"), "cover", "c.png", cover.clone());
        if let Some(policy) = policy {
            form = form.text("metadata", policy);
        }
        let request = post(&node, "/api/embed").header("accept", "image/png").multipart(form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().windows(TEXT.len()).any(|part| part == TEXT)
    };
    assert!(keeps(None).await);
    assert!(!keeps(Some("strip")).await);
    wait_for("a cluster of one", || {
        (node.status("/cluster/settings?consistency=linearizable") == Some(200)).then_some(())
    });
    let setting = reqwest::Client::new()
        .put(format!("{}/cluster/settings/metadata", node.url()))
        .json(&serde_json::json!({"value": "strip"}));
    assert_eq!(setting.send().await.unwrap().status(), 200);
    assert!(!keeps(None).await);
    assert!(keeps(Some("keep")).await);
}

#[tokio::test]
async fn a_secret_from_a_file_that_is_cut_off_below_it_comes_with_a_note() {
    let node = Node::start();
    let whole = embed(&node, b"near the top", None).await;
    let cut_off = || file("file", "x.png", &whole[..whole.len() / 2]);
    let extracted: Value =
        post(&node, "/api/extract").multipart(cut_off()).send().await.unwrap().json().await.unwrap();
    assert_eq!(STANDARD.decode(extracted["recovered_b64"].as_str().unwrap()).unwrap(), b"near the top");
    assert!(extracted["notes"][0].as_str().unwrap().contains("cut off"), "{extracted}");
    let request = post(&node, "/api/extract").header("accept", "application/octet-stream");
    let answer = request.multipart(cut_off()).send().await.unwrap();
    assert!(answer.headers()["x-stego-note"].to_str().unwrap().contains("cut off"));
}

#[tokio::test]
async fn secrets_of_every_size_come_back() {
    let node = Node::start();
    let large_cover =
        Cover::from_samples(3000, 2000, Channels::Rgb, testkit::noise(3, 18_000_000)).unwrap().to_png();
    for (secret, cover) in [
        (vec![], None),
        (testkit::noise(1, 1), None),
        (testkit::noise(2, 700_000), None),
        (testkit::text(10_000_000), None),
        (testkit::noise(3, 2_100_000), Some(&large_cover[..])),
    ] {
        let image = embed(&node, &secret, cover).await;
        assert!(extract(&node, &image).await == secret, "{} bytes", secret.len());
    }
}

#[tokio::test]
async fn covers_are_judged_by_their_content_not_their_name() {
    let node = Node::start();
    for (name, cover) in testkit::covers().into_iter().rev().take(3) {
        let secret = testkit::noise(5, 5000);
        let image = embed(&node, &secret, Some(&cover)).await;
        assert_eq!(extract(&node, &image).await, secret, "{name} sent as cover.png");
    }
}

#[tokio::test]
async fn capacity_is_what_embed_takes() {
    let node = Node::start();
    let cover = Cover::from_samples(200, 100, Channels::Rgba, testkit::noise(3, 80_000)).unwrap().to_png();
    let answer =
        post(&node, "/api/capacity").multipart(file("file", "c.png", cover.clone())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let capacity: Value = answer.json().await.unwrap();
    assert_eq!((&capacity["width"], &capacity["format"]), (&200.into(), &"PNG".into()));
    assert_eq!(capacity["bit_depth"], 8);
    for mode in capacity["modes"].as_array().unwrap() {
        let fits = mode["capacity_bytes"].as_u64().unwrap() as usize;
        for (len, status) in [(fits, 200), (fits + 1, 413)] {
            let form =
                add_file(file("file", "name.bin", testkit::noise(7, len)), "cover", "c.png", cover.clone());
            let mut form = form.text("bits", mode["bits"].to_string());
            if mode["mode"] != "sequential" {
                form =
                    form.text("mode", mode["mode"].as_str().unwrap().to_owned()).text("passphrase", "a key");
            }
            let answer = post(&node, "/api/embed").multipart(form).send().await.unwrap();
            assert_eq!(answer.status(), status, "{len} bytes in {mode}");
        }
    }
}

#[tokio::test]
async fn the_dataset_is_fifty_images() {
    let node = Node::start();
    for index in [0, 49] {
        let answer = get(&node, &format!("/api/dataset/{index}")).await;
        assert_eq!(answer.headers()["content-type"], "image/png");
        let tag = answer.headers()["etag"].clone();
        let image = Cover::decode(&answer.bytes().await.unwrap(), &Limits::default()).unwrap();
        let same = dataset::cover(index).unwrap();
        assert!(image.samples() == same.samples(), "image {index}");
        let again = reqwest::Client::new()
            .get(format!("{}/api/dataset/{index}", node.url()))
            .header("if-none-match", format!("\"another\", W/{}", tag.to_str().unwrap()))
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), 304);
        assert!(again.headers().contains_key("etag") && again.headers().contains_key("cache-control"));
    }
    for index in ["50", "-1", "x"] {
        let answer = get(&node, &format!("/api/dataset/{index}")).await;
        crate::request::problem(answer, 404, "not_found").await;
    }
}

#[tokio::test]
async fn health_metrics_and_pages_are_there() {
    let node = Node::start();
    embed(&node, b"counted", None).await;
    assert_eq!(get(&node, "/livez").await.text().await.unwrap(), "ok\n");
    assert_eq!(get(&node, "/readyz").await.text().await.unwrap(), "ready\n");
    assert!(get(&node, "/readyz?verbose").await.text().await.unwrap().contains("[+] default-cover ok"));
    let health: Value = get(&node, "/healthz").await.json().await.unwrap();
    assert_eq!((&health["status"], &health["node_id"]), (&"ok".into(), &"n1".into()));

    let metrics = get(&node, "/metrics").await.text().await.unwrap();
    for line in [
        "steg_secrets_embedded_total 1",
        "steg_http_requests_total{route=\"/api/embed\",method=\"POST\",status=\"200\"} 1",
        "steg_pixel_memory_bytes 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "`{line}` is not in {metrics}");
    }
    assert_eq!(get(&node, "/docs/").await.status(), 200);
}

#[tokio::test]
async fn errors_are_explained_to_browsers_and_to_terminals() {
    let node = Node::start();
    let text = get(&node, "/docs/errors").await;
    assert_eq!(text.headers()["content-type"], "text/markdown; charset=utf-8");
    assert!(text.text().await.unwrap().contains("\n### no_payload\n"));
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = reqwest::Client::new().get(format!("{}/docs/errors", node.url())).header("accept", accept);
    let page = page.send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("<h3 id=\"no_payload\">"));
}

#[tokio::test]
async fn the_documentation_asks_nobody_else() {
    let node = Node::start();
    for path in ["/docs/", "/docs/swagger-ui.css"] {
        let answer = get(&node, path).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{policy}");
    }
    let settings = get(&node, "/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(settings.contains("\"validatorUrl\": \"none\""), "{settings}");
}

#[tokio::test]
async fn no_answer_is_taken_for_something_else() {
    let node = Node::start();
    let form = file("file", "a", "secret");
    let image = post(&node, "/api/embed").header("accept", "image/png").multipart(form).send().await.unwrap();
    let json = get(&node, "/cluster/status").await;
    let refused = get(&node, "/api/dataset/50").await;
    for answer in [image, json, refused, get(&node, "/metrics").await] {
        let given: Vec<_> = answer.headers().get_all("x-content-type-options").iter().collect();
        assert_eq!(given, ["nosniff"], "{}", answer.url());
    }
}

#[tokio::test]
async fn the_openapi_document_lists_every_call() {
    let node = Node::start();
    let document: Value = get(&node, "/api/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let calls: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let want = [
        "/admin/fail",
        "/admin/restore",
        "/api/capacity",
        "/api/compare",
        "/api/dataset/{index}",
        "/api/embed",
        "/api/extract",
        "/cluster/access",
        "/cluster/events",
        "/cluster/history",
        "/cluster/leader-transfers",
        "/cluster/members",
        "/cluster/settings",
        "/cluster/settings/{key}",
        "/cluster/status",
        "/healthz",
        "/livez",
        "/metrics",
        "/readyz",
    ];
    assert_eq!(calls, BTreeSet::from(want));
    let answers = &document["paths"]["/api/extract"]["post"]["responses"];
    let statuses: Vec<&str> = answers.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(statuses, ["200", "400", "408", "413", "415", "422", "503"]);
    let schema = &answers["408"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/ProblemDocument");
    assert!(document["components"]["schemas"]["ProblemDocument"].is_object());
    let docs = get(&node, "/docs/").await.text().await.unwrap();
    assert!(!docs.contains("https://") && !docs.contains("//cdn"), "the page loads from elsewhere: {docs}");
}

#[tokio::test]
async fn requests_keep_a_harmless_id_of_their_own() {
    let node = Node::start();
    let ask = async |id: &str| {
        let request = reqwest::Client::new().get(format!("{}/livez", node.url())).header("x-request-id", id);
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(ask("order-17.a_b").await, "order-17.a_b");
    for id in ["a b", "<script>", &"x".repeat(65)] {
        let given = ask(id).await;
        assert!(given != id && given.len() == 36, "{given}");
    }
}

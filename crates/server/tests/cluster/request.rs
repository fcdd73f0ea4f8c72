//! Requests of the tests, and fields of answers.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::{Cluster, Status};

/// Time limit for anything on a machine under load.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Sets a setting through node `i`; the status and the body of the answer.
pub(crate) async fn put(cluster: &Cluster, i: usize, key: &str, value: Value) -> (StatusCode, Value) {
    answer(put_request(cluster, i, key, value)).await
}

pub(crate) fn put_request(cluster: &Cluster, i: usize, key: &str, value: Value) -> RequestBuilder {
    put_with(&reqwest::Client::new(), cluster, i, key, value)
}

/// Like [`put_request`], with a shared client: creating a client costs more than the request.
pub(crate) fn put_with(
    client: &reqwest::Client,
    cluster: &Cluster,
    i: usize,
    key: &str,
    value: Value,
) -> RequestBuilder {
    let url = format!("{}/cluster/settings/{key}", cluster.url(i));
    client.put(url).timeout(LIMIT).json(&json!({ "value": value })).bearer_auth(cluster.admin_token())
}

pub(crate) async fn get(cluster: &Cluster, i: usize, path: &str) -> (StatusCode, Value) {
    answer(reqwest::Client::new().get(format!("{}{path}", cluster.url(i))).timeout(LIMIT)).await
}

pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

/// Newest format version of this release.
pub(crate) const LATEST_FORMAT: u32 = 3;

/// Sets a setting and insists.
pub(crate) async fn must_put(cluster: &Cluster, i: usize, key: &str, value: Value) -> Value {
    let (status, body) = put(cluster, i, key, value).await;
    assert_eq!(status, 200, "{body}\n{}", cluster.report());
    body
}

/// The value of a setting, read through node `i`.
pub(crate) async fn value(cluster: &Cluster, i: usize, key: &str) -> Value {
    let (status, body) = get(cluster, i, &format!("/cluster/settings/{key}")).await;
    assert_eq!(status, 200, "{body}\n{}", cluster.report());
    body["value"].clone()
}

/// Returns every setting as seen by node `i`, page by page, with `query` in each request.
pub(crate) async fn all_settings(cluster: &Cluster, i: usize, query: &str) -> Vec<Value> {
    let (mut settings, mut after) = (Vec::new(), String::new());
    loop {
        let (status, mut page) = get(cluster, i, &format!("/cluster/settings?limit=100{query}{after}")).await;
        assert_eq!(status, 200, "{page}\n{}", cluster.report());
        settings.append(page["settings"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return settings,
        }
    }
}

/// Embeds and extracts on node `i`.
pub(crate) async fn embeds_and_extracts(cluster: &Cluster, i: usize) {
    embeds_and_extracts_at(&cluster.url(i)).await;
}

/// Embeds and extracts on the node at `url`.
pub(crate) async fn embeds_and_extracts_at(url: &str) {
    let client = reqwest::Client::new();
    let form = |bytes: Vec<u8>| Form::new().part("file", Part::bytes(bytes).file_name("a"));
    let post = |path: &str, accept: &'static str| {
        client.post(format!("{url}{path}")).header("accept", accept).timeout(LIMIT)
    };
    let image = post("/api/embed", "image/png").multipart(form(b"a secret".to_vec())).send().await.unwrap();
    assert_eq!(image.status(), 200);
    let image = image.bytes().await.unwrap().to_vec();
    let found = post("/api/extract", "application/octet-stream").multipart(form(image)).send().await.unwrap();
    assert_eq!(found.bytes().await.unwrap().as_ref(), b"a secret");
}

/// Waits until node `i` serves embeds and extracts: the default cover may still be in preparation.
pub(crate) fn wait_ready(cluster: &Cluster, i: usize) {
    cluster.wait_until("a node that serves images", LIMIT, |cluster| {
        (cluster.get(i, "/readyz")?.status == 200).then_some(())
    });
}

/// Waits until node `i` says something of the kind.
pub(crate) fn wait_for_status(
    cluster: &Cluster,
    i: usize,
    what: &str,
    wanted: impl Fn(&Status) -> bool,
) -> Status {
    cluster.wait_until(what, LIMIT, |cluster| cluster.status(i).filter(&wanted))
}

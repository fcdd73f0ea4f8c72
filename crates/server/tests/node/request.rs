//! Requests of the tests, and checks of answers.

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use testkit::Node;

/// A form with one file.
pub(crate) fn file(field: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Form {
    add_file(Form::new(), field, name, bytes)
}

pub(crate) fn add_file(form: Form, field: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Form {
    form.part(field, Part::bytes(bytes.into()).file_name(name.to_owned()))
}

pub(crate) fn post(node: &Node, path: &str) -> RequestBuilder {
    reqwest::Client::new().post(format!("{}{path}", node.url()))
}

pub(crate) async fn get(node: &Node, path: &str) -> Response {
    reqwest::get(format!("{}{path}", node.url())).await.unwrap()
}

/// Embeds `secret` in the default cover, or in `cover`.
pub(crate) async fn embed(node: &Node, secret: &[u8], cover: Option<&[u8]>) -> Vec<u8> {
    let mut form = file("file", "secret.bin", secret);
    if let Some(cover) = cover {
        form = add_file(form, "cover", "cover.png", cover);
    }
    let answer = post(node, "/api/embed").header("accept", "image/png").multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    answer.bytes().await.unwrap().to_vec()
}

/// Extracts as bytes.
pub(crate) async fn extract(node: &Node, image: &[u8]) -> Vec<u8> {
    let answer = post(node, "/api/extract")
        .header("accept", "application/octet-stream")
        .multipart(file("file", "stego.png", image))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    answer.bytes().await.unwrap().to_vec()
}

/// Checks that an answer is a complete problem document of the given status and code, and returns the
/// document.
pub(crate) async fn problem(answer: Response, status: u16, code: &str) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["link"], format!("</docs/errors#{code}>; rel=\"help\""));
    let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let http_status = answer.status().as_u16();
    let document: Value = answer.json().await.unwrap();
    assert_eq!((http_status, document["code"].as_str()), (status, Some(code)), "{document}");
    assert_eq!(document["status"], status);
    assert_eq!(document["request_id"], request_id);
    assert_eq!(document["type"], format!("urn:steg:problem:{code}"));
    for member in ["title", "detail"] {
        assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
    document
}

/// A figure of `/metrics`, by name without the prefix.
pub(crate) fn figure(node: &Node, name: &str) -> u64 {
    let metrics = node.raw(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let metrics = String::from_utf8(metrics).unwrap();
    let prefix = format!("steg_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no figure {name} in {metrics}")).parse().unwrap()
}

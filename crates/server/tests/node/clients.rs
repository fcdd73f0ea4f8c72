//! Requests in the form of programs in other languages.

use reqwest::multipart::{Form, Part};
use serde_json::Value;
use testkit::{Node, NodeBuilder};

use crate::request::{embed, file, post, problem};

const FORM: &str = "multipart/form-data; boundary=b";

/// A form with one file and the given part headers.
fn form(part: &[u8]) -> Vec<u8> {
    [b"--b\r\nContent-Disposition: form-data; name=\"file\"", part, b"\r\n\r\nsecret\r\n--b--\r\n"].concat()
}

/// Embeds a form with the given part headers; returns the answer of an extraction from the image.
async fn found_in(node: &Node, part: &[u8]) -> Value {
    let request = post(node, "/api/embed").header("content-type", FORM).header("accept", "image/png");
    let answer = request.body(form(part)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    let image = answer.bytes().await.unwrap();
    post(node, "/api/extract")
        .multipart(file("file", "x.png", image))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn names_come_back_from_every_form_that_they_are_sent_in() {
    let node = Node::start();
    for part in [
        "; filename=\"größe.pdf\"".as_bytes(),
        b"; filename=\"gr\xF6\xDFe.pdf\"",
        b"; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf",
        b"; filename=\"gr__e.pdf\"; filename*=utf-8''gr%C3%B6%C3%9Fe.pdf",
        b"; filename=\"=?utf-8?B?Z3LDtsOfZS5wZGY=?=\"; filename*=utf-8''gr%C3%B6%C3%9Fe.pdf",
        b"; filename=\"=?utf-8?B?Z3LDtsOfZS5wZGY=?=\"",
    ] {
        let found = found_in(&node, part).await;
        assert_eq!(found["filename"], "größe.pdf", "{}: {found}", String::from_utf8_lossy(part));
    }
}

#[tokio::test]
async fn a_part_without_a_media_type_has_that_of_its_name() {
    let node = Node::start();
    let mime = async |part: &[u8]| found_in(&node, part).await["recovered_mime"].clone();
    assert_eq!(mime(b"; filename=\"a.pdf\"").await, "application/pdf");
    assert_eq!(mime(b"; filename=\"a.pdf\"\r\nContent-Type: text/plain").await, "text/plain");
    assert_eq!(mime(b"; filename=\"a.unheard-of\"").await, "application/octet-stream");
    assert_eq!(mime(b"").await, "application/octet-stream");
}

#[tokio::test]
async fn encoded_bodies_and_parts_are_refused_by_name() {
    let node = Node::start();
    for path in ["/api/embed", "/api/extract", "/api/capacity", "/api/compare"] {
        let request = post(&node, path).header("content-type", FORM).header("content-encoding", "gzip");
        let answer = request.body(b"\x1f\x8b\x08".as_slice()).send().await.unwrap();
        assert_eq!(answer.headers()["accept-encoding"], "identity", "{path}");
        let document = problem(answer, 415, "encoding_not_supported").await;
        assert!(document["detail"].as_str().unwrap().contains("Content-Encoding: gzip"), "{document}");
    }
    let request = post(&node, "/cluster/leader-transfers").header("content-encoding", "gzip");
    let request = request.header("content-type", "application/json");
    problem(request.body(b"\x1f\x8b".as_slice()).send().await.unwrap(), 415, "encoding_not_supported").await;
    let part = b"; filename=\"a\"\r\nContent-Transfer-Encoding: base64";
    let request = post(&node, "/api/embed").header("content-type", FORM);
    let document =
        problem(request.body(form(part)).send().await.unwrap(), 415, "encoding_not_supported").await;
    assert!(document["detail"].as_str().unwrap().contains("base64"), "{document}");
    // These three say that nothing was encoded (RFC 2045, section 6.2).
    found_in(&node, b"\r\nContent-Transfer-Encoding: binary").await;
    let request = post(&node, "/api/embed").header("content-encoding", "identity");
    assert_eq!(request.multipart(file("file", "a", "secret")).send().await.unwrap().status(), 200);
}

/// Returns the answer to bytes other than an HTTP/1.1 request: status line and problem document.
fn answer_to(node: &Node, bytes: &[u8]) -> (String, Value) {
    let answer = String::from_utf8(node.raw(bytes).unwrap()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains("x-request-id: ") && head.contains("connection: close"), "{head}");
    (head.lines().next().unwrap_or_default().to_owned(), serde_json::from_str(body).unwrap())
}

/// A connection preface (RFC 9113, section 3.4) with a SETTINGS frame, and the record of a ClientHello (RFC
/// 8446, section 5.1).
#[test]
fn other_protocols_get_an_answer_that_says_so() {
    let node = Node::start();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let (status, document) = answer_to(&node, http2);
    assert_eq!(
        (status.as_str(), &document["code"]),
        ("HTTP/1.1 505 HTTP Version Not Supported", &"http_version_not_supported".into())
    );
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &testkit::noise(1, 506)].concat();
    let (status, document) = answer_to(&node, &hello);
    assert_eq!(
        (status.as_str(), &document["code"]),
        ("HTTP/1.1 400 Bad Request", &"tls_not_supported".into())
    );
    assert!(document["detail"].as_str().unwrap().contains("http://"), "{document}");
    assert_eq!(node.status("/livez"), Some(200));
}

#[tokio::test]
async fn json_bodies_are_objects() {
    let node = NodeBuilder::new().flags(["--enable-fault-injection"]).start();
    for (method, path, bodies) in [
        ("POST", "/cluster/leader-transfers", &["[]", "[null]", "\"n1\"", "null", "{\"to\": [\"n1\"]}"][..]),
        ("PUT", "/cluster/settings/bits", &["[2]", "2", "null"]),
        (
            "POST",
            "/admin/fail",
            &["[\"false_alarm\", null]", "[\"false_alarm\"]", "{\"action\": {\"false_alarm\": null}}"],
        ),
    ] {
        for body in bodies {
            let url = format!("{}{path}", node.url());
            let request = reqwest::Client::new().request(method.parse().unwrap(), url);
            let request = request.header("content-type", "application/json").body(*body);
            let document = problem(request.send().await.unwrap(), 400, "malformed_json").await;
            assert!(document["detail"].as_str().unwrap().starts_with("send {"), "{body}: {document}");
        }
    }
}

#[tokio::test]
async fn a_password_is_refused_with_the_field_that_takes_it() {
    let node = Node::start();
    let image = embed(&node, b"secret", None).await;
    for (path, bytes) in [("/api/embed", b"secret".to_vec()), ("/api/extract", image)] {
        let form = Form::new().part("file", Part::bytes(bytes)).text("password", "hunter2");
        let answer = post(&node, path).multipart(form).send().await.unwrap();
        let document = problem(answer, 400, "not_supported_yet").await;
        let detail = document["detail"].as_str().unwrap();
        assert!(detail.contains("`passphrase`") && !detail.contains("hunter2"), "{path}: {detail}");
    }
}

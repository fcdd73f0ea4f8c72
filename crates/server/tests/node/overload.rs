//! Load beyond a node's capacity, and the stop of a node.

use std::io::{Read, Write};
use std::net::TcpStream;

use testkit::{Node, NodeBuilder, wait_for};

use crate::request::{add_file, figure, file, post, problem};

/// A request that keeps a pixel thread busy for a while: a large cover.
pub(crate) fn long_job(cover: &[u8]) -> reqwest::multipart::Form {
    add_file(file("file", "s.bin", testkit::noise(1, 100_000)), "cover", "c.png", cover)
}

pub(crate) fn large_cover() -> Vec<u8> {
    let samples = testkit::noise(2, 4000 * 3000 * 3);
    stego::Cover::from_samples(4000, 3000, stego::Channels::Rgb, samples).unwrap().to_png()
}

#[tokio::test]
async fn requests_beyond_the_queue_are_told_to_come_back() {
    let node = NodeBuilder::new().set("limits.pixel_threads", 1).set("limits.pixel_queue", 0).start();
    let cover = large_cover();
    let mut refused = None;
    while refused.is_none() {
        let requests = (0..4).map(|_| post(&node, "/api/embed").multipart(long_job(&cover)).send());
        let answers = futures_util::future::join_all(requests).await.into_iter().map(Result::unwrap);
        refused = answers.into_iter().find(|answer| answer.status() != 200);
    }
    let refused = refused.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    problem(refused, 503, "overloaded").await;
    assert_eq!(node.status("/livez"), Some(200));
}

/// A started upload, and its remaining bytes.
pub(crate) fn begin_upload(node: &Node) -> (TcpStream, Vec<u8>) {
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\n";
    let body = [head.as_bytes(), &testkit::noise(1, 900_000), b"\r\n--b--\r\n"].concat();
    let (now, later) = body.split_at(800_000);
    let mut stream = TcpStream::connect(node.address()).unwrap();
    let request = format!(
        "POST /api/capacity HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        body.len()
    );
    stream.write_all(&[request.as_bytes(), now].concat()).unwrap();
    wait_for("the upload to arrive", || (transfer_memory_bytes(node) == now.len()).then_some(()));
    (stream, later.to_vec())
}

fn transfer_memory_bytes(node: &Node) -> usize {
    figure(node, "transfer_memory_bytes") as usize
}

pub(crate) fn finish(mut stream: TcpStream, rest: &[u8]) -> String {
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn uploads_beyond_the_shared_memory_are_told_to_come_back() {
    let node = NodeBuilder::new()
        .set("limits.max_body_bytes", 1 << 20)
        .set("limits.transfer_memory_bytes", 1 << 20)
        .start();
    let (stream, rest) = begin_upload(&node);
    let one_more =
        || post(&node, "/api/capacity").multipart(file("file", "s", testkit::noise(2, 900_000))).send();
    problem(one_more().await.unwrap(), 503, "overloaded").await;
    assert!(finish(stream, &rest).starts_with("HTTP/1.1 415"));
    wait_for("the memory to be given back", || (transfer_memory_bytes(&node) == 0).then_some(()));
    problem(one_more().await.unwrap(), 415, "not_an_image").await;
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_finish() {
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 60_000).start();
    let (stream, rest) = begin_upload(&node);
    node.terminate();
    wait_for("the drain to begin", || node.log().contains("draining").then_some(()));
    assert_eq!(node.status("/livez"), Some(200));
    let ready = reqwest::get(format!("{}/readyz", node.url())).await.unwrap();
    problem(ready, 503, "not_ready").await;
    let late = post(&node, "/api/embed").multipart(file("file", "s", "late")).send().await.unwrap();
    assert_eq!(late.headers()["retry-after"], "1");
    problem(late, 503, "draining").await;

    assert!(finish(stream, &rest).starts_with("HTTP/1.1 415"));
    let log = wait_for("the end of the log", || Some(node.log()).filter(|log| log.contains("stopped")));
    assert!(!log.contains("cut off at the drain deadline"), "{log}");
    assert_eq!(node.status("/livez"), None);
    assert!(node.wait().success());
}

#[test]
fn a_stop_has_a_deadline() {
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 100).start();
    let (_stalled, _) = begin_upload(&node);
    node.terminate();
    let log = wait_for("the end of the log", || Some(node.log()).filter(|log| log.contains("stopped;")));
    assert!(log.contains("cut off at the drain deadline") && log.contains("cut_off=1"), "{log}");
    assert!(node.wait().success());
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_server"))
        .args(["--http-port", &node.address().port().to_string(), "--data-dir", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot listen on 127.0.0.1") && error.contains("--http-port"), "{error}");
    assert!(!data.exists(), "data was touched before the port was had");
}

//! More than a node can do, and the end of one.

use testkit::{Node, NodeBuilder, wait_for};

use crate::request::{add_file, file, post, problem};

/// A request that keeps a pixel thread busy for a while: a large cover.
fn long_job(cover: &[u8]) -> reqwest::multipart::Form {
    add_file(file("file", "s.bin", testkit::noise(1, 100_000)), "cover", "c.png", cover)
}

fn large_cover() -> Vec<u8> {
    let samples = testkit::noise(2, 4000 * 3000 * 3);
    stego::Cover::from_samples(4000, 3000, stego::Channels::Rgb, samples).unwrap().to_png()
}

#[tokio::test]
async fn requests_beyond_the_queue_are_told_to_come_back() {
    let node = NodeBuilder::new().set("limits.pixel_threads", 1).set("limits.pixel_queue", 1).start();
    let cover = large_cover();
    let requests = (0..8).map(|_| post(&node, "/api/embed").multipart(long_job(&cover)).send());
    let answers = futures_util::future::join_all(requests).await;
    let mut refused = 0;
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == 200 {
            continue;
        }
        assert_eq!(answer.headers()["retry-after"], "1");
        problem(answer, 503, "overloaded").await;
        refused += 1;
    }
    assert!((1..8).contains(&refused), "{refused} of 8 refused");
    assert_eq!(node.status("/livez"), Some(200));
}

#[tokio::test]
async fn uploads_beyond_the_shared_memory_are_told_to_come_back() {
    let node = NodeBuilder::new()
        .set("limits.max_body_bytes", 1 << 20)
        .set("limits.transfer_memory_bytes", 1 << 20)
        .start();
    let requests =
        (0..8).map(|_| post(&node, "/api/embed").multipart(file("file", "s", vec![1; 900_000])).send());
    for answer in futures_util::future::join_all(requests).await {
        let answer = answer.unwrap();
        assert!([200, 503].contains(&answer.status().as_u16()), "{}", answer.status());
    }
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_finish() {
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 60_000).start();
    let cover = large_cover();
    let request = tokio::spawn(post(&node, "/api/embed").multipart(long_job(&cover)).send());
    let mut metrics = String::new();
    while !metrics.contains("steg_pixel_jobs 1\n") {
        assert!(!request.is_finished(), "the request was over before it was seen under way");
        metrics = crate::request::get(&node, "/metrics").await.text().await.unwrap();
    }
    node.terminate();
    let answer = request.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.bytes().await.unwrap().is_empty());
    wait_for("the port to close", || node.status("/livez").is_none().then_some(()));
    let log = wait_for("the end of the log", || Some(node.log()).filter(|log| log.contains("stopped")));
    assert!(!log.contains("did not end in time"), "{log}");
    assert!(node.wait().success());
}

#[tokio::test]
async fn a_stop_has_a_deadline() {
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 100).start();
    let mut stalled = std::net::TcpStream::connect(node.address()).unwrap();
    let head = "POST /api/embed HTTP/1.1\r\nhost: node\r\ncontent-length: 1000\r\n\
                content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n";
    std::io::Write::write_all(&mut stalled, head.as_bytes()).unwrap();
    wait_for("the upload to begin", || {
        let metrics = node.raw(b"GET /metrics HTTP/1.1\r\nhost: n\r\nconnection: close\r\n\r\n").ok()?;
        (!String::from_utf8_lossy(&metrics).contains("steg_transfer_memory_bytes 0")).then_some(())
    });
    node.terminate();
    wait_for("the end of the log", || node.log().contains("did not end in time").then_some(()));
    assert!(node.wait().success());
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let node = Node::start();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_server"))
        .args(["--http-port", &node.address().port().to_string()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot listen on 127.0.0.1") && error.contains("--http-port"), "{error}");
}

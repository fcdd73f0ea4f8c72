//! Work beyond its time limit, and work without a waiting client.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use testkit::{Node, NodeBuilder, wait_for};

use crate::overload::{large_cover, long_job};
use crate::request::{embed, figure, post, problem};

#[tokio::test]
async fn work_that_takes_too_long_is_stopped() {
    let node = NodeBuilder::new().set("limits.work_timeout_ms", 1).start();
    let answer = post(&node, "/api/embed").multipart(long_job(&large_cover())).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "1");
    problem(answer, 503, "deadline_exceeded").await;
    assert_eq!(node.status("/livez"), Some(200));
}

#[tokio::test]
async fn work_that_nobody_waits_for_is_stopped() {
    let node = NodeBuilder::new().set("limits.pixel_threads", 1).start();
    let request = request_with(&large_cover());
    // Once more where the work was done before the node could hear of it.
    wait_for("work to be stopped", || {
        begin_and_leave(&node, &request);
        node.log().contains("work stopped; client disconnected").then_some(())
    });
    assert_eq!(embed(&node, b"still there", None).await.get(1..4), Some(&b"PNG"[..]));
}

fn request_with(cover: &[u8]) -> Vec<u8> {
    let part = |name: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n").into_bytes()
    };
    let body = [&part("file")[..], b"secret\r\n", &part("cover"), cover, b"\r\n--b--\r\n"].concat();
    let head = format!(
        "POST /api/embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Sends a request and disconnects as soon as the node works on it.
fn begin_and_leave(node: &Node, request: &[u8]) {
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.write_all(request).unwrap();
    wait_for("the work to begin", || (figure(node, "pixel_memory_bytes") > 0).then_some(()));
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    wait_for("the work to end", || (figure(node, "pixel_memory_bytes") == 0).then_some(()));
}

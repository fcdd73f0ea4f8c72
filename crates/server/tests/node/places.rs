//! More connections than a node has places for.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use testkit::{Connection, Node, NodeBuilder, wait_for};

use crate::request::figure;

/// Time limit for anything, on a machine under load.
const LIMIT: Duration = Duration::from_secs(60);
/// Connections of a flood.
const FLOOD: usize = 3000;
/// Clients behind one proxy.
const CLIENTS: usize = 1000;

/// A node whose idle connections outlive any test unless closed for others.
fn patient() -> NodeBuilder {
    NodeBuilder::new().set("limits.idle_timeout_ms", 600_000).set("limits.request_timeout_ms", 600_000)
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect_timeout(&node.address(), LIMIT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A started upload, in flight until its last byte is sent.
struct Upload(TcpStream);

const UPLOAD: [&str; 2] =
    ["--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\nno ", "image\r\n--b--\r\n"];

impl Upload {
    /// Starts the upload; the node then waits for the rest of the body.
    fn begin(node: &Node) -> Self {
        let mut stream = connect(node);
        let head = format!(
            "POST /api/capacity HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\
             content-type: multipart/form-data; boundary=b\r\n\r\n",
            UPLOAD.concat().len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(UPLOAD[0].as_bytes()).unwrap();
        Self(stream)
    }

    /// Sends the rest and returns the status; the connection stays open.
    fn finish(&mut self) -> String {
        self.0.write_all(UPLOAD[1].as_bytes()).unwrap();
        let mut answer = [0; 12];
        self.0.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[9..]).into_owned()
    }
}

/// `GET path` from an address: status and problem document.
async fn get_from(node: &Node, address: &str, path: &str) -> (u16, Value) {
    let from: IpAddr = address.parse().unwrap();
    let client = reqwest::Client::builder().local_address(from).timeout(LIMIT).build().unwrap();
    let answer = client.get(format!("{}{path}", node.url())).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    for beginning in ["", "GET /slow HTTP/1.1\r\nx-drip: "] {
        let node = patient().start();
        let mut flood = Vec::new();
        for _ in 0..FLOOD {
            let mut stream = connect(&node);
            stream.write_all(beginning.as_bytes()).unwrap();
            flood.push(stream);
        }
        // From the same address and from another one, health calls and others.
        assert_eq!(node.status("/livez"), Some(200));
        for address in ["127.0.0.1", "127.0.0.2"] {
            assert_eq!(get_from(&node, address, "/readyz").await.0, 200);
            assert_eq!(get_from(&node, address, "/cluster/members").await.0, 200);
        }
        // The oldest were closed.
        let places = figure(&node, "connection_places") as usize;
        assert!(figure(&node, "connections_closed_total{reason=\"displaced\"}") >= (FLOOD - places) as u64);
        assert_eq!(flood[0].read(&mut [0]).unwrap_or(0), 0);
    }
}

#[test]
fn a_thousand_clients_behind_one_address_are_all_served() {
    let node = patient().start();
    // Kept alive between two calls each, as a proxy does it.
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|_| Connection::open(node.address(), LIMIT).unwrap()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/cluster/members").unwrap().status, 200);
        }
    }
    drop(clients);
    wait_for("places that are free again", || (figure(&node, "connections") <= 2).then_some(()));
    // All at the same time.
    let mut uploads: Vec<_> = (0..CLIENTS).map(|_| Upload::begin(&node)).collect();
    assert_eq!(node.status("/livez"), Some(200));
    for upload in &mut uploads {
        assert_eq!(upload.finish(), "415");
    }
    for reason in ["displaced", "refused", "lobby_full"] {
        assert_eq!(figure(&node, &format!("connections_closed_total{{reason=\"{reason}\"}}")), 0, "{reason}");
    }
}

#[tokio::test]
async fn busy_connections_stay_and_leave_health_calls_their_places() {
    let node = patient().set("limits.max_connections", 8).start();
    let mut uploads: Vec<_> = (0..6).map(|_| Upload::begin(&node)).collect();
    for path in ["/livez", "/readyz", "/healthz", "/metrics", "/cluster/status?verbose"] {
        assert_eq!(get_from(&node, "127.0.0.1", path).await.0, 200, "{path}");
    }
    let (status, problem) = get_from(&node, "127.0.0.1", "/cluster/members").await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("overloaded")), "{problem}");
    assert!(figure(&node, "connections_closed_total{reason=\"refused\"}") >= 1);
    // So does somebody who sends more than the system buffers before it listens.
    let long = crate::request::file("file", "s", testkit::noise(1, 700_000));
    let refused = crate::request::post(&node, "/api/capacity").multipart(long).send().await.unwrap();
    crate::request::problem(refused, 503, "overloaded").await;
    // Another address has the last quarter.
    assert_eq!(get_from(&node, "127.0.0.2", "/cluster/members").await.0, 200);
    // A place that is free again serves whoever waits for it.
    let (waited, finished) =
        tokio::join!(get_from(&node, "127.0.0.1", "/none"), async { uploads[0].finish() });
    assert_eq!((waited.0, finished.as_str()), (404, "415"));
    for upload in &mut uploads[1..] {
        assert_eq!(upload.finish(), "415", "a request under way was cut off");
    }
}

#[test]
fn places_are_as_many_as_descriptors_allow() {
    let node = NodeBuilder::new().max_open_files(256).start();
    let places = figure(&node, "connection_places") as usize;
    assert!((16..300).contains(&places), "{places}");
    let log = node.log();
    assert!(log.contains("limits.max_connections reduced by the limit on open files"), "{log}");
    let flood: Vec<_> = (0..500).map(|_| connect(&node)).collect();
    assert_eq!(node.status("/livez"), Some(200));
    drop(flood);
    assert!(!node.log().contains("cannot accept"), "{}", node.log());
}

#[test]
fn a_limit_on_open_files_too_low_for_any_node_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_server")])
        .args(["--http-port", "0", "--data-dir", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the limit on open files is 100") && error.contains("LimitNOFILE"), "{error}");
    assert!(!data.exists(), "data was touched");
}

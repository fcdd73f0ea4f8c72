//! Peers slower than required in reading or sending.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::{Node, NodeBuilder, wait_for};

use crate::overload::large_cover;
use crate::request::figure;

/// A node with a few seconds of allowance, and then a minimum of one megabyte per second.
fn node() -> Node {
    NodeBuilder::new()
        .set("limits.idle_timeout_ms", 4000)
        .set("limits.min_transfer_bytes_per_s", 1 << 20)
        .set("limits.request_timeout_ms", 600_000)
        .start()
}

/// A connection with a request for an answer of tens of megabytes.
fn ask(node: &Node, cover: &[u8]) -> TcpStream {
    let part = |name: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n").into_bytes()
    };
    let body = [&part("file")[..], b"secret\r\n", &part("cover"), cover, b"\r\n--b--\r\n"].concat();
    let head = format!(
        "POST /api/embed HTTP/1.1\r\nhost: localhost\r\naccept: image/png\r\nconnection: close\r\n\
         content-length: {}\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.write_all(&[head.into_bytes(), body].concat()).unwrap();
    stream
}

#[test]
fn a_slow_reader_does_not_hold_memory() {
    let (node, cover) = (node(), large_cover());
    let mut stream = ask(&node, &cover);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // A fifth of the least rate, without an end: only the node ends it.
    let reader = std::thread::spawn(move || {
        let (mut piece, mut bytes) = (vec![0; 20 << 10], 0);
        while !stopped.load(Ordering::Relaxed) {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(read) => bytes += read,
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bytes
    });
    wait_for("the answer to begin", || (figure(&node, "transfer_memory_bytes") > 10_000_000).then_some(()));
    wait_for("the memory to be free", || (figure(&node, "transfer_memory_bytes") == 0).then_some(()));
    assert!(!reader.is_finished(), "it still reads what the system holds for it");
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() < cover.len());
}

#[test]
fn a_fast_reader_gets_all_of_it() {
    let (node, cover) = (node(), large_cover());
    let mut answer = Vec::new();
    ask(&node, &cover).read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > cover.len() / 2, "{} bytes", answer.len());
}

#[test]
fn a_slow_sender_is_told() {
    let node = node();
    let mut stream = TcpStream::connect(node.address()).unwrap();
    let head = "POST /api/capacity HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\nconnection: close\r\n\
                content-type: multipart/form-data; boundary=b\r\n\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut other = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        // Never silent for as long as the idle timeout; ended by the node.
        while other.write_all(&[7; 10 << 10]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    drop(stream);
    sender.join().unwrap();
}

//! Images with a payload near their top: found before the end of the upload, with the same answer as for a
//! whole file.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use stego::{BitsPerSample, Channels, Cover, EmbedOptions, Limits, Secret};
use testkit::{Node, NodeBuilder, wait_for};

use crate::request::{embed, figure, file, post};

const JUNK: &[u8] = b"what follows the end of an image";

fn noisy(channels: Channels) -> Cover {
    let samples = testkit::noise(8, 1000 * 1000 * channels.count());
    Cover::from_samples(1000, 1000, channels, samples).unwrap()
}

fn carrying(cover: &Cover, secret: &[u8]) -> Vec<u8> {
    let options = EmbedOptions::default().with_bits(BitsPerSample::MAX);
    stego::embed(cover, &Secret::new(secret), &options, &Limits::default()).unwrap().into_vec()
}

/// Every kind of upload longer than the first inspection.
fn uploads() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = noisy(Channels::Rgb);
    let small = carrying(&rgb, b"near the top");
    let large = carrying(&rgb, &testkit::noise(1, 1_000_000));
    let mut damaged = Cover::decode(&large, &Limits::default()).unwrap().samples().to_vec();
    damaged[5000] ^= 1;
    let damaged = Cover::from_samples(1000, 1000, Channels::Rgb, damaged).unwrap().to_png();
    let mut broken = small.clone();
    broken[2_000_000] ^= 1;
    let jpeg = include_bytes!("../../../stego/tests/fixtures/420.jpg");
    let jpeg = [&jpeg[..], &testkit::noise(2, 1_000_000)].concat();
    vec![
        ("followed by something else", [&small, JUNK].concat()),
        ("cut off in the middle", small[..small.len() / 2].to_vec()),
        ("cut off in its last chunk", small[..small.len() - 3].to_vec()),
        ("cut off above the end of its secret", large[..large.len() / 4].to_vec()),
        ("of another kind", carrying(&noisy(Channels::Rgba), b"with alpha")),
        ("broken below its secret", broken),
        ("without a secret", rgb.to_png()),
        ("with a damaged secret", damaged),
        ("that is a JPEG", jpeg),
        ("that is no image", testkit::noise(3, 1_000_000)),
        ("whole", small),
        ("whole, its secret a large part", large),
    ]
}

/// Returns status and body without the fields unique to each answer.
async fn answer(node: &Node, image: Vec<u8>, key: Option<&str>) -> (u16, Value) {
    let mut request = post(node, "/api/extract").multipart(file("file", "x.png", image));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let mut document: Value = answer.json().await.unwrap();
    document.as_object_mut().unwrap().remove("request_id").unwrap();
    (status, document)
}

#[tokio::test]
async fn a_beginning_tells_what_the_whole_file_tells() {
    let node = Node::start();
    for (name, image) in uploads() {
        assert!(image.len() > 300 << 10, "{name}: {} bytes", image.len());
        let want = answer(&node, image.clone(), Some("all-of-it-is-read")).await;
        assert_eq!(answer(&node, image, None).await, want, "an image {name}");
    }
    assert_eq!(figure(&node, "transfer_memory_bytes"), 0);
}

fn head(len: usize) -> String {
    format!(
        "POST /api/extract HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len}\r\nconnection: close\r\n\
         accept: application/octet-stream\r\ncontent-type: multipart/form-data; boundary=b\r\n\r\n"
    )
}

/// An upload of `image` up to `sent`, and the remaining bytes.
fn begin(node: &Node, image: &[u8], sent: usize) -> (TcpStream, Vec<u8>) {
    let part = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\n";
    let body = [part, image, b"\r\n--b--\r\n"].concat();
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.write_all(head(body.len()).as_bytes()).unwrap();
    stream.write_all(&body[..sent]).unwrap();
    (stream, body[sent..].to_vec())
}

#[tokio::test]
async fn what_is_not_kept_takes_no_memory() {
    const SECRET: &[u8] = b"near the top";
    let node = NodeBuilder::new()
        .set("limits.max_body_bytes", 4 << 20)
        .set("limits.transfer_memory_bytes", 4 << 20)
        .start();
    let image = embed(&node, SECRET, None).await;
    // One upload takes most of the memory, so that none like it has room.
    let (_stalled, _) = begin(&node, &testkit::noise(1, 3 << 20), 3 << 20);
    wait_for("it to arrive", || (figure(&node, "transfer_memory_bytes") == 3 << 20).then_some(()));
    assert!(image.len() as u64 > (4 << 20) - (3 << 20));

    let (mut stream, rest) = begin(&node, &image, 3_000_000);
    let waiting = (3 << 20) + SECRET.len() as u64;
    wait_for("the secret alone to be kept", || {
        (figure(&node, "transfer_memory_bytes") == waiting).then_some(())
    });
    stream.write_all(&rest).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(SECRET));
    assert!(!String::from_utf8_lossy(&answer).contains("x-stego-note"));
}

#[tokio::test]
async fn an_upload_whose_secret_is_known_still_has_its_limits() {
    let node =
        NodeBuilder::new().set("limits.max_body_bytes", 4 << 20).set("limits.idle_timeout_ms", 300).start();
    let image = embed(&node, b"near the top", None).await;
    let (mut stream, _) = begin(&node, &image, 2_000_000);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("upload_too_slow"), "{answer}");

    let body = vec![0; 2 << 20];
    let endless = [&image, &body].map(|part| Ok::<_, std::io::Error>(part.clone()));
    let start =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\n".as_bytes().to_vec();
    let chunks = std::iter::once(Ok(start)).chain(endless);
    let answer = post(&node, "/api/extract")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)))
        .send()
        .await
        .unwrap();
    crate::request::problem(answer, 413, "body_too_large").await;
    assert_eq!(figure(&node, "transfer_memory_bytes"), 0);
}

#[tokio::test]
async fn fields_behind_the_image_count() {
    let node = Node::start();
    let image = embed(&node, b"near the top", None).await;
    let form = || file("file", "x.png", image.clone());
    let answer = post(&node, "/api/extract").multipart(form().text("passphrase", "x")).send().await.unwrap();
    // The image is gone, since its open payload was found.
    crate::request::problem(answer, 400, "malformed_request").await;
    let twice = crate::request::add_file(form(), "file", "again.png", "x");
    let answer = post(&node, "/api/extract").multipart(twice).send().await.unwrap();
    crate::request::problem(answer, 400, "repeated_field").await;
    let nameless = file("file", "", image.clone());
    assert_eq!(post(&node, "/api/extract").multipart(nameless).send().await.unwrap().status(), 200);
}

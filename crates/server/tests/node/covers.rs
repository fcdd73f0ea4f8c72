//! Embeds into the default cover: prepared once, and sent by many at a time without a copy for each.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use serde_json::Value;
use testkit::{Node, NodeBuilder, wait_for};

use crate::request::{add_file, embed, extract, figure, file, get, post, problem};

/// Upper bound of the default cover's size in the cache.
const COVER_BYTES: u64 = 24 << 20;

#[tokio::test]
async fn both_answers_hold_the_same_image() {
    let sent = stego::Cover::from_samples(900, 700, stego::Channels::Rgb, testkit::noise(3, 900 * 700 * 3));
    let sent = sent.unwrap().to_png();
    check_both_answers(None, &[0, 10_000, 100_000, 700_000]).await;
    // Of a cover that was sent most is kept, too.
    check_both_answers(Some(&sent), &[0, 10_000, 30_000]).await;
}

async fn check_both_answers(cover: Option<&[u8]>, lengths: &[usize]) {
    let node = Node::start();
    for &len in lengths {
        let form = || {
            let secret = file("file", "s.bin", testkit::noise(1, len));
            match cover {
                Some(cover) => add_file(secret, "cover", "cover.png", cover),
                None => secret,
            }
        };
        let png =
            post(&node, "/api/embed").header("accept", "image/png").multipart(form()).send().await.unwrap();
        let length: usize = png.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let header_notes: Vec<_> = png
            .headers()
            .get_all("x-stego-note")
            .iter()
            .map(|note| note.to_str().unwrap().trim_matches('"').to_owned())
            .collect();
        let png = png.bytes().await.unwrap();
        assert_eq!(png.len(), length);

        let json = post(&node, "/api/embed").multipart(form()).send().await.unwrap();
        let length: usize = json.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let json = json.bytes().await.unwrap();
        assert_eq!(json.len(), length);
        let document: Value = serde_json::from_slice(&json).unwrap();
        assert!(
            STANDARD.decode(document["stego_image_b64"].as_str().unwrap()).unwrap() == png,
            "{len} bytes"
        );
        let notes: Vec<_> =
            document["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
        assert_eq!(header_notes, notes);
        assert!(notes.iter().any(|note| note.contains("which program made it")), "{notes:?}");
        assert!(extract(&node, &png).await == testkit::noise(1, len), "{len} bytes");
    }
}

#[tokio::test]
async fn what_is_kept_changes_nothing_in_the_answer() {
    let answer = async |node: &Node| {
        let form = file("file", "s.bin", testkit::text(30_000));
        let request = post(node, "/api/embed").header("accept", "image/png").multipart(form);
        request.send().await.unwrap().bytes().await.unwrap()
    };
    let nodes = [
        Node::start(),
        NodeBuilder::new().set("limits.cover_cache_bytes", 0).start(),
        NodeBuilder::new().set("limits.pixel_threads", 1).start(),
        NodeBuilder::new().set("limits.pixel_threads", 5).start(),
    ];
    let want = answer(&nodes[0]).await;
    for node in &nodes {
        assert!(answer(node).await == want);
    }
    assert_eq!(figure(&nodes[1], "cover_cache_entries"), 0);
    assert!(figure(&nodes[1], "cover_cache_misses_total") >= 2);
    wait_for("the memory to be given back", || {
        (figure(&nodes[1], "transfer_memory_bytes") == 0).then_some(())
    });
}

#[tokio::test]
async fn the_first_requests_share_one_preparation() {
    let node = Node::start();
    let requests = (0..16).map(|_| embed(&node, b"at once", None));
    let images = join_all(requests).await;
    assert!(images.iter().all(|image| *image == images[0]));
    assert_eq!(figure(&node, "cover_cache_misses_total"), 1);
    assert_eq!(figure(&node, "cover_cache_hits_total"), 16);
    assert_eq!(figure(&node, "cover_cache_entries"), 1);
    let bytes = figure(&node, "cover_cache_size_bytes");
    assert!((10 << 20..COVER_BYTES).contains(&bytes), "{bytes} bytes");
}

fn request(accept: &str) -> Vec<u8> {
    let body =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\nsecret\r\n--b--\r\n";
    let head = format!(
        "POST /api/embed HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Requests an answer and reads only its first bytes.
fn begin_download(node: &Node, accept: &str) -> TcpStream {
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.write_all(&request(accept)).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn many_answers_at_a_time_share_one_image() {
    const AT_A_TIME: u64 = 64;
    /// The system's share is not the process's; the remainder is the changed rows, the request and the task.
    const BYTES_EACH: u64 = 512 << 10;
    let node = Node::start();
    for accept in ["image/png", "application/json"] {
        embed(&node, b"warm", None).await;
        let before = node.resident_bytes();
        let downloads: Vec<_> = (0..AT_A_TIME).map(|_| begin_download(&node, accept)).collect();
        let own = figure(&node, "transfer_memory_bytes");
        assert!((1..AT_A_TIME * (128 << 10)).contains(&own), "{own} bytes of {accept}");
        if let (Some(before), Some(now)) = (before, node.resident_bytes()) {
            assert!(now <= before + AT_A_TIME * BYTES_EACH, "{} KiB for {accept}", (now - before) >> 10);
        }
        // A client gone in the middle leaves nothing behind.
        drop(downloads);
        wait_for("the memory to be given back", || {
            (figure(&node, "transfer_memory_bytes") == 0).then_some(())
        });
    }
    assert_eq!(figure(&node, "cover_cache_misses_total"), 1);
    assert_eq!(extract(&node, &embed(&node, b"still there", None).await).await, b"still there");
}

#[tokio::test]
async fn a_stop_lets_a_download_finish() {
    let node = NodeBuilder::new().set("limits.drain_timeout_ms", 60_000).start();
    let mut download = begin_download(&node, "image/png");
    node.terminate();
    wait_for("the drain to begin", || node.log().contains("draining").then_some(()));
    let mut rest = Vec::new();
    download.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"IEND\xae\x42\x60\x82"));
    let log = wait_for("the end of the log", || Some(node.log()).filter(|log| log.contains("stopped")));
    assert!(!log.contains("did not end in time"), "{log}");
    assert!(node.wait().success());
}

#[tokio::test]
async fn a_head_of_an_image_tells_its_length() {
    let node = Node::start();
    let whole = get(&node, "/api/dataset/0").await;
    let length = whole.headers()["content-length"].clone();
    let head = reqwest::Client::new().head(format!("{}/api/dataset/0", node.url())).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &length));
    assert_eq!(whole.bytes().await.unwrap().len().to_string(), length.to_str().unwrap());
}

#[tokio::test]
async fn a_cover_is_checked_while_it_arrives() {
    let node = Node::start();
    let cover = stego::Cover::from_samples(1500, 1000, stego::Channels::Rgb, testkit::noise(4, 4_500_000));
    let cover = cover.unwrap().to_png();
    let limits = stego::Limits::default();
    let file_of_cover = stego::ImageFile::open(&cover, &limits).unwrap();
    let secret = stego::Secret::new(b"secret");
    let expected =
        stego::embed(file_of_cover, &secret, &stego::EmbedOptions::default(), &limits).unwrap().to_vec();
    let ask = async |form: reqwest::multipart::Form| {
        let request = post(&node, "/api/embed").header("accept", "image/png");
        request.multipart(form).send().await.unwrap().bytes().await.unwrap()
    };
    let part = || reqwest::multipart::Part::bytes(b"secret".to_vec());
    let sent = |form: reqwest::multipart::Form| {
        add_file(form.part("file", part()), "cover", "cover.png", cover.as_slice())
    };
    assert!(ask(sent(reqwest::multipart::Form::new())).await == expected);
    wait_for("the check to count", || (figure(&node, "covers_checked_on_arrival_total") == 1).then_some(()));
    // Not asked for, and asked for too late to stop it.
    let payload = || reqwest::multipart::Form::new().text("verify", "payload");
    assert!(ask(sent(payload())).await == expected);
    assert_eq!(figure(&node, "covers_checked_on_arrival_total"), 1);

    // Damage far behind the payload, under chunk checksums that hold.
    let mut png = testkit::PngFile::parse(&cover).unwrap();
    let mut pixels = png.compressed();
    let sum = pixels.len() - 1;
    pixels[sum] ^= 1;
    png.replace_compressed(&pixels, 1 << 20);
    let damaged = png.to_bytes();
    let file_of_cover = stego::ImageFile::open(&damaged, &limits).unwrap();
    let form = add_file(file("file", "s", "secret"), "cover", "cover.png", damaged.as_slice());
    let answer =
        post(&node, "/api/embed").header("accept", "image/png").multipart(form).send().await.unwrap();
    match stego::embed(file_of_cover, &secret, &stego::EmbedOptions::default(), &limits) {
        Ok(image) => {
            assert!(!image.to_vec().ends_with(&damaged[damaged.len() - 100..]) && answer.status() == 200)
        }
        Err(error) => drop(problem(answer, 400, error.code()).await),
    }
    assert_eq!(figure(&node, "covers_checked_on_arrival_total"), 1);
}

#[tokio::test]
async fn a_value_that_is_not_served_ends_the_upload() {
    let node = Node::start();
    for (field, value, code) in [
        ("mode", "robust", "unknown_mode"),
        ("bits", "9", "bits_out_of_range"),
        ("verify", "no", "unknown_verify"),
    ] {
        // The field behind it is refused too, where it is read.
        let form = reqwest::multipart::Form::new().text(field, value).text("nonsense", "x");
        problem(post(&node, "/api/embed").multipart(form).send().await.unwrap(), 400, code).await;
    }
}

//! Small files with huge claims: refused with a clear problem, within the time and memory limits of the node.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::multipart::Form;
use testkit::{Node, NodeBuilder, PngParts, inflating_payload, inflating_png};

use crate::bad_input::memory_is_given_back;
use crate::request::{add_file, file, post, problem};

/// Memory of a node beyond its configured limits.
const OVERHEAD_BYTES: u64 = 64 << 20;
const PIXEL_MEMORY_BYTES: u64 = 256 << 20;
const TRANSFER_MEMORY_BYTES: u64 = 128 << 20;
/// Time limit for the answer to one bomb, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(20);

fn small_node() -> Node {
    NodeBuilder::new()
        .set("limits.pixel_memory_bytes", PIXEL_MEMORY_BYTES)
        .set("limits.transfer_memory_bytes", TRANSFER_MEMORY_BYTES)
        .set("limits.max_body_bytes", 32 << 20)
        .set("limits.max_secret_bytes", 4 << 20)
        .start()
}

fn as_cover(cover: impl Into<Vec<u8>>) -> Form {
    add_file(file("file", "s.bin", "secret"), "cover", "c.png", cover)
}

fn as_image(image: impl Into<Vec<u8>>) -> Form {
    file("file", "x.png", image)
}

fn claiming_png(width: u32, height: u32) -> Vec<u8> {
    PngParts { width, height, depth: 8, colour: 2, chunks: Vec::new(), rows: vec![vec![0; 100]; 10] }
        .to_file()
}

/// 64 MiB of zeros in about 64 KiB, in a container with the true length.
fn honest_bomb() -> Vec<u8> {
    let cover =
        stego::Cover::from_samples(600, 400, stego::Channels::Rgb, testkit::noise(1, 720_000)).unwrap();
    let secret = vec![0; 64 << 20];
    let (secret, options) = (stego::Secret::new(&secret), stego::EmbedOptions::default());
    stego::embed(&cover, &secret, &options, &stego::Limits::default()).unwrap().into_vec()
}

#[tokio::test]
async fn a_payload_that_inflates_past_the_limit_is_too_large() {
    let node = small_node();
    for (name, image) in [("one that says so", honest_bomb()), ("one that does not", inflating_payload(4))] {
        let started = Instant::now();
        let answer = post(&node, "/api/extract").multipart(as_image(image)).send().await.unwrap();
        let document = problem(answer, 413, "secret_too_large").await;
        assert_eq!(document["available_bytes"], 4 << 20, "{name}");
        assert!(started.elapsed() < LIMIT, "{name}");
    }
    check_memory(&node);
}

/// Bytes after the last row are not part of the image, whether ignored or refused.
#[tokio::test]
async fn ten_megabytes_that_would_be_ten_gigabytes() {
    const PIECES: usize = 640;
    let node = small_node();
    let image = inflating_png(64, 64, PIECES);
    assert!((10_000_000..12_000_000).contains(&image.len()), "{} bytes", image.len());
    let payload = inflating_payload(PIECES / 10);
    for (path, form, expected) in [
        ("/api/extract", as_image(image.clone()), &[400, 413, 422, 503][..]),
        ("/api/extract", as_image(payload), &[413]),
        ("/api/embed", as_cover(image.clone()), &[200, 400, 413, 503]),
        ("/api/capacity", as_image(image), &[200, 400, 413, 503]),
    ] {
        let started = Instant::now();
        let answer = post(&node, path).multipart(form).send().await.unwrap();
        assert!(expected.contains(&answer.status().as_u16()), "{path}: {:?}", answer.text().await);
        assert!(started.elapsed() < LIMIT, "{path}");
    }
    check_memory(&node);
}

#[tokio::test]
async fn two_hundred_bombs_at_once() {
    let node = small_node();
    let before = node.resident_bytes();
    let (honest, payload) = (honest_bomb(), inflating_payload(16));
    let zlib = inflating_png(64, 64, 64);
    let plain = inflating_png(2000, 2000, 2);
    let kinds: [(&str, &dyn Fn() -> Form, &str); 8] = [
        ("/api/embed", &|| as_cover(claiming_png(60_000, 60_000)), "too_many_pixels"),
        ("/api/capacity", &|| as_image(claiming_png(60_000, 60_000)), "too_many_pixels"),
        ("/api/embed", &|| as_cover(claiming_png(8000, 8000)), "image_too_large"),
        ("/api/embed", &|| as_cover(claiming_png(4000, 4000)), "damaged_image"),
        ("/api/extract", &|| as_image(zlib.clone()), "no_payload"),
        ("/api/extract", &|| as_image(plain.clone()), "no_payload"),
        ("/api/extract", &|| as_image(honest.clone()), "secret_too_large"),
        ("/api/extract", &|| as_image(payload.clone()), "secret_too_large"),
    ];
    let client = reqwest::Client::new();
    let bombs = (0..200).map(|i| {
        let (path, form, code) = kinds[i % kinds.len()];
        let answer = client.post(format!("{}{path}", node.url())).multipart(form()).send();
        async move {
            let answer = answer.await.unwrap();
            let status = answer.status().as_u16();
            let document: serde_json::Value = answer.json().await.unwrap();
            // Without a place or memory for a bomb, the client is told to retry.
            let fine = document["code"] == code || status == 503 && document["code"] == "overloaded";
            assert!(fine, "{path}, {code}: {document}");
            document["code"].as_str() == Some(code)
        }
    });
    // Asked all the while.
    let alive = async {
        loop {
            assert_eq!(client.get(format!("{}/livez", node.url())).send().await.unwrap().status(), 200);
        }
    };
    let defused = tokio::select! {
        answers = join_all(bombs) => answers.into_iter().filter(|defused| *defused).count(),
        () = alive => 0,
    };
    assert!(defused >= 8, "only {defused} bombs were looked at");
    check_memory(&node);
    memory_is_given_back(&node, before);
}

/// Images of one row of windows, as wide or as high as the limit allows: the memory of a comparison grows
/// with neither.
#[tokio::test]
async fn comparisons_of_long_and_thin_images() {
    let node = small_node();
    for (width, height) in [(4_000_000, 11), (11, 4_000_000)] {
        let image = |value: u8| {
            let mut samples = vec![7; width * height];
            samples[width * height - 1] = value;
            stego::Cover::from_samples(width as u32, height as u32, stego::Channels::Grey, samples)
                .unwrap()
                .to_png()
        };
        let form = add_file(file("a", "a.png", image(7)), "b", "b.png", image(8));
        let answer = post(&node, "/api/compare").multipart(form).send().await.unwrap();
        let document: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(document["differing_samples"], 1, "{document}");
    }
    check_memory(&node);
}

/// Checks the peak memory of the node against its limits.
fn check_memory(node: &Node) {
    assert_eq!(node.status("/livez"), Some(200));
    let Some(peak) = node.peak_resident_bytes() else { return };
    let limit = PIXEL_MEMORY_BYTES + TRANSFER_MEMORY_BYTES + OVERHEAD_BYTES;
    assert!(peak <= limit, "{} MiB of {} MiB", peak >> 20, limit >> 20);
}

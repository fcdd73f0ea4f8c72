//! Bad input: each ends in a problem document, with the node alive and its memory returned.

use stego::{Channels, Cover, Limits};
use testkit::{Node, NodeBuilder, PngParts, wait_for};

use crate::request::{add_file, embed, extract, file, get, post, problem};

/// Maximum growth of a node's memory after bad requests.
const MAX_GROWTH_BYTES: u64 = 64 << 20;

const BOUNDARY: &str = "multipart/form-data; boundary=b";

async fn refuse(
    node: &Node,
    path: &str,
    form: reqwest::multipart::Form,
    status: u16,
    code: &str,
) -> serde_json::Value {
    problem(post(node, path).multipart(form).send().await.unwrap(), status, code).await
}

fn with_cover(cover: impl Into<Vec<u8>>) -> reqwest::multipart::Form {
    add_file(file("file", "s.bin", "secret"), "cover", "c.png", cover)
}

fn header_only(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    PngParts { width, height, depth, colour, chunks: Vec::new(), rows: vec![vec![0; 100]; 10] }.to_file()
}

#[tokio::test]
async fn forms_that_are_not_as_they_should_be() {
    let node = Node::start();
    let secret = || file("file", "s.bin", "secret");
    let form = file("cover", "c.png", "x");
    assert!(
        refuse(&node, "/api/embed", form, 400, "file_missing").await["detail"]
            .as_str()
            .unwrap()
            .contains("curl")
    );
    let empty =
        post(&node, "/api/extract").header("content-type", BOUNDARY).body("--b--\r\n").send().await.unwrap();
    problem(empty, 400, "file_missing").await;
    refuse(&node, "/api/embed", secret().text("fiel", "x"), 400, "unknown_field").await;
    refuse(&node, "/api/embed", add_file(secret(), "file", "t.bin", "again"), 400, "repeated_field").await;
    refuse(&node, "/api/embed", secret().text("bits", "5"), 400, "bits_out_of_range").await;
    refuse(&node, "/api/embed", secret().text("bits", "two"), 400, "bits_out_of_range").await;
    refuse(&node, "/api/embed", secret().text("mode", "robust"), 400, "unknown_mode").await;
    refuse(&node, "/api/embed", secret().text("mode", "m".repeat(2000)), 400, "field_too_long").await;
    refuse(&node, "/api/embed", secret().text("metadata", "some"), 400, "unknown_metadata_policy").await;
    refuse(&node, "/api/embed", secret().text("verify", "some"), 400, "unknown_verify").await;
    for field in ["password", "label", "cover_id"] {
        refuse(&node, "/api/embed", secret().text(field, "x"), 400, "not_supported_yet").await;
    }
    refuse(&node, "/api/extract", file("file", "x.png", ""), 400, "file_empty").await;
    refuse(&node, "/api/capacity", file("file", "x.png", ""), 400, "file_empty").await;
    refuse(&node, "/api/embed", with_cover(""), 400, "file_empty").await;
    // No file was chosen in a browser's form.
    refuse(&node, "/api/embed", file("file", "", ""), 400, "file_missing").await;
    let no_cover = add_file(secret(), "cover", "", "");
    assert_eq!(post(&node, "/api/embed").multipart(no_cover).send().await.unwrap().status(), 200);
    let answer = post(&node, "/api/embed").json("just text").send().await.unwrap();
    let document = problem(answer, 400, "not_multipart").await;
    assert!(
        document["detail"].as_str().unwrap().contains("Content-Type is `application/json`"),
        "{document}"
    );
    let cut_off = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nno end";
    let answer =
        post(&node, "/api/embed").header("content-type", BOUNDARY).body(cut_off).send().await.unwrap();
    let document = problem(answer, 400, "malformed_multipart").await;
    assert!(document["detail"].as_str().unwrap().contains("boundary"), "{document}");
    let preamble = "x".repeat(6 << 20);
    let answer =
        post(&node, "/api/embed").header("content-type", BOUNDARY).body(preamble).send().await.unwrap();
    problem(answer, 400, "malformed_multipart").await;
    problem(get(&node, "/api/dataset/%ff").await, 404, "not_found").await;
    problem(get(&node, "/docs/nope").await, 404, "not_found").await;
    problem(get(&node, "/api/embed").await, 405, "method_not_allowed").await;
    problem(get(&node, "/api/nothing").await, 404, "not_found").await;
    assert_eq!(node.status("/livez"), Some(200));
}

#[tokio::test]
async fn images_that_are_not_as_they_should_be() {
    let node = NodeBuilder::new().set("limits.pixel_memory_bytes", 256 << 20).start();
    let whole = embed(&node, &testkit::noise(1, 1000), None).await;
    let before = node.resident_bytes();

    refuse(&node, "/api/embed", with_cover(&whole[..whole.len() / 2]), 400, "truncated_image").await;
    refuse(&node, "/api/extract", file("file", "x.png", &whole[..100]), 400, "truncated_image").await;
    refuse(&node, "/api/embed", with_cover(testkit::noise(1, 100)), 415, "not_an_image").await;
    refuse(&node, "/api/extract", file("file", "x.png", testkit::noise(1, 100)), 415, "not_an_image").await;
    for bomb in [header_only(60_000, 60_000, 8, 2), header_only(20_000, 20_000, 1, 0)] {
        let document = refuse(&node, "/api/embed", with_cover(bomb.clone()), 413, "too_many_pixels").await;
        assert_eq!(document["max_pixels"], 100_000_000);
        refuse(&node, "/api/extract", file("file", "x.png", bomb.clone()), 413, "too_many_pixels").await;
        refuse(&node, "/api/capacity", file("file", "x.png", bomb), 413, "too_many_pixels").await;
    }
    // Within the limits by its header, and a bomb all the same: rows of zeros that deflate a thousandfold.
    let rows = vec![vec![0; 30_000]; 9_000];
    let zeros =
        PngParts { width: 10_000, height: 9_000, depth: 8, colour: 2, chunks: Vec::new(), rows }.to_file();
    refuse(&node, "/api/extract", file("file", "x.png", zeros), 422, "no_payload").await;
    // Within the limit on pixels, never within the memory.
    refuse(&node, "/api/embed", with_cover(header_only(10_000, 9_900, 8, 6)), 413, "image_too_large").await;
    refuse(
        &node,
        "/api/capacity",
        file("file", "x.png", header_only(10_000, 9_900, 8, 6)),
        413,
        "image_too_large",
    )
    .await;
    let plain = dataset::cover(0).unwrap().to_png();
    refuse(&node, "/api/extract", file("file", "x.png", plain), 422, "no_payload").await;

    memory_is_given_back(&node, before);
}

#[tokio::test]
async fn payloads_that_are_not_as_they_should_be() {
    let node = NodeBuilder::new().set("limits.max_secret_bytes", 5 << 20).start();
    let before = node.resident_bytes();

    let fits = (1920 * 1080 * 3 - 224) / 8;
    let document =
        refuse(&node, "/api/embed", file("file", "s", testkit::noise(1, fits + 1)), 413, "capacity_exceeded")
            .await;
    assert_eq!((&document["needed_bytes"], &document["available_bytes"]), (&(fits + 1).into(), &fits.into()));
    let document =
        refuse(&node, "/api/embed", file("file", "s", vec![0; 6 << 20]), 413, "secret_too_large").await;
    assert_eq!(document["available_bytes"], 5 << 20);

    // Made where more is allowed: 8 MiB of zeros in a few kilobytes.
    let cover = Cover::from_samples(400, 300, Channels::Rgb, testkit::noise(4, 360_000)).unwrap();
    let zeros = vec![0; 8 << 20];
    let options = stego::EmbedOptions::default();
    let bomb =
        stego::embed(&cover, &stego::Secret::new(&zeros), &options, &Limits::default()).unwrap().into_vec();
    refuse(&node, "/api/extract", file("file", "x.png", bomb), 413, "secret_too_large").await;

    let image = embed(&node, &testkit::noise(2, 1000), None).await;
    let stego = Cover::decode(&image, &Limits::default()).unwrap();
    let mut samples = stego.samples().to_vec();
    samples[5000] ^= 1;
    let flipped =
        Cover::from_samples(stego.width(), stego.height(), stego.channels(), samples).unwrap().to_png();
    refuse(&node, "/api/extract", file("file", "x.png", flipped), 422, "damaged_payload").await;

    memory_is_given_back(&node, before);
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let node = Node::start();
    let before = node.resident_bytes();
    let document =
        refuse(&node, "/api/embed", file("file", "s", vec![7; 200 << 20]), 413, "body_too_large").await;
    assert!(document["needed_bytes"].as_u64().unwrap() > 200 << 20);
    assert_eq!(document["available_bytes"], 128 << 20);

    // Without an announced length the limit is met on the way.
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"s\"\r\n\r\n";
    let chunks = std::iter::once(Ok::<_, std::io::Error>(head.as_bytes().to_vec()))
        .chain(std::iter::repeat_with(|| Ok(vec![7; 1 << 20])).take(150));
    let answer = post(&node, "/api/embed")
        .header("content-type", BOUNDARY)
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)))
        .send()
        .await
        .unwrap();
    problem(answer, 413, "body_too_large").await;

    memory_is_given_back(&node, before);
    let image = embed(&node, b"still there", None).await;
    assert_eq!(extract(&node, &image).await, b"still there");
}

#[tokio::test]
async fn uploads_that_do_not_go_on() {
    let node = NodeBuilder::new().set("limits.idle_timeout_ms", 200).start();
    let head = "POST /api/embed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\nconnection: close\r\n\
                content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n";
    let answer = String::from_utf8(node.raw(head.as_bytes()).unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("upload_too_slow"), "{answer}");
    let silent = node.raw(b"GET /livez HTT").unwrap();
    assert!(!String::from_utf8_lossy(&silent).starts_with("HTTP/1.1 200"));
    assert_eq!(node.status("/livez"), Some(200));
}

pub(crate) fn memory_is_given_back(node: &Node, before: Option<u64>) {
    assert_eq!(node.status("/livez"), Some(200));
    let Some(before) = before else { return };
    wait_for("the node's memory to shrink again", || {
        let now = node.resident_bytes()?;
        (now <= before + MAX_GROWTH_BYTES).then_some(())
    });
}

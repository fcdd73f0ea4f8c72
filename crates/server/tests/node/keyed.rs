//! Embed and extract with a key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response};
use serde_json::Value;
use stego::{
    Channels, Cover, EmbedOptions, ImageFile, Limits, Salt, Seal, SealedReading, SealingKey, Secret,
};
use testkit::{Node, NodeBuilder, PngParts};

use crate::request::{add_file, embed, figure, file, get, post, problem};

const PASSPHRASE: &str = "correct horse battery staple é";
const SECRET: &[u8] = b"meet me at noon";

/// Content of a key file.
fn key_file() -> Vec<u8> {
    testkit::noise(42, 100)
}

/// A PNG that carries nothing.
fn clean(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let row_bytes = width as usize * 3;
    let samples = testkit::noise(seed, row_bytes * height as usize);
    let rows = samples.chunks(row_bytes).map(<[u8]>::to_vec).collect();
    PngParts { width, height, depth: 8, colour: 2, chunks: Vec::new(), rows }.to_file()
}

fn cover() -> Vec<u8> {
    clean(400, 300, 5)
}

fn keyed(form: Form, passphrase: Option<&str>, key: Option<Vec<u8>>) -> Form {
    let form = match passphrase {
        Some(passphrase) => form.text("passphrase", passphrase.to_owned()),
        None => form,
    };
    match key {
        Some(key) => add_file(form, "key_file", "key.bin", key),
        None => form,
    }
}

async fn send(node: &Node, path: &str, form: Form) -> Response {
    post(node, path).multipart(form).send().await.unwrap()
}

async fn sealed(
    node: &Node,
    cover: Option<Vec<u8>>,
    passphrase: Option<&str>,
    key: Option<Vec<u8>>,
) -> Vec<u8> {
    let form = keyed(file("file", "note.txt", SECRET), passphrase, key);
    let form = match cover {
        Some(cover) => add_file(form, "cover", "cover.png", cover),
        None => form,
    };
    let answer = post(node, "/api/embed").header("accept", "image/png").multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    answer.bytes().await.unwrap().to_vec()
}

fn salt_of(image: &[u8]) -> Salt {
    let limits = Limits::default();
    SealedReading::of_file(&ImageFile::open(image, &limits).unwrap(), &limits).unwrap().salt()
}

#[tokio::test]
async fn what_is_hidden_with_a_key_is_found_with_that_key_alone() {
    let node = Node::start();
    let kinds = [(Some(PASSPHRASE), None), (None, Some(key_file())), (Some(PASSPHRASE), Some(key_file()))];
    for (i, (passphrase, key)) in kinds.iter().enumerate() {
        let cover = if i == 0 { None } else { Some(cover()) };
        let image = sealed(&node, cover, *passphrase, key.clone()).await;
        // The key before the image, and after it.
        let before = add_file(keyed(Form::new(), *passphrase, key.clone()), "file", "x.png", image.clone());
        let after = keyed(file("file", "x.png", image.clone()), *passphrase, key.clone());
        for form in [before, after] {
            let found: Value = send(&node, "/api/extract", form).await.json().await.unwrap();
            assert_eq!(found["filename"], "note.txt", "{found}");
            assert_eq!(STANDARD.decode(found["recovered_b64"].as_str().unwrap()).unwrap(), SECRET);
        }
        for (j, (passphrase, key)) in kinds.iter().enumerate().filter(|(j, _)| *j != i) {
            let form = keyed(file("file", "x.png", image.clone()), *passphrase, key.clone());
            let answer = send(&node, "/api/extract", form).await;
            assert_eq!(answer.status(), 422, "kind {i} with kind {j}");
            problem(answer, 422, "no_payload_or_wrong_key").await;
        }
        let answer = send(&node, "/api/extract", file("file", "x.png", image)).await;
        problem(answer, 422, "no_payload").await;
    }
    assert_eq!(figure(&node, "transfer_memory_bytes"), 0);
    assert_eq!(figure(&node, "key_derivations_memory_bytes"), 0);
}

/// The passphrase in its other normalization form is the same key.
#[tokio::test]
async fn the_library_reads_what_the_node_writes() {
    let node = Node::start();
    let image = sealed(&node, Some(cover()), Some(PASSPHRASE), Some(key_file())).await;
    let decomposed = PASSPHRASE.replace('é', "e\u{301}");
    let key = SealingKey::new(Some(&decomposed), Some(&key_file())).unwrap();
    assert_eq!(stego::extract_sealed(&image, &key, &Limits::default()).unwrap().secret, SECRET);
    let options = EmbedOptions::default().with_seal(Seal::Key(key, Salt([9; 16])));
    let cover = Cover::from_samples(200, 200, Channels::Rgb, testkit::noise(8, 200 * 200 * 3)).unwrap();
    let image = stego::embed(&cover, &Secret::new(SECRET), &options, &Limits::default()).unwrap().to_vec();
    let form = keyed(file("file", "x.png", image), Some(PASSPHRASE), Some(key_file()));
    let answer = post(&node, "/api/extract").header("accept", "application/octet-stream").multipart(form);
    assert_eq!(answer.send().await.unwrap().bytes().await.unwrap(), SECRET);
}

#[tokio::test]
async fn nothing_and_another_key_have_one_answer() {
    let node = Node::start();
    let details = |image: Vec<u8>| async {
        let form = keyed(file("file", "x.png", image), Some("another"), None);
        let document = problem(send(&node, "/api/extract", form).await, 422, "no_payload_or_wrong_key").await;
        let mut document = document.as_object().unwrap().clone();
        document.remove("request_id");
        document
    };
    let dataset = get(&node, "/api/dataset/7").await.bytes().await.unwrap().to_vec();
    let nothing = details(dataset).await;
    assert_eq!(details(sealed(&node, Some(cover()), Some(PASSPHRASE), None).await).await, nothing);
    // Too short for its beginning to be inspected while the rest arrives.
    assert_eq!(details(embed(&node, SECRET, Some(&clean(200, 200, 3))).await).await, nothing);
}

#[tokio::test]
async fn what_the_image_alone_tells_comes_before_the_key() {
    let node = Node::start();
    let image = sealed(&node, Some(cover()), Some(PASSPHRASE), None).await;
    let check = async |image: Vec<u8>, status, code| {
        let form = keyed(file("file", "x.png", image), Some("another"), None);
        problem(send(&node, "/api/extract", form).await, status, code).await;
    };
    let before = figure(&node, "key_derivations_done_total");
    check(image[..image.len() / 2].to_vec(), 400, "truncated_image").await;
    check(b"text".to_vec(), 415, "not_an_image").await;
    let small = clean(100, 100, 1);
    check(small.clone(), 422, "no_payload").await;
    let form = keyed(file("file", "a", SECRET), Some("key"), None);
    let form = add_file(form, "cover", "c.png", "text");
    problem(send(&node, "/api/embed", form).await, 415, "not_an_image").await;
    assert_eq!(figure(&node, "key_derivations_done_total"), before);
    let form = add_file(keyed(file("file", "a", SECRET), Some("key"), None), "cover", "c.png", small);
    let document = problem(send(&node, "/api/embed", form).await, 413, "cover_too_small").await;
    assert_eq!(
        (&document["needed_samples"], &document["available_samples"]),
        (&45_024.into(), &30_000.into())
    );
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let node = Node::start();
    let check = async |passphrase: Option<&str>, key: Option<Vec<u8>>, code: &str| {
        for path in ["/api/embed", "/api/extract"] {
            let form = keyed(file("file", "x", cover()), passphrase, key.clone());
            problem(send(&node, path, form).await, 400, code).await;
        }
    };
    check(Some(""), None, "invalid_key").await;
    check(Some(&"a".repeat(1025)), None, "invalid_key").await;
    check(None, Some(vec![7; 31]), "invalid_key").await;
    check(None, Some(vec![7; (16 << 20) + 1]), "invalid_key").await;
    check(Some(""), Some(key_file()), "invalid_key").await;
    for path in ["/api/embed", "/api/extract"] {
        let form = file("file", "x", cover()).part("passphrase", Part::bytes(vec![0xFF, 0xFE]));
        problem(send(&node, path, form).await, 400, "field_not_text").await;
        let form = keyed(keyed(file("file", "x", cover()), Some("a"), None), Some("a"), None);
        problem(send(&node, path, form).await, 400, "repeated_field").await;
    }
    // No key file was chosen in a browser's form.
    let form = add_file(file("file", "a.txt", SECRET), "key_file", "", "");
    assert_eq!(send(&node, "/api/embed", form).await.status(), 200);
}

#[tokio::test]
async fn modes_go_with_keys() {
    let node = Node::start();
    let check = async |mode: Option<&str>, bits: Option<&str>, key: Option<&str>, want: Result<(), &str>| {
        let mut form = keyed(file("file", "a", SECRET), key, None);
        for (field, value) in [("mode", mode), ("bits", bits)] {
            form = match value {
                Some(value) => form.text(field, value.to_owned()),
                None => form,
            };
        }
        let answer = send(&node, "/api/embed", form).await;
        match want {
            Ok(()) => {
                let answer: Value = answer.json().await.unwrap();
                let is_open = answer["notes"].to_string().contains("anyone with this image");
                assert_eq!(is_open, key.is_none(), "{}", answer["notes"]);
                // The built-in cover.
                let is_known = answer["notes"].to_string().contains("cover_is_known");
                assert_eq!(is_known, key.is_some(), "{}", answer["notes"]);
            }
            Err(code) => drop(problem(answer, 400, code).await),
        }
    };
    check(None, None, None, Ok(())).await;
    check(Some("sequential"), Some("2"), None, Ok(())).await;
    check(None, None, Some("key"), Ok(())).await;
    check(Some("scattered"), Some("1"), Some("key"), Ok(())).await;
    check(Some("adaptive"), None, Some("key"), Ok(())).await;
    check(Some("scattered"), None, None, Err("invalid_key")).await;
    check(Some("adaptive"), None, None, Err("invalid_key")).await;
    check(Some("sequential"), None, Some("key"), Err("invalid_key")).await;
    check(None, Some("2"), Some("key"), Err("bits_out_of_range")).await;
    let capacity: Value =
        send(&node, "/api/capacity", file("file", "c.png", cover())).await.json().await.unwrap();
    let modes = capacity["modes"].as_array().unwrap().iter().map(|mode| mode["mode"].as_str().unwrap());
    let modes: Vec<&str> = modes.collect();
    assert_eq!(modes, ["sequential", "sequential", "sequential", "sequential", "scattered", "adaptive"]);
}

/// A salt that repeats for another secret would repeat the key stream.
#[tokio::test]
async fn an_idempotency_key_repeats_a_salt_for_the_same_request_only() {
    let node = Node::start();
    let image = async |secret: &'static [u8], passphrase: &str, key: Option<&str>| {
        let form = keyed(add_file(Form::new(), "file", "a", secret), Some(passphrase), None);
        let form = add_file(form, "cover", "c.png", cover());
        let request = post(&node, "/api/embed").header("accept", "image/png").multipart(form);
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().to_vec()
    };
    let first = image(b"one", "p", Some("k")).await;
    assert!(image(b"one", "p", Some("k")).await == first);
    let others = [
        image(b"two", "p", Some("k")).await,
        image(b"one", "q", Some("k")).await,
        image(b"one", "p", Some("l")).await,
        image(b"one", "p", None).await,
        image(b"one", "p", None).await,
    ];
    let salts: Vec<_> = others.iter().chain([&first]).map(|image| salt_of(image)).collect();
    for (i, salt) in salts.iter().enumerate() {
        assert!(!salts[..i].contains(salt), "image {i}");
    }
}

#[tokio::test]
async fn a_key_over_plain_http_is_refused_as_disclosed() {
    let node = Node::start();
    let forwarded = |node: &Node, path: &str, protocol: &str| {
        let form = keyed(file("file", "a", cover()), Some(PASSPHRASE), None);
        post(node, path).header("x-forwarded-proto", protocol.to_owned()).multipart(form)
    };
    for path in ["/api/embed", "/api/extract"] {
        let answer = forwarded(&node, path, "https").send().await.unwrap();
        let document = problem(answer, 403, "plaintext_refused").await;
        assert!(document["detail"].as_str().unwrap().contains("disclosed"), "{document}");
    }
    // Without a key nothing is confidential.
    let open = post(&node, "/api/embed").header("x-forwarded-proto", "http");
    assert_eq!(open.multipart(file("file", "a", SECRET)).send().await.unwrap().status(), 200);

    let node = NodeBuilder::new().set("security.trusted_proxies", "127.0.0.1").start();
    assert_eq!(forwarded(&node, "/api/embed", "https").send().await.unwrap().status(), 200);
    let answer = forwarded(&node, "/api/embed", "http").send().await.unwrap();
    problem(answer, 403, "plaintext_refused").await;

    let node = NodeBuilder::new().set("security.passphrases_in_plaintext", "allowed").start();
    assert_eq!(forwarded(&node, "/api/embed", "http").send().await.unwrap().status(), 200);
    assert!(node.log().contains("passphrases in plaintext allowed"), "{}", node.log());
}

/// Whoever reads what a node tells about itself learns no key.
#[tokio::test]
async fn keys_are_in_no_log_answer_metric_or_command_line() {
    let node = NodeBuilder::new().set("log.filter", "trace").start();
    let (passphrase, marker) = ("zanzibar-quixotic-marker", b"marker-of-the-key-file-0123456789".to_vec());
    let image = sealed(&node, Some(cover()), Some(passphrase), Some(marker.clone())).await;
    let mut seen = String::new();
    let requests = [
        ("/api/extract", keyed(file("file", "x", image.clone()), Some(passphrase), Some(marker.clone()))),
        ("/api/extract", keyed(file("file", "x", image.clone()), Some(passphrase), None)),
        ("/api/extract", keyed(file("file", "x", b"text".to_vec()), Some(passphrase), Some(marker.clone()))),
        (
            "/api/embed",
            keyed(file("file", "x", SECRET), Some(passphrase), Some(marker.clone())).text("bits", "3"),
        ),
        ("/api/embed", keyed(keyed(Form::new(), Some(passphrase), None), Some(passphrase), None)),
        ("/api/capacity", keyed(Form::new(), Some(passphrase), None)),
        ("/api/embed", keyed(Form::new(), Some(&passphrase.repeat(50)), None)),
    ];
    for (path, form) in requests {
        let answer = post(&node, path).header("idempotency-key", "k").multipart(form).send().await.unwrap();
        seen += &format!("{:?}", answer.headers());
        seen += &answer.text().await.unwrap();
    }
    let plain = keyed(file("file", "x", SECRET), Some(passphrase), Some(marker.clone()));
    let refused = post(&node, "/api/embed").header("via", "a proxy").multipart(plain).send().await.unwrap();
    seen += &refused.text().await.unwrap();
    seen += &get(&node, "/metrics").await.text().await.unwrap();
    for part in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{part}", node.process_id())).unwrap();
        seen += &String::from_utf8_lossy(&bytes);
    }
    let log = node.log();
    assert!(log.contains("/api/extract"), "the log tells of the requests: {log}");
    seen += &log;
    let digests = [hex_sha256(passphrase.as_bytes()), hex_sha256(&marker)];
    for hidden in ["zanzibar", "marker-of-the", "meet me at noon", &digests[0], &digests[1]] {
        let at = seen.find(hidden);
        assert!(at.is_none(), "{hidden} in {}", &seen[at.unwrap_or(0).saturating_sub(200)..][..400]);
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// More requests than may wait are refused with the time to come back.
#[tokio::test]
async fn a_full_queue_for_derivations_answers_503() {
    let node = NodeBuilder::new().set("limits.key_queue", 1).set("limits.key_derivations", 1).start();
    let client = Client::new();
    let request = || {
        let form = keyed(file("file", "a", SECRET), Some("p"), None);
        client.post(format!("{}/api/embed", node.url())).multipart(form).send()
    };
    let answers = futures_util::future::join_all((0..12).map(|_| request())).await;
    let (mut served, mut refused) = (0, 0);
    for answer in answers {
        let answer = answer.unwrap();
        match answer.status().as_u16() {
            200 => served += 1,
            _ => {
                assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
                problem(answer, 503, "overloaded").await;
                refused += 1;
            }
        }
    }
    assert!(served >= 1 && refused >= 1, "{served} served, {refused} refused");
}

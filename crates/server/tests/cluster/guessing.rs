//! Guesses of passphrases beside honest use, measured: `cargo nextest run -p server --test cluster
//! --run-ignored all guessing --no-capture`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use testkit::{Cluster, ClusterBuilder};

/// Clients that guess.
const GUESSERS: usize = 64;
/// Keyed extracts of the honest client, and the time within which half of them have to be answered.
const EXTRACTS: usize = 20;
const IN_TIME: Duration = Duration::from_secs(2);
/// Limit on the 99th percentile of `/livez`.
const LIVEZ_P99: Duration = Duration::from_millis(20);
/// Memory besides that of the derivations and of the images in work.
const BESIDES_BYTES: u64 = 1 << 30;

fn client(address: [u8; 4]) -> Client {
    Client::builder().local_address(IpAddr::from(address)).build().unwrap()
}

async fn extract(client: &Client, url: &str, image: &[u8], passphrase: String) -> reqwest::Result<u16> {
    let form = Form::new().text("passphrase", passphrase).part("file", Part::bytes(image.to_vec()));
    Ok(client.post(format!("{url}/api/extract")).multipart(form).send().await?.status().as_u16())
}

fn term(cluster: &Cluster) -> Option<u64> {
    cluster.status(0).map(|status| status.term)
}

/// Tries one passphrase after the other until `ends`.
async fn guess(
    i: usize,
    client: Client,
    url: String,
    image: Vec<u8>,
    ends: Arc<AtomicBool>,
    guesses: Arc<AtomicU64>,
) {
    for n in 0.. {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        match extract(&client, &url, &image, format!("guess {i} {n}")).await {
            Ok(422) => drop(guesses.fetch_add(1, Ordering::Relaxed)),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Times of `/livez` until `ends`.
async fn watch_livez(url: String, ends: Arc<AtomicBool>) -> Vec<Duration> {
    let (client, mut times) = (client([127, 0, 200, 2]), Vec::new());
    while !ends.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer = client.get(format!("{url}/livez")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    times
}

/// 64 clients with wrong keys, at one address or each at its own, and an honest one at another address.
#[expect(clippy::print_stdout, reason = "the measurement is for people")]
async fn measure(addresses: usize) {
    let cluster = Arc::new(ClusterBuilder::new().start());
    cluster.wait_all_healthy();
    let (url, term_before) = (cluster.url(0), term(&cluster));
    let honest = client([127, 0, 200, 1]);
    let secret = Form::new()
        .text("passphrase", "the right one")
        .part("file", Part::bytes(b"a secret".to_vec()).file_name("a"));
    let embed = honest.post(format!("{url}/api/embed")).header("accept", "image/png").multipart(secret);
    let image = embed.send().await.unwrap().bytes().await.unwrap().to_vec();

    let (ends, guesses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let guessers: Vec<_> = (0..GUESSERS)
        .map(|i| {
            let client = client([127, 0, 100, (1 + i % addresses) as u8]);
            let (url, image) = (url.clone(), image.clone());
            tokio::spawn(guess(i, client, url, image, Arc::clone(&ends), Arc::clone(&guesses)))
        })
        .collect();
    let livez = tokio::spawn(watch_livez(url.clone(), Arc::clone(&ends)));

    let mut times = Vec::new();
    let mut peak_bytes = 0;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..EXTRACTS {
        let started = Instant::now();
        let status = extract(&honest, &url, &image, "the right one".to_owned()).await.unwrap();
        times.push((status, started.elapsed()));
        peak_bytes = peak_bytes.max(cluster.resident_bytes(0).unwrap_or(0));
    }
    ends.store(true, Ordering::Relaxed);
    for guesser in guessers {
        guesser.await.unwrap();
    }
    let mut livez = livez.await.unwrap();
    livez.sort();
    let in_time = times.iter().filter(|(status, time)| *status == 200 && *time <= IN_TIME).count();
    let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort();
    let p99 = livez[livez.len() * 99 / 100];
    println!(
        "{addresses} address(es): honest {in_time} of {EXTRACTS} within 2 s, median {:?}, worst {:?}; livez p99 {p99:?} \
         of {}; {} wrong keys tried; memory {} MiB; term {term_before:?} to {:?}",
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1],
        livez.len(),
        guesses.load(Ordering::Relaxed),
        peak_bytes >> 20,
        term(&cluster)
    );
    assert!(2 * in_time >= EXTRACTS, "{times:?}");
    assert_eq!(term(&cluster), term_before, "an election");
    assert!(peak_bytes <= BESIDES_BYTES, "{peak_bytes}");
    assert!(p99 <= LIVEZ_P99, "{p99:?}");
}

#[ignore = "measures times, on an idle machine"]
#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_one_address_leaves_the_honest_their_turn() {
    measure(1).await;
}

#[ignore = "measures times, on an idle machine"]
#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_many_addresses_leaves_the_honest_their_turn() {
    measure(GUESSERS).await;
}

//! Does one piece of work some times, for `cargo xtask bench instructions` to count: `instructions WORK
//! TIMES`.
//!
//! A cover made by code of 1920 × 1080 and an incompressible secret of 10 KiB.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::hint::black_box;

use stego::{
    Channels, Cover, EmbedOptions, ImageFile, Limits, MetadataPolicy, PreparedCover, PreparedPayload, Secret,
    Verify, Watch, embed, extract,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // Cargo runs benchmarks with an argument of its own.
    let [_, work, times] = &arguments[..] else { return };
    let times: usize = times.parse().unwrap();
    let secret = testkit::noise(1, 10 << 10);
    let (secret, options, limits) = (Secret::new(&secret), EmbedOptions::default(), Limits::default());
    let cover = Cover::from_samples(1920, 1080, Channels::Rgb, gradient()).unwrap();
    let prepared = PreparedCover::new(cover.clone(), MetadataPolicy::Keep, &Watch::default()).unwrap();
    let spliced = || embed(&prepared, &secret, &options, &limits).unwrap();
    match work.as_str() {
        "splice" => {
            let payload = PreparedPayload::pack(&prepared, &secret, &options, &limits).unwrap().unwrap();
            repeat(times, || payload.splice(&limits).unwrap());
        }
        "embed-prepared" => repeat(times, spliced),
        "embed-into-png-file" | "embed-into-png-payload" => {
            let verify = if work.ends_with("file") { Verify::File } else { Verify::Payload };
            let options = options.with_verify(verify);
            let file = cover.to_png();
            repeat(times, || {
                let cover = ImageFile::open(&file, &limits).unwrap();
                embed(cover, &secret, &options, &limits).unwrap()
            });
        }
        "extract-spliced" => {
            let file = spliced().to_vec();
            repeat(times, || extract(&file, &limits).unwrap());
        }
        "extract-whole" => {
            let file = embed(&cover, &secret, &options, &limits).unwrap().into_vec();
            repeat(times, || extract(&file, &limits).unwrap());
        }
        other => panic!("there is no work {other}"),
    }
}

fn repeat<T>(times: usize, mut work: impl FnMut() -> T) {
    for _ in 0..times {
        black_box(work());
    }
}

/// Smooth with a grain in the lowest bits, as photographs are.
fn gradient() -> Vec<u8> {
    let grain = testkit::noise(2, 1920 * 1080 * 3);
    grain.iter().enumerate().map(|(i, grain)| (i / 97 % 200) as u8 + grain % 8).collect()
}

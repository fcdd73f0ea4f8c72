//! The mode `adaptive` without the derivation of the key and without PNG: `cargo bench -p stego --bench
//! adaptive`.
//!
//! Prints the distortion beside that of the optimal sender (payload-limited, ternary) at several rates and
//! heights, then the throughput. Times are those of the processor, of all threads. `STEG_PHOTOS` names a
//! folder of photographs; without it built-in pictures stand for them. Arguments choose among `distortion`,
//! `share` and `speed`, and a number n takes every n-th photograph.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "figures are for people")]

use std::time::Instant;

use stego::{
    Channels, ConstraintHeight, CostMap, Cover, DerivedKey, EmbedOptions, Limits, Salt, Seal, SealedReading,
    SealedSamples, Secret,
};

const SIDE: usize = 512;
const HEIGHTS: [u8; 3] = [7, 10, 12];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let step = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let is_chosen = |part: &str| {
        let mut parts = arguments.iter().filter(|argument| argument.parse::<usize>().is_err()).peekable();
        parts.peek().is_none() || parts.any(|argument| argument == part)
    };
    let photographs: Vec<Cover> = testkit::covers()
        .iter()
        .step_by(step)
        .map(|(_, file)| Cover::decode(file, &Limits::default()).unwrap())
        .filter(|cover| cover.channels() == Channels::Rgb && cover.depth().bytes() == 1)
        .collect();
    if is_chosen("distortion") {
        distortions(&photographs);
    }
    if is_chosen("share") {
        small_share(&photographs);
    }
    if is_chosen("speed") {
        throughput(&photographs);
    }
}

fn key(seed: u8) -> DerivedKey {
    DerivedKey::from_prk(Salt([seed; 16]), &[seed ^ 0x5A; 32])
}

fn options(key: &DerivedKey, height: u8) -> EmbedOptions {
    let height = ConstraintHeight::new(height).unwrap();
    EmbedOptions::default().with_seal(Seal::Derived(key.clone())).with_compress(false).with_height(height)
}

/// Embeds a secret of random bytes, and returns the samples and the seconds it took.
fn embedded(cover: &Cover, len: usize, height: u8) -> (Vec<u8>, f64) {
    let (key, secret, mut samples) = (key(height), testkit::noise(3, len), cover.samples().to_vec());
    let begin = cpu_seconds();
    let options = options(&key, height);
    SealedSamples::embed(cover, &mut samples, &Secret::new(&secret), (&key, &options), &Limits::default())
        .unwrap();
    (samples, cpu_seconds() - begin)
}

/// Processor time of this process in seconds, in steps of 1/100.
fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        // Where the system does not tell, the time that passes.
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        return BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64();
    };
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn median(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values.last().copied().unwrap())
}

/// Salt, header and dummy changes take an eighth of a crop, which the optimal sender does not pay. So there
/// are two ratios: of the body to the optimal sender in the same samples, which is the loss of the code, and
/// of the whole image to the optimal sender in all samples.
fn distortions(photographs: &[Cover]) {
    println!("distortion / optimal sender's, {} crops of {SIDE} x {SIDE}: median (worst)", photographs.len());
    for rate in [0.05, 0.1, 0.2, 0.4] {
        for height in HEIGHTS {
            let ratios = photographs.iter().map(|photograph| {
                let cover = crop(photograph);
                let map = CostMap::of(&cover);
                let len = (rate * cover.samples().len() as f64 / 8.0) as usize;
                let (samples, _) = embedded(&cover, len, height);
                let body_bits = body_bits(len);
                let body = map.body_ratio(&samples, &key(height), body_bits);
                (body, map.distortion(&samples) / map.optimal_distortion((8 * len) as f64))
            });
            let (body, whole): (Vec<f64>, Vec<f64>) = ratios.unzip();
            let ((body, worst_body), (whole, worst)) = (median(body), median(whole));
            println!(
                "  {rate} bits per sample, h = {height}: code {body:.3} ({worst_body:.3}), image {whole:.3} ({worst:.3})"
            );
        }
    }
}

/// Returns the bits of a body with a secret of `len` bytes, by `docs/format.md`.
fn body_bits(len: usize) -> usize {
    let len = len + 12;
    8 * (len.next_multiple_of(1 << len.ilog2().saturating_sub(5)) + 16)
}

fn small_share(photographs: &[Cover]) {
    println!("10 KiB in 12 megapixels: distortion / optimal sender's in the whole image");
    let ratios = photographs.iter().map(|photograph| {
        let cover = tiled(photograph, 4000, 3000);
        let (samples, _) = embedded(&cover, 10 << 10, 10);
        let map = CostMap::of(&cover);
        map.distortion(&samples) / map.optimal_distortion((8 * (10 << 10)) as f64)
    });
    let (ratio, worst) = median(ratios.collect());
    println!("  h = 10: {ratio:.3} (worst {worst:.3})");
}

fn throughput(photographs: &[Cover]) {
    println!("processor time, without key and PNG");
    for (name, width, height) in [("1 MP", 1000, 1000), ("12 MP", 4000, 3000)] {
        let cover = tiled(&photographs[0], width, height);
        let full = cover.capacity(stego::Mode::Adaptive).secret_bytes(stego::BitsPerSample::ONE) as usize;
        for (fill, len) in [("10 KiB", 10 << 10), ("a tenth", full / 10), ("full", full)] {
            for code_height in HEIGHTS {
                if len == full && name == "12 MP" && code_height == 12 {
                    continue;
                }
                let (samples, seconds) = embedded(&cover, len, code_height);
                let stego = Cover::from_samples(width as u32, height as u32, Channels::Rgb, samples).unwrap();
                let begin = cpu_seconds();
                let reading = SealedReading::of_cover(&stego).unwrap();
                reading.open(&key(code_height), &Limits::default()).unwrap();
                let reading_seconds = cpu_seconds() - begin;
                println!(
                    "  {name}, {fill} ({len} bytes), h = {code_height}: {seconds:.2} s, {:.2} Mbit/s of payload, \
                     {:.1} Msamples/s; extract {reading_seconds:.2} s",
                    8e-6 * len as f64 / seconds,
                    1e-6 * cover.samples().len() as f64 / seconds,
                );
            }
        }
    }
}

/// The centre of a photograph.
fn crop(cover: &Cover) -> Cover {
    let (width, height) = (cover.width() as usize, cover.height() as usize);
    let (x, y) = (width.saturating_sub(SIDE) / 2, height.saturating_sub(SIDE) / 2);
    let (side_x, side_y) = (SIDE.min(width), SIDE.min(height));
    let rows = cover.samples().chunks_exact(3 * width).skip(y).take(side_y);
    let samples = rows.flat_map(|row| row[3 * x..3 * (x + side_x)].to_vec()).collect();
    Cover::from_samples(side_x as u32, side_y as u32, Channels::Rgb, samples).unwrap()
}

/// A larger image with the noise of a photograph: the photograph and its mirror images side by side.
fn tiled(cover: &Cover, width: usize, height: usize) -> Cover {
    let (from_width, from_height) = (cover.width() as usize, cover.height() as usize);
    let mirrored =
        |at: usize, len: usize| if (at / len).is_multiple_of(2) { at % len } else { len - 1 - at % len };
    let mut samples = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let row = &cover.samples()[3 * from_width * mirrored(y, from_height)..][..3 * from_width];
        (0..width).for_each(|x| samples.extend_from_slice(&row[3 * mirrored(x, from_width)..][..3]));
    }
    Cover::from_samples(width as u32, height as u32, Channels::Rgb, samples).unwrap()
}

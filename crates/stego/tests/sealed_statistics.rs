//! What a sealed embed changes, in numbers, with fixed seeds: where, in which direction, and what someone
//! without the key can measure at the public positions of the salt.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};
use stego::{
    BitsPerSample, Channels, CostMap, Cover, DerivedKey, EmbedOptions, Limits, Mode, Salt, Seal,
    SealedSamples, Secret,
};

fn key(seed: u64) -> DerivedKey {
    let bytes = testkit::noise(seed, 48);
    DerivedKey::from_prk(Salt(bytes[..16].try_into().unwrap()), &bytes[16..].try_into().unwrap())
}

/// Returns the samples of `cover` with a secret of `len` bytes under a key.
fn embedded(mode: Mode, cover: &Cover, len: usize, seed: u64) -> Vec<u8> {
    let (key, secret) = (key(seed), testkit::noise(seed ^ 0xABCD, len));
    let options = EmbedOptions::default().with_seal(Seal::Derived(key.clone())).with_compress(false);
    let options = options.with_mode(mode);
    let mut samples = cover.samples().to_vec();
    SealedSamples::embed(cover, &mut samples, &Secret::new(&secret), (&key, &options), &Limits::default())
        .unwrap();
    samples
}

/// Standard deviations between a count of `hits` among `trials` of a given probability, and what is expected.
fn z(hits: usize, trials: usize, probability: f64) -> f64 {
    let trials = trials as f64;
    (hits as f64 - trials * probability) / (trials * probability * (1.0 - probability)).sqrt()
}

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// A cover without saturated samples.
fn noise_cover() -> Cover {
    let samples = testkit::noise(1, WIDTH * HEIGHT * 3).iter().map(|&byte| byte.clamp(1, 254)).collect();
    Cover::from_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgb, samples).unwrap()
}

/// A grid of 16 × 16 regions, the channels, and the directions. Of 256 regions two lie beyond three standard
/// deviations in every third image, and one beyond 4.5 in a thousand.
#[test]
fn changes_are_spread_evenly() {
    let cover = noise_cover();
    let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
    for (seed, len) in [(1, room / 20), (2, room / 3), (3, room / 2), (4, room)] {
        let samples = embedded(Mode::Scattered, &cover, len, seed);
        let share = public_share(samples.len() as u64);
        let dummies = share.iter().filter(|&&i| samples[i] != cover.samples()[i]).count();
        let (mut regions, mut channels, mut ups) = ([0; 256], [0; 3], 0);
        for (i, (before, after)) in cover.samples().iter().zip(&samples).enumerate() {
            if before != after {
                let (x, y) = (i / 3 % WIDTH, i / 3 / WIDTH);
                regions[y * 16 / HEIGHT * 16 + x * 16 / WIDTH] += 1;
                channels[i % 3] += 1;
                ups += usize::from(after > before);
            }
        }
        let changes: usize = channels.iter().sum();
        let rate = changes as f64 / samples.len() as f64;
        let of_regions: Vec<f64> = regions.iter().map(|&hits| z(hits, samples.len() / 256, rate)).collect();
        let of_channels = channels.map(|hits| z(hits, samples.len() / 3, rate));
        let beyond_3 = of_regions.iter().filter(|z| z.abs() > 3.0).count();
        let most = of_regions.iter().fold(0.0_f64, |most, z| most.max(z.abs()));
        let squares: f64 = of_regions.iter().map(|z| z * z).sum();
        eprintln!(
            "{len} bytes: {changes} changes; regions max {most:.2}, {beyond_3} beyond 3; chi-square {squares:.0}; \
             channels {of_channels:.2?}; up {:.2}",
            z(ups, changes, 0.5)
        );
        assert!(most < 4.5 && beyond_3 <= 3, "{of_regions:?}");
        // 255 degrees of freedom: 255 ± 3 · 22.6.
        assert!((187.0..323.0).contains(&squares), "{squares}");
        assert!(of_channels.iter().all(|z| z.abs() < 3.0), "{of_channels:?}");
        assert!(z(ups, changes, 0.5).abs() < 3.0, "{ups} of {changes}");
        // Half of the carrying samples change, with those of the header; of the public share as many as
        // elsewhere.
        let plain_len = len + 12;
        let class = plain_len.next_multiple_of(1 << plain_len.ilog2().saturating_sub(5)).min(room + 12);
        let outside = changes - dummies;
        assert!(z(outside, 8 * (class + 16), 0.5).abs() < 4.5, "{outside} changes for {len} bytes");
        let rate = outside as f64 / (samples.len() - share.len()) as f64;
        assert!(z(dummies, share.len(), rate).abs() < 3.0, "{dummies} of {}", share.len());
    }
}

/// The loss of the code at constraint height 10: distortion against the optimal sender in the same samples.
/// Half of the cover is nearly flat, and carries next to nothing.
#[test]
fn adaptive_changes_are_close_to_the_bound() {
    let noise = testkit::noise(9, WIDTH * HEIGHT * 3);
    let samples = noise.iter().enumerate().map(|(i, &byte)| {
        let x = i / 3 % WIDTH;
        if x < WIDTH / 2 { 100 + byte % 2 } else { 60 + byte % (2 + (60 * (x % 160) / 160) as u8) }
    });
    let cover = Cover::from_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgb, samples.collect()).unwrap();
    let map = CostMap::of(&cover);
    for (seed, len) in [(1, 4_000), (2, 12_000), (3, 30_000)] {
        let stego = embedded(Mode::Adaptive, &cover, len, seed);
        let bits = 8 * ((len + 12).next_multiple_of(1 << ((len + 12).ilog2() - 5)) + 16);
        let ratio = map.body_ratio(&stego, &key(seed), bits);
        let changed = |x: std::ops::Range<usize>| {
            let changes = stego.iter().zip(cover.samples()).enumerate();
            changes.filter(|(i, (a, b))| a != b && x.contains(&(i / 3 % WIDTH))).count()
        };
        let (flat, rough) = (changed(0..WIDTH / 2), changed(WIDTH / 2..WIDTH));
        eprintln!("{len} bytes: {ratio:.3} of the bound; {flat} changes where it is flat, {rough} elsewhere");
        assert!((1.0..1.16).contains(&ratio), "{ratio}");
        assert!(flat * 20 < rough, "{flat} {rough}");
    }
}

#[test]
fn positions_under_two_keys_are_independent() {
    let cover = noise_cover();
    let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
    for (seed, len) in [(10, room / 8), (20, room / 2)] {
        let changed = |seed| -> Vec<bool> {
            let samples = embedded(Mode::Scattered, &cover, len, seed);
            cover.samples().iter().zip(&samples).map(|(before, after)| before != after).collect()
        };
        let (a, b) = (changed(seed), changed(seed + 1));
        let in_a = a.iter().filter(|&&changed| changed).count();
        let in_b = b.iter().filter(|&&changed| changed).count();
        let in_both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count();
        let z = z(in_both, in_b, in_a as f64 / a.len() as f64);
        eprintln!("{len} bytes: {in_a}, {in_b}, both {in_both}: {z:.2}");
        assert!(z.abs() < 3.0, "{z}");
    }
}

/// The public positions of the salt in an image with `eligible` samples, by `docs/format.md`.
fn public_share(eligible: u64) -> Vec<usize> {
    let key: [u8; 32] = Sha256::digest(b"stego sealed v1 public positions").into();
    let mut cipher = ChaCha20::new(&key.into(), b"salt\0\0\0\0\0\0\0\0".into());
    let len = (eligible / 16).clamp(12_800, 65_536) as usize;
    let (mut given, mut share) = (vec![false; eligible as usize], Vec::new());
    while share.len() < len {
        let mut word = [0; 4];
        cipher.apply_keystream(&mut word);
        let product = u64::from(u32::from_le_bytes(word)) * eligible;
        let position = (product >> 32) as usize;
        if product % (1 << 32) >= (1 << 32) % eligible && !given[position] {
            given[position] = true;
            share.push(position);
        }
    }
    share
}

const SIDE: usize = 512;

/// Crops of the photographs, or of what stands for them: four of each.
fn crops() -> Vec<Cover> {
    let mut crops = Vec::new();
    for (_, file) in testkit::covers() {
        let cover = Cover::decode(&file, &Limits::default()).unwrap();
        let (width, height) = (cover.width() as usize, cover.height() as usize);
        if cover.channels() != Channels::Rgb || cover.depth().bytes() > 1 || width < SIDE || height < SIDE {
            continue;
        }
        for (x, y) in [(0, 0), (width - SIDE, 0), (0, height - SIDE), (width - SIDE, height - SIDE)] {
            let rows = cover.samples().chunks_exact(3 * width).skip(y).take(SIDE);
            let samples = rows.flat_map(|row| row[3 * x..3 * (x + SIDE)].to_vec()).collect();
            crops.push(Cover::from_samples(SIDE as u32, SIDE as u32, Channels::Rgb, samples).unwrap());
        }
    }
    crops
}

/// Evidence for a change of ±1 at sample `i`, and the square of its standard deviation without one: the
/// squared difference to the mean of four neighbours, against eight such differences around.
fn evidence(samples: &[u8], i: usize) -> Option<(f64, f64)> {
    let row = 3 * SIDE;
    let residual = |i: usize| {
        let around = [i - 3, i + 3, i - row, i + row].map(|i| f64::from(samples[i]));
        f64::from(samples[i]) - around.iter().sum::<f64>() / 4.0
    };
    let (x, y) = (i / 3 % SIDE, i / row);
    if !(3..SIDE - 3).contains(&x) || !(3..SIDE - 3).contains(&y) {
        return None;
    }
    let around = [i - 6, i + 6, i - 2 * row, i + 2 * row, i - row - 3, i - row + 3, i + row - 3, i + row + 3];
    let expected = around.iter().map(|&i| residual(i).powi(2)).sum::<f64>() / 8.0 + 0.5;
    // A change of one weighs the less, the rougher its surroundings.
    Some(((residual(i).powi(2) - expected) / expected.powi(2), 2.0 / expected.powi(2)))
}

/// The evidence at `positions` less that at samples four pixels beside them, in standard deviations.
fn residual_score(samples: &[u8], positions: &[usize]) -> f64 {
    let mut is_among = vec![false; samples.len()];
    positions.iter().for_each(|&i| is_among[i] = true);
    let (mut sum, mut variance) = (0.0, 0.0);
    for &i in positions {
        let Some(at) = evidence(samples, i) else { continue };
        let beside = [i.wrapping_sub(12), i + 12].into_iter().filter(|&i| is_among.get(i) == Some(&false));
        let beside: Vec<(f64, f64)> = beside.filter_map(|i| evidence(samples, i)).collect();
        if beside.is_empty() {
            continue;
        }
        let n = beside.len() as f64;
        sum += at.0 - beside.iter().map(|(evidence, _)| evidence).sum::<f64>() / n;
        variance += at.1 + beside.iter().map(|(_, variance)| variance).sum::<f64>() / (n * n);
    }
    sum / variance.sqrt()
}

/// Probability that a score of `stego` is above one of `clean`.
fn auc(clean: &[f64], stego: &[f64]) -> f64 {
    let above = |s: f64| {
        clean
            .iter()
            .map(|&c| {
                if s > c {
                    1.0
                } else if s == c {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    stego.iter().map(|&s| above(s)).sum::<f64>() / (clean.len() * stego.len()) as f64
}

/// Means over groups of `size` images of a sender, chosen at random.
fn pooled(scores: &[f64], size: usize) -> Vec<f64> {
    let choice = testkit::noise(77, 200 * size * 2);
    let index = |bytes: &[u8; 2]| usize::from(u16::from_le_bytes(*bytes)) % scores.len();
    let groups = choice.as_chunks::<2>().0.chunks_exact(size);
    groups.map(|group| group.iter().map(|bytes| scores[index(bytes)]).sum::<f64>() / size as f64).collect()
}

#[test]
fn the_public_positions_tell_nothing() {
    check_public_positions(Mode::Scattered);
}

#[test]
fn the_public_positions_tell_nothing_of_adaptive_changes() {
    check_public_positions(Mode::Adaptive);
}

/// Someone who has `docs/format.md` and not the key compares the samples at the public positions with those
/// around them. The control carries 256 raw bits at the first public positions, by ±1 too. Without dummy
/// changes the public share of these images is calmer than its surroundings, which the same test finds.
fn check_public_positions(mode: Mode) {
    let crops = crops();
    let share = public_share((SIDE * SIDE * 3) as u64);
    let (mut clean, mut stego, mut plain_clean, mut control) = (vec![], vec![], vec![], vec![]);
    for (i, cover) in crops.iter().enumerate() {
        clean.push(residual_score(cover.samples(), &share));
        stego.push(residual_score(&embedded(mode, cover, 10_240, 100 + i as u64), &share));
        let mut raw = cover.samples().to_vec();
        let (bits, ups) = (testkit::noise(i as u64, 256), testkit::noise(!(i as u64), 256));
        for (&position, (bit, up)) in share.iter().zip(bits.iter().zip(ups)) {
            if (raw[position] ^ bit) & 1 == 1 {
                let is_up = raw[position] == 0 || (up & 1 == 1 && raw[position] < 255);
                raw[position] = if is_up { raw[position] + 1 } else { raw[position] - 1 };
            }
        }
        plain_clean.push(residual_score(cover.samples(), &share[..256]));
        control.push(residual_score(&raw, &share[..256]));
    }
    let single = auc(&clean, &stego);
    let of_24 = auc(&pooled(&clean, 24), &pooled(&stego, 24));
    let control_single = auc(&plain_clean, &control);
    let control_of_24 = auc(&pooled(&plain_clean, 24), &pooled(&control, 24));
    eprintln!(
        "{} crops: AUC {single:.3}, pooled over 24 {of_24:.3}; control {control_single:.3}, pooled {control_of_24:.3}",
        crops.len()
    );
    assert!(control_single.max(control_of_24) >= 0.70, "void: the test finds not even raw bits");
    assert!((single - 0.5).abs() <= 0.05, "{single}");
    assert!((of_24 - 0.5).abs() <= 0.05, "{of_24}");
}

//! Images of the earlier system, made by an encoder written from the definition in `docs/format.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use stego::{Channels, ContainerError, ContainerVersion, Cover, ExtractError, Limits, extract};

/// The earlier system's container: `STEG`, length, CRC-32 of the payload, the secret as raw deflate.
fn container(secret: &[u8]) -> Vec<u8> {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(secret).unwrap();
    let payload = deflate.finish().unwrap();
    let mut container = b"STEG".to_vec();
    container.extend((payload.len() as u32).to_be_bytes());
    container.extend(crc32fast::hash(&payload).to_be_bytes());
    container.extend(payload);
    container
}

/// A cover whose R, G and B carry `container`, one bit each, whatever the alpha.
fn stego_image(channels: Channels, alpha: u8, container: &[u8]) -> Vec<u8> {
    let mut bits = container.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1));
    let mut samples = Vec::new();
    for at in 0..64 * 64 {
        for channel in 0..3 {
            let plain = (at * 7 + channel * 31) as u8;
            samples.push(bits.next().map_or(plain, |bit| plain & 0xFE | bit));
        }
        if channels == Channels::Rgba {
            samples.push(if at % 3 == 0 { alpha } else { 255 });
        }
    }
    assert!(bits.next().is_none(), "the container does not fit");
    Cover::from_samples(64, 64, channels, samples).unwrap().to_png()
}

#[test]
fn images_of_the_earlier_system_are_extracted() {
    let long = testkit::text(9000);
    for secret in [&b""[..], b"hello", &long, &testkit::noise(1, 1400)] {
        for (channels, alpha) in [(Channels::Rgb, 255), (Channels::Rgba, 255), (Channels::Rgba, 0)] {
            let image = stego_image(channels, alpha, &container(secret));
            let found = extract(&image, &Limits::default()).unwrap();
            assert_eq!(found.secret, secret);
            assert_eq!(found.container, ContainerVersion::Legacy);
            assert_eq!((found.name, found.media_type, found.mark), (None, None, None));
        }
    }
}

#[test]
fn a_flipped_bit_or_a_bomb_is_an_error() {
    let check = |container: &[u8], max_secret_bytes: u64, want: fn(&ContainerError) -> bool| {
        let image = stego_image(Channels::Rgb, 255, container);
        let limits = Limits { max_secret_bytes, ..Limits::default() };
        match extract(&image, &limits) {
            Err(ExtractError::Container(error)) if want(&error) => {}
            other => panic!("{other:?}"),
        }
    };
    let secret = testkit::noise(2, 500);
    let whole = container(&secret);
    let flipped = |bit: usize| {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    };
    check(&flipped(12 * 8 + 100), u64::MAX, |error| matches!(error, ContainerError::Damaged { .. }));
    check(&flipped(9 * 8), u64::MAX, |error| matches!(error, ContainerError::Damaged { .. }));
    check(&flipped(4 * 8 + 7), u64::MAX, |error| matches!(error, ContainerError::Damaged { .. }));
    check(&flipped(0), u64::MAX, |error| matches!(error, ContainerError::NoPayload));
    let bomb = container(&vec![0; 1_000_000]);
    check(&bomb, 999_999, |error| matches!(error, ContainerError::SecretTooLarge { .. }));
}

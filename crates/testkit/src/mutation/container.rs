//! Changes to samples and to the containers in them. The files stay well-formed.

use flate2::Compression;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::images::deflated;
use super::{Changed, StegoImage};
use crate::carried::{Container, legacy_container};
use crate::inputs::{noise, text};
use crate::pixels::Pixels;

/// Positions of the numbers in a header.
const CONTENT_LEN: usize = 8;
const SECRET_LEN: usize = 12;
const HEADER_LEN_BITS: usize = 8 * Container::HEADER_LEN_BYTES;
/// Maximum inflated length of a forged secret: above the limit of a reader.
const MAX_BOMB_BYTES: usize = 20 << 20;

fn file_of(raster: &Pixels) -> Vec<u8> {
    raster.to_png(Compression::fast())
}

/// Flips bits of samples, anywhere or within the payload.
pub(super) fn flip_samples(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut raster = image.raster.clone();
    let carrying = raster.carrying(image.is_legacy);
    for _ in 0..random.random_range(1..=16) {
        let (at, bit) = match random.random_range(0..4) {
            0 => (random.random_range(0..raster.samples.len()), random.random_range(0..8)),
            1 => (carrying[random.random_range(0..carrying.len().min(HEADER_LEN_BITS))], 0),
            _ => (carrying[random.random_range(0..carrying.len())], random.random_range(0..4)),
        };
        raster.samples[at] ^= 1 << bit;
    }
    file_of(&raster).into()
}

/// Changes one or more header fields. The header's checksum is made to match, and in half of the cases the
/// digest.
pub(super) fn change_header(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut raster = image.raster.clone();
    let Some(mut container) = raster.container().filter(|_| !image.is_legacy) else {
        return forge(image, random);
    };
    for _ in 0..random.random_range(1..=3) {
        change_field(&mut container.header, random);
    }
    let with_digest = random.random();
    if with_digest {
        let carrying = raster.carrying(false);
        let room = (carrying.len() - HEADER_LEN_BITS) * usize::from(container.bits()) / 8;
        let len = container.rest_len_bytes().min(room);
        let rest = raster.read_bits(&carrying[HEADER_LEN_BITS..], container.bits(), len);
        container.rest = rest.expect("there is room for it");
        container.set_digest();
    }
    container.set_crc();
    put(&mut raster, &container);
    Changed { file: file_of(&raster), forged: raster.carried().filter(|_| with_digest) }
}

/// Writes the header alone: the rest keeps its place and its width, unless the width itself was changed.
fn put(raster: &mut Pixels, container: &Container) {
    let carrying = raster.carrying(false);
    raster.write_bits(&carrying, 1, &container.header);
}

fn change_field(header: &mut [u8; Container::HEADER_LEN_BYTES], random: &mut SmallRng) {
    match random.random_range(0..9) {
        0 => header[random.random_range(0..3)] = random.random(),
        1 => header[3] = random.random_range(0..5),
        2 => header[4] ^= 1 << random.random_range(0..8),
        3 => header[5] = random.random(),
        4 => header[6] = random.random(),
        5 => header[7] = random.random(),
        6 => change_number(&mut header[CONTENT_LEN..CONTENT_LEN + 4], random),
        7 => change_number(&mut header[SECRET_LEN..SECRET_LEN + 4], random),
        _ => {
            // Both changed alike, for an uncompressed secret.
            change_number(&mut header[CONTENT_LEN..CONTENT_LEN + 4], random);
            header.copy_within(CONTENT_LEN..CONTENT_LEN + 4, SECRET_LEN);
        }
    }
}

fn change_number(bytes: &mut [u8], random: &mut SmallRng) {
    let old = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let new = match random.random_range(0..5) {
        0 => old.wrapping_add(random.random_range(1..=16)),
        1 => old.wrapping_sub(random.random_range(1..=16)),
        2 => random.random(),
        3 => u32::MAX - random.random_range(0..=16),
        _ => random.random_range(0..=4096),
    };
    bytes.copy_from_slice(&new.to_be_bytes());
}

/// Forges another container, with a matching checksum and digest and possibly false lengths.
pub(super) fn forge(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut raster = image.raster.clone();
    let mut container = Container { header: [0; Container::HEADER_LEN_BYTES], rest: Vec::new() };
    container.header[..4].copy_from_slice(b"STG\x02");
    container.header[4] = random.random::<u8>() & 0x13;
    container.header[5] = if random.random() { 255 } else { random.random() };
    let room = (raster.carrying(false).len() - HEADER_LEN_BITS) * usize::from(container.bits()) / 8;
    let secret = secret(room, random);
    let described = usize::from(container.header[4] & 0x10);
    if room > 100 && random.random() {
        container.header[6] = random.random_range(0..80);
    }
    container.rest = noise(random.random(), described + usize::from(container.header[6]));
    let content = if random.random() {
        container.header[4] |= 4;
        deflated(&secret)
    } else {
        secret.clone()
    };
    container.rest.extend(&content);
    container.header[CONTENT_LEN..SECRET_LEN].copy_from_slice(&(content.len() as u32).to_be_bytes());
    container.header[SECRET_LEN..16].copy_from_slice(&(secret.len() as u32).to_be_bytes());
    if random.random_range(0..3) == 0 {
        change_field(&mut container.header, random);
    }
    container.set_digest();
    container.set_crc();
    raster.put(&container);
    Changed { file: file_of(&raster), forged: raster.carried() }
}

/// Forges a container of the earlier system, possibly with a false length or checksum.
pub(super) fn forge_legacy(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut raster = image.raster.clone();
    let room = (raster.carrying(true).len() / 8).saturating_sub(12);
    let secret = secret(room, random);
    let mut payload = deflated(&secret);
    match random.random_range(0..4) {
        0 => payload.truncate(random.random_range(0..=payload.len())),
        1 => payload.extend(noise(random.random(), random.random_range(1..=16))),
        _ => {}
    }
    let mut container = legacy_container(&payload);
    if random.random_range(0..3) == 0 {
        container[random.random_range(0..12)] ^= 1 << random.random_range(0..8);
    }
    raster.put_legacy(&container);
    Changed { file: file_of(&raster), forged: raster.carried() }
}

/// Generates a secret of up to `room` bytes, or a bomb.
fn secret(room: usize, random: &mut SmallRng) -> Vec<u8> {
    match random.random_range(0..40) {
        0 => vec![0; random.random_range(0..MAX_BOMB_BYTES)],
        1..20 => noise(random.random(), random.random_range(0..=room)),
        _ => text(random.random_range(0..=room)),
    }
}

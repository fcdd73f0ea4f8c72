//! Writes keyed stego images and clean images of the same profile: `keyed_files COUNT LEN_BYTES FOLDER`.
//!
//! The covers are crops of 512 × 512 pixels of the photographs in `$STEG_PHOTOS`. For each number below
//! `COUNT` the folder gets `clean-N-PHOTO.png`, `stego-N-PHOTO.png` of another crop with a secret of
//! `LEN_BYTES`, and `other-N-PHOTO.png`, a clean image in the form of the open mode.
//! `bench/detectability/structure.py` reads them.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::path::Path;

use stego::{Channels, Cover, DerivedKey, EmbedOptions, Limits, Salt, Seal, Secret, embed};

const SIDE: usize = 512;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, len_bytes, folder] = arguments.as_slice() else {
        panic!("keyed_files COUNT LEN_BYTES FOLDER")
    };
    let (count, len_bytes): (usize, usize) = (count.parse().unwrap(), len_bytes.parse().unwrap());
    let photographs: Vec<Cover> = photographs();
    for i in 0..count {
        let photograph = i % photographs.len();
        let name = |kind: &str| Path::new(folder).join(format!("{kind}-{i}-{photograph}.png"));
        let clean = crop(&photographs[photograph], 2 * i);
        std::fs::write(name("clean"), clean.to_common_png()).unwrap();
        std::fs::write(name("other"), clean.to_png()).unwrap();
        let bytes = random(i as u64, 48 + len_bytes);
        let (salt, rest) = bytes.split_first_chunk().unwrap();
        let (prk, secret) = rest.split_first_chunk().unwrap();
        let options =
            EmbedOptions::default().with_seal(Seal::Derived(DerivedKey::from_prk(Salt(*salt), prk)));
        let cover = crop(&photographs[photograph], 2 * i + 1);
        let stego = embed(&cover, &Secret::new(secret), &options, &Limits::default());
        std::fs::write(name("stego"), stego.unwrap().into_vec()).unwrap();
    }
}

fn photographs() -> Vec<Cover> {
    let folder = std::env::var_os("STEG_PHOTOS").expect("STEG_PHOTOS names the folder of the photographs");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    files.sort();
    let decode = |path| Cover::decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap();
    files.into_iter().map(decode).filter(|cover| cover.channels() == Channels::Rgb).collect()
}

/// Returns the crop with this number, at a place drawn by it.
fn crop(cover: &Cover, number: usize) -> Cover {
    let place = random(1_000_000 + number as u64, 8);
    let place =
        |at: usize, room: usize| usize::from(u16::from_le_bytes([place[at], place[at + 1]])) % (room + 1);
    let width = cover.width() as usize;
    let (x, y) = (place(0, width - SIDE), place(4, cover.height() as usize - SIDE));
    let rows = cover.samples().chunks_exact(3 * width).skip(y).take(SIDE);
    let samples = rows.flat_map(|row| row[3 * x..3 * (x + SIDE)].to_vec()).collect();
    Cover::from_samples(SIDE as u32, SIDE as u32, Channels::Rgb, samples).unwrap()
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0xD134_2543_DE82_EF95);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let words = std::iter::repeat_with(|| next().to_le_bytes());
    words.take(len.div_ceil(8)).flatten().take(len).collect()
}

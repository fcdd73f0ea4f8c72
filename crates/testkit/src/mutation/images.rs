//! Valid stego images of all kinds.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write as _;
use stego::{
    BitsPerSample, Channels, Cover, EmbedOptions, FileName, Limits, MarkId, MediaType, Mode, SampleDepth,
    Secret, embed,
};

use crate::carried::{Carried, legacy_container};
use crate::inputs::{noise, text};
use crate::pixels::Pixels;

/// Sizes: one narrow, one flat, and some in between.
const SIZES: [(u32, u32); 6] = [(1, 300), (300, 1), (17, 31), (64, 64), (97, 120), (200, 150)];
const KINDS: [Channels; 4] = [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba];
const NAMES: [&str; 3] =
    ["note.txt", "größe 漢字.pdf", "a-name-that-is-rather-long-for-a-small-image.tar.gz"];
const MEDIA_TYPES: [&str; 2] = ["application/pdf", "application/x-of-no-code"];

/// A valid stego image.
#[derive(Debug, Clone)]
pub struct StegoImage {
    /// The file.
    pub file: Vec<u8>,
    /// The decoded samples.
    pub raster: Pixels,
    /// The embedded payload.
    pub carried: Carried,
    /// True for an image of the earlier system.
    pub is_legacy: bool,
}

/// Generates images of every kind, size, width and way to describe a secret, though not in every combination.
pub(super) fn all() -> Vec<StegoImage> {
    let mut images = Vec::new();
    for channels in KINDS {
        for (width, height) in SIZES {
            for _ in 0..2 {
                let raster = cover(images.len(), width, height, channels, SampleDepth::Eight);
                images.push(stego_image(images.len(), &raster).expect("covers of 8 bits are read"));
            }
        }
    }
    for channels in KINDS {
        let raster = cover(images.len(), 41, 43, channels, SampleDepth::Sixteen);
        // 16 bits only where the library reads 16 bits.
        images.extend(stego_image(images.len(), &raster));
    }
    for channels in [Channels::Rgb, Channels::Rgba] {
        for (width, height) in [(33, 40), (120, 90)] {
            images.push(legacy_image(cover(images.len(), width, height, channels, SampleDepth::Eight)));
        }
    }
    images
}

/// Generates a cover of noise or of a gradient; with alpha, some pixels are invisible.
fn cover(n: usize, width: u32, height: u32, channels: Channels, depth: SampleDepth) -> Pixels {
    let (count, bytes) = (channels.count(), depth.bytes());
    let len = width as usize * height as usize * count * bytes;
    let mut samples = if n.is_multiple_of(2) {
        noise(n as u64, len)
    } else {
        (0..len).map(|at| (at / (7 * count * bytes) + at % count * 40) as u8).collect()
    };
    if channels.has_alpha() {
        for (at, pixel) in samples.chunks_exact_mut(count * bytes).enumerate() {
            let alpha = if at % 7 == 3 { 0 } else { 255 - (at % 50) as u8 };
            pixel[(count - 1) * bytes..].fill(alpha);
        }
    }
    Pixels { width, height, channels, depth, samples }
}

fn stego_image(n: usize, cover: &Pixels) -> Option<StegoImage> {
    let limits = Limits::default();
    let cover = Cover::decode(&cover.to_png(Compression::fast()), &limits).ok()?;
    let bits = BitsPerSample::new((n % 4) as u8 + 1)?;
    let room = cover.capacity(Mode::Sequential).secret_bytes(bits) as usize;
    let mark = (room > 64 && n.is_multiple_of(3)).then_some(MarkId([n as u8; 16]));
    let name = (!n.is_multiple_of(4)).then(|| FileName::from_path(NAMES[n % NAMES.len()])).flatten();
    let media_type = (n % 5 < 3).then(|| MediaType::parse(MEDIA_TYPES[n % 2])).flatten();
    let room = room - if mark.is_some() { MarkId::LEN_BYTES } else { 0 };
    let bytes = match n % 6 {
        0 => noise(n as u64, room),
        1 | 2 => noise(n as u64, room / 2),
        3 => text(room),
        4 => text(room / 3),
        _ => Vec::new(),
    };
    let secret = Secret { bytes: &bytes, name, media_type, mark };
    let options = EmbedOptions::default().with_bits(bits).with_compress(!n.is_multiple_of(7));
    let file = embed(&cover, &secret, &options, &limits).expect("the secret fits").into_vec();
    let raster = Pixels::of(&Cover::decode(&file, &limits).expect("a stego image is a cover"));
    let carried = raster.carried().expect("the container follows the definition");
    assert_eq!((&carried.secret, carried.mark), (&bytes, mark), "image {n}");
    Some(StegoImage { file, raster, carried, is_legacy: false })
}

fn legacy_image(mut raster: Pixels) -> StegoImage {
    let secret = text(raster.samples.len() / 20);
    raster.put_legacy(&legacy_container(&deflated(&secret)));
    let carried = Carried { secret, name: None, mark: None };
    assert_eq!(raster.carried().as_ref(), Some(&carried), "the container follows the definition");
    StegoImage { file: raster.to_png(Compression::fast()), raster, carried, is_legacy: true }
}

/// Compresses `bytes` as raw deflate.
pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(bytes).and_then(|()| deflate.finish()).expect("writing to a Vec does not fail")
}

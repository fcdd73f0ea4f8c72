//! Test covers: pictures that look and measure like photographs, made by code.
//!
//! ```
//! let default_cover = dataset::cover(0).expect("index 0 is in the dataset");
//! assert_eq!((default_cover.width(), default_cover.height()), (1920, 1080));
//! ```
//!
//! **Contract.** [`cover`] gives the same bytes for the same index on every machine and in every build. The
//! crate has no state and uses only operations that IEEE 754 rounds exactly (`+ - * /`, square roots,
//! comparisons, conversions): no sine, no power and no fused multiply-add, whose last bits differ between
//! systems.
//!
//! A picture takes two steps. A scene paints linear light on a `Canvas`; `sensor::develop` then simulates a
//! camera, so that the low bits carry camera noise: photon and readout noise in a Bayer mosaic, demosaiced,
//! with a tone curve, rounded to 8 bits.

#![warn(unnameable_types)]

mod alps;
mod canvas;
mod curve;
mod dunes;
mod forest;
mod grain;
mod lake;
mod leaves;
mod night;
mod noise;
mod sea;
mod sensor;
mod sky;
mod terrain;

use canvas::Canvas;
use noise::Seed;
use sensor::Camera;
use stego::{Channels, Cover};

/// Number of test covers; their indices are `0..LEN`.
pub const LEN: u32 = 50;

/// Makes the test cover with an index; `None` from [`LEN`] on.
///
/// Covers are RGB at 8 bits. Index 0 is 1920×1080; the others have between 0.7 and 2.5 million pixels. The
/// call takes about four times the memory of its result.
pub fn cover(index: u32) -> Option<Cover> {
    if index >= LEN {
        return None;
    }
    let (width, height) = SIZES[index as usize % SIZES.len()];
    let samples = picture(index, width as usize, height as usize);
    Cover::from_samples(width, height, Channels::Rgb, samples)
}

/// The sizes of cameras, screens and web pages, and an odd one. The numbers of sizes and of scenes are
/// coprime, so that every scene comes in many sizes.
const SIZES: [(u32, u32); 13] = [
    (1920, 1080),
    (1600, 1200),
    (1280, 720),
    (1080, 1350),
    (1365, 1024),
    (1440, 960),
    (1024, 1024),
    (2048, 1152),
    (1200, 800),
    (1111, 777),
    (960, 1280),
    (1800, 1200),
    (1000, 750),
];

/// A kind of picture and the camera settings for it.
struct Scene {
    paint: fn(Seed, &mut Canvas),
    exposure: f32,
    photon_noise: f32,
    read_noise: f32,
}

const SCENES: [Scene; 6] = [
    Scene { paint: alps::paint, exposure: 1.12, photon_noise: 4.5e-4, read_noise: 8.0e-4 },
    Scene { paint: sea::paint, exposure: 0.95, photon_noise: 5.5e-4, read_noise: 9.0e-4 },
    Scene { paint: forest::paint, exposure: 0.95, photon_noise: 5.0e-4, read_noise: 9.0e-4 },
    Scene { paint: night::paint, exposure: 1.0, photon_noise: 8.5e-4, read_noise: 1.4e-3 },
    Scene { paint: dunes::paint, exposure: 1.0, photon_noise: 4.5e-4, read_noise: 8.0e-4 },
    Scene { paint: leaves::paint, exposure: 1.1, photon_noise: 6.0e-4, read_noise: 1.0e-3 },
];

/// Paints and develops a picture in any size of at least 2×2 pixels.
fn picture(index: u32, width: usize, height: usize) -> Vec<u8> {
    /// Chosen among a few for a pleasant index 0.
    const SERIES: u32 = 13;
    debug_assert!(width >= 2 && height >= 2, "each pixel has neighbours in both directions");
    let seed = Seed::new(SERIES).part(index);
    let scene = &SCENES[index as usize % SCENES.len()];
    let mut canvas = Canvas::new(width, height);
    (scene.paint)(seed.part(1), &mut canvas);
    let camera = Camera {
        seed: seed.part(2),
        exposure: scene.exposure,
        photon_noise: scene.photon_noise,
        read_noise: scene.read_noise,
        vignetting: seed.range(3, 0.18, 0.34),
    };
    sensor::develop(&canvas, &camera)
}

#[cfg(test)]
mod tests {
    use super::{LEN, SCENES, SIZES, cover, picture};

    /// The promise: these bytes, on every machine, for good. A change here changes covers whose marks or
    /// checksums users may have kept.
    #[test]
    fn pictures_are_the_same_everywhere() {
        let check = |index: u32, width: u32, height: u32, checksum: u32| {
            let image = cover(index).unwrap();
            assert_eq!((image.width(), image.height()), (width, height), "index {index}");
            assert_eq!(image.samples().len(), (width * height * 3) as usize, "index {index}");
            assert_eq!(crc32fast::hash(image.samples()), checksum, "index {index}");
        };
        check(0, 1920, 1080, 0x4446_09BF);
        check(1, 1600, 1200, 0xF8A6_66C6);
        check(17, 1365, 1024, 0x6FA7_60CF);
        check(49, 960, 1280, 0x4146_A34D);
    }

    /// One small picture of every scene: the checksums above leave out some.
    #[test]
    fn every_scene_is_the_same_everywhere() {
        let checksums = (0..SCENES.len() as u32).map(|index| crc32fast::hash(&picture(index, 203, 151)));
        assert_eq!(
            checksums.collect::<Vec<_>>(),
            [0x4720_5ED3, 0x5449_2897, 0xF6B4_725C, 0x0511_6A4A, 0x7353_7DB1, 0xF4C1_6840]
        );
    }

    #[test]
    fn indices_end_at_the_length() {
        for index in [LEN, LEN + 1, u32::MAX] {
            assert!(cover(index).is_none());
        }
        for (width, height) in SIZES {
            assert!((700_000..=2_500_000).contains(&(width * height)), "{width}x{height}");
        }
    }

    #[test]
    fn no_two_pictures_are_alike() {
        let mut checksums: Vec<u32> =
            (0..LEN).map(|index| crc32fast::hash(&picture(index, 96, 72))).collect();
        checksums.sort_unstable();
        checksums.dedup();
        assert_eq!(checksums.len(), LEN as usize);
    }

    /// Properties of a bad cover: clipped samples, and flat places whose low bits follow the picture.
    #[test]
    fn low_bits_look_like_noise() {
        const SIDE: usize = 32;
        const BLOCKS: (usize, usize) = (20, 14);
        for index in 0..SCENES.len() as u32 {
            let (width, height) = (BLOCKS.0 * SIDE, BLOCKS.1 * SIDE);
            let pixels = picture(index, width, height);
            let clipped = pixels.iter().filter(|&&sample| sample == 0 || sample == 255).count();
            assert!(clipped * 1000 < pixels.len(), "scene {index}: {clipped} clipped samples");
            let ones = pixels.iter().filter(|&&sample| sample & 1 == 1).count();
            let mean = ones as f64 / pixels.len() as f64;
            assert!((mean - 0.5).abs() < 0.01, "scene {index}: low bits have the mean {mean}");
            for block in 0..BLOCKS.0 * BLOCKS.1 {
                let (left, top) = (block % BLOCKS.0 * SIDE, block / BLOCKS.0 * SIDE);
                let rows = pixels.chunks_exact(width * 3).skip(top).take(SIDE);
                let samples: Vec<u8> = rows.flat_map(|row| &row[left * 3..][..SIDE * 3]).copied().collect();
                let ones = samples.iter().filter(|&&sample| sample & 1 == 1).count();
                let share = ones as f64 / samples.len() as f64;
                assert!((0.38..0.62).contains(&share), "scene {index}, block {block}: {share}");
                let repeated = samples.windows(4).filter(|w| w[0] == w[3]).count();
                assert!(repeated * 3 < samples.len() * 2, "scene {index}, block {block}: {repeated}");
            }
        }
    }
}

//! Picture of the README, made by the library.

use std::path::Path;

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use stego::{Cover, EmbedOptions, Limits, Secret, embed, extract};

/// Length of the secret hidden in the picture.
const SECRET_LEN_BYTES: usize = 100_000;
/// Width of each half, in pixels.
const HALF_WIDTH: u32 = 640;
/// Width of the line between the halves, in pixels.
const GAP: u32 = 8;

/// Writes the default cover and a stego image of the same cover side by side, as a JPEG for the README.
///
/// # Errors
/// If the picture cannot be made or written.
pub(crate) fn write(path: &Path) -> anyhow::Result<()> {
    let limits = Limits::default();
    let cover = dataset::cover(0).context("the dataset has an image 0")?;
    // Incompressible bytes, so that all are carried (Knuth's MMIX generator, high bits).
    let secret: Vec<u8> = (0..SECRET_LEN_BYTES)
        .scan(1_u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some((*state >> 56) as u8)
        })
        .collect();
    let embedded = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits)?;
    anyhow::ensure!(
        extract(&embedded.to_vec(), &limits)?.secret == secret,
        "the stego image gave another secret"
    );
    let stego = Cover::decode(&embedded.to_vec(), &limits)?;

    let half_height = cover.height() * HALF_WIDTH / cover.width();
    let mut picture = RgbImage::from_pixel(2 * HALF_WIDTH + GAP, half_height, Rgb([255; 3]));
    for (half, x) in [(&cover, 0), (&stego, HALF_WIDTH + GAP)] {
        let pixels = RgbImage::from_raw(half.width(), half.height(), half.samples().to_vec());
        let small = resize(&pixels.context("covers are RGB")?, HALF_WIDTH, half_height, FilterType::Lanczos3);
        replace(&mut picture, &small, i64::from(x), 0);
    }
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 88))?;
    std::fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("{}: {SECRET_LEN_BYTES} bytes hidden at {:.1} dB", path.display(), embedded.report.psnr_db);
    Ok(())
}

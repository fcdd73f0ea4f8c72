//! Turning an image the right way up (EXIF 2.32, 4.6.4 A, tag 0x0112).

use super::exif::Exif;
use crate::codec::format::SampleDepth;
use crate::codec::info::ImageInfo;

/// Pixels in a row and rows of a tile copied at once, so that both sides stay in the cache.
const TILE: usize = 32;

/// The samples of an upright image.
pub(super) struct Oriented {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Vec<u8>,
}

impl Oriented {
    /// Turns the samples of `info` by the orientation of the EXIF block, if readable.
    pub(super) fn by_exif(samples: Vec<u8>, info: &ImageInfo, exif: Option<&[u8]>) -> Self {
        let orientation = exif.and_then(Exif::parse).map_or(1, |exif| exif.orientation);
        Self::new(samples, info, orientation)
    }

    /// Turns the samples of `info`, whose row 0 and column 0 belong where `orientation` says.
    pub(super) fn new(samples: Vec<u8>, info: &ImageInfo, orientation: u8) -> Self {
        let (width, height) = (info.width, info.height);
        if !(2..=8).contains(&orientation) {
            return Self { width, height, samples };
        }
        let pixel = info.channels.count() * SampleDepth::bytes(info.depth);
        let turned = turned(&samples, (width as usize, height as usize), pixel, orientation);
        let (width, height) = if orientation >= 5 { (height, width) } else { (width, height) };
        Self { width, height, samples: turned }
    }
}

/// Copies the pixels to the target positions.
fn turned(samples: &[u8], (width, height): (usize, usize), pixel: usize, orientation: u8) -> Vec<u8> {
    let mut turned = vec![0; samples.len()];
    // Where the stored pixel (x, y) belongs.
    let index = |x: usize, y: usize| {
        let (right, down) = (width - 1 - x, height - 1 - y);
        let (x, y, width) = match orientation {
            2 => (right, y, width),
            3 => (right, down, width),
            4 => (x, down, width),
            5 => (y, x, height),
            6 => (down, x, height),
            7 => (down, right, height),
            _ => (y, right, height),
        };
        (y * width + x) * pixel
    };
    for y0 in (0..height).step_by(TILE) {
        for x0 in (0..width).step_by(TILE) {
            for y in y0..(y0 + TILE).min(height) {
                for x in x0..(x0 + TILE).min(width) {
                    let (from, to) = ((y * width + x) * pixel, index(x, y));
                    turned[to..to + pixel].copy_from_slice(&samples[from..from + pixel]);
                }
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letters of a 3 × 2 image, as each orientation shows it; worked out from the definition of the tag.
    #[test]
    fn each_orientation_shows_the_image_upright() {
        let check = |orientation: u8, want: &str| {
            let turned = turned(b"abcdef", (3, 2), 1, orientation);
            assert_eq!(std::str::from_utf8(&turned).unwrap(), want, "orientation {orientation}");
        };
        check(2, "cbafed");
        check(3, "fedcba");
        check(4, "defabc");
        check(5, "adbecf");
        check(6, "daebfc");
        check(7, "fcebda");
        check(8, "cfbead");
    }

    #[test]
    fn pixels_stay_whole() {
        let samples: Vec<u8> = (0..40 * 50 * 6).map(|i| (i / 6 % 251) as u8).collect();
        let turned_twice = turned(&turned(&samples, (40, 50), 6, 6), (50, 40), 6, 8);
        assert_eq!(turned_twice, samples);
    }
}

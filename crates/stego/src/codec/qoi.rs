//! QOI (the Quite OK Image format, version 1.0): header and pixels.
//!
//! Fields ignored by readers do not matter here: the colour space, and the end marker behind the last pixel.

use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::limits::Limits;
use crate::watch::Stage;

const HEADER_LEN_BYTES: usize = 14;
/// Pixels between two looks at the watch.
const STEP_PIXELS: usize = 64 << 10;
const TRUNCATED: ImageError = ImageError::Truncated { format: ImageFormat::Qoi };

pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let Some(&[_, _, _, _, w0, w1, w2, w3, h0, h1, h2, h3, channels, _]) =
        file.first_chunk::<HEADER_LEN_BYTES>()
    else {
        return Err(TRUNCATED);
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    let channels = match channels {
        3 => Channels::Rgb,
        4 => Channels::Rgba,
        _ => return Err(damaged("it has another number of channels than 3 or 4")),
    };
    if width == 0 || height == 0 {
        return Err(damaged("it has no pixels"));
    }
    Ok(ImageInfo {
        format: ImageFormat::Qoi,
        width,
        height,
        channels,
        depth: SampleDepth::Eight,
        interlaced: false,
        animated: false,
        decoder_bytes: 0,
        metadata_bytes: 0,
        doubtful_bytes: 0,
    })
}

/// Decodes the samples, row-major, of as many channels as the header says.
pub(super) fn decode(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let channels = info.channels.count();
    let mut samples = vec![0; info.decoded_bytes() as usize];
    let mut chunks = Chunks {
        rest: file.get(HEADER_LEN_BYTES..).unwrap_or_default(),
        pixel: [0, 0, 0, 255],
        seen: [[0; 4]; 64],
    };
    let mut run = 0;
    for (i, place) in samples.chunks_exact_mut(channels).enumerate() {
        if i % STEP_PIXELS == 0 {
            limits.watch.check(Stage::Decode, (file.len() - chunks.rest.len()) as u64, file.len() as u64)?;
        }
        if run == 0 {
            run = chunks.next().ok_or(TRUNCATED)?;
        }
        run -= 1;
        place.copy_from_slice(&chunks.pixel[..channels]);
    }
    Ok(samples)
}

struct Chunks<'a> {
    rest: &'a [u8],
    /// R, G, B and alpha of the pixel before.
    pixel: [u8; 4],
    seen: [[u8; 4]; 64],
}

impl Chunks<'_> {
    fn take<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Reads a chunk: sets the pixel and returns the repeat count. `None` at the end of the file.
    fn next(&mut self) -> Option<u32> {
        let [tag] = self.take()?;
        let [r, g, b, a] = self.pixel;
        let low = tag & 63;
        self.pixel = match tag {
            0xFE => {
                let [r, g, b] = self.take()?;
                [r, g, b, a]
            }
            0xFF => self.take()?,
            0..=0x3F => self.seen[usize::from(low)],
            0x40..=0x7F => {
                let step = |value: u8, shift: u8| value.wrapping_add(low >> shift & 3).wrapping_sub(2);
                [step(r, 4), step(g, 2), step(b, 0), a]
            }
            0x80..=0xBF => {
                let [steps] = self.take()?;
                let green = low.wrapping_sub(32);
                let step = |value: u8, by: u8| value.wrapping_add(green).wrapping_add(by).wrapping_sub(8);
                [step(r, steps >> 4), g.wrapping_add(green), step(b, steps & 15), a]
            }
            0xC0..=0xFD => {
                self.remember();
                return Some(u32::from(low) + 1);
            }
        };
        self.remember();
        Some(1)
    }

    fn remember(&mut self) {
        let [r, g, b, a] = self.pixel.map(usize::from);
        self.seen[(3 * r + 5 * g + 7 * b + 11 * a) % 64] = self.pixel;
    }
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Qoi, source: what.into() }
}

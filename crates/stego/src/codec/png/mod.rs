//! PNG (W3C, third edition): header and chunks, rows, what survives of a file, and encoding, on the `png` crate.

mod chunks;
mod decode;
mod encode;
mod filter;
mod frame;
mod layout;
mod needed;
mod splice;

use std::io::ErrorKind;

use ::png::DecodingError;

use super::metadata::Metadata;
use super::{Channels, ImageError, ImageFormat, ImageInfo, SampleDepth};
use crate::limits::Limits;
use chunks::{Transparency, chunks_before_pixels};
pub(crate) use decode::PngRows;
pub(crate) use encode::encode;
pub(crate) use frame::PngFrame;
pub(crate) use layout::PngLayout;
pub use splice::{
    Container, PngEmbedError, PngPart, PreparedCover, Spliced, SplicedPng, embed_into_file, embed_into_png,
    embed_prepared, splice,
};

pub(super) const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// The signature, and IHDR with its length, type and checksum.
const HEADER_END: usize = 33;
/// What the `png` crate may allocate besides the samples and a few rows: chunks that it reads whole.
const CHUNK_LIMIT_BYTES: usize = 64 << 20;

/// How a file stores its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    colour: u8,
    depth: u8,
    /// Whether tRNS gives some colours an alpha of their own.
    transparency: bool,
}

impl Stored {
    const GREY: u8 = 0;
    const RGB: u8 = 2;
    const PALETTE: u8 = 3;
    const GREY_ALPHA: u8 = 4;
    const RGBA: u8 = 6;

    /// Whether PNG has this combination (11.2.1, table 11).
    fn is_legal(self) -> bool {
        match self.colour {
            Self::GREY => matches!(self.depth, 1 | 2 | 4 | 8 | 16),
            Self::PALETTE => matches!(self.depth, 1 | 2 | 4 | 8),
            Self::RGB | Self::GREY_ALPHA | Self::RGBA => matches!(self.depth, 8 | 16),
            _ => false,
        }
    }

    /// The samples of a pixel once palettes, low depths and transparent colours are resolved.
    fn channels(self) -> Channels {
        match (self.colour, self.transparency) {
            (Self::GREY, false) => Channels::Grey,
            (Self::GREY, true) | (Self::GREY_ALPHA, _) => Channels::GreyAlpha,
            (Self::RGB | Self::PALETTE, false) => Channels::Rgb,
            _ => Channels::Rgba,
        }
    }

    fn decoded_depth(self) -> SampleDepth {
        if self.depth == 16 { SampleDepth::Sixteen } else { SampleDepth::Eight }
    }
}

/// Reads what the file says of its image before the pixels. An image of a kind that PNG does not have is taken for the
/// largest one: [`check_kind`] refuses it, after the limits.
pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let Some(ihdr) = file.get(..HEADER_END) else {
        return Err(ImageError::Truncated { format: ImageFormat::Png });
    };
    if ihdr[12..16] == *b"CgBI" {
        return Err(ImageError::Unsupported {
            what: "a PNG in Apple's variant for its own devices (CgBI; pngcrush -revert-iphone-optimizations undoes it)"
                .to_owned(),
        });
    }
    if ihdr[8..16] != *b"\0\0\0\x0dIHDR" {
        return Err(damaged("the first chunk is not IHDR"));
    }
    let u32_at = |at: usize| u32::from_be_bytes([ihdr[at], ihdr[at + 1], ihdr[at + 2], ihdr[at + 3]]);
    if crc32fast::hash(&ihdr[12..29]) != u32_at(29) {
        return Err(damaged("the checksum of IHDR differs"));
    }
    let (width, height) = (u32_at(16), u32_at(20));
    if width == 0 || height == 0 || width > i32::MAX as u32 || height > i32::MAX as u32 {
        return Err(damaged("IHDR gives an impossible size"));
    }
    let (stored, animated) = stored(file);
    let (channels, depth) = if stored.is_legal() {
        (stored.channels(), stored.decoded_depth())
    } else {
        (Channels::Rgba, SampleDepth::Sixteen)
    };
    let info = ImageInfo {
        format: ImageFormat::Png,
        width,
        height,
        channels,
        depth,
        interlaced: ihdr[28] != 0,
        animated,
        decoder_bytes: 0,
        metadata_bytes: 0,
        doubtful_bytes: 0,
    };
    // The row being undone, the one above it, and what was inflated ahead of them.
    let rows = u64::from(width) * info.pixel_len_bytes() as u64;
    Ok(ImageInfo {
        decoder_bytes: rows.saturating_mul(4) + (1 << 20),
        metadata_bytes: chunks::metadata_bytes(file),
        ..info
    })
}

/// Refuses what PNG does not have, by name. Comes after the limits: a bomb is one whatever its kind.
pub(super) fn check_kind(file: &[u8]) -> Result<(), ImageError> {
    let (stored, _) = stored(file);
    // 11.2.1: compression and filter method 0, interlace method 0 or 1.
    let methods = [("compression", 0), ("filter", 0), ("interlace", 1)].iter().zip(&file[26..29]);
    for ((what, max), &method) in methods {
        if method > *max {
            return Err(ImageError::Unsupported { what: format!("a PNG of {what} method {method}") });
        }
    }
    if stored.is_legal() {
        // Three bytes a colour (11.2.2). The decoder counts on it.
        let is_palette =
            |data: &[u8]| !data.is_empty() && data.len().is_multiple_of(3) && data.len() <= 3 * 256;
        let mut palettes = chunks_before_pixels(file).filter(|(kind, _)| kind == b"PLTE");
        if stored.colour == Stored::PALETTE && !palettes.all(|(_, data)| is_palette(data)) {
            return Err(damaged("its palette has another length than colours take"));
        }
        return Ok(());
    }
    let Stored { colour, depth, .. } = stored;
    Err(ImageError::Unsupported {
        what: format!("a PNG of colour type {colour} with {depth} bits per sample"),
    })
}

/// How the samples are stored, and whether the file is an animation.
fn stored(file: &[u8]) -> (Stored, bool) {
    let colour = file.get(25).copied().unwrap_or(u8::MAX);
    let mut chunk_order = Transparency::new(colour);
    let (mut transparency, mut animated) = (false, false);
    for (kind, data) in chunks_before_pixels(file) {
        transparency |= chunk_order.accept(&kind, data) && kind == *b"tRNS";
        animated |= kind == *b"acTL";
    }
    (Stored { colour, depth: file.get(24).copied().unwrap_or(0), transparency }, animated)
}

/// The samples of the image, and what else of the file goes into a stego image.
pub(super) fn decode(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Vec<u8>, Metadata), ImageError> {
    let samples = decode::decode(file, info, limits)?;
    Ok((samples, chunks::surviving(file, stored(file).0)))
}

/// Whether the chunks of a file lead to its end. Their checksums do not count here.
pub(crate) fn is_whole(file: &[u8]) -> bool {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    while let Some((header, data)) = rest.split_first_chunk::<8>() {
        let [l0, l1, l2, l3, kind @ ..] = *header;
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(after) = len.checked_add(4).and_then(|len| data.get(len..)) else { return false };
        if kind == *b"IEND" {
            return true;
        }
        rest = after;
    }
    false
}

/// The image's size as its EXIF block gives it.
pub(crate) fn exif_pixels(file: &[u8]) -> Option<(u32, u32)> {
    let block = chunks::chunks(file).find(|(kind, _)| kind == b"eXIf")?.1;
    super::exif::Exif::parse(block)?.pixels
}

/// Whether the file's texts or its EXIF block tell of a screenshot, as those of several systems do.
pub(crate) fn tells_of_screenshot(file: &[u8]) -> bool {
    const WORD: &[u8] = b"screenshot";
    chunks::chunks(file)
        .filter(|(kind, _)| matches!(kind, b"tEXt" | b"iTXt" | b"eXIf"))
        .any(|(_, data)| data.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD)))
}

fn decoding_error(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: ImageFormat::Png }
        }
        DecodingError::LimitsExceeded => ImageError::TooMuchMemory {
            needed_bytes: CHUNK_LIMIT_BYTES as u64 + 1,
            max_bytes: CHUNK_LIMIT_BYTES as u64,
        },
        other => ImageError::Damaged { format: ImageFormat::Png, source: Box::new(other) },
    }
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Png, source: what.into() }
}

//! The header of a PNG, and information from its other chunks without the pixels.

use crate::codec::error::ImageError;
use crate::codec::exif::Exif;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::codec::png::chunks::{Transparency, chunks, chunks_before_pixels, metadata_bytes};
use crate::codec::png::error::damaged;
use crate::codec::png::stored::{SIGNATURE, Stored};

/// The signature, and IHDR with length, type and checksum.
const HEADER_END: usize = 33;
/// Reads the description of the image before the pixels. An image of a kind unknown to PNG counts as the
/// largest kind: [`check_kind`] refuses it, after the limits.
pub(crate) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
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
        metadata_bytes: metadata_bytes(file),
        ..info
    })
}

/// Refuses, by name, kinds unknown to PNG. Comes after the limits: a bomb counts as a bomb whatever the kind.
pub(crate) fn check_kind(file: &[u8]) -> Result<(), ImageError> {
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

/// Storage of the samples; true if the file is an animation.
pub(super) fn stored(file: &[u8]) -> (Stored, bool) {
    let colour = file.get(25).copied().unwrap_or(u8::MAX);
    let mut chunk_order = Transparency::new(colour);
    let (mut transparency, mut animated) = (false, false);
    for (kind, data) in chunks_before_pixels(file) {
        transparency |= chunk_order.accept(&kind, data) && kind == *b"tRNS";
        animated |= kind == *b"acTL";
    }
    (Stored { colour, depth: file.get(24).copied().unwrap_or(0), transparency }, animated)
}

/// True if the chunks of a file lead to the end. The checksums do not count here.
pub(crate) fn is_png_whole(file: &[u8]) -> bool {
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

/// Returns the size of the image by the EXIF block.
pub(crate) fn exif_pixels(file: &[u8]) -> Option<(u32, u32)> {
    let block = chunks(file).find(|(kind, _)| kind == b"eXIf")?.1;
    Exif::parse(block)?.pixels
}

/// True if the texts or the EXIF block tell of a screenshot, as in files of several systems.
pub(crate) fn tells_of_screenshot(file: &[u8]) -> bool {
    const WORD: &[u8] = b"screenshot";
    chunks(file)
        .filter(|(kind, _)| matches!(kind, b"tEXt" | b"iTXt" | b"eXIf"))
        .any(|(_, data)| data.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD)))
}

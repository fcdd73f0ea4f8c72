//! WebP files with a container that does not fit the image, read as in libwebp (RFC 9649, section 2.7).

use std::borrow::Cow;

use super::sniff::webp_chunks;
use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;

const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;
const ANIMATION: u8 = 0x02;
/// Offset of the flags in a file with an extended header, and the canvas's width and height less one, three
/// bytes each.
const FLAGS_AT: usize = 20;
const CANVAS_AT: usize = 24;

/// Header of the pixels.
struct Stream {
    width: u32,
    height: u32,
    alpha: bool,
}

impl Stream {
    /// Reads the header of a lossless (3.4) or a lossy stream (RFC 6386, 9.1).
    fn of(kind: [u8; 4], data: &[u8]) -> Option<Self> {
        match (&kind, data) {
            (b"VP8L", &[0x2F, a, b, c, d, ..]) => {
                let bits = u32::from_le_bytes([a, b, c, d]);
                Some(Self {
                    width: (bits & 0x3FFF) + 1,
                    height: (bits >> 14 & 0x3FFF) + 1,
                    alpha: bits >> 28 & 1 == 1,
                })
            }
            (b"VP8 ", &[_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..]) => {
                let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
                Some(Self { width: side(w0, w1), height: side(h0, h1), alpha: false })
            }
            _ => None,
        }
    }
}

/// `file` in the form for the decoder. The flags of an extended header follow the present chunks, and the
/// longest sides, read as 0 by the decoder in a plain lossless file, stand in an extended header.
///
/// # Errors
///
/// [`ImageError::Unsupported`] for a still image of another size than the canvas: libwebp refuses such files.
pub(super) fn as_shown(file: &[u8]) -> Result<Cow<'_, [u8]>, ImageError> {
    let chunks = || webp_chunks(file.get(12..).unwrap_or_default());
    let Some((first, data)) = chunks().next() else { return Ok(Cow::Borrowed(file)) };
    if first != *b"VP8X" {
        let longest =
            Stream::of(first, data).filter(|stream| stream.width > 0x3FFF || stream.height > 0x3FFF);
        return Ok(match longest {
            Some(stream) if first == *b"VP8L" => Cow::Owned(extended(file, &stream)),
            _ => Cow::Borrowed(file),
        });
    }
    let (Some(&flags), Some(canvas)) = (data.first(), data.get(4..10)) else {
        return Ok(Cow::Borrowed(file));
    };
    if flags & ANIMATION != 0 {
        return Ok(Cow::Borrowed(file));
    }
    let Some((kind, stream)) = chunks().find_map(|(kind, data)| Some((kind, Stream::of(kind, data)?))) else {
        return Ok(Cow::Borrowed(file));
    };
    let side = |at: usize| u32::from_le_bytes([canvas[at], canvas[at + 1], canvas[at + 2], 0]) + 1;
    if (side(0), side(3)) != (stream.width, stream.height) {
        return Err(ImageError::Unsupported {
            what: format!("a WebP whose canvas has another size ({} × {}) than its image", side(0), side(3)),
        });
    }
    let has = |wanted: &[u8; 4]| chunks().any(|(kind, _)| kind == *wanted);
    let has_alpha = if kind == *b"VP8L" { stream.alpha } else { has(b"ALPH") };
    let mut told = flags & !(ALPHA | EXIF | XMP);
    for (flag, is_there) in [(ALPHA, has_alpha), (EXIF, has(b"EXIF")), (XMP, has(b"XMP "))] {
        told |= if is_there { flag } else { 0 };
    }
    if told == flags {
        return Ok(Cow::Borrowed(file));
    }
    let mut shown = file.to_vec();
    shown[FLAGS_AT] = told;
    Ok(Cow::Owned(shown))
}

/// Returns a plain file with an extended header before the pixels.
fn extended(file: &[u8], stream: &Stream) -> Vec<u8> {
    let mut shown = file[..12].to_vec();
    shown.extend_from_slice(b"VP8X\x0a\0\0\0");
    shown.extend_from_slice(&[if stream.alpha { ALPHA } else { 0 }, 0, 0, 0]);
    debug_assert_eq!(shown.len(), CANVAS_AT);
    for side in [stream.width, stream.height] {
        shown.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
    }
    shown.extend_from_slice(&file[12..]);
    let len = (shown.len() - 8) as u32;
    shown[4..8].copy_from_slice(&len.to_le_bytes());
    shown
}

/// Returns an EXIF chunk without the name prefix of JPEG that some writers add.
pub(super) fn exif_block(mut chunk: Vec<u8>) -> Vec<u8> {
    if chunk.starts_with(b"Exif\0\0") {
        chunk.drain(..6);
    }
    chunk
}

/// True for the formats handled by this module.
pub(super) fn is_webp(format: ImageFormat) -> bool {
    matches!(format, ImageFormat::WebPLossless | ImageFormat::WebPLossy)
}

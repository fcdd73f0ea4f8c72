//! Formats of files by their content; the name of a file does not matter.

use crate::codec::format::ImageFormat;
use crate::codec::png::stored::SIGNATURE;

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// A supported format.
    Format(ImageFormat),
    /// A known, unsupported format.
    Other {
        /// Name of the format.
        name: &'static str,
        /// True if saving an image in the format changes the samples.
        lossy: bool,
    },
    /// A supported format with changed line ends.
    TextMode(ImageFormat),
    /// An unknown format.
    Unknown,
}

/// Looks at the first bytes of a file.
pub(crate) fn sniff(file: &[u8]) -> Sniffed {
    const FORMATS: [(&[u8], ImageFormat); 8] = [
        (SIGNATURE, ImageFormat::Png),
        (&[0xFF, 0xD8, 0xFF], ImageFormat::Jpeg),
        (b"GIF87a", ImageFormat::Gif),
        (b"GIF89a", ImageFormat::Gif),
        (b"II*\0", ImageFormat::Tiff),
        (b"MM\0*", ImageFormat::Tiff),
        (b"qoif", ImageFormat::Qoi),
        (b"BM", ImageFormat::Bmp),
    ];
    // (signature, name, whether it is lossy)
    const OTHERS: [(&[u8], &str, bool); 9] = [
        (b"II+\0", "BigTIFF", false),
        (b"MM\0+", "BigTIFF", false),
        (b"\0\0\0\x0cJXL ", "JPEG XL", false),
        (&[0xFF, 0x0A], "JPEG XL", false),
        (b"\0\0\0\x0cjP  ", "JPEG 2000", false),
        (b"%PDF-", "a PDF document", false),
        (b"<svg", "SVG", false),
        (b"8BPS", "a Photoshop document", false),
        (b"\0\0\x01\0", "an icon (ICO)", false),
    ];
    let formats = FORMATS.iter().find(|(magic, _)| file.starts_with(magic));
    if let Some((_, format)) = formats {
        return Sniffed::Format(*format);
    }
    // Fill bytes may stand before any marker (T.81, B.1.1.2).
    if file.starts_with(&[0xFF, 0xFF]) && file.iter().find(|&&byte| byte != 0xFF) == Some(&0xD8) {
        return Sniffed::Format(ImageFormat::Jpeg);
    }
    match file {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(file),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => iso_media(file),
        _ if is_png_in_text_mode(file) => Sniffed::TextMode(ImageFormat::Png),
        _ => OTHERS
            .iter()
            .find(|(magic, ..)| file.starts_with(magic))
            .map_or(Sniffed::Unknown, |&(_, name, lossy)| Sniffed::Other { name, lossy }),
    }
}

/// True for a PNG after a transfer in text mode. PNG's signature shows transfers with changed line ends, a
/// dropped eighth bit or bytes taken for characters (PNG third edition, 5.2): the name remains, and IHDR
/// shortly after.
fn is_png_in_text_mode(file: &[u8]) -> bool {
    let start = &file[..file.len().min(40)];
    let position = |word: &[u8]| start.windows(word.len()).position(|window| window == word);
    let (name, header) = (position(b"PNG"), position(b"IHDR"));
    name.zip(header).is_some_and(|(name, header)| name <= 8 && name < header)
}

/// Classifies by the brands in the file type box (ISO/IEC 14496-12, 4.3): the major brand, a version,
/// compatible brands. HEIC and AVIF share a structure, and some writers put only the shared name first.
fn iso_media(file: &[u8]) -> Sniffed {
    const HEIC: [&[u8; 4]; 8] = [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"];
    let box_len = file.first_chunk::<4>().map_or(0, |len| u32::from_be_bytes(*len) as usize);
    let brands = file.get(8..box_len.clamp(12, 256).min(file.len())).unwrap_or_default();
    let has = |wanted: &[&[u8; 4]]| {
        brands.chunks_exact(4).any(|brand| wanted.iter().any(|wanted| brand == *wanted))
    };
    let (name, lossy) = if has(&[b"avif", b"avis"]) {
        ("AVIF", true)
    } else if has(&HEIC) {
        ("HEIC", true)
    } else {
        ("a video file", false)
    };
    Sniffed::Other { name, lossy }
}

/// Returns the chunks of a WebP file (RFC 9649, 2.3), as far as whole: type and data.
pub(super) fn webp_chunks(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (len, data) = after.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        let padded = len.checked_add(len % 2)?;
        rest = data.get(padded..).unwrap_or_default();
        Some((*kind, data.get(..len).unwrap_or(data)))
    })
}

fn webp(file: &[u8]) -> Sniffed {
    const FRAME_HEADER_LEN: usize = 16;
    let of_kind = |kind: &[u8; 4]| match kind {
        b"VP8 " => Some(ImageFormat::WebPLossy),
        b"VP8L" => Some(ImageFormat::WebPLossless),
        _ => None,
    };
    let found = webp_chunks(&file[12..]).find_map(|(kind, data)| match &kind {
        b"ANMF" => webp_chunks(data.get(FRAME_HEADER_LEN..)?).find_map(|(kind, _)| of_kind(&kind)),
        kind => of_kind(kind),
    });
    // Without any pixels the decoder has the word.
    Sniffed::Format(found.unwrap_or(ImageFormat::WebPLossy))
}

/// True if a WebP file has frames.
pub(super) fn is_animated_webp(file: &[u8]) -> bool {
    webp_chunks(file.get(12..).unwrap_or_default()).any(|(kind, _)| kind == *b"ANMF")
}

/// Returns the number of frames of a GIF, up to two; block structure by GIF89a, appendix A.
pub(super) fn gif_frames(file: &[u8]) -> usize {
    let table_len = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let Some(&flags) = file.get(10) else { return 0 };
    let mut at = 13 + table_len(flags);
    let mut frames = 0;
    while frames < 2 {
        match file.get(at) {
            Some(0x21) => at += 2,
            Some(0x2C) => {
                frames += 1;
                let Some(&flags) = file.get(at + 9) else { break };
                at += 11 + table_len(flags);
            }
            _ => break,
        }
        // Sub-blocks, up to an empty one.
        while let Some(&len) = file.get(at) {
            at += 1 + usize::from(len);
            if len == 0 {
                break;
            }
        }
    }
    frames
}

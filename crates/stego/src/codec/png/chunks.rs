//! The chunks of a file, and the selection that a stego image takes over.

use crate::codec::metadata::{MAX_METADATA_BYTES, Metadata, Place, Purpose, held_bytes};
use crate::codec::png::stored::{SIGNATURE, Stored};

/// Chunks that define the meaning of the samples' colours (11.3.2), except tRNS, which becomes alpha. They
/// may not be lost.
const COLOUR_CHUNKS: [&[u8; 4]; 8] = [b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB"];
/// Chunks written anew, or resolved.
const STRUCTURE_CHUNKS: [&[u8; 4]; 8] =
    [b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IEND"];
/// Known chunks that stay true when the lowest bits of samples change, although marked unsafe to copy.
const STILL_TRUE: [&[u8; 4]; 4] = [b"bKGD", b"pCAL", b"sPLT", b"tIME"];
/// Chunks allowed only before the pixels (5.6, table 7).
const BEFORE_PIXELS: [&[u8; 4]; 6] = [b"bKGD", b"oFFs", b"pCAL", b"pHYs", b"sCAL", b"sPLT"];
/// Chunks allowed more than once.
const REPEATABLE: [&[u8; 4]; 4] = [b"sPLT", b"tEXt", b"zTXt", b"iTXt"];

/// The effective PLTE and tRNS chunks of a file (11.3.1.1): in the right place and of a length that fits the
/// samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transparency {
    colour: u8,
    palette_colours: usize,
    is_over: bool,
}

impl Transparency {
    /// Creates the state at the start of a file with this colour type in IHDR.
    pub(super) fn new(colour: u8) -> Self {
        Self { colour, palette_colours: 0, is_over: false }
    }

    /// True if samples are indices of a palette.
    pub(super) fn is_palette(self) -> bool {
        self.colour == Stored::PALETTE
    }

    /// Takes the next chunk into account. True if the chunk is an effective PLTE or tRNS.
    pub(super) fn accept(&mut self, kind: &[u8; 4], data: &[u8]) -> bool {
        match kind {
            b"PLTE" => {
                self.palette_colours = data.len() / 3;
                !self.is_over
            }
            b"tRNS" => {
                let counts = match self.colour {
                    Stored::GREY => data.len() == 2,
                    Stored::RGB => data.len() == 6,
                    Stored::PALETTE => (1..=self.palette_colours).contains(&data.len()),
                    _ => false,
                };
                let is_first = !self.is_over;
                self.is_over |= counts;
                counts && is_first
            }
            _ => false,
        }
    }

    /// Pixels follow: nothing counts any more.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }
}

/// Returns the chunks of a file up to IEND, as far as whole: type and data. A chunk with a wrong checksum is
/// passed over; the decoder passes over unneeded chunks in the same way, and fails at needed ones.
pub(super) fn chunks(file: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    let all = std::iter::from_fn(move || {
        let (len, after_len) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len) as usize;
        let typed = after_len.get(..len.checked_add(4)?)?;
        let (crc, after) = after_len[typed.len()..].split_first_chunk::<4>()?;
        rest = after;
        Some((typed, u32::from_be_bytes(*crc)))
    });
    // The decoder sees to the checksums of the pixels; here only their place counts.
    all.filter(|(typed, crc)| typed.starts_with(b"IDAT") || crc32fast::hash(typed) == *crc)
        .filter_map(|(typed, _)| typed.split_first_chunk::<4>())
        .map(|(kind, data)| (*kind, data))
        .take_while(|(kind, _)| kind != b"IEND")
}

/// Returns the chunks before the first chunk with pixels.
pub(super) fn chunks_before_pixels(file: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    chunks(file).take_while(|(kind, _)| kind != b"IDAT")
}

/// Returns the number of bytes of all chunks that [`surviving`] may take over.
pub(super) fn metadata_bytes(file: &[u8]) -> u64 {
    chunks(file)
        .filter(|(kind, _)| !STRUCTURE_CHUNKS.contains(&kind))
        .map(|(_, data)| held_bytes(data))
        .sum::<u64>()
        .min(MAX_METADATA_BYTES)
}

/// Returns the metadata that a stego image takes over from `file`, with samples stored as `stored`.
pub(super) fn surviving(file: &[u8], stored: Stored) -> Metadata {
    let mut metadata = Metadata::default();
    let mut place = Place::Before;
    let mut seen: Vec<[u8; 4]> = Vec::new();
    let mut palette: &[u8] = &[];
    let mut order = Transparency::new(stored.colour);
    for (kind, data) in chunks(file) {
        if kind == *b"PLTE" {
            palette = data;
        }
        let counts = order.accept(&kind, data);
        if kind == *b"tRNS" && !counts && stored.colour != Stored::RGBA && stored.colour != Stored::GREY_ALPHA
        {
            metadata.leave_out("tRNS (out of place or of another length than the colours)");
        }
        if kind == *b"IDAT" {
            place = Place::After;
            order.end();
        }
        if STRUCTURE_CHUNKS.contains(&&kind) || !kind.iter().all(u8::is_ascii_alphabetic) {
            continue;
        }
        let misplaced = place == Place::After && (is_colour(kind) || BEFORE_PIXELS.contains(&&kind));
        let repeated = !REPEATABLE.contains(&&kind) && is_known(kind) && seen.contains(&kind);
        if misplaced || repeated {
            continue;
        }
        if is_known(kind) {
            seen.push(kind);
        }
        take_over(&mut metadata, (kind, data), place, stored, palette);
    }
    if has_data_in_end(file) {
        metadata.leave_out("data in IEND");
    }
    metadata
}

/// True if IEND has data. IEND is empty (11.2.5); decoders read past data put there.
fn has_data_in_end(file: &[u8]) -> bool {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    while let Some((&[l0, l1, l2, l3, ref kind @ ..], data)) = rest.split_first_chunk::<8>() {
        let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if kind == b"IEND" {
            return len > 0;
        }
        rest = len.checked_add(4).and_then(|len| data.get(len..)).unwrap_or_default();
    }
    false
}

/// Checks the lengths of chunks taken over unchanged (11.3); any length will do for other chunks.
fn has_legal_form(kind: [u8; 4], data: &[u8]) -> bool {
    match &kind {
        b"cHRM" => data.len() == 32,
        // RGB, and all levels: video signals with other ranges are not PNG's samples, and libpng ignores such
        // a chunk.
        b"cICP" => matches!(data, [_, _, 0, 1]),
        b"gAMA" => data.len() == 4 && data != [0; 4],
        b"sRGB" => matches!(data, [0..=3]),
        b"pHYs" | b"oFFs" => data.len() == 9 && data[8] <= 1,
        b"tIME" => data.len() == 7,
        b"cLLI" => data.len() == 8,
        b"mDCV" => data.len() == 24,
        _ => true,
    }
}

fn is_colour(kind: [u8; 4]) -> bool {
    COLOUR_CHUNKS.contains(&&kind)
}

/// True if the chunk's meaning is known here, so that a chunk not repeatable comes at most once.
fn is_known(kind: [u8; 4]) -> bool {
    is_colour(kind) || BEFORE_PIXELS.contains(&&kind) || STILL_TRUE.contains(&&kind) || kind == *b"eXIf"
}

fn take_over(
    metadata: &mut Metadata,
    (kind, data): ([u8; 4], &[u8]),
    place: Place,
    stored: Stored,
    palette: &[u8],
) {
    let name = || String::from_utf8_lossy(&kind).into_owned();
    match &kind {
        _ if !has_legal_form(kind, data) => metadata.leave_out(name()),
        b"sBIT" => match significant_bits(data, stored) {
            Some(data) => metadata.keep(kind, data, place, Purpose::Colour),
            None => metadata.leave_out(name()),
        },
        b"bKGD" => match background(data, stored, palette) {
            Some(data) => metadata.keep(kind, data, place, Purpose::Description),
            None => metadata.leave_out(name()),
        },
        b"eXIf" => metadata.keep_exif_chunk(data.to_vec(), place),
        b"tEXt" | b"zTXt" | b"iTXt" => metadata.keep_text(kind, data.to_vec(), place),
        _ if is_colour(kind) => metadata.keep(kind, data.to_vec(), place, Purpose::Colour),
        _ if is_safe_to_copy(kind) || STILL_TRUE.contains(&&kind) => {
            metadata.keep(kind, data.to_vec(), place, Purpose::Description);
        }
        _ => metadata.leave_out(name()),
    }
}

/// True if the fourth letter is in lower case: the chunk stays true in a changed image (5.4).
fn is_safe_to_copy(kind: [u8; 4]) -> bool {
    kind[3].is_ascii_lowercase()
}

/// Returns the number of significant bits of each sample (11.3.2.7), for the decoded samples: one number more
/// if decoding adds an alpha channel.
fn significant_bits(data: &[u8], stored: Stored) -> Option<Vec<u8>> {
    let (count, max) = match stored.colour {
        Stored::GREY => (1, stored.depth),
        Stored::GREY_ALPHA => (2, stored.depth),
        Stored::RGB => (3, stored.depth),
        Stored::PALETTE => (3, 8),
        _ => (4, stored.depth),
    };
    if data.len() != count || data.iter().any(|&bits| bits == 0 || bits > max) {
        return None;
    }
    let mut bits = data.to_vec();
    if stored.transparency {
        bits.push(stored.decoded_depth().bits());
    }
    Some(bits)
}

/// Returns a background colour (11.3.4.1) for the decoded samples: a level of grey, or levels of R, G and B,
/// in two bytes each.
fn background(data: &[u8], stored: Stored, palette: &[u8]) -> Option<Vec<u8>> {
    match (stored.colour, data) {
        (Stored::PALETTE, &[index]) => {
            let colour = palette.chunks_exact(3).nth(usize::from(index))?;
            Some(colour.iter().flat_map(|&level| [0, level]).collect())
        }
        (Stored::GREY, &[high, low]) if stored.depth < 8 => {
            let (level, max) = (u16::from_be_bytes([high, low]), (1 << stored.depth) - 1);
            (level <= max).then(|| (level * (255 / max)).to_be_bytes().to_vec())
        }
        (Stored::GREY | Stored::GREY_ALPHA, &[_, _]) | (Stored::RGB | Stored::RGBA, &[_, _, _, _, _, _]) => {
            Some(data.to_vec())
        }
        _ => None,
    }
}

//! Places of the pixels of a PNG in the file, for a codec that leaves most of them there.

use std::ops::Range;

use super::chunks::surviving;
use crate::codec::format::MetadataPolicy;
use crate::codec::info::ImageInfo;
use crate::codec::png::frame::PngFrame;
use crate::codec::png::header::stored;
use crate::codec::png::stored::{SIGNATURE, Stored};

/// Length, type and checksum of a chunk.
const CHUNK_FRAME_LEN: usize = 12;

/// A PNG taken apart.
#[derive(Debug)]
pub(crate) struct PngLayout {
    /// The data of each IDAT chunk, without the chunk's frame, as a range in the file. The checksums are not
    /// verified.
    pub(crate) pixel_data: Vec<Range<usize>>,
    /// The chunks around the pixels of a stego image of this file.
    pub(crate) frame: PngFrame,
    /// Names of metadata missing in such an image.
    pub(crate) dropped_metadata: Vec<String>,
    /// True if the metadata to keep tell the location of the picture.
    pub(crate) tells_location: bool,
}

impl PngLayout {
    /// Returns the layout of a PNG with a checked header: `info` is the result of [`crate::probe`] for
    /// `file`. `None` unless the file stores rows in their decoded form, with the chunks in order up to IEND.
    pub(crate) fn of(file: &[u8], info: &ImageInfo, policy: MetadataPolicy) -> Option<Self> {
        let (stored, _) = stored(file);
        let is_plain = stored.colour != Stored::PALETTE && stored.depth >= 8 && !stored.transparency;
        if !is_plain || info.interlaced || info.animated {
            return None;
        }
        let pixel_data = pixel_data(file)?;
        let metadata = surviving(file, stored);
        Some(Self {
            pixel_data,
            frame: PngFrame::new(info, &metadata, policy),
            dropped_metadata: metadata.left_out().to_vec(),
            tells_location: metadata.tells_location(),
        })
    }
}

/// Upper limit of chunks with pixels that are kept: programs write some thousands for the largest images. An
/// empty chunk takes twelve bytes in a file and more in memory.
pub(crate) const MAX_IDAT_CHUNKS: usize = 1 << 16;

/// Returns the IDAT chunks, if contiguous, with all chunks up to IEND whole and of an allowed kind.
fn pixel_data(file: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = SIGNATURE.len();
    loop {
        let (len, rest) = file.get(at..)?.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let kind = rest.first_chunk::<4>()?;
        let data = at + 8..(at + 8).checked_add(len)?;
        let crc = file.get(data.end..)?.first_chunk::<4>()?;
        let is_expected = match kind {
            b"IHDR" => at == SIGNATURE.len(),
            b"PLTE" => found.is_empty(),
            b"IDAT" => found.last().is_none_or(|last| last.end + CHUNK_FRAME_LEN == data.start),
            b"IEND" => {
                let is_whole = len == 0 && crc32fast::hash(kind) == u32::from_be_bytes(*crc);
                return (is_whole && !found.is_empty()).then_some(found);
            }
            // Programs that do not know a critical chunk may not show the image (5.4).
            _ => kind.iter().all(u8::is_ascii_alphabetic) && kind[0].is_ascii_lowercase(),
        };
        if !is_expected {
            return None;
        }
        if kind == b"IDAT" {
            if found.len() == MAX_IDAT_CHUNKS {
                return None;
            }
            found.push(data.clone());
        }
        at = data.end + 4;
    }
}

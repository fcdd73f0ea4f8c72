//! The chunks around the pixels of a PNG written in parts.

use crate::codec::cover::Cover;
use crate::codec::format::{Channels, MetadataPolicy};
use crate::codec::info::ImageInfo;
use crate::codec::metadata::{Metadata, Place};
use crate::codec::png::stored::{SIGNATURE, Stored};

/// The bytes before and after the chunks with pixels.
#[derive(Debug)]
pub(crate) struct PngFrame {
    /// Signature, IHDR and the chunks before the pixels.
    pub(crate) prefix: Vec<u8>,
    /// The chunks after the pixels, and IEND.
    pub(crate) suffix: Vec<u8>,
}

impl PngFrame {
    /// Returns the frame for a PNG of `cover` that is not interlaced.
    pub(crate) fn of(cover: &Cover, policy: MetadataPolicy) -> Self {
        Self::new(&cover.info(), &cover.metadata, policy)
    }

    /// Creates the frame for a PNG that is not interlaced, of an image described by `info`.
    pub(super) fn new(info: &ImageInfo, metadata: &Metadata, policy: MetadataPolicy) -> Self {
        let mut prefix = SIGNATURE.to_vec();
        append_chunk(&mut prefix, *b"IHDR", &header_chunk(info));
        let mut suffix = Vec::new();
        let strips = policy == MetadataPolicy::Strip;
        for (place, file) in [(Place::Before, &mut prefix), (Place::After, &mut suffix)] {
            for (kind, data) in metadata.chunks(place, strips) {
                append_chunk(file, *kind, data);
            }
        }
        append_chunk(&mut suffix, *b"IEND", &[]);
        Self { prefix, suffix }
    }

    /// Returns the length in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }
}

/// Returns the data of IHDR (11.2.1) for an image that is not interlaced.
pub(super) fn header_chunk(info: &ImageInfo) -> Vec<u8> {
    let colour = match info.channels {
        Channels::Grey => Stored::GREY,
        Channels::GreyAlpha => Stored::GREY_ALPHA,
        Channels::Rgb => Stored::RGB,
        Channels::Rgba => Stored::RGBA,
    };
    let size = [info.width.to_be_bytes(), info.height.to_be_bytes()].concat();
    [&size[..], &[info.depth.bits(), colour, 0, 0, 0]].concat()
}

/// Appends a chunk (5.3) with its length and checksum.
pub(super) fn append_chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(&kind);
    file.extend_from_slice(data);
    let crc = crc32fast::hash(&file[start..]);
    file.extend_from_slice(&crc.to_be_bytes());
}

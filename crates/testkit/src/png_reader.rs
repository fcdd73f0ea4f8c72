//! An independent reader of the PNG files written by the library: as strict as the specification, and limited
//! to the kinds the library writes.

use std::io::Read;

use flate2::read::ZlibDecoder;
use stego::{Channels, SampleDepth};

use crate::pixels::Pixels;
use crate::png_filter::unfilter_rows;
use crate::png_specimen::PngChunk;

/// A PNG of 8 or 16 bits per sample, not interlaced.
#[derive(Debug, Clone)]
pub struct ReadPng {
    /// The image.
    pub pixels: Pixels,
    /// The chunks between IHDR and IDAT.
    pub before: Vec<PngChunk>,
    /// The chunks between IDAT and IEND.
    pub after: Vec<PngChunk>,
}

impl ReadPng {
    /// Reads a whole file.
    ///
    /// # Panics
    ///
    /// If the file is not a whole and legal PNG of a supported kind: a checksum differs, IDAT chunks are
    /// apart, there is too much or too little data, or the kind is another.
    pub fn of(file: &[u8]) -> Self {
        let mut chunks = png_chunks(file).into_iter().peekable();
        let (kind, ihdr) = chunks.next().expect("there is a chunk");
        assert_eq!((kind, ihdr.len()), (*b"IHDR", 13), "the first chunk");
        let mut before = Vec::new();
        while let Some(chunk) = chunks.next_if(|(kind, _)| kind != b"IDAT") {
            before.push(chunk);
        }
        let mut data = Vec::new();
        while let Some((_, part)) = chunks.next_if(|(kind, _)| kind == b"IDAT") {
            data.extend(part);
        }
        let mut after: Vec<PngChunk> = chunks.collect();
        assert_eq!(after.pop(), Some((*b"IEND", Vec::new())), "the last chunk");
        assert!(after.iter().all(|(kind, _)| kind != b"IDAT"), "IDAT chunks are apart");
        Self { pixels: pixels(&ihdr, &data), before, after }
    }

    /// Returns the data of the only chunk of a kind, at any position; `None` if absent.
    ///
    /// # Panics
    ///
    /// If there are several such chunks.
    pub fn chunk(&self, kind: [u8; 4]) -> Option<&[u8]> {
        let mut found = self.before.iter().chain(&self.after).filter(|(of, _)| *of == kind);
        let first = found.next().map(|(_, data)| &data[..]);
        assert!(found.next().is_none(), "more than one {}", String::from_utf8_lossy(&kind));
        first
    }
}

/// Returns all chunks of a PNG file, IHDR and IEND included.
///
/// # Panics
///
/// If the file is cut off, continues after IEND, or a checksum differs.
pub fn png_chunks(file: &[u8]) -> Vec<PngChunk> {
    let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("PNG's signature");
    let mut chunks = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (typed, after) = after.split_at(4 + u32::from_be_bytes(*len) as usize);
        let (crc, after) = after.split_first_chunk::<4>().expect("a checksum");
        assert_eq!(u32::from_be_bytes(*crc), crc32fast::hash(typed), "checksum of a chunk");
        let (kind, data) = typed.split_first_chunk::<4>().expect("a type");
        chunks.push((*kind, data.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty(), "bytes after the last chunk");
    chunks
}

fn pixels(ihdr: &[u8], data: &[u8]) -> Pixels {
    let size = |at: usize| u32::from_be_bytes([ihdr[at], ihdr[at + 1], ihdr[at + 2], ihdr[at + 3]]);
    let (width, height) = (size(0), size(4));
    let channels = match ihdr[9] {
        0 => Channels::Grey,
        2 => Channels::Rgb,
        4 => Channels::GreyAlpha,
        6 => Channels::Rgba,
        other => panic!("colour type {other}"),
    };
    let depth = match ihdr[8] {
        8 => SampleDepth::Eight,
        16 => SampleDepth::Sixteen,
        other => panic!("{other} bits per sample"),
    };
    assert_eq!(ihdr[10..], [0, 0, 0], "compression, filters, interlacing");

    let mut zlib = ZlibDecoder::new(data);
    let mut filtered = Vec::new();
    zlib.read_to_end(&mut filtered).expect("IDAT inflates");
    assert_eq!(zlib.total_in(), data.len() as u64, "IDAT ends with its zlib stream");
    let distance = channels.count() * depth.bytes();
    let samples = unfilter_rows(&filtered, width as usize * distance, distance);
    assert_eq!(samples.len(), width as usize * height as usize * distance, "number of rows");
    Pixels { width, height, channels, depth, samples }
}

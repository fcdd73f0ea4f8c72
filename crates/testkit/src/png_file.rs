//! PNG files split into chunks, and reassembled with matching checksums.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::png::chunk;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// The chunks of a PNG, with arbitrary content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PngFile {
    /// Whole chunks, from IHDR to IEND.
    pub chunks: Vec<FileChunk>,
    /// The bytes after the last whole chunk.
    pub tail: Vec<u8>,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChunk {
    /// The chunk type.
    pub kind: [u8; 4],
    /// The chunk data.
    pub data: Vec<u8>,
}

impl PngFile {
    /// Splits a file into chunks; `None` without a PNG signature. Checksums are not verified.
    pub fn parse(file: &[u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(SIGNATURE)?;
        let mut chunks = Vec::new();
        while let Some((chunk, after)) = first_chunk(rest) {
            rest = after;
            chunks.push(chunk);
            if chunks.last().is_some_and(|chunk| chunk.kind == *b"IEND") {
                break;
            }
        }
        Some(Self { chunks, tail: rest.to_vec() })
    }

    /// Encodes the file, with matching checksums.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        for FileChunk { kind, data } in &self.chunks {
            file.extend(chunk(*kind, data));
        }
        file.extend(&self.tail);
        file
    }

    /// Returns the data of IHDR, if IHDR is the first chunk and of the right length.
    pub fn header_mut(&mut self) -> Option<&mut [u8; 13]> {
        let first = self.chunks.first_mut().filter(|chunk| chunk.kind == *b"IHDR")?;
        first.data.as_mut_slice().try_into().ok()
    }

    /// Returns the concatenated data of all IDAT chunks.
    pub fn compressed(&self) -> Vec<u8> {
        self.chunks
            .iter()
            .filter(|chunk| chunk.kind == *b"IDAT")
            .flat_map(|chunk| &chunk.data)
            .copied()
            .collect()
    }

    /// Inflates the rows with their filter bytes, up to `max_bytes` or the first error.
    pub fn inflated(&self, max_bytes: u64) -> Vec<u8> {
        let mut rows = Vec::new();
        // Output before an error counts.
        let _ = ZlibDecoder::new(self.compressed().as_slice()).take(max_bytes).read_to_end(&mut rows);
        rows
    }

    /// Replaces all IDAT chunks by `compressed`, in pieces of `piece_bytes`.
    pub fn replace_compressed(&mut self, compressed: &[u8], piece_bytes: usize) {
        let is_data = |chunk: &FileChunk| chunk.kind == *b"IDAT";
        let at = self.chunks.iter().position(is_data).unwrap_or(self.chunks.len().min(1));
        self.chunks.retain(|chunk| !is_data(chunk));
        let pieces = compressed.chunks(piece_bytes.max(1));
        let data = pieces.map(|piece| FileChunk { kind: *b"IDAT", data: piece.to_vec() });
        self.chunks.splice(at..at, data);
    }
}

/// Compresses `bytes` as a zlib stream.
pub(crate) fn zlib(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(bytes).and_then(|()| zlib.finish()).expect("writing to a Vec does not fail")
}

fn first_chunk(bytes: &[u8]) -> Option<(FileChunk, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    let (_crc, rest) = rest.split_first_chunk::<4>()?;
    Some((FileChunk { kind: *kind, data: data.to_vec() }, rest))
}

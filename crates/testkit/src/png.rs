//! Hand-built PNG files: legal files beyond the output of encoders, and broken files.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Parts of a PNG. Rows are written unfiltered.
#[derive(Debug, Clone)]
pub struct PngParts {
    /// Pixels in a row, in IHDR.
    pub width: u32,
    /// Rows, in IHDR.
    pub height: u32,
    /// Bits per sample, in IHDR.
    pub depth: u8,
    /// Colour type, in IHDR: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    pub colour: u8,
    /// Chunks between IHDR and IDAT.
    pub chunks: Vec<([u8; 4], Vec<u8>)>,
    /// The rows' bytes, all of the same length, without filter bytes; may contradict IHDR.
    pub rows: Vec<Vec<u8>>,
}

impl PngParts {
    /// Encodes the file.
    pub fn to_file(&self) -> Vec<u8> {
        self.to_file_at(Compression::fast())
    }

    /// Encodes the file with the rows compressed at `level`.
    pub(crate) fn to_file_at(&self, level: Compression) -> Vec<u8> {
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        for row in &self.rows {
            zlib.write_all(&[0]).and_then(|()| zlib.write_all(row)).expect("writing to a Vec does not fail");
        }
        let data = zlib.finish().expect("writing to a Vec does not fail");

        let mut header = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        header.extend([self.depth, self.colour, 0, 0, 0]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(chunk(*b"IHDR", &header));
        for (kind, data) in &self.chunks {
            file.extend(chunk(*kind, data));
        }
        file.extend(chunk(*b"IDAT", &data));
        file.extend(chunk(*b"IEND", &[]));
        file
    }
}

/// Encodes a chunk with its length and checksum.
pub fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let typed = [&kind, data].concat();
    let length = u32::try_from(data.len()).expect("chunks of tests are short");
    [&length.to_be_bytes()[..], &typed, &crc32fast::hash(&typed).to_be_bytes()].concat()
}

//! Decompression bombs: small files which inflate to large amounts of data.

use flate2::{Compress, Compression, FlushCompress};
use stego::{Channels, Cover};

use crate::png::chunk;

/// Zeros in one piece of deflate, about a thousand times the length of the piece.
const PIECE_BYTES: usize = 16 << 20;
/// Modulus of Adler-32 (RFC 1950, section 8).
const ADLER_MODULUS: usize = 65_521;

/// Builds a PNG of `width` × `height` RGB pixels by its header, with `pieces` of 16 MiB of zeros as data,
/// well-formed including the checksum. Each piece takes 16 KiB of the file.
pub fn inflating_png(width: u32, height: u32, pieces: usize) -> Vec<u8> {
    let mut zlib = vec![0x78, 0x01];
    zlib.extend(deflated_zeros(pieces));
    // For zeros alone, one of the two sums stays 1 and the other is the number of zeros.
    let zeros = (pieces * PIECE_BYTES % ADLER_MODULUS) as u32;
    zlib.extend((zeros << 16 | 1).to_be_bytes());

    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let chunks = [chunk(*b"IHDR", &header), chunk(*b"IDAT", &zlib), chunk(*b"IEND", &[])];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
}

/// Builds an image with a container of the earlier system, which does not state the secret's length: `pieces`
/// of 16 MiB of zeros.
pub fn inflating_payload(pieces: usize) -> Vec<u8> {
    let payload = deflated_zeros(pieces);
    let mut container = b"STEG".to_vec();
    container.extend(u32::try_from(payload.len()).expect("a bomb is small").to_be_bytes());
    container.extend(crc32fast::hash(&payload).to_be_bytes());
    container.extend(payload);

    let height = (container.len() * 8).div_ceil(3 * 1024) as u32;
    let mut samples = vec![0x54; 3 * 1024 * height as usize];
    let bits = container.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1));
    samples.iter_mut().zip(bits).for_each(|(sample, bit)| *sample |= bit);
    Cover::from_samples(1024, height, Channels::Rgb, samples).expect("the samples fill the image").to_png()
}

/// Builds raw deflate (RFC 1951): a non-final piece aligned to a byte, repeated, and then the end.
fn deflated_zeros(pieces: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut piece = Vec::with_capacity(PIECE_BYTES / 512);
    deflate
        .compress_vec(&vec![0; PIECE_BYTES], &mut piece, FlushCompress::Full)
        .expect("there is room for a piece");
    assert_eq!(deflate.total_in(), PIECE_BYTES as u64, "a piece was compressed whole");
    let mut stream = piece.repeat(pieces);
    // A final block of fixed codes, empty.
    stream.extend([0x03, 0x00]);
    stream
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, ZlibDecoder};

    use super::*;

    #[test]
    fn bombs_are_well_formed_and_as_large_as_they_say() {
        let inflated = |mut from: Box<dyn Read>| {
            let mut buffer = vec![0; 1 << 16];
            let mut bytes = 0;
            loop {
                match from.read(&mut buffer).unwrap() {
                    0 => return bytes,
                    read => bytes += read,
                }
            }
        };
        let raw = deflated_zeros(3);
        assert!(raw.len() < 3 * PIECE_BYTES / 1000, "{} bytes", raw.len());
        assert_eq!(inflated(Box::new(DeflateDecoder::new(std::io::Cursor::new(raw)))), 3 * PIECE_BYTES);
        let png = inflating_png(8, 8, 3);
        let idat = png[8 + 25 + 8..png.len() - 12 - 4].to_vec();
        assert_eq!(inflated(Box::new(ZlibDecoder::new(std::io::Cursor::new(idat)))), 3 * PIECE_BYTES);
        let image = inflating_payload(1);
        let limits = stego::Limits::default();
        assert_eq!(stego::extract(&image, &limits).unwrap().secret.len(), PIECE_BYTES);
    }
}

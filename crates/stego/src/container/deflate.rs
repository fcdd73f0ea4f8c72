//! Raw deflate (RFC 1951) where it helps, inflation within a bound.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::watch::{Stage, Stopped, Watch};

/// Secrets longer than this are judged by a sample before all of them is compressed.
const SAMPLE_FROM_LEN_BYTES: usize = 128 << 10;
const SAMPLE_SLICES: usize = 4;
const SAMPLE_SLICE_LEN_BYTES: usize = 8 << 10;
/// What is deflated or inflated between two looks at the watch.
const SLICE_LEN_BYTES: usize = 256 << 10;
/// A sample that does not lose a fiftieth is taken for incompressible (media files, archives, ciphertext).
const WORTHWHILE: (usize, usize) = (49, 50);

/// `secret` deflated, or `None` where that would not make it shorter. A long secret is judged by a sample first;
/// one that is longer than `fits_bytes` is not, since then every byte counts.
pub(super) fn deflated_if_shorter(
    secret: &[u8],
    fits_bytes: u64,
    watch: &Watch,
) -> Result<Option<Vec<u8>>, Stopped> {
    if secret.len() as u64 <= fits_bytes && skipped_on_sample(secret) {
        return Ok(None);
    }
    let deflated = deflate(secret, Compression::default(), watch)?;
    Ok((deflated.len() < secret.len()).then_some(deflated))
}

fn skipped_on_sample(secret: &[u8]) -> bool {
    secret.len() > SAMPLE_FROM_LEN_BYTES && !sample_compresses(secret)
}

/// Whether slices spread evenly over the inside of `secret` get shorter. The ends do not count: files often
/// start or end with a little text and are compressed data in between.
fn sample_compresses(secret: &[u8]) -> bool {
    let step = (secret.len() - SAMPLE_SLICE_LEN_BYTES) / (SAMPLE_SLICES + 1);
    let sample: Vec<u8> = (1..=SAMPLE_SLICES)
        .flat_map(|i| &secret[i * step..i * step + SAMPLE_SLICE_LEN_BYTES])
        .copied()
        .collect();
    let deflated_len =
        deflate(&sample, Compression::fast(), &Watch::default()).map_or(0, |deflated| deflated.len());
    deflated_len * WORTHWHILE.1 < sample.len() * WORTHWHILE.0
}

fn deflate(bytes: &[u8], level: Compression, watch: &Watch) -> Result<Vec<u8>, Stopped> {
    const NEVER_FAILS: &str = "writing to a Vec does not fail, and deflate takes any bytes";
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), level);
    for (i, slice) in bytes.chunks(SLICE_LEN_BYTES).enumerate() {
        watch.check(Stage::Compress, (i * SLICE_LEN_BYTES) as u64, bytes.len() as u64)?;
        encoder.write_all(slice).expect(NEVER_FAILS);
    }
    Ok(encoder.finish().expect(NEVER_FAILS))
}

/// What stopped an inflation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// Not deflate, or cut off.
    Malformed,
    /// The stream ended before the content did.
    TrailingBytes,
    /// More than the bound comes out.
    TooLong,
    /// The work was ended from outside.
    Stopped(Stopped),
}

/// Inflates all of `content` to at most `max_len_bytes`; never holds more than that.
pub(super) fn inflate(content: &[u8], max_len_bytes: u64, watch: &Watch) -> Result<Vec<u8>, InflateError> {
    let mut decoder = DeflateDecoder::new(content);
    let mut secret = Vec::new();
    loop {
        let done = secret.len() as u64;
        watch.check(Stage::Compress, done, max_len_bytes).map_err(InflateError::Stopped)?;
        let slice_len = (max_len_bytes - done).min(SLICE_LEN_BYTES as u64);
        let read = (&mut decoder).take(slice_len).read_to_end(&mut secret);
        if read.map_err(|_| InflateError::Malformed)? == 0 {
            break;
        }
    }
    // One more byte tells a stream that ends here from one that goes on, and reads the end-of-block code.
    match decoder.read(&mut [0]) {
        Ok(0) if decoder.total_in() == content.len() as u64 => Ok(secret),
        Ok(0) => Err(InflateError::TrailingBytes),
        Ok(_) => Err(InflateError::TooLong),
        Err(_) => Err(InflateError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not compress (xorshift64*, Vigna 2016).
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn deflated(secret: &[u8], fits_bytes: u64) -> Option<Vec<u8>> {
        deflated_if_shorter(secret, fits_bytes, &Watch::default()).unwrap()
    }

    fn inflated(content: &[u8], max_len_bytes: u64) -> Result<Vec<u8>, InflateError> {
        inflate(content, max_len_bytes, &Watch::default())
    }

    #[test]
    fn text_gets_shorter_and_noise_is_left_alone() {
        let text = b"the quick brown fox ".repeat(20_000);
        assert!(deflated(&text, u64::MAX).unwrap().len() < text.len() / 50);
        assert_eq!(deflated(&noise(100_000), 0), None);
        assert_eq!(deflated(b"", 0), None);
    }

    #[test]
    fn incompressible_secrets_are_skipped_on_a_sample() {
        let mut archive_with_text_header = b"plain text ".repeat(500);
        archive_with_text_header.extend(noise(2 << 20));
        assert!(skipped_on_sample(&archive_with_text_header[..]));
        assert!(!skipped_on_sample(&b"plain text ".repeat(100_000)));
    }

    #[test]
    fn a_secret_that_only_fits_deflated_is_not_judged_by_a_sample() {
        let mut secret = noise(300_000);
        secret[..4000].fill(b' ');
        assert!(skipped_on_sample(&secret));
        assert_eq!(deflated(&secret, 300_000), None);
        assert!(deflated(&secret, 299_999).unwrap().len() < 299_999);
    }

    #[test]
    fn inflation_stops_at_its_bound_and_wants_all_of_the_content() {
        let text = b"abc".repeat(1000);
        let mut content = deflate(&text, Compression::best(), &Watch::default()).unwrap();
        assert_eq!(inflated(&content, 3000), Ok(text));
        assert_eq!(inflated(&content, 2999), Err(InflateError::TooLong));
        assert_eq!(inflated(&content[..content.len() - 1], 3000), Err(InflateError::Malformed));
        content.push(0);
        assert_eq!(inflated(&content, 3000), Err(InflateError::TrailingBytes));
        assert_eq!(inflated(&[], 10), Err(InflateError::Malformed));
    }
}

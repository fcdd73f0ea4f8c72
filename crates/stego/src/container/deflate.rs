//! Raw deflate (RFC 1951) of compressible data, inflation within a bound.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::watch::{Stage, Stopped, Watch};

/// Secrets below this length are compressed without a prior estimate.
const JUDGED_FROM_LEN_BYTES: usize = 1 << 10;
/// Secrets above this length are judged by a sample.
const SAMPLE_FROM_LEN_BYTES: usize = 32 << 10;
const SAMPLE_SLICES: usize = 4;
const SAMPLE_SLICE_LEN_BYTES: usize = 8 << 10;
/// Bytes deflated or inflated between two looks at the watch.
const SLICE_LEN_BYTES: usize = 256 << 10;
/// Least saving: a secret with less than a fiftieth to gain is not compressed (media files, archives,
/// ciphertext).
const WORTHWHILE: f64 = 1.0 / 50.0;

/// Deflates `secret`; `None` if not shorter. The estimate before costs a tenth; it is skipped for a secret
/// longer than `fits_bytes`, since then every byte counts.
pub(super) fn deflated_if_shorter(
    secret: &[u8],
    fits_bytes: u64,
    watch: &Watch,
) -> Result<Option<Vec<u8>>, Stopped> {
    if secret.len() as u64 <= fits_bytes && !is_worthwhile(secret) {
        return Ok(None);
    }
    let deflated = deflate(secret, Compression::default(), watch)?;
    Ok((deflated.len() < secret.len()).then_some(deflated))
}

fn is_worthwhile(secret: &[u8]) -> bool {
    if secret.len() < JUDGED_FROM_LEN_BYTES {
        return true;
    }
    if secret.len() <= SAMPLE_FROM_LEN_BYTES {
        return may_compress(secret);
    }
    // Slices spread evenly over the inside. The ends do not count: files often start or end with a little
    // text and are compressed data in between.
    let step = (secret.len() - SAMPLE_SLICE_LEN_BYTES) / (SAMPLE_SLICES + 1);
    (1..=SAMPLE_SLICES).any(|i| may_compress(&secret[i * step..i * step + SAMPLE_SLICE_LEN_BYTES]))
}

/// True if the bytes have a property used by deflate: unequal frequencies, or repeated strings.
fn may_compress(bytes: &[u8]) -> bool {
    let saved_by_frequency = 1.0 - entropy_bits(bytes) / 8.0;
    saved_by_frequency > WORTHWHILE || repeated(bytes) as f64 > bytes.len() as f64 * WORTHWHILE
}

/// Returns the entropy of a byte by the frequencies in `bytes`, with the correction for few samples of Miller
/// and Madow (1955).
fn entropy_bits(bytes: &[u8]) -> f64 {
    // Four tables, so that equal bytes in a row do not wait for each other.
    let mut counts = [[0_u32; 256]; 4];
    let (quads, rest) = bytes.as_chunks::<4>();
    for quad in quads {
        for (counts, &byte) in counts.iter_mut().zip(quad) {
            counts[usize::from(byte)] += 1;
        }
    }
    for &byte in rest {
        counts[0][usize::from(byte)] += 1;
    }
    let total = bytes.len() as f64;
    let (mut sum, mut seen) = (0.0, 0.0);
    for byte in 0..256 {
        let count = f64::from(counts.iter().map(|counts| counts[byte]).sum::<u32>());
        if count > 0.0 {
            sum += count * count.log2();
            seen += 1.0;
        }
    }
    total.log2() - sum / total + (seen - 1.0) / (2.0 * total * std::f64::consts::LN_2)
}

/// Returns the number of bytes in repeated strings of four and more, counted roughly: strings are entered at
/// every fourth position and looked up at every position.
fn repeated(bytes: &[u8]) -> usize {
    const SLOTS_LOG2: u32 = 12;
    let mut slots = [0_u32; 1 << SLOTS_LOG2];
    let mut repeated = 0;
    for (at, window) in bytes.windows(4).enumerate() {
        let word = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
        let slot = &mut slots[(word.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS_LOG2)) as usize];
        // An empty slot holds the word 0, and a run of zeros is a repetition.
        repeated += usize::from(*slot == word);
        if at % 4 == 0 {
            *slot = word;
        }
    }
    repeated
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

/// Reasons for which an inflation ends.
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

/// Inflates all of `content` to at most `max_len_bytes`; never holds more.
pub(super) fn inflate(content: &[u8], max_len_bytes: u64, watch: &Watch) -> Result<Vec<u8>, InflateError> {
    let mut decoder = DeflateDecoder::new(content);
    let mut secret = Vec::new();
    loop {
        let done = secret.len() as u64;
        watch.check(Stage::Compress, done, max_len_bytes).map_err(InflateError::Stopped)?;
        let slice_len = (max_len_bytes - done).min(SLICE_LEN_BYTES as u64);
        let read = (&mut decoder).take(slice_len).read_to_end(&mut secret);
        debug_assert!(secret.len() as u64 <= max_len_bytes, "no more than the bound is held");
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
        assert!(!is_worthwhile(&archive_with_text_header[..]));
        assert!(is_worthwhile(&b"plain text ".repeat(100_000)));
    }

    /// The judgement agrees with deflate.
    #[test]
    fn secrets_are_judged_as_deflate_would() {
        let check = |name: &str, secret: &[u8]| {
            let deflated = deflate(secret, Compression::default(), &Watch::default()).unwrap();
            let saves = deflated.len() as f64 <= secret.len() as f64 * (1.0 - WORTHWHILE);
            assert_eq!(is_worthwhile(secret), saves, "{name}: {} of {}", deflated.len(), secret.len());
        };
        for len in [1 << 10, 3000, 10 << 10, 32 << 10, 100 << 10] {
            check("noise", &noise(len));
            check("zeros", &vec![0; len]);
            check("text", &b"all work and no play ".repeat(len / 20));
            let seven_bits: Vec<u8> = noise(len).iter().map(|byte| byte & 0x7F).collect();
            check("seven bits", &seven_bits);
            let half_again = [noise(len / 2), noise(len / 2)].concat();
            // Deflate looks back 32 KiB, and so does a sample of 8 KiB by far less.
            if len <= 32 << 10 {
                check("noise that comes again", &half_again);
            }
        }
    }

    #[test]
    fn a_secret_that_only_fits_deflated_is_not_judged_by_a_sample() {
        let mut secret = noise(300_000);
        secret[..4000].fill(b' ');
        assert!(!is_worthwhile(&secret));
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

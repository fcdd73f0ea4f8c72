//! The walker against flate2, and cuts at every kind of place.

use std::io::Read;
use std::ops::Range;

use flate2::read::ZlibDecoder;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::bits::BitWriter;
use super::walk::Walk;
use crate::codec::png::splice::adler::Adler;
use crate::codec::png::splice::deflate::{ZLIB_HEADER, store};
use crate::watch::Watch;

/// Bytes with runs, repetitions near and far, and noise.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let noise = testkit::noise(seed, len + 8);
    let mut bytes: Vec<u8> = Vec::with_capacity(len);
    while bytes.len() < len {
        let draw = u64::from_le_bytes(*noise[bytes.len()..].first_chunk().unwrap());
        let (count, back) = (1 + draw as usize % 40, 1 + (draw >> 16) as usize % 40_000);
        for _ in 0..count {
            let byte = match draw >> 62 {
                0 => bytes.len().checked_sub(back).map_or(7, |at| bytes[at]),
                1 => draw as u8 & 3,
                2 => (draw >> 8) as u8 & noise[bytes.len() % noise.len()],
                _ => noise[bytes.len() % noise.len()],
            };
            bytes.push(byte);
        }
    }
    bytes.truncate(len);
    bytes
}

/// A zlib stream: flate2's at `level`, flushed after every `flush` bytes; or, for level 10, blocks with fixed
/// codes.
fn zlib(bytes: &[u8], level: u32, flush: usize) -> Vec<u8> {
    let mut out = ZLIB_HEADER.to_vec();
    if level > 9 {
        out.extend(fixed_blocks(bytes, flush));
        out.extend(Adler::of(bytes).to_bytes());
        return out;
    }
    let mut compress = Compress::new(Compression::new(level), true);
    out.clear();
    for part in bytes.chunks(flush) {
        out.reserve(2 * part.len() + 1024);
        compress.compress_vec(part, &mut out, FlushCompress::Partial).unwrap();
    }
    out.reserve(bytes.len() + 1024);
    assert_eq!(
        compress.compress_vec(&[], &mut out, FlushCompress::Finish).unwrap(),
        flate2::Status::StreamEnd
    );
    assert_eq!(compress.total_in(), bytes.len() as u64);
    out
}

/// RFC 1951, 3.2.6, literals only.
fn fixed_blocks(bytes: &[u8], block_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = BitWriter::new(&mut out);
    let blocks = bytes.chunks(block_len);
    let count = blocks.len();
    for (i, block) in blocks.enumerate() {
        writer.put(usize::from(i + 1 == count) | 0b010, 3);
        for &byte in block {
            let (code, len) =
                if byte < 144 { (0x30 + u16::from(byte), 8) } else { (0x100 + u16::from(byte), 9) };
            writer.put(usize::from(code.reverse_bits() >> (16 - len)), len);
        }
        writer.put(0, 7);
    }
    writer.align();
    out
}

/// The stream in pieces of a file, with other data between the pieces.
fn pieces(stream: &[u8], len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut file, mut pieces) = (vec![0xA5; 8], Vec::new());
    for part in stream.chunks(len) {
        pieces.push(file.len()..file.len() + part.len());
        file.extend_from_slice(part);
        file.extend_from_slice(&[0x5A; 12]);
    }
    (file, pieces)
}

/// Cuts at `at` bytes and compares the inflated new stream. Returns the bit of a byte at the cut.
fn check_cut(bytes: &[u8], stream: &[u8], piece_len: usize, at: usize) -> u32 {
    let (file, pieces) = pieces(stream, piece_len);
    let watch = Watch::default();
    let Ok(mut walk) = Walk::new(&file, &pieces, &watch) else { panic!("a zlib header is one") };
    assert!(walk.inflate_to(at).is_ok(), "what flate2 wrote can be read");
    let inflated = walk.inflated();
    assert!(inflated.len() >= at && bytes.starts_with(inflated));
    let mut made = ZLIB_HEADER.to_vec();
    store(inflated, &mut made);
    let begun = made.len();
    let kept = walk.cut(&mut made).expect("something was inflated") as usize;
    assert!(made.len() - begun < 700, "headers are short");
    let mut found = Vec::new();
    let whole = [&made[..], &stream[kept..]].concat();
    ZlibDecoder::new(&whole[..]).read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    walk.phase()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_can_be_cut_anywhere(
        seed in any::<u64>(),
        len in 1_usize..200_000,
        level in 0_u32..=10,
        flush in prop_oneof![Just(1 << 20), 1_usize..5000, 5000_usize..100_000],
        piece_len in prop_oneof![Just(1), 1_usize..40, 1000_usize..9000, Just(1 << 20)],
        share in 0.0..1.0,
    ) {
        let bytes = bytes(seed, len);
        let at = (len as f64 * share) as usize + 1;
        check_cut(&bytes, &zlib(&bytes, level, flush), piece_len, at);
    }

    /// Invalid streams cause no panic and no inflation past the requested length by more than a symbol.
    #[test]
    fn broken_streams_are_refused(seed in any::<u64>(), level in 0_u32..=10, flips in 1_usize..20) {
        let mut stream = zlib(&bytes(seed, 20_000), level, 5000);
        for flip in testkit::noise(!seed, flips * 4).chunks_exact(4) {
            let place = u32::from_le_bytes(*flip.first_chunk().unwrap()) as usize;
            let bit = 16 + place % (8 * stream.len() - 16);
            stream[bit / 8] ^= 1 << (bit % 8);
        }
        let (file, pieces) = pieces(&stream, 777);
        let watch = Watch::default();
        if let Ok(mut walk) = Walk::new(&file, &pieces, &watch) {
            for len in [1, 1000, 15_000, 1 << 20] {
                let outcome = walk.inflate_to(len);
                prop_assert!(walk.inflated().len() < len + 258);
                let _ = walk.cut(&mut Vec::new());
                if outcome.is_err() {
                    break;
                }
            }
        }
    }
}

/// Checks each kind of block at every bit of a byte at which symbols can begin.
#[test]
fn every_phase_is_met() {
    let bytes = bytes(1, 60_000);
    for (level, phases) in [(0, 1), (1, 8), (6, 8), (10, 8)] {
        let stream = zlib(&bytes, level, 1 << 20);
        let mut met: Vec<u32> = (0..60).map(|i| check_cut(&bytes, &stream, 500, 30_000 + 211 * i)).collect();
        met.sort_unstable();
        met.dedup();
        assert_eq!(met.len(), phases, "level {level}: {met:?}");
    }
}

#[test]
fn codes_that_are_none_are_refused() {
    use super::huffman::Code;
    assert!(Code::new(&[1, 1]).is_some());
    assert!(Code::new(&[2, 2, 2, 2]).is_some());
    assert!(Code::new(&[0, 1]).is_some(), "a single code of one bit is allowed");
    assert!(Code::new(&[0, 0]).is_some(), "so is none");
    assert!(Code::new(&[0, 2]).is_none(), "incomplete");
    assert!(Code::new(&[1, 2]).is_none(), "incomplete");
    assert!(Code::new(&[1, 1, 1]).is_none(), "more than there are");
    assert!(Code::new(&[15; 288]).is_none());
}

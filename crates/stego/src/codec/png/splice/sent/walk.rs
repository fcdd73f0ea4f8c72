//! Inflates the beginning of a zlib stream with a record of bit positions: a stream can be cut after any
//! symbol, if the rest gets a copy of the block's header.

use std::ops::Range;

use super::bits::{BitReader, BitWriter};
use super::huffman::Code;
use super::lengths::Failed;
use crate::watch::{Stage, Watch};

/// Bytes inflated between two looks at the watch, about.
const STEP_LEN_BYTES: usize = 64 << 10;
/// The longest match of a symbol.
const MAX_MATCH_LEN: usize = 258;
const END_OF_BLOCK: usize = 256;
/// Lengths from this symbol on, and extra bits for each (RFC 1951, 3.2.5).
const LENGTH_BASES: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// 3.2.7: the order in which the lengths of the codes for lengths come.
const LENGTH_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A zlib stream inflated as far as needed.
pub(super) struct Walk<'a> {
    file: &'a [u8],
    pieces: &'a [Range<usize>],
    bits: BitReader<'a>,
    watch: &'a Watch,
    inflated: Vec<u8>,
    is_last: bool,
    block: Block,
}

enum Block {
    /// Between two blocks.
    None,
    /// So many bytes are still to come.
    Stored(usize),
    Coded {
        literals: Code,
        distances: Code,
        /// Place of the header, in bits.
        header: Range<u64>,
    },
}

impl<'a> Walk<'a> {
    /// Begins with the zlib header of the stream at `pieces` of `file`.
    pub(super) fn new(file: &'a [u8], pieces: &'a [Range<usize>], watch: &'a Watch) -> Result<Self, Failed> {
        let mut bits = BitReader::new(file, pieces);
        let header = [bits.take(8), bits.take(8)];
        let [Some(method), Some(flags)] = header else { return Err(Failed::NotPossible) };
        // RFC 1950, 2.2: deflate, a window that there is, no preset dictionary.
        if method & 15 != 8 || method >> 4 > 7 || flags & 0x20 != 0 || (method << 8 | flags) % 31 != 0 {
            return Err(Failed::NotPossible);
        }
        Ok(Self { file, pieces, bits, watch, inflated: Vec::new(), is_last: false, block: Block::None })
    }

    /// Returns the bytes inflated so far.
    pub(super) fn inflated(&self) -> &[u8] {
        &self.inflated
    }

    /// Returns the bit of a byte read next.
    #[cfg(test)]
    pub(super) fn phase(&self) -> u32 {
        (self.bits.position() % 8) as u32
    }

    /// Inflates up to `len` bytes, and to the end of the symbol with the last byte.
    pub(super) fn inflate_to(&mut self, len: usize) -> Result<(), Failed> {
        while self.inflated.len() < len {
            self.watch.check(Stage::Decode, self.bits.position() / 8, self.file.len() as u64)?;
            let until = len.min(self.inflated.len() + STEP_LEN_BYTES);
            self.step(until).ok_or(Failed::NotPossible)?;
        }
        Ok(())
    }

    /// Begins a block, or continues a block up to the end or `until`.
    fn step(&mut self, until: usize) -> Option<()> {
        match &mut self.block {
            Block::None => self.begin_block(),
            Block::Stored(0) => {
                self.block = Block::None;
                Some(())
            }
            Block::Stored(left) => {
                let wanted = (*left).min(until - self.inflated.len());
                *left -= self.bits.copy_bytes(wanted, &mut self.inflated)?;
                Some(())
            }
            Block::Coded { literals, distances, .. } => {
                self.inflated.reserve(until - self.inflated.len() + MAX_MATCH_LEN);
                if inflate(literals, distances, &mut self.bits, &mut self.inflated, until)? {
                    self.block = Block::None;
                }
                Some(())
            }
        }
    }

    fn begin_block(&mut self) -> Option<()> {
        if self.is_last {
            return None;
        }
        let start = self.bits.position();
        self.is_last = self.bits.take(1)? == 1;
        self.block = match self.bits.take(2)? {
            0 => {
                self.bits.align();
                let (len, complement) = (self.bits.take(16)?, self.bits.take(16)?);
                (len ^ complement == 0xFFFF).then_some(Block::Stored(len))?
            }
            1 => {
                let (literals, distances) = fixed_codes()?;
                Block::Coded { literals, distances, header: start..self.bits.position() }
            }
            2 => {
                let (literals, distances) = read_codes(&mut self.bits)?;
                Block::Coded { literals, distances, header: start..self.bits.position() }
            }
            _ => return None,
        };
        Some(())
    }

    /// Joins bits that end at a byte's border with the rest of the stream: appends to `out` a copy of the
    /// header of the block, and the rest of the partly read byte. Returns the first byte of the stream to
    /// follow, or nothing if the stream is not to be cut here.
    pub(super) fn cut(&self, out: &mut Vec<u8>) -> Option<u64> {
        let mut out = BitWriter::new(out);
        match &self.block {
            Block::None => None,
            &Block::Stored(left) => {
                out.put(usize::from(self.is_last), 3);
                out.align();
                out.put(left, 16);
                out.put(!left, 16);
                debug_assert_eq!(self.bits.position() % 8, 0, "stored bytes are whole");
                Some(self.bits.position() / 8)
            }
            Block::Coded { header, .. } => {
                let (at, header_len) = (self.bits.position(), header.end - header.start);
                shift(&mut out, (at.wrapping_sub(header_len) % 8) as u32);
                out.copy(&mut BitReader::at(self.file, self.pieces, header.start)?, header_len)?;
                debug_assert_eq!(
                    u64::from(out.phase()),
                    at % 8,
                    "the bits that are kept stay where they are"
                );
                let next_byte = at.next_multiple_of(8);
                out.copy(&mut BitReader::at(self.file, self.pieces, at)?, next_byte - at)?;
                Some(next_byte / 8)
            }
        }
    }
}

/// Inflates symbols up to `until` bytes or the end of the block. True if the block ended.
fn inflate(
    literals: &Code,
    distances: &Code,
    bits: &mut BitReader<'_>,
    out: &mut Vec<u8>,
    until: usize,
) -> Option<bool> {
    while out.len() < until {
        // Enough for a length and a distance, each with its extra bits: 15 + 5 + 15 + 13.
        bits.refill();
        let symbol = literals.next(bits)?;
        if symbol < END_OF_BLOCK {
            out.push(symbol as u8);
            continue;
        }
        if symbol == END_OF_BLOCK {
            return Some(true);
        }
        let place = symbol - END_OF_BLOCK - 1;
        let len = usize::from(*LENGTH_BASES.get(place)?) + bits.take_held(u32::from(LENGTH_EXTRA[place]))?;
        let place = distances.next(bits)?;
        let distance =
            usize::from(*DISTANCE_BASES.get(place)?) + bits.take_held(u32::from(DISTANCE_EXTRA[place]))?;
        let start = out.len().checked_sub(distance)?;
        if distance >= len {
            out.extend_from_within(start..start + len);
        } else {
            (start..start + len).for_each(|from| out.push(out[from]));
        }
    }
    Some(false)
}

/// 3.2.6.
fn fixed_codes() -> Option<(Code, Code)> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    Some((Code::new(&lengths)?, Code::new(&[5; 32])?))
}

/// 3.2.7.
fn read_codes(bits: &mut BitReader<'_>) -> Option<(Code, Code)> {
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let count = bits.take(4)? + 4;
    if literals > 286 || distances > 30 {
        return None;
    }
    let mut lengths = [0; 19];
    for &symbol in &LENGTH_ORDER[..count] {
        lengths[symbol] = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths)?;
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        bits.refill();
        let (value, times) = match code.next(bits)? {
            16 => (*lengths.last()?, 3 + bits.take_held(2)?),
            17 => (0, 3 + bits.take_held(3)?),
            18 => (0, 11 + bits.take_held(7)?),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    if lengths.len() > literals + distances || lengths[END_OF_BLOCK] == 0 {
        return None;
    }
    Some((Code::new(&lengths[..literals])?, Code::new(&lengths[literals..])?))
}

/// Appends blocks without content whose bits are `by` more than a multiple of 8. Each empty block with fixed
/// codes has 10 bits, so a few such blocks make every even number, and with a block of 95 bits before them
/// every odd number.
fn shift(out: &mut BitWriter<'_>, by: u32) {
    if by % 2 == 1 {
        put_odd_block(out);
    }
    let done = if by % 2 == 1 { 95 } else { 0 };
    for _ in 0..(by + 96 - done) % 8 / 2 {
        out.put(0b010, 10);
    }
}

/// A block of 95 bits without content. The codes are complete, as some inflaters require: two literals and
/// two distances of one bit each, and two code lengths of one bit.
fn put_odd_block(out: &mut BitWriter<'_>) {
    out.put(0b100, 3);
    // 257 literals, 2 distances, 19 lengths of codes for lengths.
    out.put(0, 5);
    out.put(1, 5);
    out.put(15, 4);
    // That of 1 is code 0, that of 18 (a run of zeros) is code 1.
    for symbol in LENGTH_ORDER {
        out.put(usize::from(symbol == 1 || symbol == 18), 3);
    }
    // Literal 0 has one bit, 255 have none (138 and 117), and the end of the block and both distances have
    // one.
    out.put(0, 1);
    out.put(1 | (138 - 11) << 1, 8);
    out.put(1 | (117 - 11) << 1, 8);
    out.put(0, 3);
    // The end of the block, which comes after literal 0.
    out.put(1, 1);
}

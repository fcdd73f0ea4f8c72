//! Huffman codes of deflate (RFC 1951, 3.2.2), for reading.

use super::bits::BitReader;

/// Length of a code in bits, at most.
const MAX_LEN: usize = 15;
/// Longest code for the fast table.
const FAST_BITS: u32 = 10;

/// A prefix code.
pub(super) struct Code {
    /// Indexed by the next bits: the symbol, and the code length in the four low bits; 0 for longer codes.
    fast: Vec<u16>,
    /// Number of codes of each length.
    counts: [u16; MAX_LEN + 1],
    /// The symbols in the order of the codes.
    symbols: Vec<u16>,
}

impl Code {
    /// Builds a code from the length for each symbol, 0 for unused symbols. `None` unless the code is
    /// complete, or has at most one code, of one bit: 3.2.7 allows this for distances, and inflaters allow it
    /// for all codes.
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0; MAX_LEN + 1];
        for &len in lengths {
            counts[usize::from(len)] += 1;
        }
        counts[0] = 0;
        let mut free: i32 = 1;
        let mut next = [0_u16; MAX_LEN + 1];
        let mut places = [0_u16; MAX_LEN + 1];
        for len in 1..=MAX_LEN {
            free = free * 2 - i32::from(counts[len]);
            if free < 0 {
                return None;
            }
            if len < MAX_LEN {
                next[len + 1] = (next[len] + counts[len]) << 1;
                places[len + 1] = places[len] + counts[len];
            }
        }
        let used: u16 = counts.iter().sum();
        if free > 0 && (used > 1 || used != counts[1]) {
            return None;
        }
        let mut code = Self { fast: vec![0; 1 << FAST_BITS], counts, symbols: vec![0; usize::from(used)] };
        for (symbol, &len) in lengths.iter().enumerate().filter(|&(_, &len)| len > 0) {
            let len = usize::from(len);
            code.symbols[usize::from(places[len])] = symbol as u16;
            places[len] += 1;
            code.enter(symbol as u16, len as u32, next[len]);
            next[len] += 1;
        }
        debug_assert_eq!(places[MAX_LEN], used, "each symbol with a code has its place");
        Some(code)
    }

    /// Enters a symbol at every index with the code, highest bit first, in the low bits.
    fn enter(&mut self, symbol: u16, len: u32, code: u16) {
        if len <= FAST_BITS {
            let reversed = usize::from(code.reverse_bits() >> (16 - len));
            for place in (reversed..1 << FAST_BITS).step_by(1 << len) {
                self.fast[place] = symbol << 4 | len as u16;
            }
        }
    }

    /// Returns the symbol of the next code in the held bits of `bits`. `None` without a matching code, or if
    /// the stream ends within it.
    #[inline]
    pub(super) fn next(&self, bits: &mut BitReader<'_>) -> Option<usize> {
        let entry = self.fast[bits.held() as usize & ((1 << FAST_BITS) - 1)];
        if entry == 0 {
            return self.next_long(bits);
        }
        bits.pass(u32::from(entry & 15))?;
        Some(usize::from(entry >> 4))
    }

    /// Reads bit by bit: the codes of a length are consecutive numbers, as are the codes of the next longer
    /// length.
    fn next_long(&self, bits: &mut BitReader<'_>) -> Option<usize> {
        let mut held = bits.held();
        let (mut code, mut first, mut place) = (0_usize, 0, 0);
        for len in 1..=MAX_LEN {
            code |= held as usize & 1;
            held >>= 1;
            let count = usize::from(self.counts[len]);
            if code < first + count {
                bits.pass(len as u32)?;
                return self.symbols.get(place + code - first).map(|&symbol| usize::from(symbol));
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

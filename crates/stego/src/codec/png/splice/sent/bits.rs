//! Bits of a deflate stream (RFC 1951, 3.1.1: from the lowest of each byte up): read from chunks, and
//! written.

use std::ops::Range;

/// Reads the data of chunks as one stream.
pub(super) struct BitReader<'a> {
    file: &'a [u8],
    later: &'a [Range<usize>],
    now: &'a [u8],
    /// The next `count` bits, from the lowest up. The bits above belong to the following bytes, or are zero.
    held: u64,
    count: u32,
    /// Bytes of the whole stream taken into `held` so far.
    taken: u64,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of the stream at `pieces` of `file`.
    pub(super) fn new(file: &'a [u8], pieces: &'a [Range<usize>]) -> Self {
        Self { file, later: pieces, now: &[], held: 0, count: 0, taken: 0 }
    }

    /// As [`BitReader::new`], from bit `at` on. `None` beyond the end.
    pub(super) fn at(file: &'a [u8], pieces: &'a [Range<usize>], at: u64) -> Option<Self> {
        let mut reader = Self::new(file, pieces);
        while reader.taken + (reader.now.len() as u64) < at / 8 {
            reader.taken += reader.now.len() as u64;
            reader.next_piece()?;
        }
        let skipped = (at / 8 - reader.taken) as usize;
        reader.now = &reader.now[skipped..];
        reader.taken += skipped as u64;
        reader.take((at % 8) as u32)?;
        Some(reader)
    }

    /// Returns the place of the next bit in the stream.
    pub(super) fn position(&self) -> u64 {
        self.taken * 8 - u64::from(self.count)
    }

    /// Holds 56 bits or more, where there are as many.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        debug_assert!(self.count < u64::BITS, "the held bits fit a word");
        let Some(word) = self.now.first_chunk::<8>() else {
            return self.refill_across();
        };
        self.held |= u64::from_le_bytes(*word) << self.count;
        let bytes = (63 - self.count) / 8;
        self.now = &self.now[bytes as usize..];
        self.taken += u64::from(bytes);
        self.count += bytes * 8;
    }

    /// Byte by byte, over the border of pieces.
    fn refill_across(&mut self) {
        while self.count < 56 {
            let Some((&byte, rest)) = self.now.split_first() else {
                match self.next_piece() {
                    Some(()) => continue,
                    None => return,
                }
            };
            self.held |= u64::from(byte) << self.count;
            self.now = rest;
            self.taken += 1;
            self.count += 8;
        }
    }

    fn next_piece(&mut self) -> Option<()> {
        let (next, later) = self.later.split_first()?;
        self.now = self.file.get(next.clone())?;
        self.later = later;
        Some(())
    }

    /// Returns the held bits, the next bit lowest.
    #[inline]
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Passes over held bits. `None` if there are fewer.
    #[inline]
    pub(super) fn pass(&mut self, count: u32) -> Option<()> {
        self.count = self.count.checked_sub(count)?;
        self.held >>= count;
        Some(())
    }

    /// Returns the next `count` held bits, at most 16.
    #[inline]
    pub(super) fn take_held(&mut self, count: u32) -> Option<usize> {
        let value = self.held as usize & ((1 << count) - 1);
        self.pass(count)?;
        Some(value)
    }

    /// Returns the next `count` bits, at most 16.
    pub(super) fn take(&mut self, count: u32) -> Option<usize> {
        self.refill();
        self.take_held(count)
    }

    /// Passes over the rest of a partly read byte.
    pub(super) fn align(&mut self) {
        let begun = self.count % 8;
        self.count -= begun;
        self.held >>= begun;
    }

    /// Appends whole bytes, `count` or as many as the current piece has, at least one. From a byte's border
    /// only.
    pub(super) fn copy_bytes(&mut self, count: usize, out: &mut Vec<u8>) -> Option<usize> {
        debug_assert_eq!(self.count % 8, 0, "from a byte's border only");
        if self.count > 0 {
            out.push(self.take_held(8)? as u8);
            return Some(1);
        }
        while self.now.is_empty() {
            self.next_piece()?;
        }
        // The bits above those that are held would be read twice.
        self.held = 0;
        let count = count.min(self.now.len());
        let (bytes, rest) = self.now.split_at(count);
        out.extend_from_slice(bytes);
        self.now = rest;
        self.taken += count as u64;
        Some(count)
    }
}

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits of a byte not yet full.
    begun: u8,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Goes on at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, begun: 0, count: 0 }
    }

    /// Appends the `count` low bits of `value`, at most 32.
    pub(super) fn put(&mut self, value: usize, count: u32) {
        debug_assert!(count <= 32 && self.count < 8, "the bits fit a word with those of a byte not yet full");
        let mut waiting = u64::from(self.begun) | (value as u64 & ((1 << count) - 1)) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(waiting as u8);
            waiting >>= 8;
            self.count -= 8;
        }
        self.begun = waiting as u8;
    }

    /// Returns the number of bits of the last byte already written, 0 if full.
    pub(super) fn phase(&self) -> u32 {
        self.count
    }

    /// Fills the last byte with zeros.
    pub(super) fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    /// Appends the next `count` bits of `from`. `None` if there are fewer.
    pub(super) fn copy(&mut self, from: &mut BitReader<'_>, mut count: u64) -> Option<()> {
        while count > 0 {
            let now = count.min(16) as u32;
            self.put(from.take(now)?, now);
            count -= u64::from(now);
        }
        Some(())
    }
}

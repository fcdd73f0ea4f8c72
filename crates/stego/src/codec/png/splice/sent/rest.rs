//! The kept rest of a stream: inflated to the end and checked without being kept in memory.

use std::fmt;
use std::ops::Range;

use fdeflate::Decompressor;

use super::lengths::{Failed, Lengths};
use super::rows::WINDOW_LEN_BYTES;
use crate::codec::png::filter::Filter;
use crate::watch::{Stage, Watch};

/// Bytes given to the inflater between two checks of the watch.
const STEP_LEN_BYTES: usize = 64 << 10;
/// Bytes at the end of the stream given one by one. The inflater takes up to eight bytes ahead and reports
/// them as read, so that a longer step would hide bytes after the end of the stream.
const SINGLE_LEN_BYTES: usize = 16;
/// Inflated bytes kept at a time: the window, and room for output left unwritten by a step with too little
/// space.
const OUT_LEN_BYTES: usize = 128 << 10;

/// Checks a zlib stream of filtered rows at `pieces` of `file`: all rows and nothing after them, each row
/// with a valid filter (PNG third edition, 9.2), a correct checksum, and no data after the stream.
///
/// # Errors
///
/// [`Failed::NotPossible`] if a condition fails: libpng would warn of the file or refuse it.
/// [`Failed::Stopped`] if `watch` ends the work.
pub(super) fn check(
    file: &[u8],
    pieces: &[Range<usize>],
    lengths: Lengths,
    watch: &Watch,
) -> Result<(), Failed> {
    let mut rest = Rest::new(lengths);
    for piece in pieces {
        rest.add(&file[piece.clone()], watch)?;
    }
    rest.finish()
}

/// A stream inflated on arrival.
pub(super) struct Rest {
    inflater: Box<Decompressor>,
    out: Vec<u8>,
    /// Bytes of `out` already written.
    filled: usize,
    rows: Rows,
    inflated: u64,
    expected: u64,
    /// The latest bytes, which may be the last of the stream.
    held: Vec<u8>,
}

impl Rest {
    /// Creates a stream of which nothing came.
    pub(super) fn new(lengths: Lengths) -> Self {
        Self {
            inflater: Box::new(Decompressor::new()),
            out: vec![0; OUT_LEN_BYTES],
            filled: 0,
            rows: Rows { row_len: lengths.row, until_filter: 0 },
            inflated: 0,
            expected: lengths.all,
            held: Vec::with_capacity(2 * SINGLE_LEN_BYTES),
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    ///
    /// [`Failed::NotPossible`] if the stream is damaged, says too much, or ended before.
    pub(super) fn add(&mut self, part: &[u8], watch: &Watch) -> Result<(), Failed> {
        let surplus = (self.held.len() + part.len()).saturating_sub(SINGLE_LEN_BYTES);
        let before: Vec<u8> = self.held.drain(..surplus.min(self.held.len())).collect();
        let (bulk, end) = part.split_at(surplus - before.len());
        self.held.extend_from_slice(end);
        debug_assert!(self.held.len() <= SINGLE_LEN_BYTES, "only what may be the end is held");
        for step in std::iter::once(&before[..]).chain(bulk.chunks(STEP_LEN_BYTES)) {
            watch.check(Stage::Decode, self.inflated, self.expected)?;
            self.inflate(step).ok_or(Failed::NotPossible)?;
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    ///
    /// [`Failed::NotPossible`] unless the stream is whole and nothing follows.
    pub(super) fn finish(mut self) -> Result<(), Failed> {
        for single in std::mem::take(&mut self.held).chunks(1) {
            self.inflate(single).ok_or(Failed::NotPossible)?;
        }
        let is_whole = self.inflater.is_done() && self.inflated == self.expected;
        if is_whole { Ok(()) } else { Err(Failed::NotPossible) }
    }

    /// `None` if the stream is damaged, says too much, or has ended before `part` does.
    fn inflate(&mut self, part: &[u8]) -> Option<()> {
        let mut left = part;
        loop {
            self.make_room();
            let (read, written) = self.inflater.read(left, &mut self.out, self.filled, false).ok()?;
            self.rows.add(&self.out[self.filled..self.filled + written])?;
            left = &left[read..];
            self.filled += written;
            self.inflated += written as u64;
            if self.inflated > self.expected {
                return None;
            }
            // It stops short of what it could do where output is full, and after a block without content.
            if read == 0 && written == 0 {
                return left.is_empty().then_some(());
            }
        }
    }

    /// Moves the window to the beginning, unless there is room for the output of the bits held by the
    /// inflater and one more byte: 64 lengths of 258 bytes at most (RFC 1951, 3.2.5).
    fn make_room(&mut self) {
        const { assert!(OUT_LEN_BYTES - WINDOW_LEN_BYTES > 2 * 72 * 258) };
        if self.out.len() - self.filled < 72 * 258 {
            self.out.copy_within(self.filled - WINDOW_LEN_BYTES..self.filled, 0);
            self.filled = WINDOW_LEN_BYTES;
        }
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inflated, expected, .. } = self;
        f.debug_struct("Rest").field("inflated", inflated).field("expected", expected).finish_non_exhaustive()
    }
}

/// Filtered rows arriving in parts.
#[derive(Debug)]
struct Rows {
    row_len: usize,
    /// Bytes up to the next filter type.
    until_filter: usize,
}

impl Rows {
    /// Checks the filters of further bytes. `None` for a row with an unknown filter.
    fn add(&mut self, part: &[u8]) -> Option<()> {
        let mut at = self.until_filter;
        while let Some(&filter) = part.get(at) {
            Filter::from_byte(filter)?;
            at += self.row_len;
        }
        self.until_filter = at - part.len();
        debug_assert!(self.until_filter < self.row_len, "the next filter type is within a row");
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::ZlibEncoder;
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    /// Ten rows of six bytes and a filter, with `filter` in row `at`.
    fn stream(filter: u8, at: usize, rows: usize) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in 0..rows {
            encoder.write_all(&[if row == at { filter } else { 2 }, 1, 2, 3, row as u8, 5, 6]).unwrap();
        }
        encoder.finish().unwrap()
    }

    /// [`stream`], as written by an encoder that flushes after every row, and once more with nothing left to
    /// flush.
    fn flushed() -> Vec<u8> {
        let mut encoder = Compress::new(Compression::default(), true);
        let mut stream = Vec::with_capacity(1 << 10);
        for row in 0..10 {
            let row = [0, 1, 2, 3, row, 5, 6];
            encoder.compress_vec(&row, &mut stream, FlushCompress::Sync).unwrap();
            encoder.compress_vec(&[], &mut stream, FlushCompress::Full).unwrap();
        }
        encoder.compress_vec(&[], &mut stream, FlushCompress::Finish).unwrap();
        stream
    }

    fn holds(file: &[u8], pieces: &[Range<usize>]) -> bool {
        holds_rows(10, file, pieces)
    }

    fn holds_rows(rows: u64, file: &[u8], pieces: &[Range<usize>]) -> bool {
        let lengths = Lengths { row: 7, all: 7 * rows, max_head: 70 };
        match check(file, pieces, lengths, &Watch::default()) {
            Ok(()) => true,
            Err(Failed::NotPossible) => false,
            Err(Failed::Stopped(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn only_a_whole_stream_of_all_rows_holds() {
        let whole = stream(4, 9, 10);
        let all = |file: &[u8]| holds(file, std::slice::from_ref(&(0..file.len())));
        assert!(all(&whole));
        assert!(holds(&whole, &[0..3, 3..3, 3..whole.len() - 2, whole.len() - 2..whole.len()]));
        assert!(!all(&stream(5, 9, 10)));
        assert!(!all(&stream(0, 0, 9)));
        assert!(!all(&stream(0, 0, 11)));
        assert!(!all(&whole[..whole.len() - 4]));
        assert!(!all(&[&whole[..], b"x"].concat()));
        assert!(!holds(&[&whole[..], b"x"].concat(), &[0..whole.len(), whole.len()..whole.len() + 1]));
        for len in 1..20 {
            assert!(!all(&[&whole[..], &vec![0; len]].concat()), "{len} bytes after the end");
            assert!(!all(&whole[..whole.len() - len.min(whole.len())]), "{len} bytes short");
        }
        assert!(all(&flushed()));
        let mut wrong_sum = whole.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        assert!(!all(&wrong_sum));
    }

    #[test]
    fn long_streams_do_not_wait_for_room() {
        // Matches of 258 bytes: a few bytes of the stream fill the output.
        let whole = stream(1, 0, 100_000);
        let all = |file: &[u8]| holds_rows(100_000, file, std::slice::from_ref(&(0..file.len())));
        assert!(all(&whole));
        assert!(!all(&whole[..whole.len() - 1]));
        assert!(!all(&stream(9, 99_999, 100_000)));
    }
}

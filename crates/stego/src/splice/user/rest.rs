//! The rest of a stream that is kept: inflated to its end, and looked at without being kept in memory.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Failed, Lengths};
use crate::splice::filter::Filter;
use crate::watch::{Stage, Watch};

/// Bytes that are inflated between two looks at the watch; few enough to stay in the cache.
const STEP_LEN_BYTES: usize = 64 << 10;

/// Checks a zlib stream of filtered rows, which lies at `pieces` of `file`: that it holds all rows and nothing after them, each with a
/// filter that there is (PNG third edition, 9.2), that its checksum holds, and that nothing follows it.
///
/// # Errors
///
/// [`Failed::NotPossible`] if one of these is not so: libpng would warn of it or refuse the file. [`Failed::Error`] if `watch`
/// ends the work.
pub(super) fn check(
    file: &[u8],
    pieces: &[Range<usize>],
    lengths: Lengths,
    watch: &Watch,
) -> Result<(), Failed> {
    let mut inflater = Decompress::new(true);
    let mut out = vec![0; STEP_LEN_BYTES];
    let mut rows = Rows { row_len: lengths.row, until_filter: 0 };
    let mut has_ended = false;
    for piece in pieces {
        let mut at = piece.start;
        while at < piece.end {
            if has_ended {
                return Err(Failed::NotPossible);
            }
            watch.check(Stage::Decode, at as u64, file.len() as u64)?;
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(&file[at..piece.end], &mut out, FlushDecompress::None);
            let status = status.map_err(|_| Failed::NotPossible)?;
            let (read, written) = (inflater.total_in() - read, inflater.total_out() - written);
            rows.add(&out[..written as usize]).ok_or(Failed::NotPossible)?;
            has_ended = status == Status::StreamEnd;
            at += read as usize;
            if inflater.total_out() > lengths.all || (read == 0 && written == 0 && !has_ended) {
                return Err(Failed::NotPossible);
            }
        }
    }
    // What is left in the inflater once all input is there.
    while !has_ended {
        let written = inflater.total_out();
        let status = inflater.decompress(&[], &mut out, FlushDecompress::Finish);
        let written = (inflater.total_out() - written) as usize;
        rows.add(&out[..written]).ok_or(Failed::NotPossible)?;
        has_ended = status.is_ok_and(|status| status == Status::StreamEnd);
        if inflater.total_out() > lengths.all || (written == 0 && !has_ended) {
            return Err(Failed::NotPossible);
        }
    }
    if inflater.total_out() == lengths.all { Ok(()) } else { Err(Failed::NotPossible) }
}

/// Filtered rows that come in parts.
struct Rows {
    row_len: usize,
    /// Bytes up to the next one that names a filter.
    until_filter: usize,
}

impl Rows {
    /// `None` if a row has a filter that there is not.
    fn add(&mut self, part: &[u8]) -> Option<()> {
        let mut at = self.until_filter;
        while let Some(&filter) = part.get(at) {
            Filter::from_byte(filter)?;
            at += self.row_len;
        }
        self.until_filter = at - part.len();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::ZlibEncoder;

    use super::*;

    /// Ten rows of six bytes and a filter, with `filter` in row `at`.
    fn stream(filter: u8, at: usize, rows: usize) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        for row in 0..rows {
            encoder.write_all(&[if row == at { filter } else { 2 }, 1, 2, 3, row as u8, 5, 6]).unwrap();
        }
        encoder.finish().unwrap()
    }

    fn holds(file: &[u8], pieces: &[Range<usize>]) -> bool {
        let lengths = Lengths { row: 7, all: 70, max_head: 70 };
        match check(file, pieces, lengths, &Watch::default()) {
            Ok(()) => true,
            Err(Failed::NotPossible) => false,
            Err(Failed::Error(error)) => panic!("{error}"),
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
        let mut wrong_sum = whole.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        assert!(!all(&wrong_sum));
    }
}

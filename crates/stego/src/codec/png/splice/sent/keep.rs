//! The chunks of the unchanged pixels.

use std::ops::Range;

use crc32fast::Hasher;

use super::lengths::Failed;
use crate::codec::parts::Part;
use crate::watch::{Stage, Watch};

/// Bytes of a checksum between two checks of the watch.
const STEP_LEN_BYTES: usize = 1 << 20;

/// A file being assembled from new bytes and parts of another file.
#[derive(Default)]
pub(super) struct Assembly(Vec<Piece>);

enum Piece {
    New(Vec<u8>),
    /// A range in the other file.
    Kept(Range<usize>),
}

impl Assembly {
    pub(super) fn add(&mut self, bytes: Vec<u8>) {
        match self.0.last_mut() {
            Some(Piece::New(last)) => last.extend_from_slice(&bytes),
            _ => self.0.push(Piece::New(bytes)),
        }
    }

    fn keep(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ => self.0.push(Piece::Kept(range)),
        }
    }

    /// Returns the parts; `file` is the file of the kept bytes.
    pub(super) fn into_parts(self, file: &[u8]) -> Vec<Part<'_>> {
        let part = |piece| match piece {
            Piece::New(bytes) => Part::New(bytes),
            Piece::Kept(range) => Part::Kept(&file[range]),
        };
        self.0.into_iter().map(part).collect()
    }

    /// Adds the range `kept` of the stream in the IDAT chunks with data at `pieces` of `file`. Wholly kept
    /// chunks stay unchanged, other chunks get a new length and checksum. All checksums are verified, in one
    /// pass.
    pub(super) fn keep_stream(
        &mut self,
        file: &[u8],
        pieces: &[Range<usize>],
        kept: Range<u64>,
        watch: &Watch,
    ) -> Result<(), Failed> {
        let mut start = 0;
        for piece in pieces {
            let end = start + piece.len() as u64;
            let from = piece.start + (kept.start.clamp(start, end) - start) as usize;
            let to = piece.start + (kept.end.clamp(start, end) - start) as usize;
            let part = from..to.max(from);
            start = end;
            if part == *piece || part.is_empty() {
                check(file, piece, hash(file, piece.start - 4..piece.end, watch)?)?;
                if !part.is_empty() {
                    self.keep(piece.start - 8..piece.end + 4);
                }
                continue;
            }
            let inner = hash(file, part.clone(), watch)?;
            let mut whole = hash(file, piece.start - 4..part.start, watch)?;
            whole.combine(&inner);
            whole.combine(&hash(file, part.end..piece.end, watch)?);
            check(file, piece, whole)?;

            self.add([&(part.len() as u32).to_be_bytes()[..], b"IDAT"].concat());
            self.keep(part);
            let mut crc = Hasher::new();
            crc.update(b"IDAT");
            crc.combine(&inner);
            self.add(crc.finalize().to_be_bytes().to_vec());
        }
        debug_assert!(kept.end <= start, "what is kept lies in the stream");
        Ok(())
    }
}

fn hash(file: &[u8], range: Range<usize>, watch: &Watch) -> Result<Hasher, Failed> {
    let mut hasher = Hasher::new();
    let mut at = range.start;
    while at < range.end {
        watch.check(Stage::Decode, at as u64, file.len() as u64)?;
        let next = range.end.min(at + STEP_LEN_BYTES);
        hasher.update(&file[at..next]);
        at = next;
    }
    Ok(hasher)
}

/// Compares the checksum of a chunk with the stored value after the data.
fn check(file: &[u8], data: &Range<usize>, found: Hasher) -> Result<(), Failed> {
    let crc = file.get(data.end..).and_then(|rest| rest.first_chunk::<4>());
    if crc.is_some_and(|crc| u32::from_be_bytes(*crc) == found.finalize()) {
        Ok(())
    } else {
        Err(Failed::NotPossible)
    }
}

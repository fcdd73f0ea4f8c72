//! The compressed pixels of a PNG still arriving: checked as by [`super::rest`] for a whole file, so that a
//! later embed need not.

use std::ops::Range;

use super::lengths::{Failed, Lengths};
use super::rest::Rest;
use crate::codec::png::layout::MAX_IDAT_CHUNKS;
use crate::codec::png::stored::SIGNATURE;
use crate::limits::Limits;
use crate::watch::{Stopped, Watch};

/// Length of a chunk's length and type.
const CHUNK_HEAD_LEN: usize = 8;
/// Length of a chunk's checksum.
const CRC_LEN: usize = 4;
/// Length of an IHDR chunk's data (PNG third edition, 11.2.1).
const IHDR_LEN: usize = 13;

/// Check of a PNG's compressed pixels while the file arrives.
///
/// Nothing of the file is kept. Files with pixels not kept by an embed (another format, palette, few bits,
/// interlaced) and damaged files end the check early: decoding tells more.
#[derive(Debug)]
pub struct ArrivingPng {
    limits: Limits,
    /// Bytes of the file taken so far.
    len: usize,
    state: State,
    /// The signature, a chunk's head or IHDR's data, as far as taken.
    head: Vec<u8>,
    stream: Option<(Lengths, Rest)>,
    pieces: Vec<Range<usize>>,
}

/// The part of the file to which the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Signature,
    ChunkHead,
    Header,
    /// Data of an IDAT chunk, up to this place in the file.
    Pixels(usize),
    /// Bytes of no interest, up to this place in the file.
    Skipped(usize),
    Ended,
    /// The check does not apply to the file, or the file did not pass.
    Failed,
}

/// Compressed pixels that passed the check of an [`ArrivingPng`]: ranges in the file, and the length of a
/// row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedPixels {
    pieces: Vec<Range<usize>>,
    row: usize,
    all: u64,
}

impl CheckedPixels {
    /// True for the pixels at `pieces` of a file, in rows of these lengths.
    pub(super) fn are(&self, pieces: &[Range<usize>], lengths: Lengths) -> bool {
        self.pieces == pieces && (self.row, self.all) == (lengths.row, lengths.all)
    }
}

impl ArrivingPng {
    /// Starts a file without data. Images beyond the pixel limit of `limits` are not checked.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            len: 0,
            state: State::Signature,
            head: Vec::with_capacity(IHDR_LEN),
            stream: None,
            pieces: Vec::new(),
        }
    }

    /// Takes the next bytes of the file. False once further bytes make no difference.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub fn push(&mut self, mut bytes: &[u8], watch: &Watch) -> Result<bool, Stopped> {
        while !bytes.is_empty() && self.goes_on() {
            let taken = match self.state {
                State::Signature => self.take_head(bytes, SIGNATURE.len(), Self::begin),
                State::ChunkHead => self.take_head(bytes, CHUNK_HEAD_LEN, Self::begin_chunk),
                State::Header => self.take_head(bytes, IHDR_LEN, Self::read_header),
                State::Pixels(end) => self.inflate(&bytes[..bytes.len().min(end - self.len)], watch)?,
                State::Skipped(end) => self.skip(bytes.len().min(end - self.len)),
                State::Ended | State::Failed => 0,
            };
            bytes = &bytes[taken..];
        }
        Ok(self.goes_on())
    }

    /// Returns the result, once the whole file arrived. `None` if the file has to be looked at as a whole.
    pub fn finish(self) -> Option<CheckedPixels> {
        let (lengths, rest) = self.stream.filter(|_| self.state == State::Ended)?;
        rest.finish().ok()?;
        Some(CheckedPixels { pieces: self.pieces, row: lengths.row, all: lengths.all })
    }

    fn goes_on(&self) -> bool {
        !matches!(self.state, State::Ended | State::Failed)
    }

    /// Takes bytes up to `len` bytes of a head, and then the `step` decided by the head. Returns the number
    /// of bytes taken.
    fn take_head(&mut self, bytes: &[u8], len: usize, step: fn(&mut Self, &[u8]) -> State) -> usize {
        debug_assert!(self.head.len() < len, "a whole head is taken at once");
        let taken = bytes.len().min(len - self.head.len());
        self.head.extend_from_slice(&bytes[..taken]);
        self.len += taken;
        if self.head.len() == len {
            let head = std::mem::take(&mut self.head);
            self.state = step(self, &head);
        }
        taken
    }

    fn begin(&mut self, signature: &[u8]) -> State {
        if signature == SIGNATURE { State::ChunkHead } else { State::Failed }
    }

    fn begin_chunk(&mut self, head: &[u8]) -> State {
        let (len, kind) = head.split_at(4);
        let len = u32::from_be_bytes(len.try_into().expect("four bytes were split off")) as usize;
        let Some(end) = self.len.checked_add(len) else { return State::Failed };
        match kind {
            b"IHDR" if len == IHDR_LEN && self.stream.is_none() => State::Header,
            b"IHDR" => State::Failed,
            b"IDAT" if self.pieces.len() == MAX_IDAT_CHUNKS => State::Failed,
            b"IDAT" => {
                self.pieces.push(self.len..end);
                State::Pixels(end)
            }
            b"IEND" => State::Ended,
            _ => State::Skipped(end + CRC_LEN),
        }
    }

    fn read_header(&mut self, header: &[u8]) -> State {
        let number = |at: usize| {
            u32::from_be_bytes(header[at..at + 4].try_into().expect("the header has two numbers"))
        };
        let (width, height) = (number(0), number(4));
        let samples = match header[9] {
            0 => 1,
            2 => 3,
            4 => 2,
            6 => 4,
            _ => return State::Failed,
        };
        let (depth, interlaced) = (usize::from(header[8]), header[12] != 0);
        let pixels = u64::from(width) * u64::from(height);
        if !matches!(depth, 8 | 16) || interlaced || pixels == 0 || pixels > self.limits.max_pixels {
            return State::Failed;
        }
        let lengths = Lengths::of_rows(width as usize * samples * (depth / 8), height);
        self.stream = Some((lengths, Rest::new(lengths)));
        State::Skipped(self.len + CRC_LEN)
    }

    fn inflate(&mut self, part: &[u8], watch: &Watch) -> Result<usize, Stopped> {
        let State::Pixels(end) = self.state else { return Ok(0) };
        let added = match &mut self.stream {
            Some((_, rest)) => rest.add(part, watch),
            None => Err(Failed::NotPossible),
        };
        self.len += part.len();
        match Failed::or_stopped(added)? {
            None => self.state = State::Failed,
            Some(()) if self.len == end => self.state = State::Skipped(end + CRC_LEN),
            Some(()) => {}
        }
        Ok(part.len())
    }

    fn skip(&mut self, len: usize) -> usize {
        self.len += len;
        if self.state == State::Skipped(self.len) {
            self.state = State::ChunkHead;
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::SentPng;
    use super::*;
    use crate::codec::cover::Cover;
    use crate::codec::decode::probe;
    use crate::codec::format::{Channels, MetadataPolicy};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let samples = testkit::noise(5, (width * height) as usize * 3);
        Cover::from_samples(width, height, Channels::Rgb, samples).unwrap().to_png()
    }

    /// The outcome of the check of `file`, which arrives in pieces of `step` bytes.
    fn arrived(file: &[u8], step: usize) -> Option<CheckedPixels> {
        let mut arriving = ArrivingPng::new(Limits::default());
        for piece in file.chunks(step) {
            if !arriving.push(piece, &Watch::default()).unwrap() {
                break;
            }
        }
        arriving.finish()
    }

    /// Compares the check of `file` while arriving with the check of the whole file. Returns the outcome.
    fn check(file: &[u8]) -> bool {
        let limits = Limits::default();
        let info = probe(file, &limits).unwrap();
        let sent = SentPng::open(file, &info, MetadataPolicy::Keep, &limits.watch);
        let sound = matches!(&sent, Ok(Some(sent)) if sent.is_sound(None, &limits.watch).unwrap());
        for step in [1, 7, 4096, file.len()] {
            let checked = arrived(file, step);
            if let Ok(Some(sent)) = &sent {
                // A file that the whole check refuses never passes by what is known of it.
                assert_eq!(
                    sent.is_sound(checked.as_ref(), &limits.watch).unwrap(),
                    sound,
                    "pieces of {step}"
                );
                assert_eq!(checked.is_some(), sound, "pieces of {step}");
            }
        }
        sound
    }

    #[test]
    fn pieces_of_any_length_give_what_the_whole_file_gives() {
        assert!(check(&png(1, 1)));
        let whole = png(90, 40);
        assert!(check(&whole));
        let pixels = whole.windows(4).position(|kind| kind == b"IDAT").unwrap() + 4;
        let mut refused = 0;
        for at in (pixels..whole.len() - 16).step_by(97).chain(whole.len() - 40..whole.len() - 16) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            refused += usize::from(!check(&damaged));
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn other_files_are_not_for_this() {
        for file in [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", &png(9, 9)[..60]] {
            assert_eq!(arrived(file, 3), None, "{}", file.escape_ascii());
        }
        let mut interlaced = png(9, 9);
        interlaced[28] = 1;
        assert_eq!(arrived(&interlaced, 100), None);
        let limits = Limits { max_pixels: 80, ..Limits::default() };
        let mut arriving = ArrivingPng::new(limits);
        assert_eq!(arriving.push(&png(9, 9), &Watch::default()), Ok(false));
    }

    #[test]
    fn pixels_of_another_file_count_for_nothing() {
        let limits = Limits::default();
        let other = png(91, 40);
        let info = probe(&other, &limits).unwrap();
        let sent = SentPng::open(&other, &info, MetadataPolicy::Keep, &limits.watch).unwrap().unwrap();
        let checked = arrived(&png(90, 40), 64).unwrap();
        let (pieces, lengths) = sent.pixels();
        assert!(!checked.are(pieces, lengths));
    }
}

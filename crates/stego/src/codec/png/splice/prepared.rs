//! A cover whose PNG is there already.

use flate2::Compression;
use rayon::prelude::*;

use super::super::filter::RowFilter;
use super::adler::Adler;
use super::deflate::Deflater;
use crate::carrier::sequential::Capacity;
use crate::codec::cover::Cover;
use crate::codec::format::MetadataPolicy;
use crate::codec::png::decode::PngRows;
use crate::codec::png::frame::PngFrame;
use crate::embed::EmbedError;
use crate::extract::ExtractError;
use crate::watch::{Stage, Stopped, Watch};

/// Bytes of samples in a segment, about: the head of an embed ends with one, and each costs some hundred bytes in the file.
const SEGMENT_LEN_BYTES: usize = 48 << 10;
/// For size: it is done once.
const LEVEL: Compression = Compression::new(7);

/// A zlib header without a preset dictionary: 32 KiB window, fastest (RFC 1950, 2.2).
pub(super) const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];

/// A cover as a PNG in segments, ready for embeds that cost what the payload costs.
#[derive(Debug)]
pub struct PreparedCover {
    cover: Cover,
    capacity: Capacity,
    policy: MetadataPolicy,
    frame: PngFrame,
    rows_in_segment: usize,
    /// The IDAT chunks of all segments, one after the other.
    chunks: Vec<u8>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    /// Where its chunk begins in `chunks`.
    start: usize,
    /// The checksum of this segment and all after it.
    rest: Adler,
}

impl PreparedCover {
    /// Filters and deflates `cover`, on all threads of the current thread pool. `policy` says what becomes of its metadata in every
    /// stego image made with it. What was written is read back.
    pub fn new(cover: Cover, policy: MetadataPolicy, watch: &Watch) -> Result<Self, EmbedError> {
        let rows_in_segment = SEGMENT_LEN_BYTES / cover.info().row_len_bytes();
        Self::in_segments(cover, policy, rows_in_segment, watch)
    }

    /// As [`PreparedCover::new`], in segments of this many rows, at least one. Short ones make embeds cheaper and the file larger.
    pub fn in_segments(
        cover: Cover,
        policy: MetadataPolicy,
        rows_in_segment: usize,
        watch: &Watch,
    ) -> Result<Self, EmbedError> {
        let rows_in_segment = rows_in_segment.max(1);
        let count = (cover.height() as usize).div_ceil(rows_in_segment);
        let made: Vec<(Vec<u8>, Adler)> = (0..count)
            .into_par_iter()
            .map(|i| {
                watch.check(Stage::Encode, (i * rows_in_segment) as u64, u64::from(cover.height()))?;
                Ok(segment(&cover, i * rows_in_segment, rows_in_segment, i + 1 == count))
            })
            .collect::<Result<_, Stopped>>()?;
        let mut chunks = Vec::with_capacity(made.iter().map(|(chunk, _)| chunk.len()).sum());
        let mut segments: Vec<Segment> = Vec::with_capacity(count);
        for (chunk, adler) in made {
            segments.push(Segment { start: chunks.len(), rest: adler });
            chunks.extend_from_slice(&chunk);
        }
        let mut rest = Adler::EMPTY;
        for segment in segments.iter_mut().rev() {
            rest = segment.rest.followed_by(rest);
            segment.rest = rest;
        }
        let frame = PngFrame::of(&cover, policy);
        let prepared =
            Self { capacity: Capacity::of(&cover), policy, frame, rows_in_segment, chunks, segments, cover };
        prepared.verify(watch)?;
        Ok(prepared)
    }

    /// Whether the chunks, as a file, are the cover.
    fn verify(&self, watch: &Watch) -> Result<(), EmbedError> {
        let mut file = Vec::with_capacity(self.frame.len_bytes() + self.chunks.len() + 64);
        file.extend_from_slice(&self.frame.prefix);
        append_idat(&mut file, &ZLIB_HEADER);
        file.extend_from_slice(&self.chunks);
        append_idat(&mut file, &self.rest(0).1.to_bytes());
        file.extend_from_slice(&self.frame.suffix);
        let not_verified = |error| EmbedError::NotVerified { source: Some(ExtractError::Image(error)) };
        let info = self.cover.info();
        let mut rows = PngRows::open(&file, &info, watch).map_err(not_verified)?;
        for row in self.cover.samples().chunks_exact(info.row_len_bytes()) {
            if watch.or_stopped(rows.next_row().map_err(not_verified))? != Some(row) {
                return Err(EmbedError::NotVerified { source: None });
            }
        }
        rows.drain().map_err(not_verified)
    }

    /// The cover.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// What it carries.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The IDAT chunks of the whole cover. A stego image ends with a part of them and a trailer.
    pub fn chunks(&self) -> &[u8] {
        &self.chunks
    }

    /// Memory that it holds, in bytes.
    pub fn held_bytes(&self) -> u64 {
        (self.cover.samples().len() + self.chunks.len() + self.frame.len_bytes()) as u64
            + (self.segments.len() * size_of::<Segment>()) as u64
    }

    pub(super) fn policy(&self) -> MetadataPolicy {
        self.policy
    }

    pub(super) fn frame(&self) -> &PngFrame {
        &self.frame
    }

    /// The rows that must be written anew where the first `changed` ones change: with the row after them, whose filter may look
    /// at the last of them, up to the end of a segment.
    pub(super) fn head_rows(&self, changed: usize) -> usize {
        let height = self.cover.height() as usize;
        if changed == 0 {
            0
        } else {
            ((changed + 1).div_ceil(self.rows_in_segment) * self.rows_in_segment).min(height)
        }
    }

    /// Where the chunks of the rows after a head of `head_rows` begin, and the checksum over those rows.
    pub(super) fn rest(&self, head_rows: usize) -> (usize, Adler) {
        match self.segments.get(head_rows.div_ceil(self.rows_in_segment)) {
            Some(segment) => (segment.start, segment.rest),
            None => (self.chunks.len(), Adler::EMPTY),
        }
    }
}

/// The IDAT chunk of `rows` rows from row `first` on, and the checksum over them.
fn segment(cover: &Cover, first: usize, rows: usize, is_last: bool) -> (Vec<u8>, Adler) {
    let info = cover.info();
    let row_len = info.row_len_bytes();
    let last = (first + rows).min(cover.height() as usize);
    let mut filter = RowFilter::new(info.pixel_len_bytes());
    let mut filtered = Vec::with_capacity((last - first) * (row_len + 1));
    for y in first..last {
        let row = &cover.samples()[y * row_len..(y + 1) * row_len];
        let above = if y == 0 { &[] } else { &cover.samples()[(y - 1) * row_len..y * row_len] };
        filter.append(row, above, &mut filtered);
    }
    let mut chunk = Vec::with_capacity(filtered.len() + filtered.len() / 64 + 256);
    chunk.extend_from_slice(&[0; 4]);
    chunk.extend_from_slice(b"IDAT");
    let mut encoder = Deflater::new(LEVEL);
    encoder.add(&filtered, &mut chunk);
    encoder.finish(is_last, &mut chunk);
    finish_chunk(&mut chunk, 0);
    (chunk, Adler::of(&filtered))
}

/// Appends an IDAT chunk.
pub(super) fn append_idat(file: &mut Vec<u8>, data: &[u8]) {
    let start = file.len();
    file.extend_from_slice(b"\0\0\0\0IDAT");
    file.extend_from_slice(data);
    finish_chunk(file, start);
}

/// Fills in the length of the chunk that begins at `start` and ends with `file`, and adds its checksum.
pub(super) fn finish_chunk(file: &mut Vec<u8>, start: usize) {
    let len = (file.len() - start - 8) as u32;
    file[start..start + 4].copy_from_slice(&len.to_be_bytes());
    let crc = crc32fast::hash(&file[start + 4..]);
    file.extend_from_slice(&crc.to_be_bytes());
}

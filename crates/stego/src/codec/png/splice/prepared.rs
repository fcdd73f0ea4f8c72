//! A cover whose PNG is there already.

use flate2::Compression;
use rayon::prelude::*;

use super::adler::Adler;
use super::deflate::{Deflater, ZLIB_HEADER, store};
use super::idat::{append_idat, finish_chunk};
use crate::carrier::{Capacity, Changes};
use crate::codec::cover::Cover;
use crate::codec::format::MetadataPolicy;
use crate::codec::parts::Part;
use crate::codec::png::decode::PngRows;
use crate::codec::png::filter::{Filter, RowFilter};
use crate::codec::png::frame::PngFrame;
use crate::embed::error::EmbedError;
use crate::embed::options::EmbedOptions;
use crate::extract::error::ExtractError;
use crate::mode::Mode;
use crate::watch::{Stage, Stopped, Watch};

/// Bytes of samples in a segment, about: the head of an embed ends with a segment, and each segment costs
/// some hundred bytes in the file.
const SEGMENT_LEN_BYTES: usize = 48 << 10;
/// A head is stored without compression up to this share of all samples: the file grows a few percent, while
/// deflating would cost more than all the rest of the embed.
pub(super) const STORED_SHARE: usize = 16;
/// Level of a deflated head: for speed.
pub(super) const HEAD_LEVEL: Compression = Compression::new(1);
/// A stored block without content, not the last: changes nothing but the length of the file.
const EMPTY_BLOCK: [u8; 5] = [0, 0, 0, 0xFF, 0xFF];
/// Level of the segments, for size: done once.
const LEVEL: Compression = Compression::new(7);

/// A cover as a PNG in segments, ready for embeds at the cost of the payload.
#[derive(Debug)]
pub struct PreparedCover {
    cover: Cover,
    /// In the order of [`Mode::ALL`].
    capacities: [Capacity; Mode::ALL.len()],
    policy: MetadataPolicy,
    frame: PngFrame,
    rows_in_segment: usize,
    /// The IDAT chunks of all segments, in order.
    chunks: Vec<u8>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    /// Begin of the segment's chunk in `chunks`.
    start: usize,
    /// The checksum of this segment and all later segments.
    rest: Adler,
}

impl PreparedCover {
    /// Filters and deflates `cover`, on all threads of the current thread pool. `policy` is the treatment of
    /// metadata in every stego image made from the result. The result is read back.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Stopped`] if `watch` ends the work; [`EmbedError::NotVerified`] is a defect of this
    /// program.
    pub fn new(cover: Cover, policy: MetadataPolicy, watch: &Watch) -> Result<Self, EmbedError> {
        let rows_in_segment = SEGMENT_LEN_BYTES / cover.info().row_len_bytes();
        Self::in_segments(cover, policy, rows_in_segment, watch)
    }

    /// As [`PreparedCover::new`], in segments of this many rows, at least one. Short segments make embeds
    /// cheaper and the file larger.
    ///
    /// # Errors
    ///
    /// As [`PreparedCover::new`].
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
        debug_assert!(
            segments.is_sorted_by(|a, b| a.start < b.start),
            "each segment has a chunk, in the order of the rows"
        );
        let frame = PngFrame::of(&cover, policy);
        let capacities = Mode::ALL.map(|mode| cover.capacity(mode));
        let prepared = Self { capacities, policy, frame, rows_in_segment, chunks, segments, cover };
        prepared.verify(watch)?;
        Ok(prepared)
    }

    /// Compares the chunks, as a file, with the cover.
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

    /// Returns the cover.
    pub fn cover(&self) -> &Cover {
        &self.cover
    }

    /// Returns the capacity of the cover in `mode`.
    pub fn capacity(&self, mode: Mode) -> Capacity {
        self.capacities[mode as usize]
    }

    /// Returns an upper estimate of the memory, in bytes, for [`crate::embed()`] with a secret of this
    /// length, besides the cover.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64, options: &EmbedOptions) -> u64 {
        options.memory_bytes(&self.cover.info(), secret_len_bytes)
    }

    /// Returns the IDAT chunks of the whole cover. A stego image ends with a part of these chunks and a
    /// trailer.
    pub fn chunks(&self) -> &[u8] {
        &self.chunks
    }

    /// Returns the memory held, in bytes.
    pub fn held_bytes(&self) -> u64 {
        (self.cover.samples().len() + self.chunks.len() + self.frame.len_bytes()) as u64
            + (self.segments.len() * size_of::<Segment>()) as u64
    }

    pub(crate) fn policy(&self) -> MetadataPolicy {
        self.policy
    }

    /// Writes the cover with `changes`, which end with row `changed_rows`, as a PNG: the changed rows anew,
    /// the chunks of the later rows, and the checksum over all samples with the data after the pixels. The
    /// first part has the length needed for base64 of the chunks. Nothing is read back.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(crate) fn write(
        &self,
        changed_rows: usize,
        changes: &mut dyn Changes,
        watch: &Watch,
    ) -> Result<Vec<Part<'_>>, Stopped> {
        let cover = &self.cover;
        let info = cover.info();
        let head_rows = self.head_rows(changed_rows);
        debug_assert!(changed_rows == 0 || changed_rows < head_rows || head_rows == cover.height() as usize);
        let (tail_start, rest) = self.rest(head_rows);
        let is_whole = tail_start == self.chunks.len();

        let prefix = &self.frame.prefix;
        let mut head =
            Vec::with_capacity(head_rows * (info.row_len_bytes() + 1) * 33 / 32 + prefix.len() + 1024);
        head.extend_from_slice(prefix);
        let chunk_start = head.len();
        head.extend_from_slice(b"\0\0\0\0IDAT");
        head.extend_from_slice(&ZLIB_HEADER);
        let adler = if head_rows * STORED_SHARE <= info.height as usize {
            store_rows(cover, head_rows, changes, &mut head)
        } else {
            deflate_rows(cover, head_rows, changes, is_whole, watch, &mut head)?
        };
        if !is_whole {
            align(&mut head, tail_start);
        }
        finish_chunk(&mut head, chunk_start);
        debug_assert!(is_whole || head.len() % 3 == tail_start % 3, "base64 of the kept chunks goes on");

        let mut trailer = Vec::with_capacity(16 + self.frame.suffix.len());
        append_idat(&mut trailer, &adler.followed_by(rest).to_bytes());
        trailer.extend_from_slice(&self.frame.suffix);
        Ok(vec![Part::New(head), Part::Kept(&self.chunks[tail_start..]), Part::New(trailer)])
    }

    /// Returns the rows to write anew if the first `changed` rows change: including the next row, whose
    /// filter may refer to the last changed row, up to the end of a segment.
    fn head_rows(&self, changed: usize) -> usize {
        let height = self.cover.height() as usize;
        if changed == 0 {
            0
        } else {
            ((changed + 1).div_ceil(self.rows_in_segment) * self.rows_in_segment).min(height)
        }
    }

    /// Returns the start of the chunks of the rows after a head of `head_rows`, and the checksum over the
    /// rows of these chunks.
    fn rest(&self, head_rows: usize) -> (usize, Adler) {
        match self.segments.get(head_rows.div_ceil(self.rows_in_segment)) {
            Some(segment) => (segment.start, segment.rest),
            None => (self.chunks.len(), Adler::EMPTY),
        }
    }
}

/// Returns the IDAT chunk of `rows` rows from row `first` on, and the checksum over the rows.
fn segment(cover: &Cover, first: usize, rows: usize, is_last: bool) -> (Vec<u8>, Adler) {
    let info = cover.info();
    let row_len = info.row_len_bytes();
    let last = (first + rows).min(cover.height() as usize);
    let mut filter = RowFilter::new(info.pixel_len_bytes(), &Filter::ALL);
    let mut filtered = Vec::with_capacity((last - first) * (row_len + 1));
    for y in first..last {
        let row = &cover.samples()[y * row_len..(y + 1) * row_len];
        let above = if y == 0 { &[] } else { &cover.samples()[(y - 1) * row_len..y * row_len] };
        filter.append(row, above, &mut filtered);
    }
    debug_assert_eq!(filtered.len(), (last - first) * (row_len + 1), "a filter type before each row");
    let mut chunk = Vec::with_capacity(filtered.len() + filtered.len() / 64 + 256);
    chunk.extend_from_slice(&[0; 4]);
    chunk.extend_from_slice(b"IDAT");
    let mut encoder = Deflater::new(LEVEL);
    encoder.add(&filtered, &mut chunk);
    encoder.finish(is_last, &mut chunk);
    finish_chunk(&mut chunk, 0);
    (chunk, Adler::of(&filtered))
}

/// Writes the first rows as stored blocks (RFC 1951, 3.2.4), without a filter. Returns the checksum over the
/// rows.
fn store_rows(cover: &Cover, head_rows: usize, changes: &mut dyn Changes, file: &mut Vec<u8>) -> Adler {
    let row_len = cover.info().row_len_bytes();
    let mut rows = Vec::with_capacity(head_rows * (row_len + 1));
    let mut writing = true;
    for row in cover.samples().chunks_exact(row_len).take(head_rows) {
        rows.push(Filter::None as u8);
        let start = rows.len();
        rows.extend_from_slice(row);
        writing = writing && changes.apply(&mut rows[start..]);
    }
    store(&rows, file);
    Adler::of(&rows)
}

/// Writes the first rows filtered and deflated, in the bands of the prepared segments. Returns the checksum
/// over the rows.
fn deflate_rows(
    cover: &Cover,
    head_rows: usize,
    changes: &mut dyn Changes,
    is_whole: bool,
    watch: &Watch,
    file: &mut Vec<u8>,
) -> Result<Adler, Stopped> {
    let info = cover.info();
    let row_len = info.row_len_bytes();
    let mut filter = RowFilter::new(info.pixel_len_bytes(), &Filter::ALL);
    let mut encoder = Deflater::new(HEAD_LEVEL);
    let (mut row, mut above, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    let mut adler = Adler::EMPTY;
    let mut writing = true;
    for (y, samples) in cover.samples().chunks_exact(row_len).take(head_rows).enumerate() {
        watch.check(Stage::Encode, y as u64, head_rows as u64)?;
        std::mem::swap(&mut row, &mut above);
        row.clear();
        row.extend_from_slice(samples);
        writing = writing && changes.apply(&mut row);
        filtered.clear();
        filter.append(&row, &above, &mut filtered);
        adler = adler.followed_by(Adler::of(&filtered));
        encoder.add(&filtered, file);
    }
    encoder.finish(is_whole, file);
    Ok(adler)
}

/// Pads the head for base64: the rest, with its base64 prepared, begins at the same place in a group of
/// three.
fn align(file: &mut Vec<u8>, tail_start: usize) {
    const CRC_LEN: usize = 4;
    while (file.len() + CRC_LEN) % 3 != tail_start % 3 {
        file.extend_from_slice(&EMPTY_BLOCK);
    }
}

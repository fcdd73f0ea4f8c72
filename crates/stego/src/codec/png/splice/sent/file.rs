//! A PNG sent by a user, and the file that keeps most of the data.

use std::ops::Range;

use super::arriving::CheckedPixels;
use super::keep::Assembly;
use super::lengths::{Failed, Lengths};
use super::rest;
use super::rows::{self, WINDOW_LEN_BYTES};
use super::walk::Walk;
use crate::carrier::Changes;
use crate::codec::error::ImageError;
use crate::codec::format::MetadataPolicy;
use crate::codec::info::ImageInfo;
use crate::codec::parts::{self, Part};
use crate::codec::png::decode::PngRows;
use crate::codec::png::layout::PngLayout;
use crate::codec::png::splice::adler::Adler;
use crate::codec::png::splice::deflate::{Deflater, ZLIB_HEADER, store};
use crate::codec::png::splice::idat::{append_idat, finish_chunk};
use crate::codec::png::splice::prepared::{HEAD_LEVEL, STORED_SHARE};
use crate::watch::{Stage, Stopped, Watch};

/// Upper limit of bytes that a decoder reads behind the requested row: damage there may prevent decoding the
/// row.
const READ_AHEAD_LEN_BYTES: usize = 256 << 10;
/// Bytes of a zlib stream's checksum, at the end.
const ADLER_LEN: u64 = 4;
/// Bytes deflated between two looks at the watch.
const STEP_LEN_BYTES: usize = 64 << 10;

/// A PNG file that can be taken apart.
pub(crate) struct SentPng<'f> {
    file: &'f [u8],
    info: ImageInfo,
    layout: PngLayout,
    lengths: Lengths,
}

/// A file whose first rows were written anew.
pub(crate) struct Written<'f> {
    /// The whole file.
    pub(crate) parts: Vec<Part<'f>>,
    /// Length in bytes of the new beginning.
    made_len: usize,
}

impl Written<'_> {
    /// Returns the beginning of the file, as far as a decoder needs for the rewritten rows.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        parts::beginning(&self.parts, self.made_len + READ_AHEAD_LEN_BYTES)
    }
}

impl<'f> SentPng<'f> {
    /// Takes a PNG apart with `info` as the header. `None` unless the rows are stored in their decoded form,
    /// with the chunks in order up to IEND.
    ///
    /// # Errors
    ///
    /// Errors of the decoder on the chunks before the pixels.
    pub(crate) fn open(
        file: &'f [u8],
        info: &ImageInfo,
        policy: MetadataPolicy,
        watch: &Watch,
    ) -> Result<Option<Self>, ImageError> {
        let Some(layout) = PngLayout::of(file, info, policy) else { return Ok(None) };
        watch.or_stopped(PngRows::open(file, info, watch))?;
        Ok(Some(Self { file, info: *info, layout, lengths: Lengths::of(info) }))
    }

    /// False if changes in this number of rows leave too little of the file: encoding anew is better.
    pub(crate) fn is_worth_keeping(&self, changed_rows: u64) -> bool {
        let changed = changed_rows.saturating_mul(self.lengths.row as u64);
        changed <= self.lengths.max_head as u64
            && changed.saturating_add(WINDOW_LEN_BYTES as u64) <= self.lengths.all
    }

    /// Writes the file with `changes`. `None` if not possible.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(crate) fn write(
        &self,
        changes: &mut dyn Changes,
        watch: &Watch,
    ) -> Result<Option<Written<'f>>, Stopped> {
        Failed::or_stopped(self.try_write(changes, watch))
    }

    fn try_write(&self, changes: &mut dyn Changes, watch: &Watch) -> Result<Written<'f>, Failed> {
        let beginning = beginning(self.file, &self.info, &self.layout, self.lengths, changes, watch)?;
        let made_len = beginning.made.len();
        let parts = assemble(self.file, &self.layout, beginning, watch)?;
        Ok(Written { parts, made_len })
    }

    /// Inflates the file's pixels to the end, unless `checked` before. False if libpng would warn of the
    /// pixels or refuse the file.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(crate) fn is_sound(&self, checked: Option<&CheckedPixels>, watch: &Watch) -> Result<bool, Stopped> {
        if checked.is_some_and(|checked| checked.are(&self.layout.pixel_data, self.lengths)) {
            return Ok(true);
        }
        let checked = rest::check(self.file, &self.layout.pixel_data, self.lengths, watch);
        Failed::or_stopped(checked).map(|checked| checked.is_some())
    }

    /// True if the metadata to keep tell the location of the picture.
    pub(crate) fn tells_location(&self) -> bool {
        self.layout.tells_location
    }

    /// Returns the names of the metadata not kept.
    pub(crate) fn dropped_metadata(&self) -> &[String] {
        &self.layout.dropped_metadata
    }
}

#[cfg(test)]
impl SentPng<'_> {
    /// Returns the places of the compressed pixels, and the lengths of the rows.
    pub(super) fn pixels(&self) -> (&[Range<usize>], Lengths) {
        (&self.layout.pixel_data, self.lengths)
    }
}

/// The new beginning of a file, and the continuation of the old file after it.
struct Beginning {
    /// From the signature to the end of a chunk with pixels.
    made: Vec<u8>,
    /// The kept part of the old stream.
    kept: Range<u64>,
    /// The checksum over all samples.
    adler: Adler,
}

fn beginning(
    file: &[u8],
    info: &ImageInfo,
    layout: &PngLayout,
    lengths: Lengths,
    changes: &mut dyn Changes,
    watch: &Watch,
) -> Result<Beginning, Failed> {
    let pixel_data = &layout.pixel_data;
    let mut walk = Walk::new(file, pixel_data, watch)?;
    let new = rows::rewrite(&mut walk, changes, info, lengths)?;

    let (kept_end, old_sum) = stream_end(file, pixel_data).ok_or(Failed::NotPossible)?;
    let rest = Adler::from_stream(old_sum, lengths.all).after(Adler::of(walk.inflated()));
    let adler = Adler::of(&new).followed_by(rest.ok_or(Failed::NotPossible)?);

    let mut made = Vec::with_capacity(layout.frame.prefix.len() + new.len() * 33 / 32 + 1024);
    made.extend_from_slice(&layout.frame.prefix);
    let chunk_start = made.len();
    made.extend_from_slice(b"\0\0\0\0IDAT");
    made.extend_from_slice(&ZLIB_HEADER);
    if new.len() * STORED_SHARE <= file.len() {
        store(&new, &mut made);
    } else {
        let mut deflater = Deflater::new(HEAD_LEVEL);
        for (i, step) in new.chunks(STEP_LEN_BYTES).enumerate() {
            watch.check(Stage::Encode, (i * STEP_LEN_BYTES / lengths.row) as u64, info.height.into())?;
            deflater.add(step, &mut made);
        }
        deflater.finish(false, &mut made);
    }
    let kept_start = walk.cut(&mut made).filter(|&start| start <= kept_end).ok_or(Failed::NotPossible)?;
    finish_chunk(&mut made, chunk_start);
    Ok(Beginning { made, kept: kept_start..kept_end, adler })
}

/// Returns the position of the checksum in the stream at `pieces` of `file`, and the checksum.
fn stream_end(file: &[u8], pieces: &[Range<usize>]) -> Option<(u64, [u8; 4])> {
    let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let start = len.checked_sub(ADLER_LEN)?;
    let mut sum: Vec<u8> =
        pieces.iter().rev().flat_map(|piece| file[piece.clone()].iter().rev()).take(4).copied().collect();
    sum.reverse();
    Some((start, sum.try_into().ok()?))
}

/// Returns the parts of the whole file.
fn assemble<'f>(
    file: &'f [u8],
    layout: &PngLayout,
    beginning: Beginning,
    watch: &Watch,
) -> Result<Vec<Part<'f>>, Failed> {
    let mut assembly = Assembly::default();
    assembly.add(beginning.made);
    assembly.keep_stream(file, &layout.pixel_data, beginning.kept, watch)?;
    let mut trailer = Vec::with_capacity(16 + layout.frame.suffix.len());
    append_idat(&mut trailer, &beginning.adler.to_bytes());
    trailer.extend_from_slice(&layout.frame.suffix);
    assembly.add(trailer);
    Ok(assembly.into_parts(file))
}

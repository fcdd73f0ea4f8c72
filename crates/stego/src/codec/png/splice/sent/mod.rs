//! Embedding into a PNG that is there, at the cost of what changes: the rows that carry are written anew, and the rest of the
//! file's compressed pixels stays where it is, bit for bit.
//!
//! Rows up to the last one that carries, and 32 KiB after it (as far as deflate's references reach), are inflated and written
//! anew, each with the filter it had. Then the stream is cut in the middle of whichever block it is in: what is kept of the block
//! gets the block's header, codes and all, once more. Since what is kept may begin with any bit of a byte, blocks
//! without content come before that, until the new bits end where the kept ones begin. The checksum over all samples follows
//! from the old one, that of the old beginning and that of the new one, without a look at the rest (Adler-32 is linear).
//!
//! Checksums and structure of all chunks are checked. The compressed pixels below the rows that were written are inflated to their end
//! as well, with [`Verify::File`]: rows, end and checksum must hold, otherwise the file is for decoding. With
//! [`Verify::Payload`] they are taken on trust: should they be damaged under a checksum that holds, then the stego image is
//! damaged in the same place, which takes nothing from the secret.

mod bits;
mod huffman;
mod keep;
mod rest;
mod rows;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;

use super::adler::Adler;
use super::deflate::Deflater;
use super::head::{HEAD_LEVEL, STORED_SHARE, store};
use super::prepared::{ZLIB_HEADER, append_idat, finish_chunk};
use crate::bits::BitsPerSample;
use crate::carrier::sequential::{Capacity, SampleWriter};
use crate::codec::cover::Cover;
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;
use crate::codec::guard::guarded;
use crate::codec::info::ImageInfo;
use crate::codec::png::decode::PngRows;
use crate::codec::png::layout::PngLayout;
use crate::codec::sniff::{Sniffed, sniff};
use crate::container::open::HEADER_LEN_BYTES;
use crate::embed::{self, EmbedError, EmbedOptions, Embedded, Verify};
use crate::extract::{ExtractError, read_back_rows};
use crate::limits::Limits;
use crate::note::Note;
use crate::quality;
use crate::secret::Secret;
use crate::watch::{Stage, Stopped, Watch};
use keep::Assembly;
use rows::WINDOW_LEN_BYTES;
use walk::Walk;

/// What a decoder looks at behind the row that it is asked for, at most: a damage there may keep it from giving that row.
const READ_AHEAD_LEN_BYTES: usize = 256 << 10;
/// Bytes of a zlib stream's checksum, at its end.
const ADLER_LEN: u64 = 4;
/// Bytes deflated between two looks at the watch.
const STEP_LEN_BYTES: usize = 64 << 10;

/// A stego image made from a PNG that is there, in parts to be sent one after the other.
#[derive(Debug, Clone)]
pub struct SplicedPng {
    /// The parts.
    pub parts: Vec<PngPart>,
    /// What the cover and the stego image are.
    pub info: ImageInfo,
    /// As in [`crate::Embedded`].
    pub capacity_bytes: u64,
    /// As in [`crate::Embedded`].
    pub payload_bytes: u64,
    /// As in [`crate::Embedded`].
    pub psnr_db: f64,
    /// As in [`crate::Embedded`].
    pub notes: Vec<Note>,
}

/// A part of a [`SplicedPng`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PngPart {
    /// Bytes that were made.
    New(Vec<u8>),
    /// These bytes of the cover's file.
    Kept(Range<usize>),
}

impl SplicedPng {
    /// Length of the file in bytes.
    pub fn len_bytes(&self) -> usize {
        let len = |part: &PngPart| match part {
            PngPart::New(bytes) => bytes.len(),
            PngPart::Kept(range) => range.len(),
        };
        self.parts.iter().map(len).sum()
    }

    /// The file in one piece, made from `cover`, the file that was embedded into.
    ///
    /// # Panics
    ///
    /// If `cover` is another file, which is shorter.
    pub fn to_png(&self, cover: &[u8]) -> Vec<u8> {
        start_of(&self.parts, cover, self.len_bytes())
    }
}

/// Why nothing was embedded into a PNG that is there.
#[derive(Debug, thiserror::Error)]
pub enum PngEmbedError {
    /// The file was not read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It was, and nothing was embedded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

impl PngEmbedError {
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Embed(error) => error.code(),
        }
    }
}

/// Hides `secret` in an image file: in a PNG whose compressed pixels can be kept by [`embed_into_png`], otherwise in what it
/// decodes to.
pub fn embed_into_file(
    file: &[u8],
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Embedded, PngEmbedError> {
    if let Some(spliced) = embed_into_png(file, secret, options, limits)? {
        return Ok(Embedded {
            png: spliced.to_png(file),
            capacity_bytes: spliced.capacity_bytes,
            payload_bytes: spliced.payload_bytes,
            psnr_db: spliced.psnr_db,
            notes: spliced.notes,
        });
    }
    Ok(embed::embed(&Cover::decode(file, limits)?, secret, options, limits)?)
}

/// Why this way of embedding ends.
enum Failed {
    /// It is not for this file; decoding the file will tell whether anything is wrong with it.
    NotPossible,
    Error(PngEmbedError),
}

impl<E: Into<PngEmbedError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<Stopped> for PngEmbedError {
    fn from(stopped: Stopped) -> Self {
        EmbedError::from(stopped).into()
    }
}

/// Bytes of filtered rows.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    /// A row and its filter's type.
    row: usize,
    all: u64,
    /// What may be written anew: of more than that, as a rule, all is better made anew.
    max_head: usize,
}

impl Lengths {
    fn of(info: &ImageInfo) -> Self {
        let row = info.row_len_bytes() + 1;
        let all = row as u64 * u64::from(info.height);
        // Beginnings, old and new, the new one deflated, and four rows at a time take less than what an embed may
        // take that decodes: twice the samples.
        let max_head = (2 * all).saturating_sub(4 * row as u64) / 4;
        Self { row, all, max_head: usize::try_from(max_head).unwrap_or(usize::MAX) }
    }

    /// What a payload, its header and `rest_len_bytes`, takes at least.
    fn of_payload(self, info: &ImageInfo, rest_len_bytes: usize, bits: BitsPerSample) -> u64 {
        let samples = (HEADER_LEN_BYTES as u64 + rest_len_bytes as u64 / u64::from(bits.as_u8())) * 8;
        let in_row = u64::from(info.width) * info.channels.colour_count() as u64;
        (samples / in_row).saturating_mul(self.row as u64)
    }
}

/// Hides `secret` in a copy of the PNG `file`, at the cost of the payload, of one look at the file's checksums and, with
/// [`Verify::File`], of inflating it once. `None` where
/// that is not possible: the file is another image, stores its samples in another way than stego images do (palette, few bits,
/// interlaced, transparent colours, animation), the payload covers much of it, or it is damaged. [`crate::Cover::decode`] and
/// [`crate::embed()`] then tell, or do it. The rows with the payload are read back before anything is returned.
pub fn embed_into_png(
    file: &[u8],
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Option<SplicedPng>, PngEmbedError> {
    match guarded(ImageFormat::Png, || try_embed(file, secret, options, limits)) {
        Ok(spliced) => Ok(Some(spliced)),
        Err(Failed::NotPossible) => Ok(None),
        Err(Failed::Error(error)) => Err(error),
    }
}

fn try_embed(
    file: &[u8],
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<SplicedPng, Failed> {
    if sniff(file) != Sniffed::Format(ImageFormat::Png) {
        return Err(Failed::NotPossible);
    }
    let info = probe(file, limits)?;
    info.check_memory(info.embed_memory_bytes(0), limits)?;
    let layout = PngLayout::of(file, &info, options.metadata).ok_or(Failed::NotPossible)?;
    // What the decoder has to say of the chunks before the pixels.
    limits.watch.or_stopped(PngRows::open(file, &info, &limits.watch))?;
    let lengths = Lengths::of(&info);
    let capacity = match Capacity::of_png(file, &info, limits) {
        Err(ImageError::Damaged { .. } | ImageError::Truncated { .. }) => return Err(Failed::NotPossible),
        capacity => capacity?,
    };
    let mut notes = vec![Note::NotHiddenFromAnalysis, Note::ShowsItsMaker];
    let packed = embed::pack_to_fit(capacity, secret, options, limits, &mut notes)?;

    let least = lengths.of_payload(&info, packed.rest.len(), options.bits);
    if least > lengths.max_head as u64 || least + WINDOW_LEN_BYTES as u64 > lengths.all {
        return Err(Failed::NotPossible);
    }
    let mut writer = SampleWriter::new(&info, &packed.header, &packed.rest, options.bits);
    let beginning = beginning(file, &info, &layout, lengths, &mut writer, limits)?;
    let made_len = beginning.made.len();
    let parts = assemble(file, &layout, beginning, &limits.watch)?;
    match read_back_rows(&start_of(&parts, file, made_len + READ_AHEAD_LEN_BYTES), &info, limits) {
        // Compressed pixels that do not decode, under checksums that hold.
        Err(ExtractError::Image(ImageError::Damaged { .. })) => return Err(Failed::NotPossible),
        found => embed::verify(found, secret)?,
    }
    if options.verify == Verify::File {
        rest::check(file, &layout.pixel_data, lengths, &limits.watch)?;
    }

    let mse = writer.squared_error() as f64 / capacity.carrying_samples() as f64;
    notes.extend(embed::notes_on_metadata(layout.tells_location, &layout.dropped_metadata, options.metadata));
    Ok(SplicedPng {
        parts,
        info,
        capacity_bytes: capacity.secret_bytes(options.bits),
        payload_bytes: (HEADER_LEN_BYTES + packed.rest.len()) as u64,
        psnr_db: quality::psnr_db_at(mse, info.depth),
        notes,
    })
}

/// The first bytes of a file in parts, `len` of them or all.
fn start_of(parts: &[PngPart], cover: &[u8], len: usize) -> Vec<u8> {
    let mut file = Vec::with_capacity(len);
    for part in parts {
        let bytes = match part {
            PngPart::New(bytes) => bytes,
            PngPart::Kept(range) => &cover[range.clone()],
        };
        file.extend_from_slice(&bytes[..bytes.len().min(len - file.len())]);
    }
    file
}

/// The new beginning of a file, and how the old one goes on after it.
struct Beginning {
    /// From the signature to the end of a chunk with pixels.
    made: Vec<u8>,
    /// What is kept of the old stream.
    kept: Range<u64>,
    /// The checksum over all samples.
    adler: Adler,
}

fn beginning(
    file: &[u8],
    info: &ImageInfo,
    layout: &PngLayout,
    lengths: Lengths,
    writer: &mut SampleWriter<'_>,
    limits: &Limits,
) -> Result<Beginning, Failed> {
    let pixel_data = &layout.pixel_data;
    let mut walk = Walk::new(file, pixel_data, &limits.watch)?;
    let new = rows::rewrite(&mut walk, writer, info, lengths)?;

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
            limits.watch.check(
                Stage::Encode,
                (i * STEP_LEN_BYTES / lengths.row) as u64,
                info.height.into(),
            )?;
            deflater.add(step, &mut made);
        }
        deflater.finish(false, &mut made);
    }
    let kept_start = walk.cut(&mut made).filter(|&start| start <= kept_end).ok_or(Failed::NotPossible)?;
    finish_chunk(&mut made, chunk_start);
    Ok(Beginning { made, kept: kept_start..kept_end, adler })
}

/// Where in the stream that lies at `pieces` of `file` its checksum is, and the checksum.
fn stream_end(file: &[u8], pieces: &[Range<usize>]) -> Option<(u64, [u8; 4])> {
    let len: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let start = len.checked_sub(ADLER_LEN)?;
    let mut sum: Vec<u8> =
        pieces.iter().rev().flat_map(|piece| file[piece.clone()].iter().rev()).take(4).copied().collect();
    sum.reverse();
    Some((start, sum.try_into().ok()?))
}

/// The parts of the whole file.
fn assemble(
    file: &[u8],
    layout: &PngLayout,
    beginning: Beginning,
    watch: &Watch,
) -> Result<Vec<PngPart>, Failed> {
    let mut assembly = Assembly::default();
    assembly.add(beginning.made);
    assembly.keep_stream(file, &layout.pixel_data, beginning.kept, watch)?;
    let mut trailer = Vec::with_capacity(16 + layout.frame.suffix.len());
    append_idat(&mut trailer, &beginning.adler.to_bytes());
    trailer.extend_from_slice(&layout.frame.suffix);
    assembly.add(trailer);
    Ok(assembly.into_parts())
}

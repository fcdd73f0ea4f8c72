//! Embedding into a prepared cover: the rows that carry are written anew, the rest is taken as it is.

use flate2::Compression;

use super::super::filter::{Filter, RowFilter};
use super::adler::Adler;
use super::deflate::Deflater;
use super::prepared::{PreparedCover, ZLIB_HEADER, append_idat, finish_chunk};
use crate::bits::BitsPerSample;
use crate::carrier::{Capacity, SampleWriter, carrying_rows};
use crate::codec::Cover;
use crate::container::{HEADER_LEN_BYTES, Packed};
use crate::embed::{self, EmbedError, EmbedOptions};
use crate::extract::read_back_rows;
use crate::limits::Limits;
use crate::note::Note;
use crate::quality;
use crate::secret::Secret;
use crate::watch::Stage;

/// A head is stored as it is up to this share of all samples: that costs the file a few percent, and deflating it would cost more
/// than all the rest of the embed.
pub(super) const STORED_SHARE: usize = 16;
/// A head that is not stored: for speed.
pub(super) const HEAD_LEVEL: Compression = Compression::new(1);
/// Deflate's longest stored block.
const MAX_STORED_LEN: usize = 65_535;
/// A stored block without content, not the last one: it changes nothing but the length of the file.
const EMPTY_BLOCK: [u8; 5] = [0, 0, 0, 0xFF, 0xFF];

/// A stego image in three parts, to be sent one after the other: `head`, the prepared cover's [`PreparedCover::chunks`] from
/// `tail_start` on, and `trailer`.
#[derive(Debug, Clone)]
pub struct Spliced {
    /// From the signature to the last row that was written anew.
    pub head: Vec<u8>,
    /// Where in the prepared chunks the rest begins.
    pub tail_start: usize,
    /// From the checksum over all samples to the end.
    pub trailer: Vec<u8>,
    /// As in [`crate::Embedded`].
    pub capacity_bytes: u64,
    /// As in [`crate::Embedded`].
    pub payload_bytes: u64,
    /// As in [`crate::Embedded`].
    pub psnr_db: f64,
    /// As in [`crate::Embedded`].
    pub notes: Vec<Note>,
}

impl Spliced {
    /// Length of the file in bytes.
    pub fn len_bytes(&self, prepared: &PreparedCover) -> usize {
        self.head.len() + prepared.chunks().len() - self.tail_start + self.trailer.len()
    }

    /// The file in one piece.
    pub fn to_png(&self, prepared: &PreparedCover) -> Vec<u8> {
        [&self.head, &prepared.chunks()[self.tail_start..], &self.trailer].concat()
    }
}

/// Hides `secret` in a copy of a prepared cover, at the cost of the payload. Of `options` the metadata policy is the prepared
/// cover's. The head is read back before it is returned; the rest was when it was prepared.
pub fn embed_prepared(
    prepared: &PreparedCover,
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<Spliced, EmbedError> {
    let container = Container::pack(secret, options, prepared.capacity(), limits)?;
    let spliced = splice(prepared, &container, limits)?;
    embed::verify(read_back_rows(&spliced.head, &prepared.cover().info(), limits), secret)?;
    Ok(spliced)
}

/// A secret in its container, for a carrier of a certain width.
#[derive(Debug)]
pub struct Container {
    packed: Packed,
    bits: BitsPerSample,
    name_left_out: bool,
}

impl Container {
    /// Packs `secret`, compressed where that helps, without its name where only that makes it fit.
    pub fn pack(
        secret: &Secret<'_>,
        options: &EmbedOptions,
        capacity: Capacity,
        limits: &Limits,
    ) -> Result<Self, EmbedError> {
        let mut notes = Vec::new();
        let packed = embed::pack_to_fit(capacity, secret, options, limits, &mut notes)?;
        Ok(Self { packed, bits: options.bits, name_left_out: !notes.is_empty() })
    }
}

/// Carries a container that is finished, without reading it back: for measurements. Use [`embed_prepared`].
pub fn splice(
    prepared: &PreparedCover,
    container: &Container,
    limits: &Limits,
) -> Result<Spliced, EmbedError> {
    let Container { packed, bits, name_left_out } = container;
    let cover = prepared.cover();
    let info = cover.info();
    let mut writer = SampleWriter::new(&info, &packed.header, &packed.rest, *bits);
    let head_rows = prepared.head_rows(carrying_rows(cover, packed.rest.len(), *bits));
    let (tail_start, rest) = prepared.rest(head_rows);
    let is_whole = tail_start == prepared.chunks().len();

    let prefix = &prepared.frame().prefix;
    let mut file = Vec::with_capacity(head_rows * (info.row_len_bytes() + 1) * 33 / 32 + prefix.len() + 1024);
    file.extend_from_slice(prefix);
    let chunk_start = file.len();
    file.extend_from_slice(b"\0\0\0\0IDAT");
    file.extend_from_slice(&ZLIB_HEADER);
    let adler = if head_rows * STORED_SHARE <= info.height as usize {
        store_rows(cover, head_rows, &mut writer, &mut file)
    } else {
        deflate_rows(cover, head_rows, &mut writer, is_whole, limits, &mut file)?
    };
    if !is_whole {
        align(&mut file, tail_start);
    }
    finish_chunk(&mut file, chunk_start);

    let mut trailer = Vec::with_capacity(16 + prepared.frame().suffix.len());
    append_idat(&mut trailer, &adler.followed_by(rest).to_bytes());
    trailer.extend_from_slice(&prepared.frame().suffix);
    let mut notes = vec![Note::NotHiddenFromAnalysis, Note::ShowsItsMaker];
    notes.extend(name_left_out.then_some(Note::NameLeftOut));
    notes.extend(embed::notes_on_cover(cover, prepared.policy()));
    let mse = writer.squared_error() as f64 / prepared.capacity().carrying_samples() as f64;
    Ok(Spliced {
        head: file,
        tail_start,
        trailer,
        capacity_bytes: prepared.capacity().secret_bytes(*bits),
        payload_bytes: (HEADER_LEN_BYTES + packed.rest.len()) as u64,
        psnr_db: quality::psnr_db_at(mse, cover.depth()),
        notes,
    })
}

/// The first rows as stored blocks (RFC 1951, 3.2.4), without a filter. The checksum over them.
fn store_rows(cover: &Cover, head_rows: usize, writer: &mut SampleWriter<'_>, file: &mut Vec<u8>) -> Adler {
    let row_len = cover.info().row_len_bytes();
    let mut rows = Vec::with_capacity(head_rows * (row_len + 1));
    let mut writing = true;
    for row in cover.samples().chunks_exact(row_len).take(head_rows) {
        rows.push(Filter::None as u8);
        let start = rows.len();
        rows.extend_from_slice(row);
        writing = writing && writer.write(&mut rows[start..]);
    }
    store(&rows, file);
    Adler::of(&rows)
}

/// Stored blocks with `bytes`, none of them the last one of a stream.
pub(super) fn store(bytes: &[u8], file: &mut Vec<u8>) {
    for block in bytes.chunks(MAX_STORED_LEN) {
        let len = block.len() as u16;
        file.push(0);
        file.extend_from_slice(&len.to_le_bytes());
        file.extend_from_slice(&(!len).to_le_bytes());
        file.extend_from_slice(block);
    }
}

/// The first rows filtered and deflated, in the bands that prepared segments are. The checksum over them.
fn deflate_rows(
    cover: &Cover,
    head_rows: usize,
    writer: &mut SampleWriter<'_>,
    is_whole: bool,
    limits: &Limits,
    file: &mut Vec<u8>,
) -> Result<Adler, EmbedError> {
    let info = cover.info();
    let row_len = info.row_len_bytes();
    let mut filter = RowFilter::new(info.pixel_len_bytes());
    let mut encoder = Deflater::new(HEAD_LEVEL);
    let (mut row, mut above, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    let mut adler = Adler::EMPTY;
    let mut writing = true;
    for (y, samples) in cover.samples().chunks_exact(row_len).take(head_rows).enumerate() {
        limits.watch.check(Stage::Encode, y as u64, head_rows as u64)?;
        std::mem::swap(&mut row, &mut above);
        row.clear();
        row.extend_from_slice(samples);
        writing = writing && writer.write(&mut row);
        filtered.clear();
        filter.append(&row, &above, &mut filtered);
        adler = adler.followed_by(Adler::of(&filtered));
        encoder.add(&filtered, file);
    }
    encoder.finish(is_whole, file);
    Ok(adler)
}

/// Makes the head as long as base64 needs it: so that the rest, of which base64 is there already, begins at the same place in a
/// group of three.
fn align(file: &mut Vec<u8>, tail_start: usize) {
    const CRC_LEN: usize = 4;
    while (file.len() + CRC_LEN) % 3 != tail_start % 3 {
        file.extend_from_slice(&EMPTY_BLOCK);
    }
}

//! Extraction: the exact secret out of a stego image, or an error with the reason.

pub(crate) mod error;
pub(crate) mod found;
pub(crate) mod sealed;

use crate::block_grid::BlockGrid;
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;
use crate::codec::info::ImageInfo;
use crate::codec::others::is_jpeg_in_tiff;
use crate::codec::png::header::{exif_pixels, is_png_whole, tells_of_screenshot};
use crate::codec::rows::Rows;
use crate::codec::sniff::{Sniffed, sniff};
use crate::container::error::ContainerError;
use crate::container::find::{claimed_lengths, find_container, max_lengths};
use crate::extract::error::{ExtractError, Reencoding};
use crate::extract::found::Extracted;
use crate::limits::Limits;
use crate::mode::Mode;
use crate::note::Note;

/// Extracts the secret from an image in an open mode: from a PNG, or from a file of another lossless format.
/// Of a PNG only the carrying rows are read, so the cost is proportional to the payload, whose digest is
/// checked; of the rest only the end is checked.
///
/// # Errors
///
/// [`ExtractError::LossyFormat`] by the first bytes of the file, [`ExtractError::Image`] for an unreadable
/// file, [`ExtractError::Container`] or [`ExtractError::Reencoded`] without a secret.
pub fn extract(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    extract_from(file, &lossless_header(file, limits)?, limits)
}

/// Extracts like [`extract`], but reads the whole file and checks all checksums. A note reports damage below
/// the rows with the payload.
///
/// # Errors
///
/// As [`extract`].
pub fn examine(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    examine_all(file, &lossless_header(file, limits)?, limits)
}

/// Returns the lengths in bytes of the payload claimed by an image, and of the secret in it, by the
/// container's header, which is trusted; nothing after the header is read. 0 and 0 without a container. The
/// earlier system's container does not hold the length of the secret, which then counts as the most allowed
/// by `limits`. If the first row of an image requires the whole image, both lengths are the largest possible.
///
/// # Errors
///
/// [`ExtractError::LossyFormat`] by the first bytes of the file, [`ExtractError::Image`] for an unreadable
/// file.
pub fn claimed_lengths_bytes(file: &[u8], limits: &Limits) -> Result<(u64, u64), ExtractError> {
    claimed_by(file, &lossless_header(file, limits)?, limits)
}

/// [`extract`] from a file whose header is known.
pub(crate) fn extract_from(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<Extracted, ExtractError> {
    find(file, info, limits, |_| {
        let is_cut_off = info.format == ImageFormat::Png && !is_png_whole(file);
        Ok(is_cut_off.then_some(Note::CutOffBelowPayload))
    })
}

/// [`examine`] of a file whose header is known.
pub(crate) fn examine_all(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Extracted, ExtractError> {
    find(file, info, limits, |rows| match rows.drain() {
        Ok(()) => Ok(None),
        Err(ImageError::Truncated { .. }) => Ok(Some(Note::CutOffBelowPayload)),
        Err(ImageError::Damaged { .. }) => Ok(Some(Note::DamagedBelowPayload)),
        Err(error) => Err(error),
    })
}

/// [`claimed_lengths_bytes`] of a file whose header is known.
pub(crate) fn claimed_by(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<(u64, u64), ExtractError> {
    check_header(info, limits)?;
    if !info.is_streamed() {
        return Ok(max_lengths(info, limits));
    }
    claimed_lengths(Rows::open(file, info, limits)?, limits)
}

/// Finds the payload; `look_on` handles the data after it.
fn find(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
    look_on: impl FnOnce(Rows<'_>) -> Result<Option<Note>, ImageError>,
) -> Result<Extracted, ExtractError> {
    check_header(info, limits)?;
    let (found, rows) = find_container(Rows::open(file, info, limits)?, limits);
    match found {
        Ok(mut extracted) => {
            extracted.notes.extend(look_on(rows)?);
            Ok(extracted)
        }
        Err(ExtractError::Container(ContainerError::NoPayload)) => Err(match saved_anew(file, info, rows)? {
            Some(how) => ExtractError::Reencoded(how),
            None if info.format == ImageFormat::Tiff && is_jpeg_in_tiff(file) => {
                ExtractError::LossyFormat { format: "a TIFF with JPEG compression".to_owned() }
            }
            None => ContainerError::NoPayload.into(),
        }),
        Err(error) => Err(error),
    }
}

/// Returns the header of an image that may carry a payload. A lossy format is refused by the first bytes,
/// before the rest of a header is read.
fn lossless_header(file: &[u8], limits: &Limits) -> Result<ImageInfo, ExtractError> {
    let lossy = |format| ExtractError::LossyFormat { format };
    match sniff(file) {
        Sniffed::Format(format) if format.is_lossy() => return Err(lossy(format.to_string())),
        Sniffed::Other { name, lossy: true } => return Err(lossy(name.to_owned())),
        _ => {}
    }
    Ok(probe(file, limits)?)
}

fn check_header(info: &ImageInfo, limits: &Limits) -> Result<(), ExtractError> {
    if info.format.is_lossy() {
        return Err(ExtractError::LossyFormat { format: info.format.to_string() });
    }
    Ok(info.check_memory(extract_memory_bytes(info), limits)?)
}

/// Returns an upper estimate of the memory, in bytes, for reading rows of a payload in an open mode.
pub(crate) fn extract_memory_bytes(info: &ImageInfo) -> u64 {
    info.extract_memory_bytes().saturating_add(Mode::max_memory_bytes(info, false))
}

/// Signs of re-encoding in an image without a payload: in the metadata, or in the pixels. The whole file is
/// read: truncation or damage further down is a better explanation than a missing payload.
fn saved_anew(file: &[u8], info: &ImageInfo, mut rows: Rows<'_>) -> Result<Option<Reencoding>, ImageError> {
    let mut grid = BlockGrid::new(rows.info());
    if let Some(grid) = &mut grid {
        rows.restart()?;
        while let Some(row) = rows.next_row()? {
            grid.add(row);
        }
    }
    rows.drain()?;
    let was_jpeg = || grid.is_some_and(|grid| grid.stands_out()).then_some(Reencoding::JpegBlocks);
    Ok(by_metadata(file, info).or_else(was_jpeg))
}

fn by_metadata(file: &[u8], info: &ImageInfo) -> Option<Reencoding> {
    if info.format != ImageFormat::Png {
        return None;
    }
    let now = (info.width, info.height);
    // A camera that was held upright leaves the sides the other way round.
    let is_another = |&(w, h): &(u32, u32)| w > 0 && h > 0 && (w, h) != now && (h, w) != now;
    match exif_pixels(file).filter(is_another) {
        Some(before) => Some(Reencoding::Resized { before, now }),
        None => tells_of_screenshot(file).then_some(Reencoding::Screenshot),
    }
}

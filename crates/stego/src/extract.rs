//! Extraction: the secret out of a stego image, exactly, or an error that says why not.

pub(crate) mod error;
pub(crate) mod found;

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

/// Extracts the secret from an image in an open mode: from a PNG, or from a file of another format that keeps
/// samples as they are. Of a PNG no more rows are read than carry something, so the cost is that of the
/// payload, whose digest is checked; of the rest only the end is looked at.
///
/// # Errors
///
/// [`ExtractError::LossyFormat`] by the first bytes of the file, [`ExtractError::Image`] if it cannot be
/// read, [`ExtractError::Container`] or [`ExtractError::Reencoded`] if no secret is found in it.
pub fn extract(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    extract_from(file, &lossless_header(file, limits)?, limits)
}

/// As [`extract`], but the whole file is read and all of its checksums are checked. A note tells of damage
/// below the rows with the payload.
///
/// # Errors
///
/// As [`extract`].
pub fn examine(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    examine_all(file, &lossless_header(file, limits)?, limits)
}

/// Lengths in bytes of what an image claims to carry, and of the secret in it, by the container's header,
/// which is believed; nothing after it is read. 0 and 0 if there is none. The earlier system's container does
/// not tell the length of the secret: it counts as the most that `limits` allow. If the first row of an image
/// can only be had with all of it, both are the most that is possible.
///
/// # Errors
///
/// [`ExtractError::LossyFormat`] by the first bytes of the file, [`ExtractError::Image`] if it cannot be
/// read.
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

/// Finds the payload; `look_on` sees to what follows it.
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

/// The header of an image that may carry something. A format that changes samples is refused by its first
/// bytes, before the rest of a header is read.
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

/// Upper estimate of the memory, in bytes, that reading rows for a payload takes, whatever the mode.
pub(crate) fn extract_memory_bytes(info: &ImageInfo) -> u64 {
    info.extract_memory_bytes().saturating_add(Mode::max_memory_bytes(info))
}

/// Signs in an image without a payload that it was saved anew: in its metadata, or in its pixels. All of the
/// file is read: that it is cut off or damaged further down says more than that nothing was found.
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

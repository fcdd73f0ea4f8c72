//! Containers in the rows of an image: read in each of the supported ways, and opened.

use crate::bits::BitsPerSample;
use crate::carrier::sequential::{ReadError, SampleReader, Taking};
use crate::codec::format::{Channels, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::codec::rows::Rows;
use crate::container::error::{ContainerError, ContainerVersion};
use crate::container::legacy::{LEGACY_HEADER_LEN_BYTES, LegacyHeader};
use crate::container::open::{HEADER_LEN_BYTES, Header, open};
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::limits::Limits;

/// By how much deflate can make something shorter, rounded up: 258 bytes in two bits.
pub(crate) const MAX_INFLATION: u64 = 1032;

/// Finds and opens the container in `rows`. Of a PNG only the carrying rows are read; the rows are returned
/// at the position reached.
///
/// # Errors
///
/// [`ContainerError::NoPayload`] if there is none; other variants for an unreadable container.
pub(crate) fn find_container<'a>(
    rows: Rows<'a>,
    limits: &Limits,
) -> (Result<Extracted, ExtractError>, Rows<'a>) {
    let mut reader = SampleReader::new(rows);
    let found = read_payload(&mut reader, limits);
    (found, reader.into_rows())
}

/// Finds and opens the container in an image written by this crate, or in the beginning up to the last
/// carrying row.
///
/// # Errors
///
/// The errors of [`find_container`] and of opening the image.
pub(crate) fn read_back(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Extracted, ExtractError> {
    find_container(Rows::open(file, info, limits)?, limits).0
}

/// Returns the lengths in bytes of the payload claimed by the image with `rows`, and of the secret in it: by
/// the container's header, which is trusted. 0 and 0 without a container.
///
/// # Errors
///
/// Errors of beginning with the first row.
pub(crate) fn claimed_lengths(rows: Rows<'_>, limits: &Limits) -> Result<(u64, u64), ExtractError> {
    let mut reader = SampleReader::new(rows);
    for taking in [Taking::Visible, Taking::VisibleGrey] {
        reader.restart(taking)?;
        if let Ok(header) = reader.read_header()
            && let Ok(header) = Header::parse(&header, limits)
        {
            return Ok(header.claimed_lengths_bytes());
        }
    }
    reader.restart(Taking::All)?;
    let legacy = reader.read_header().ok();
    Ok(match legacy.as_ref().and_then(LegacyHeader::parse) {
        Some(header) => (u64::from(header.payload_len_bytes), limits.max_secret_bytes),
        None => (0, 0),
    })
}

/// Returns upper bounds of [`claimed_lengths`] by the header of an image.
pub(crate) fn max_lengths(info: &ImageInfo, limits: &Limits) -> (u64, u64) {
    let carried = limits.max_secret_bytes.min(carried_bits(info, BitsPerSample::MAX) / 8);
    (carried, limits.max_secret_bytes.min(carried.saturating_mul(MAX_INFLATION)))
}

fn read_payload(reader: &mut SampleReader<'_>, limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut outcome = read_v2(reader, limits);
    if is_no_payload(&outcome) && reader.info().channels.colour_count() > 1 {
        reader.restart(Taking::VisibleGrey)?;
        outcome = read_v2(reader, limits);
    }
    if is_no_payload(&outcome) && may_be_legacy(reader.info()) {
        reader.restart(Taking::All)?;
        outcome = read_legacy(reader, limits);
    }
    outcome
}

fn is_no_payload(outcome: &Result<Extracted, ExtractError>) -> bool {
    matches!(outcome, Err(ExtractError::Container(ContainerError::NoPayload)))
}

/// True if the earlier system wrote images of this kind.
fn may_be_legacy(info: &ImageInfo) -> bool {
    matches!(info.channels, Channels::Rgb | Channels::Rgba) && info.depth == SampleDepth::Eight
}

fn read_v2(reader: &mut SampleReader<'_>, limits: &Limits) -> Result<Extracted, ExtractError> {
    let header = reader.read_header().map_err(|error| ended(error, ContainerError::NoPayload))?;
    let header = Header::parse(&header, limits)?;
    let payload_bytes = HEADER_LEN_BYTES as u64 + header.rest_len_bytes();
    let rest = read_bytes(reader, header.rest_len_bytes(), header.bits)?;
    let opened = open(&header, rest, &limits.watch)?;
    Ok(Extracted {
        secret: opened.secret,
        name: opened.name,
        media_type: opened.media_type,
        mark: opened.mark,
        container: ContainerVersion::V2,
        bits: header.bits,
        deflated: header.deflated,
        payload_bytes,
        notes: Vec::new(),
    })
}

fn read_legacy(reader: &mut SampleReader<'_>, limits: &Limits) -> Result<Extracted, ExtractError> {
    let header = reader.read_header().map_err(|error| ended(error, ContainerError::NoPayload))?;
    let header = LegacyHeader::parse(&header).ok_or(ContainerError::NoPayload)?;
    let payload_len_bytes = u64::from(header.payload_len_bytes);
    let payload = read_bytes(reader, payload_len_bytes, BitsPerSample::ONE)?;
    Ok(Extracted {
        secret: header.open(&payload, limits)?,
        name: None,
        media_type: None,
        mark: None,
        container: ContainerVersion::Legacy,
        bits: BitsPerSample::ONE,
        deflated: true,
        payload_bytes: LEGACY_HEADER_LEN_BYTES as u64 + payload_len_bytes,
        notes: Vec::new(),
    })
}

/// Reads `len_bytes`, unless the image is smaller.
fn read_bytes(
    reader: &mut SampleReader<'_>,
    len_bytes: u64,
    bits: BitsPerSample,
) -> Result<Vec<u8>, ExtractError> {
    const BEYOND: ContainerError = ContainerError::Damaged { what: "it is longer than the image can hold" };
    if len_bytes.saturating_mul(8) > carried_bits(reader.info(), bits) {
        return Err(BEYOND.into());
    }
    let len = usize::try_from(len_bytes).map_err(|_| BEYOND)?;
    reader.read(len, bits).map_err(|error| ended(error, BEYOND))
}

/// Returns an upper limit of bits carried by an image.
fn carried_bits(info: &ImageInfo, bits: BitsPerSample) -> u64 {
    (info.pixels() * info.channels.colour_count() as u64).saturating_mul(u64::from(bits.as_u8()))
}

fn ended(error: ReadError, exhausted: ContainerError) -> ExtractError {
    match error {
        ReadError::Exhausted => exhausted.into(),
        ReadError::Image(image) => image.into(),
    }
}

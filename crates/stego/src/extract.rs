//! Extraction: the secret out of a stego image, exactly, or an error that says why not.

use std::fmt;

use crate::bits::BitsPerSample;
use crate::block_grid::BlockGrid;
use crate::carrier::sequential::{ReadError, SampleReader, Taking};
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::codec::others::is_jpeg_in_tiff;
use crate::codec::png::header::{exif_pixels, is_png_whole, tells_of_screenshot};
use crate::codec::rows::Rows;
use crate::codec::sniff::{Sniffed, sniff};
use crate::container::error::{ContainerError, ContainerVersion};
use crate::container::legacy::{LEGACY_HEADER_LEN_BYTES, LegacyHeader};
use crate::container::open::{HEADER_LEN_BYTES, Header, open};
use crate::limits::Limits;
use crate::note::Note;
use crate::secret::{FileName, MarkId, MediaType};

/// By how much deflate can make something shorter, rounded up: 258 bytes in two bits.
const MAX_INFLATION: u64 = 1032;

/// What an image carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The secret, bit for bit.
    pub secret: Vec<u8>,
    /// Its file name, safe to create in a folder.
    pub name: Option<FileName>,
    /// Its media type.
    pub media_type: Option<MediaType>,
    /// The mark that tells this copy from others.
    pub mark: Option<MarkId>,
    /// Who wrote the container.
    pub container: ContainerVersion,
    /// Bits per sample of everything after the container's header.
    pub bits: BitsPerSample,
    /// Whether the secret was carried deflated.
    pub deflated: bool,
    /// Length of the container in bytes.
    pub payload_bytes: u64,
    /// What the user should know.
    pub notes: Vec<Note>,
}

/// Why nothing was extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image can be read, its payload cannot.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A format that changes samples, in which nothing is embedded.
    #[error(
        "the image is saved as {format}, in which nothing is embedded yet; if its source was a PNG that carried something, that is lost"
    )]
    LossyFormat {
        /// The format's name.
        format: String,
    },
    /// The file was saved anew in a way that destroys what it carried.
    #[error("{0}; send the PNG as a file, not as a photo")]
    Reencoded(Reencoding),
}

/// How a file shows that it was saved anew since something could have been hidden in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reencoding {
    /// In another size than the metadata tell, and without a payload.
    Resized {
        /// Width and height by its metadata.
        before: (u32, u32),
        /// Width and height now.
        now: (u32, u32),
    },
    /// As a picture of the screen, by its metadata, and without a payload.
    Screenshot,
    /// As a JPEG at some time, whose blocks can still be seen, and without a payload.
    JpegBlocks,
}

impl fmt::Display for Reencoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resized { before, now } => write!(
                f,
                "the image carries no payload, and its metadata tell of {} × {} pixels where it has {} × {}: it was \
                 resized or cropped, which destroys whatever it carried",
                before.0, before.1, now.0, now.1
            ),
            Self::Screenshot => f.write_str(
                "the image carries no payload, and its metadata tell of a screenshot: what the original carried is not \
                 in it",
            ),
            Self::JpegBlocks => f.write_str(
                "the image carries no payload, and its pixels show blocks of 8 by 8 as those of a JPEG: if it was saved as \
                 one, that destroyed whatever it carried",
            ),
        }
    }
}

impl ExtractError {
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Container(error) => error.code(),
            Self::LossyFormat { .. } => "no_payload",
            Self::Reencoded(_) => "image_was_reencoded",
        }
    }
}

/// Finds what an image carries in the open modes: in a PNG, or in a file of another format that keeps samples as they are. Of a
/// PNG no more rows are read than carry something, so the cost is that of the payload, whose digest is checked. What
/// follows is only looked at for its end.
pub fn extract(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let info = examine_header(file, limits)?;
    find(file, &info, limits, |_| {
        let is_cut_off = info.format == ImageFormat::Png && !is_png_whole(file);
        Ok(is_cut_off.then_some(Note::CutOffBelowPayload))
    })
}

/// As [`extract`], but all of the file is read and all of its checksums are checked. Where that fails below the rows with the
/// payload, a note says so.
pub fn examine(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let info = examine_header(file, limits)?;
    find(file, &info, limits, |rows| match rows.drain() {
        Ok(()) => Ok(None),
        Err(ImageError::Truncated { .. }) => Ok(Some(Note::CutOffBelowPayload)),
        Err(ImageError::Damaged { .. }) => Ok(Some(Note::DamagedBelowPayload)),
        Err(error) => Err(error),
    })
}

/// Finds the payload; `look_on` sees to what follows it.
fn find(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
    look_on: impl FnOnce(Rows<'_>) -> Result<Option<Note>, ImageError>,
) -> Result<Extracted, ExtractError> {
    let mut reader = SampleReader::new(Rows::open(file, info, limits)?);
    match read_payload(&mut reader, limits) {
        Ok(mut extracted) => {
            extracted.notes.extend(look_on(reader.into_rows())?);
            Ok(extracted)
        }
        Err(ExtractError::Container(ContainerError::NoPayload)) => {
            Err(match saved_anew(file, info, reader.into_rows())? {
                Some(how) => ExtractError::Reencoded(how),
                None if info.format == ImageFormat::Tiff && is_jpeg_in_tiff(file) => {
                    ExtractError::LossyFormat { format: "a TIFF with JPEG compression".to_owned() }
                }
                None => ContainerError::NoPayload.into(),
            })
        }
        Err(error) => Err(error),
    }
}

/// Length in bytes of what an image claims to carry: as carried, and of the secret inside. Reads no more than the
/// container's header, and believes it; 0 and 0 if there is none. The earlier system's container does not tell the
/// length of the secret: then it is as long as `limits` allow. Of an image whose first row can only be had with all of it, both are
/// the most that is possible.
pub fn claimed_lengths_bytes(file: &[u8], limits: &Limits) -> Result<(u64, u64), ExtractError> {
    let info = examine_header(file, limits)?;
    if !info.is_streamed() {
        let carried = limits.max_secret_bytes.min(carried_bits(&info, BitsPerSample::MAX) / 8);
        return Ok((carried, limits.max_secret_bytes.min(carried.saturating_mul(MAX_INFLATION))));
    }
    let mut reader = SampleReader::new(Rows::open(file, &info, limits)?);
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

/// As [`extract`], but reads no further than the payload goes.
pub(crate) fn read_back(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let info = examine_header(file, limits)?;
    read_payload(&mut SampleReader::new(Rows::open(file, &info, limits)?), limits)
}

/// As [`read_back`], from the beginning of a PNG whose header is known.
pub(crate) fn read_back_rows(
    head: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<Extracted, ExtractError> {
    read_payload(&mut SampleReader::new(Rows::open(head, info, limits)?), limits)
}

/// What the image is, if it can still carry anything.
fn examine_header(file: &[u8], limits: &Limits) -> Result<ImageInfo, ExtractError> {
    let lossy = |format| ExtractError::LossyFormat { format };
    match sniff(file) {
        Sniffed::Format(format) if format.is_lossy() => return Err(lossy(format.to_string())),
        Sniffed::Other { name, lossy: true } => return Err(lossy(name.to_owned())),
        _ => {}
    }
    let info = probe(file, limits)?;
    info.check(limits, info.extract_memory_bytes())?;
    Ok(info)
}

/// How an image without a payload shows that it is not as it was made: by what its metadata tell, or by its pixels. All of the
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

/// Whether the earlier system wrote images of this kind.
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

/// Reads `len_bytes`, unless the image is smaller than that.
fn read_bytes(
    reader: &mut SampleReader<'_>,
    len_bytes: u64,
    bits: BitsPerSample,
) -> Result<Vec<u8>, ExtractError> {
    const BEYOND: ContainerError = ContainerError::Damaged { what: "it is longer than the image can hold" };
    if len_bytes.saturating_mul(8) > carried_bits(reader.info(), bits) {
        return Err(BEYOND.into());
    }
    reader.read(len_bytes as usize, bits).map_err(|error| ended(error, BEYOND))
}

/// Bits that an image carries at most.
fn carried_bits(info: &ImageInfo, bits: BitsPerSample) -> u64 {
    (info.pixels() * info.channels.colour_count() as u64).saturating_mul(u64::from(bits.as_u8()))
}

fn ended(error: ReadError, exhausted: ContainerError) -> ExtractError {
    match error {
        ReadError::Exhausted => exhausted.into(),
        ReadError::Image(image) => image.into(),
    }
}

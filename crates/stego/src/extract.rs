//! Extraction: the secret out of a stego image, exactly, or an error that says why not.

use crate::bits::BitsPerSample;
use crate::carrier::{ReadError, SampleReader, Taking};
use crate::container::{
    self, ContainerError, ContainerVersion, HEADER_LEN_BYTES, Header, LEGACY_HEADER_LEN_BYTES, LegacyHeader,
};
use crate::image::{Channels, ImageError, ImageFormat, ImageInfo, PngRows, probe};
use crate::limits::Limits;
use crate::note::Note;
use crate::secret::{FileName, MarkId, MediaType};

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
    /// A format that changes samples when it is saved: what was in them is gone.
    #[error(
        "this is a {format}, and saving an image as one destroys what it carried; send the PNG as a file, not as a \
         photo"
    )]
    Reencoded {
        /// The file's format.
        format: ImageFormat,
    },
}

impl ExtractError {
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Container(error) => error.code(),
            Self::Reencoded { .. } => "image_was_reencoded",
        }
    }
}

/// Finds what an image carries in the open modes. All of the file is read and all of its checksums are checked,
/// also those of rows without payload.
pub fn extract(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    match find(file, limits) {
        Ok((extracted, reader)) => {
            reader.drain()?;
            Ok(extracted)
        }
        Err(error @ ExtractError::Container(ContainerError::NoPayload)) => {
            // A file that is cut off or damaged further down is told so: that says more than "no payload".
            PngRows::open(file, &probe(file, limits)?)?.drain()?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Length in bytes of what an image claims to carry: as carried, and of the secret inside. Reads no more than the
/// container's header, and believes it; 0 and 0 if there is none. The earlier system's container does not tell the
/// length of the secret: then it is as long as `limits` allow. So is all of it in an interlaced image, whose first row comes
/// last.
pub fn claimed_lengths_bytes(file: &[u8], limits: &Limits) -> Result<(u64, u64), ExtractError> {
    let info = probe(file, limits)?;
    if info.format != ImageFormat::Png {
        return Ok((0, 0));
    }
    if info.interlaced {
        return Ok((limits.max_secret_bytes, limits.max_secret_bytes));
    }
    let reader =
        |taking| PngRows::open(file, &info).map(|rows| SampleReader::new(rows, info.channels, taking));
    if let Ok(header) = reader(Taking::Visible)?.read_header()
        && let Ok(header) = Header::parse(&header, limits)
    {
        return Ok(header.claimed_lengths_bytes());
    }
    let legacy = reader(Taking::All)?.read_header().ok();
    Ok(match legacy.as_ref().and_then(LegacyHeader::parse) {
        Some(header) => (u64::from(header.payload_len_bytes), limits.max_secret_bytes),
        None => (0, 0),
    })
}

/// As [`extract`], but reads no further than the payload goes.
pub(crate) fn read_back(file: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    find(file, limits).map(|(extracted, _)| extracted)
}

fn find<'a>(file: &'a [u8], limits: &Limits) -> Result<(Extracted, SampleReader<'a>), ExtractError> {
    let info = probe(file, limits)?;
    if info.format != ImageFormat::Png {
        return Err(ExtractError::Reencoded { format: info.format });
    }
    info.check(limits, info.extract_memory_bytes())?;
    let reader =
        |taking| PngRows::open(file, &info).map(|rows| SampleReader::new(rows, info.channels, taking));
    match read_v2(reader(Taking::Visible)?, &info, limits) {
        Err(ExtractError::Container(ContainerError::NoPayload))
            if matches!(info.channels, Channels::Rgb | Channels::Rgba) =>
        {
            read_legacy(reader(Taking::All)?, &info, limits)
        }
        outcome => outcome,
    }
}

fn read_v2<'a>(
    mut reader: SampleReader<'a>,
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Extracted, SampleReader<'a>), ExtractError> {
    let header = reader.read_header().map_err(|error| ended(error, ContainerError::NoPayload))?;
    let header = Header::parse(&header, limits)?;
    let payload_bytes = HEADER_LEN_BYTES as u64 + header.rest_len_bytes();
    let rest = read_bytes(&mut reader, header.rest_len_bytes(), header.bits, info)?;
    let opened = container::open(&header, rest)?;
    let extracted = Extracted {
        secret: opened.secret,
        name: opened.name,
        media_type: opened.media_type,
        mark: opened.mark,
        container: ContainerVersion::V2,
        bits: header.bits,
        deflated: header.deflated,
        payload_bytes,
        notes: Vec::new(),
    };
    Ok((extracted, reader))
}

fn read_legacy<'a>(
    mut reader: SampleReader<'a>,
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Extracted, SampleReader<'a>), ExtractError> {
    let header = reader.read_header().map_err(|error| ended(error, ContainerError::NoPayload))?;
    let header = LegacyHeader::parse(&header).ok_or(ContainerError::NoPayload)?;
    let payload_len_bytes = u64::from(header.payload_len_bytes);
    let payload = read_bytes(&mut reader, payload_len_bytes, BitsPerSample::ONE, info)?;
    let extracted = Extracted {
        secret: header.open(&payload, limits.max_secret_bytes)?,
        name: None,
        media_type: None,
        mark: None,
        container: ContainerVersion::Legacy,
        bits: BitsPerSample::ONE,
        deflated: true,
        payload_bytes: LEGACY_HEADER_LEN_BYTES as u64 + payload_len_bytes,
        notes: Vec::new(),
    };
    Ok((extracted, reader))
}

/// Reads `len_bytes`, unless the image is smaller than that.
fn read_bytes(
    reader: &mut SampleReader<'_>,
    len_bytes: u64,
    bits: BitsPerSample,
    info: &ImageInfo,
) -> Result<Vec<u8>, ExtractError> {
    const BEYOND: ContainerError = ContainerError::Damaged { what: "it is longer than the image can hold" };
    let carried_bits = info.pixels() * info.channels.colour_count() as u64 * u64::from(bits.as_u8());
    if len_bytes.saturating_mul(8) > carried_bits {
        return Err(BEYOND.into());
    }
    reader.read(len_bytes as usize, bits).map_err(|error| ended(error, BEYOND))
}

fn ended(error: ReadError, exhausted: ContainerError) -> ExtractError {
    match error {
        ReadError::Exhausted => exhausted.into(),
        ReadError::Image(image) => image.into(),
    }
}

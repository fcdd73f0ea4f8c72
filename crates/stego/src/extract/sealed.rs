//! Extraction with a key.

use crate::bits::BitsPerSample;
use crate::carrier::eligible::{Collector, Eligible};
use crate::carrier::scattered::{ScatteredReader, room_bytes};
use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::codec::rows::Rows;
use crate::container::error::ContainerVersion;
use crate::container::find::MAX_INFLATION;
use crate::container::sealed::{HEADER_LEN_BYTES, Header, TAG_LEN_BYTES, open_body, open_header};
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::extract::lossless_header;
use crate::file::ImageFile;
use crate::key::{DerivedKey, Salt, SealingKey};
use crate::limits::Limits;
use crate::mode::Mode;

/// Extracts the secret from an image in a keyed mode. The whole file is read, and errors that depend on the
/// file alone come before the derivation of the key.
///
/// # Errors
///
/// [`ExtractError::LossyFormat`] by the first bytes of the file, [`ExtractError::Image`] for an unreadable or
/// cut-off file, [`ExtractError::TooFewSamples`] for a small image; then
/// [`ExtractError::NoPayloadOrWrongKey`], or [`ExtractError::Container`] for damage under the right key.
pub fn extract_sealed(file: &[u8], key: &SealingKey, limits: &Limits) -> Result<Extracted, ExtractError> {
    lossless_header(file, limits)?;
    ImageFile::open(file, limits)?.extract_sealed(key, limits)
}

/// Returns an upper estimate of the memory, in bytes, for reading a payload in a keyed mode.
pub(crate) fn sealed_extract_memory_bytes(info: &ImageInfo) -> u64 {
    info.extract_memory_bytes().saturating_add(Mode::max_memory_bytes(info, true))
}

/// Returns upper bounds in bytes of a sealed payload in an image, and of the secret in it.
pub(crate) fn max_sealed_lengths(info: &ImageInfo, limits: &Limits) -> (u64, u64) {
    let carried = room_bytes(info.pixels().saturating_mul(info.channels.colour_count() as u64));
    (carried, limits.max_secret_bytes.min(carried.saturating_mul(MAX_INFLATION)))
}

/// The carrying bits of an image, read and not yet opened: what an extraction does before and after the
/// derivation of the key, for callers that derive keys elsewhere.
pub struct SealedReading {
    reader: ScatteredReader,
}

impl SealedReading {
    /// Reads all rows of a file, and the rest of it.
    ///
    /// # Errors
    ///
    /// The errors of [`extract_sealed`] that depend on the file alone.
    pub fn of_file(file: &ImageFile<'_>, limits: &Limits) -> Result<Self, ExtractError> {
        let info = file.info();
        if info.format.is_lossy() {
            return Err(ExtractError::LossyFormat { format: info.format.to_string() });
        }
        info.check_memory(sealed_extract_memory_bytes(info), limits)?;
        let mut rows = Rows::open(file.bytes(), info, limits)?;
        let mut collector = Collector::new(rows.info());
        while let Some(row) = rows.next_row()? {
            collector.add(row);
        }
        rows.drain()?;
        Self::of(collector.finish())
    }

    /// Reads samples in memory. For measurements, which leave the decoding out.
    ///
    /// # Errors
    ///
    /// [`ExtractError::TooFewSamples`] for a small image.
    #[doc(hidden)]
    pub fn of_cover(cover: &Cover) -> Result<Self, ExtractError> {
        Self::of(Eligible::of(cover))
    }

    fn of(eligible: Eligible) -> Result<Self, ExtractError> {
        let available_samples = eligible.count();
        let needed_samples = ScatteredReader::least_samples();
        let reader = ScatteredReader::new(eligible);
        reader
            .map(|reader| Self { reader })
            .ok_or(ExtractError::TooFewSamples { needed_samples, available_samples })
    }

    /// Returns the salt that the key is to be derived with. An image without a payload has one too.
    pub fn salt(&self) -> Salt {
        self.reader.salt()
    }

    /// Derives the key and opens the payload.
    pub(crate) fn derive_and_open(
        &self,
        key: &SealingKey,
        limits: &Limits,
    ) -> Result<Extracted, ExtractError> {
        self.open(&key.derive(self.salt()), limits)
    }

    /// Opens the payload with a key derived with [`SealedReading::salt`].
    ///
    /// # Errors
    ///
    /// [`ExtractError::NoPayloadOrWrongKey`], or [`ExtractError::Container`] for damage under the right key
    /// and for a secret beyond the limits.
    pub fn open(&self, key: &DerivedKey, limits: &Limits) -> Result<Extracted, ExtractError> {
        let (eligible, room_bytes) = (self.reader.eligible(), self.reader.room_bytes());
        let (header, body) = self.reader.header(key);
        let Header { padded_len, coding } =
            open_header(&header, key, eligible, room_bytes).ok_or(ExtractError::NoPayloadOrWrongKey)?;
        let body_len = padded_len + TAG_LEN_BYTES;
        let body = body.read(coding, body_len, key, &limits.watch).map_err(ImageError::from)?;
        let (opened, deflated) = open_body(body, &header, key, limits)?;
        Ok(Extracted {
            secret: opened.secret,
            name: opened.name,
            media_type: opened.media_type,
            mark: opened.mark,
            container: ContainerVersion::SealedV1,
            bits: BitsPerSample::ONE,
            deflated,
            payload_bytes: (Salt::LEN_BYTES + HEADER_LEN_BYTES + body_len) as u64,
            notes: Vec::new(),
        })
    }
}

impl std::fmt::Debug for SealedReading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedReading").field("eligible", &self.reader.eligible()).finish_non_exhaustive()
    }
}

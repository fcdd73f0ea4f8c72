//! Image files in their original form: the header is read once, and gives the cost of every further call.

use crate::carrier::Capacity;
use crate::codec::cover::Cover;
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::codec::png::splice::sent::arriving::CheckedPixels;
use crate::embed::options::EmbedOptions;
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::extract::sealed::{SealedReading, max_sealed_lengths, sealed_extract_memory_bytes};
use crate::extract::{claimed_by, examine_all, extract_from, extract_memory_bytes};
use crate::key::SealingKey;
use crate::limits::Limits;
use crate::mode::Mode;

/// An image file with a header that was read and found within limits. Nothing else was read.
#[derive(Debug, Clone, Copy)]
pub struct ImageFile<'f> {
    bytes: &'f [u8],
    info: ImageInfo,
    checked: Option<&'f CheckedPixels>,
}

impl<'f> ImageFile<'f> {
    /// Reads the header of an image file and checks it against `limits`, before anything is decoded.
    ///
    /// # Errors
    ///
    /// An [`ImageError`] for an unsupported file, a damaged header, or too many pixels.
    pub fn open(bytes: &'f [u8], limits: &Limits) -> Result<Self, ImageError> {
        Ok(Self { bytes, info: probe(bytes, limits)?, checked: None })
    }

    /// Takes the result of an [`ArrivingPng`](crate::ArrivingPng) over the same bytes:
    /// [`Verify::File`](crate::Verify::File) then inflates nothing again.
    #[must_use]
    pub fn with_checked_pixels(self, checked: Option<&'f CheckedPixels>) -> Self {
        Self { checked, ..self }
    }

    /// Returns the pixels checked before.
    pub(crate) fn checked_pixels(&self) -> Option<&'f CheckedPixels> {
        self.checked
    }

    /// Returns the file.
    pub fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    /// Returns the header.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// Returns an upper estimate of the memory, in bytes, for [`crate::embed()`] with a secret of this
    /// length, besides the file.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64, options: &EmbedOptions) -> u64 {
        options.memory_bytes(&self.info, secret_len_bytes)
    }

    /// Returns an upper estimate of the memory, in bytes, for [`ImageFile::extract`], besides the file and
    /// the payload: a few rows of a PNG, or the whole image if interlaced or in another format.
    pub fn extract_memory_bytes(&self) -> u64 {
        extract_memory_bytes(&self.info)
    }

    /// Returns an upper estimate of the memory, in bytes, for [`ImageFile::extract_sealed`], besides the
    /// file, the payload and the secret, with the derivation of the key.
    pub fn sealed_extract_memory_bytes(&self) -> u64 {
        sealed_extract_memory_bytes(&self.info)
    }

    /// Returns the greatest lengths in bytes of a sealed payload and of the secret in it, by the header of
    /// the image.
    pub fn max_sealed_lengths_bytes(&self, limits: &Limits) -> (u64, u64) {
        max_sealed_lengths(&self.info, limits)
    }

    /// Decodes the file. The EXIF orientation is applied except in PNGs.
    ///
    /// # Errors
    ///
    /// An [`ImageError`] if the file is damaged, of an unsupported kind, or takes more memory than `limits`
    /// allow.
    pub fn cover(&self, limits: &Limits) -> Result<Cover, ImageError> {
        self.info.check_memory(self.info.embed_memory_bytes(0), limits)?;
        Cover::decode_checked(self.bytes, &self.info, limits)
    }

    /// Returns the capacity of the image in `mode`. The image is decoded, so that a secret of the resulting
    /// length is accepted.
    ///
    /// # Errors
    ///
    /// As [`ImageFile::cover`].
    pub fn capacity(&self, mode: Mode, limits: &Limits) -> Result<Capacity, ImageError> {
        self.cover(limits).map(|cover| cover.capacity(mode))
    }

    /// Extracts the secret, as [`crate::extract()`].
    ///
    /// # Errors
    ///
    /// As [`crate::extract()`].
    pub fn extract(&self, limits: &Limits) -> Result<Extracted, ExtractError> {
        extract_from(self.bytes, &self.info, limits)
    }

    /// Extracts a sealed secret, as [`crate::extract_sealed`].
    ///
    /// # Errors
    ///
    /// As [`crate::extract_sealed`].
    pub fn extract_sealed(&self, key: &SealingKey, limits: &Limits) -> Result<Extracted, ExtractError> {
        SealedReading::of_file(self, limits)?.derive_and_open(key, limits)
    }

    /// Extracts the secret and reads the whole file, as [`crate::examine`].
    ///
    /// # Errors
    ///
    /// As [`crate::examine`].
    pub fn examine(&self, limits: &Limits) -> Result<Extracted, ExtractError> {
        examine_all(self.bytes, &self.info, limits)
    }

    /// Returns the lengths in bytes of the payload and of the secret in it; see
    /// [`crate::claimed_lengths_bytes`].
    ///
    /// # Errors
    ///
    /// As [`crate::claimed_lengths_bytes`].
    pub fn claimed_lengths_bytes(&self, limits: &Limits) -> Result<(u64, u64), ExtractError> {
        claimed_by(self.bytes, &self.info, limits)
    }
}

//! Image files as they come: the header is read once, and says what every further call may cost.

use crate::carrier::Capacity;
use crate::codec::cover::Cover;
use crate::codec::decode::probe;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::codec::png::splice::sent::arriving::CheckedPixels;
use crate::embed::options::EmbedOptions;
use crate::extract::error::ExtractError;
use crate::extract::found::Extracted;
use crate::extract::{claimed_by, examine_all, extract_from, extract_memory_bytes};
use crate::limits::Limits;
use crate::mode::Mode;

/// An image file whose header was read and found within limits. Nothing else of it was looked at.
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
    /// An [`ImageError`] if the file is none that is read here, its header is damaged, or its pixels are too
    /// many.
    pub fn open(bytes: &'f [u8], limits: &Limits) -> Result<Self, ImageError> {
        Ok(Self { bytes, info: probe(bytes, limits)?, checked: None })
    }

    /// Takes the result of an [`ArrivingPng`](crate::ArrivingPng) that was given the same bytes:
    /// [`Verify::File`](crate::Verify::File) then inflates nothing again.
    #[must_use]
    pub fn with_checked_pixels(self, checked: Option<&'f CheckedPixels>) -> Self {
        Self { checked, ..self }
    }

    /// Pixels that were checked before.
    pub(crate) fn checked_pixels(&self) -> Option<&'f CheckedPixels> {
        self.checked
    }

    /// The file.
    pub fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    /// The header.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }

    /// Upper estimate of the memory, in bytes, that [`crate::embed()`] with a secret of this length takes,
    /// besides the file.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64, options: &EmbedOptions) -> u64 {
        options.memory_bytes(&self.info, secret_len_bytes)
    }

    /// Upper estimate of the memory, in bytes, that [`ImageFile::extract`] takes, besides the file and the
    /// payload: a few rows of a PNG, or the whole image if it is interlaced or in another format.
    pub fn extract_memory_bytes(&self) -> u64 {
        extract_memory_bytes(&self.info)
    }

    /// Decodes the file. The EXIF orientation of other files than PNGs is applied.
    ///
    /// # Errors
    ///
    /// An [`ImageError`] if the file is damaged, of a kind that is not read, or takes more memory than
    /// `limits` allow.
    pub fn cover(&self, limits: &Limits) -> Result<Cover, ImageError> {
        self.info.check_memory(self.info.embed_memory_bytes(0), limits)?;
        Cover::decode_checked(self.bytes, &self.info, limits)
    }

    /// Room of the image in `mode`. The image is decoded, so that a secret of this length will be taken.
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

    /// Extracts the secret and reads the whole file, as [`crate::examine`].
    ///
    /// # Errors
    ///
    /// As [`crate::examine`].
    pub fn examine(&self, limits: &Limits) -> Result<Extracted, ExtractError> {
        examine_all(self.bytes, &self.info, limits)
    }

    /// Lengths in bytes of the payload and of the secret in it, as [`crate::claimed_lengths_bytes`].
    ///
    /// # Errors
    ///
    /// As [`crate::claimed_lengths_bytes`].
    pub fn claimed_lengths_bytes(&self, limits: &Limits) -> Result<(u64, u64), ExtractError> {
        claimed_by(self.bytes, &self.info, limits)
    }
}

//! Header of an image file.

use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::limits::Limits;

/// Buffers whose size does not depend on the image.
const WORKING_BYTES: u64 = 1 << 20;

/// Header of an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file's format, by content.
    pub format: ImageFormat,
    /// Pixels in a row. Of a JPEG: before the EXIF orientation is applied.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The samples of a pixel after decoding.
    pub channels: Channels,
    /// The samples' depth after decoding.
    pub depth: SampleDepth,
    /// True if the file stores the image interlaced.
    pub interlaced: bool,
    /// True if the file is an animation, of which the first frame is read.
    pub animated: bool,
    /// Memory of the decoder besides the samples, at most.
    pub(crate) decoder_bytes: u64,
    /// Upper limit of the file's metadata that may go into a stego image.
    pub(crate) metadata_bytes: u64,
    /// Memory beyond all estimates that an adversarial file could make the decoder take.
    pub(crate) doubtful_bytes: u64,
}

impl ImageInfo {
    /// Returns the number of pixels of the image.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Returns the number of bytes of a pixel after decoding.
    pub fn pixel_len_bytes(&self) -> usize {
        self.channels.count() * self.depth.bytes()
    }

    /// Returns the number of bytes of a row after decoding.
    pub(crate) fn row_len_bytes(&self) -> usize {
        self.width as usize * self.pixel_len_bytes()
    }

    /// Returns the number of bytes of the decoded samples.
    pub fn decoded_bytes(&self) -> u64 {
        self.pixels().saturating_mul(self.pixel_len_bytes() as u64)
    }

    /// Returns an upper estimate of the memory, in bytes, for decoding this image as a cover, hiding a secret
    /// of this length and writing the result, besides the file: the samples, and then either the decoder's
    /// buffers, or an upright copy of the samples, or the PNG written, which is at most about as large.
    /// Metadata count twice. The secret counts packed, read back and once more in between.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64) -> u64 {
        let decoded = self.decoded_bytes();
        let written = decoded + decoded / 64;
        (decoded + written.max(self.decoder_bytes))
            .saturating_add(WORKING_BYTES + 2 * self.metadata_bytes)
            .saturating_add(secret_len_bytes.saturating_mul(4))
    }

    /// Returns an upper estimate of the memory, in bytes, for comparing two images, besides the files: the
    /// samples of both and the buffers of either decoder, and with a difference image the samples of the
    /// difference, and then the PNG in place of the two images.
    pub fn compare_memory_bytes(a: &Self, b: &Self, with_picture: bool) -> u64 {
        let decoded = a.decoded_bytes().saturating_add(b.decoded_bytes());
        let besides = a.decoder_bytes.max(b.decoder_bytes);
        let picture = if with_picture { a.decoded_bytes() } else { 0 };
        decoded
            .saturating_add(besides.max(picture))
            .saturating_add(WORKING_BYTES + 2 * (a.metadata_bytes + b.metadata_bytes))
    }

    /// Returns the memory in bytes beyond the estimates that an adversarial file could make the decoder take.
    /// No honest file does, so nothing is refused for it; a service with shared memory should admit such
    /// files one at a time.
    pub fn doubtful_memory_bytes(&self) -> u64 {
        self.doubtful_bytes
    }

    /// Returns an upper estimate of the memory, in bytes, for reading rows of a payload, besides the file and
    /// the payload: a few rows of a PNG, or the whole image if interlaced or in another format.
    pub fn extract_memory_bytes(&self) -> u64 {
        let samples = if self.is_streamed() { 0 } else { self.decoded_bytes() };
        samples.saturating_add(self.decoder_bytes).saturating_add(WORKING_BYTES + 2 * self.metadata_bytes)
    }

    /// True if rows can be read in order, without the whole image in memory.
    pub(crate) fn is_streamed(&self) -> bool {
        self.format == ImageFormat::Png && !self.interlaced
    }

    /// Compares `memory_bytes`, one of the estimates above, with the limit for an image.
    ///
    /// # Errors
    ///
    /// [`ImageError::TooMuchMemory`] if the estimate is over the limit, [`ImageError::TooManyPixels`] if the
    /// image has too many pixels.
    pub fn check_memory(&self, memory_bytes: u64, limits: &Limits) -> Result<(), ImageError> {
        self.check(limits, memory_bytes).map(|_| ())
    }

    pub(crate) fn check(self, limits: &Limits, memory_bytes: u64) -> Result<Self, ImageError> {
        if self.pixels() > limits.max_pixels {
            return Err(ImageError::TooManyPixels {
                width: self.width,
                height: self.height,
                max_pixels: limits.max_pixels,
            });
        }
        if memory_bytes > limits.max_image_memory_bytes {
            return Err(ImageError::TooMuchMemory {
                needed_bytes: memory_bytes,
                max_bytes: limits.max_image_memory_bytes,
            });
        }
        Ok(self)
    }
}

//! Header of an image file.

use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::limits::Limits;

/// Buffers whose size does not depend on the image.
const WORKING_BYTES: u64 = 1 << 20;

/// Header of an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file's format, by its content.
    pub format: ImageFormat,
    /// Pixels in a row. Of a JPEG: before its EXIF orientation is applied.
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
    /// Metadata of the file that may go into a stego image, at most.
    pub(crate) metadata_bytes: u64,
    /// Memory beyond all estimates that an adversarial file could make its decoder take.
    pub(crate) doubtful_bytes: u64,
}

impl ImageInfo {
    /// Pixels of the image.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes of a pixel after decoding.
    pub fn pixel_len_bytes(&self) -> usize {
        self.channels.count() * self.depth.bytes()
    }

    /// Bytes of a row after decoding.
    pub(crate) fn row_len_bytes(&self) -> usize {
        self.width as usize * self.pixel_len_bytes()
    }

    /// Bytes of the decoded samples.
    pub fn decoded_bytes(&self) -> u64 {
        self.pixels().saturating_mul(self.pixel_len_bytes() as u64)
    }

    /// An upper estimate of the memory, in bytes, that decoding this image as a cover, hiding a secret of
    /// this length in it and writing the result takes, besides the file: the samples, and then either what
    /// their decoder needs, or a copy of them that is upright, or the PNG written, which is at most about as
    /// large. Metadata are there twice. The secret is there packed, read back and once more in between.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64) -> u64 {
        let decoded = self.decoded_bytes();
        let written = decoded + decoded / 64;
        (decoded + written.max(self.decoder_bytes))
            .saturating_add(WORKING_BYTES + 2 * self.metadata_bytes)
            .saturating_add(secret_len_bytes.saturating_mul(4))
    }

    /// An upper estimate of the memory, in bytes, that comparing two images takes, besides their files: the
    /// samples of both and what the decoder of either needs, and with a picture of what differs its samples,
    /// and then the PNG in place of the two images.
    pub fn compare_memory_bytes(a: &Self, b: &Self, with_picture: bool) -> u64 {
        let decoded = a.decoded_bytes().saturating_add(b.decoded_bytes());
        let besides = a.decoder_bytes.max(b.decoder_bytes);
        let picture = if with_picture { a.decoded_bytes() } else { 0 };
        decoded
            .saturating_add(besides.max(picture))
            .saturating_add(WORKING_BYTES + 2 * (a.metadata_bytes + b.metadata_bytes))
    }

    /// Memory in bytes beyond the estimates that an adversarial file could make its decoder take. No honest
    /// one does, so nothing is refused for it; but whoever shares memory among many does well to let such
    /// files in one at a time.
    pub fn doubtful_memory_bytes(&self) -> u64 {
        self.doubtful_bytes
    }

    /// An upper estimate of the memory, in bytes, that reading rows for a payload takes, besides the file and
    /// the payload: a few rows of a PNG, or the whole image where it is interlaced or in another format.
    pub fn extract_memory_bytes(&self) -> u64 {
        let samples = if self.is_streamed() { 0 } else { self.decoded_bytes() };
        samples.saturating_add(self.decoder_bytes).saturating_add(WORKING_BYTES + 2 * self.metadata_bytes)
    }

    /// True if rows can be had one after the other, without the whole image in memory.
    pub(crate) fn is_streamed(&self) -> bool {
        self.format == ImageFormat::Png && !self.interlaced
    }

    /// Compares `memory_bytes`, one of the estimates above, with the limit for one image.
    ///
    /// # Errors
    ///
    /// [`ImageError::TooMuchMemory`] if it is more, [`ImageError::TooManyPixels`] if the image has too many.
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

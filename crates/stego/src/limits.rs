//! Limits of a call.

use crate::watch::Watch;

/// Bounds on a call, checked before any allocation of that size.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Width × height of an image, at most.
    pub max_pixels: u64,
    /// Upper limit of memory, in bytes, for decoding and processing an image. Covers the samples, the
    /// decoder's buffers and the image written; see [`crate::ImageInfo::embed_memory_bytes`].
    pub max_image_memory_bytes: u64,
    /// Length of a secret in bytes, at most, after inflation.
    pub max_secret_bytes: u64,
    /// Bounds the time: receives the progress of the work and may end it.
    pub watch: Watch,
}

impl Limits {
    /// 100 megapixels.
    pub const DEFAULT_MAX_PIXELS: u64 = 100_000_000;
    /// 1 GiB.
    pub const DEFAULT_MAX_IMAGE_MEMORY_BYTES: u64 = 1 << 30;
    /// 64 MiB.
    pub const DEFAULT_MAX_SECRET_BYTES: u64 = 64 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: Self::DEFAULT_MAX_PIXELS,
            max_image_memory_bytes: Self::DEFAULT_MAX_IMAGE_MEMORY_BYTES,
            max_secret_bytes: Self::DEFAULT_MAX_SECRET_BYTES,
            watch: Watch::default(),
        }
    }
}

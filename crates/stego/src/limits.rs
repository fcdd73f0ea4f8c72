//! Limits of one call.

use crate::watch::Watch;

/// Bounds on one call, checked before anything of that size is allocated.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Width × height of an image, at most.
    pub max_pixels: u64,
    /// Bytes of memory that decoding and working on one image may take, at most. Covers the samples, the
    /// decoder's own buffers and the image written; see [`crate::ImageInfo::embed_memory_bytes`].
    pub max_image_memory_bytes: u64,
    /// Length of a secret in bytes, at most, after inflation.
    pub max_secret_bytes: u64,
    /// Bounds the time: is told how far the work is and may end it.
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

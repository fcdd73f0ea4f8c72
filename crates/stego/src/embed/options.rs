//! Options of an embed.

use crate::bits::BitsPerSample;
use crate::codec::format::MetadataPolicy;
use crate::codec::info::ImageInfo;
use crate::mode::Mode;

/// Extent of the check of a stego image before it is given out, where parts of the cover's file are kept as
/// they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verify {
    /// The whole file: what is kept is inflated to its end. A cover whose pixels are all there but whose file
    /// is not what libpng expects is encoded anew.
    #[default]
    File,
    /// The rows with the payload; the rest is taken on trust.
    Payload,
}

/// File format of a stego image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OutputFormat {
    /// PNG, of the size and kind of the cover.
    #[default]
    Png,
}

/// Options of an embed. They hold nothing confidential: a key, like a source of randomness, is an argument of
/// its own.
///
/// ```
/// use stego::{BitsPerSample, EmbedOptions};
///
/// let options = EmbedOptions::default().with_bits(BitsPerSample::MAX).with_compress(false);
/// assert_eq!(options.bits.as_u8(), 4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbedOptions {
    /// Way to carry the secret.
    pub mode: Mode,
    /// Bits per sample of everything after the container's header.
    pub bits: BitsPerSample,
    /// True to deflate a secret that gets shorter by it.
    pub compress: bool,
    /// Treatment of the metadata in the cover's file.
    pub metadata: MetadataPolicy,
    /// Format of the stego image.
    pub output: OutputFormat,
    /// Extent of the check before the stego image is given out.
    pub verify: Verify,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            bits: BitsPerSample::ONE,
            compress: true,
            metadata: MetadataPolicy::Keep,
            output: OutputFormat::Png,
            verify: Verify::File,
        }
    }
}

impl EmbedOptions {
    /// The options with another mode.
    #[must_use]
    pub const fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The options with other bits per sample.
    #[must_use]
    pub const fn with_bits(self, bits: BitsPerSample) -> Self {
        Self { bits, ..self }
    }

    /// The options with compression on or off.
    #[must_use]
    pub const fn with_compress(self, compress: bool) -> Self {
        Self { compress, ..self }
    }

    /// The options with another treatment of metadata.
    #[must_use]
    pub const fn with_metadata(self, metadata: MetadataPolicy) -> Self {
        Self { metadata, ..self }
    }

    /// The options with another extent of the check.
    #[must_use]
    pub const fn with_verify(self, verify: Verify) -> Self {
        Self { verify, ..self }
    }

    /// Upper estimate of the memory, in bytes, of an embed into an image as `info` has it: that of the codec,
    /// and that of the mode.
    pub(crate) fn memory_bytes(&self, info: &ImageInfo, secret_len_bytes: u64) -> u64 {
        info.embed_memory_bytes(secret_len_bytes).saturating_add(self.mode.carrier().memory_bytes(info))
    }
}

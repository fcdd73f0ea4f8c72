//! Options of an embed.

use crate::bits::BitsPerSample;
use crate::carrier::adaptive::trellis_memory_bytes;
use crate::codec::format::MetadataPolicy;
use crate::codec::info::ImageInfo;
use crate::height::ConstraintHeight;
use crate::key::Seal;
use crate::mode::Mode;

/// Extent of the check of a stego image before the result is returned, if parts of the cover's file are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verify {
    /// The whole file: kept parts are inflated to the end. A cover with complete pixels in a file not valid
    /// for libpng is encoded anew.
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

/// Options of an embed, with the key if there is one. A key is shared, not copied, overwritten with its last
/// owner, and never shown.
///
/// ```
/// use stego::{BitsPerSample, EmbedOptions};
///
/// let options = EmbedOptions::default().with_bits(BitsPerSample::MAX).with_compress(false);
/// assert_eq!(options.bits.as_u8(), 4);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EmbedOptions {
    /// Way to carry the secret.
    pub mode: Mode,
    /// Key and salt; a keyed mode has one, an open mode none.
    pub seal: Option<Seal>,
    /// Bits per sample of everything after the container's header; one in keyed modes.
    pub bits: BitsPerSample,
    /// Constraint height of the code in [`Mode::Adaptive`].
    pub height: ConstraintHeight,
    /// True to deflate a secret if shorter.
    pub compress: bool,
    /// Treatment of the metadata in the cover's file. A keyed mode keeps the colour profile alone; with
    /// [`MetadataPolicy::Keep`] a note names all that is missing, otherwise colour definitions only.
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
            seal: None,
            bits: BitsPerSample::ONE,
            height: ConstraintHeight::default(),
            compress: true,
            metadata: MetadataPolicy::Keep,
            output: OutputFormat::Png,
            verify: Verify::File,
        }
    }
}

impl EmbedOptions {
    /// Returns the options with another mode.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Returns the options with a key. An open mode gives way to [`Mode::DEFAULT_KEYED`], and metadata are
    /// stripped unless [`EmbedOptions::with_metadata`] comes later.
    #[must_use]
    pub fn with_seal(self, seal: Seal) -> Self {
        let mode = if self.mode.is_keyed() { self.mode } else { Mode::DEFAULT_KEYED };
        Self { mode, seal: Some(seal), metadata: MetadataPolicy::Strip, ..self }
    }

    /// Replaces the bits per sample.
    #[must_use]
    pub fn with_bits(self, bits: BitsPerSample) -> Self {
        Self { bits, ..self }
    }

    /// Returns the options with another constraint height.
    #[must_use]
    pub fn with_height(self, height: ConstraintHeight) -> Self {
        Self { height, ..self }
    }

    /// Returns the options with compression on or off.
    #[must_use]
    pub fn with_compress(self, compress: bool) -> Self {
        Self { compress, ..self }
    }

    /// Returns the options with another treatment of metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: MetadataPolicy) -> Self {
        Self { metadata, ..self }
    }

    /// Returns the options with another extent of the check.
    #[must_use]
    pub fn with_verify(self, verify: Verify) -> Self {
        Self { verify, ..self }
    }

    /// Returns an upper estimate of the memory, in bytes, of an embed into an image described by `info`: the
    /// sum of codec and mode.
    pub(crate) fn memory_bytes(&self, info: &ImageInfo, secret_len_bytes: u64) -> u64 {
        let of_mode = self.mode.carrier().memory_bytes(info);
        let of_code = if self.mode == Mode::Adaptive { trellis_memory_bytes(self.height) } else { 0 };
        info.embed_memory_bytes(secret_len_bytes).saturating_add(of_mode).saturating_add(of_code)
    }
}

//! Errors of an extraction.

use std::fmt;

use crate::codec::error::ImageError;
use crate::container::error::ContainerError;

/// Reasons for which nothing is extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image is readable, the payload is not.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// With a key: the image carries nothing, or something under another key, or something by a later
    /// release. Nothing tells these apart.
    #[error("the image carries no payload, or the key is another")]
    NoPayloadOrWrongKey,
    /// With a key: the image is too small to carry anything.
    #[error(
        "the image is too small to carry anything with a key: it has {available_samples} samples that may carry, \
         and {needed_samples} are needed"
    )]
    TooFewSamples {
        /// Samples that an empty secret needs.
        needed_samples: u64,
        /// Samples of the image that may carry.
        available_samples: u64,
    },
    /// A lossy format, in which nothing is embedded.
    #[error(
        "the image is saved as {format}, in which nothing is embedded yet; if its source was a PNG that carried something, that is lost"
    )]
    LossyFormat {
        /// The format's name.
        format: String,
    },
    /// The file was saved anew in a way that destroys any payload.
    #[error("{0}; send the PNG as a file, not as a photo")]
    Reencoded(Reencoding),
}

/// Sign that a file was saved anew after a possible embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reencoding {
    /// In another size than the metadata tell, and without a payload.
    Resized {
        /// Width and height by the metadata.
        before: (u32, u32),
        /// Width and height now.
        now: (u32, u32),
    },
    /// A picture of the screen, by the metadata, without a payload.
    Screenshot,
    /// As a JPEG at some time, whose blocks can still be seen, and without a payload.
    JpegBlocks,
}

impl fmt::Display for Reencoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resized { before, now } => write!(
                f,
                "the image carries no payload, and its metadata tell of {} × {} pixels where it has {} × {}: it was \
                 resized or cropped, which destroys whatever it carried",
                before.0, before.1, now.0, now.1
            ),
            Self::Screenshot => f.write_str(
                "the image carries no payload, and its metadata tell of a screenshot: what the original carried is not \
                 in it",
            ),
            Self::JpegBlocks => f.write_str(
                "the image carries no payload, and its pixels show blocks of 8 by 8 as those of a JPEG: if it was saved as \
                 one, that destroyed whatever it carried",
            ),
        }
    }
}

impl ExtractError {
    /// Returns a stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Container(error) => error.code(),
            Self::NoPayloadOrWrongKey => "no_payload_or_wrong_key",
            Self::LossyFormat { .. } | Self::TooFewSamples { .. } => "no_payload",
            Self::Reencoded(_) => "image_was_reencoded",
        }
    }
}

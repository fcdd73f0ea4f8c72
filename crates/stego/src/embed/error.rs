//! Errors of an embed.

use crate::codec::error::ImageError;
use crate::container::error::ContainerError;
use crate::extract::error::ExtractError;
use crate::watch::Stopped;

/// Reasons for which nothing is embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The cover's file cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The secret is longer than the capacity of the cover.
    #[error(
        "the secret needs {needed_bytes} bytes of the image, after compression; it has {available_bytes}"
    )]
    CapacityExceeded {
        /// Bytes of the content (and mark), deflated if shorter.
        needed_bytes: u64,
        /// Bytes that the cover has for the content.
        available_bytes: u64,
    },
    /// The image is too small for a container's header.
    #[error("the image is too small to carry anything: it needs at least 224 samples that may carry")]
    CoverTooSmall,
    /// The image is too small for a keyed mode.
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
    /// Options that contradict each other, such as a keyed mode without a key.
    #[error("{0}")]
    Options(&'static str),
    /// The secret cannot be put into a container, for example because of excessive length.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The stego image does not give the secret back: a defect of this program.
    #[error("the stego image did not give the secret back")]
    NotVerified {
        /// Error of reading back; none if the bytes differ.
        #[source]
        source: Option<ExtractError>,
    },
    /// The work was ended from outside.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl EmbedError {
    /// Returns a stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::CapacityExceeded { .. } | Self::CoverTooSmall => "capacity_exceeded",
            Self::TooFewSamples { .. } => "cover_too_small",
            Self::Options(_) => "malformed_request",
            Self::Container(error) => error.code(),
            Self::NotVerified { .. } => "internal",
            Self::Stopped(_) => Stopped::CODE,
        }
    }
}

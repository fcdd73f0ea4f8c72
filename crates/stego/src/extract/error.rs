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
    /// The image can be read, its payload cannot.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A format that changes samples, in which nothing is embedded.
    #[error(
        "the image is saved as {format}, in which nothing is embedded yet; if its source was a PNG that carried something, that is lost"
    )]
    LossyFormat {
        /// The format's name.
        format: String,
    },
    /// The file was saved anew in a way that destroys what it carried.
    #[error("{0}; send the PNG as a file, not as a photo")]
    Reencoded(Reencoding),
}

/// Sign in a file that it was saved anew since something could have been hidden in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reencoding {
    /// In another size than the metadata tell, and without a payload.
    Resized {
        /// Width and height by its metadata.
        before: (u32, u32),
        /// Width and height now.
        now: (u32, u32),
    },
    /// As a picture of the screen, by its metadata, and without a payload.
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
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.code(),
            Self::Container(error) => error.code(),
            Self::LossyFormat { .. } => "no_payload",
            Self::Reencoded(_) => "image_was_reencoded",
        }
    }
}

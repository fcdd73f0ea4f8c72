//! Errors of reading an image.

use crate::codec::format::ImageFormat;
use crate::watch::Stopped;

/// Reasons for which an image is not read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not one of the supported formats.
    #[error("this is not an image in a format that is read here (PNG, JPEG, WebP, GIF, BMP, TIFF, QOI)")]
    NotAnImage,
    /// An unsupported format or variety.
    #[error("{what} is not read here; save the image as a PNG and try again")]
    Unsupported {
        /// Name of the format, such as `AVIF`.
        what: String,
    },
    /// The file ends before the end of the image.
    #[error("the {format} is cut off: the file ends before its image does")]
    Truncated {
        /// The file's format.
        format: ImageFormat,
    },
    /// A checksum or the structure is wrong.
    #[error("the {format} is damaged")]
    Damaged {
        /// The file's format.
        format: ImageFormat,
        /// Finding of the decoder.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Line ends were changed on the way, as transfers in text mode do.
    #[error(
        "the {format} was damaged by a transfer in text mode; transfer the original again in binary mode"
    )]
    TextMode {
        /// The file's format.
        format: ImageFormat,
    },
    /// The decoder panicked: a defect of the decoder that this file triggers.
    #[error(
        "this {format} makes its decoder fail, so it is not read here; save the image as a PNG and try again"
    )]
    DecoderPanicked {
        /// The file's format.
        format: ImageFormat,
        /// Message of the panic, for logs.
        message: String,
    },
    /// More pixels than allowed, by the file's header.
    #[error("the image has {width} × {height} pixels; at most {max_pixels} in all are allowed here")]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit on the product.
        max_pixels: u64,
    },
    /// More memory than allowed, by the file's header.
    #[error(
        "working on the image takes {needed_bytes} bytes of memory; at most {max_bytes} are allowed here"
    )]
    TooMuchMemory {
        /// The estimate in bytes.
        needed_bytes: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// The work was ended from outside.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl ImageError {
    /// Returns a stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnImage => "not_an_image",
            Self::Unsupported { .. } | Self::DecoderPanicked { .. } => "unsupported_image",
            Self::Truncated { .. } => "truncated_image",
            Self::Damaged { .. } | Self::TextMode { .. } => "damaged_image",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TooMuchMemory { .. } => "image_too_large",
            Self::Stopped(_) => Stopped::CODE,
        }
    }
}

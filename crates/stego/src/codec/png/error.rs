//! Errors of the `png` crate, and of the chunks of a file.

use std::io::ErrorKind;

use ::png::DecodingError;

use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;

/// Memory that the `png` crate may allocate besides the samples and a few rows: chunks read whole.
pub(super) const CHUNK_LIMIT_BYTES: usize = 64 << 20;

pub(super) fn decoding_error(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: ImageFormat::Png }
        }
        DecodingError::LimitsExceeded => ImageError::TooMuchMemory {
            needed_bytes: CHUNK_LIMIT_BYTES as u64 + 1,
            max_bytes: CHUNK_LIMIT_BYTES as u64,
        },
        other => ImageError::Damaged { format: ImageFormat::Png, source: Box::new(other) },
    }
}

pub(super) fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Png, source: what.into() }
}

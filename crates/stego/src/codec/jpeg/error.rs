//! Errors of JPEG files.

use libjpeg_turbo_rs::JpegError;

use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;

pub(super) fn failed(error: JpegError) -> ImageError {
    match error {
        JpegError::Unsupported(what) => unsupported(format!("this kind of JPEG ({what})")),
        JpegError::LimitExceeded { what, .. } => {
            unsupported(format!("a JPEG beyond the limit on its {what}"))
        }
        other => ImageError::Damaged { format: ImageFormat::Jpeg, source: Box::new(other) },
    }
}

pub(super) fn unsupported(what: String) -> ImageError {
    ImageError::Unsupported { what }
}

pub(super) fn damaged_by(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Jpeg, source: what.into() }
}

//! From a file to a codec: the header of any image file, and the samples.

use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::format::ImageFormat;
use crate::codec::guard::guarded;
use crate::codec::info::ImageInfo;
use crate::codec::sniff::{Sniffed, sniff};
use crate::codec::{jpeg, others, png};
use crate::limits::Limits;

/// Reads the header of an image file and checks it against `limits`, before anything is decoded.
///
/// # Errors
///
/// An [`ImageError`] for an unsupported file, a damaged header, or too many pixels.
pub fn probe(file: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    let format = match sniff(file) {
        Sniffed::Format(format) => format,
        Sniffed::Other { name, .. } => return Err(ImageError::Unsupported { what: name.to_owned() }),
        Sniffed::TextMode(format) => return Err(ImageError::TextMode { format }),
        Sniffed::Unknown => return Err(ImageError::NotAnImage),
    };
    let info = guarded(format, || match format {
        ImageFormat::Png => png::header::header(file),
        ImageFormat::Jpeg => jpeg::header(file),
        other => others::header(file, other),
    })?;
    let info = info.check(limits, 0)?;
    if format == ImageFormat::Png {
        png::header::check_kind(file)?;
    }
    Ok(info)
}

impl Cover {
    /// Decodes an image file. The EXIF orientation is applied except in PNGs. The header is checked against
    /// `limits` before anything is allocated.
    ///
    /// # Errors
    ///
    /// An [`ImageError`] if the file is damaged, of an unsupported kind, or beyond `limits`.
    pub fn decode(file: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let info = probe(file, limits)?;
        info.check(limits, info.embed_memory_bytes(0))?;
        Self::decode_checked(file, &info, limits)
    }

    /// Decodes a file with a checked header: `info` is the result of [`probe`].
    pub(crate) fn decode_checked(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Self, ImageError> {
        let cover = limits.watch.or_stopped(guarded(info.format, || Self::decode_as(file, info, limits)))?;
        debug_assert_eq!(
            cover.info().decoded_bytes(),
            cover.samples.len() as u64,
            "the samples of all pixels"
        );
        Ok(cover)
    }

    fn decode_as(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Self, ImageError> {
        let ImageInfo { width, height, channels, depth, animated: first_frame, format: file_format, .. } =
            *info;
        Ok(match info.format {
            ImageFormat::Png => {
                let (samples, metadata) = png::decode::decode(file, info, limits)?;
                Self { width, height, channels, depth, samples, metadata, first_frame, file_format }
            }
            ImageFormat::Jpeg => {
                let (image, metadata) = jpeg::decode(file, info, limits)?;
                let (width, height, samples) = (image.width, image.height, image.samples);
                Self { width, height, channels, depth, samples, metadata, first_frame, file_format }
            }
            _ => {
                let others::Decoded { image, channels, metadata } = others::decode(file, info, limits)?;
                let (width, height, samples) = (image.width, image.height, image.samples);
                Self { width, height, channels, depth, samples, metadata, first_frame, file_format }
            }
        })
    }
}

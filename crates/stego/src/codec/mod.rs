//! Image files in, rows of 8- or 16-bit samples out; samples in, PNG out.

mod bmp;
mod cover;
mod error;
mod exif;
mod gif;
mod guard;
mod info;
mod jpeg;
mod metadata;
mod orientation;
mod others;
mod png;
mod qoi;
mod rows;
mod sniff;
mod source;
mod tiff;
mod webp;

pub use cover::Cover;
pub use error::ImageError;
pub(crate) use guard::guarded;
pub use guard::silence_decoder_panics;
pub use info::{Channels, ImageFormat, ImageInfo, MetadataPolicy, SampleDepth};
pub(crate) use others::is_jpeg_in_tiff;
pub use png::{
    Container, PngEmbedError, PngPart, PreparedCover, Spliced, SplicedPng, embed_into_file, embed_into_png,
    embed_prepared, splice,
};
pub(crate) use png::{
    PngFrame, PngLayout, PngRows, encode as encode_png, exif_pixels, is_whole as is_png_whole,
    tells_of_screenshot,
};
pub(crate) use rows::Rows;
pub(crate) use sniff::{Sniffed, sniff};

use crate::limits::Limits;

/// Reads the header of an image file and checks it against `limits`, before anything is decoded.
pub fn probe(file: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    let format = match sniff(file) {
        Sniffed::Format(format) => format,
        Sniffed::Other { name, .. } => return Err(ImageError::Unsupported { what: name.to_owned() }),
        Sniffed::TextMode(format) => return Err(ImageError::TextMode { format }),
        Sniffed::Unknown => return Err(ImageError::NotAnImage),
    };
    let info = guarded(format, || match format {
        ImageFormat::Png => png::header(file),
        ImageFormat::Jpeg => jpeg::header(file),
        other => others::header(file, other),
    })?;
    let info = info.check(limits, 0)?;
    if format == ImageFormat::Png {
        png::check_kind(file)?;
    }
    Ok(info)
}

//! Image files in, rows of 8-bit samples out; samples in, PNG out.
//!
//! Read as covers: 8-bit grey, RGB and RGBA PNG, and JPEG. Everything else is refused by name.

mod cover;
mod jpeg;
mod png;

use cover::Chunk;
pub use cover::Cover;
pub(crate) use png::{PngRows, encode as encode_png};

use crate::limits::Limits;
use crate::watch::Stopped;

/// The file formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Portable Network Graphics (W3C, third edition).
    Png,
    /// JPEG (ITU-T T.81) in a JFIF or EXIF file.
    Jpeg,
    /// Windows bitmap.
    Bmp,
    /// Graphics Interchange Format, 87a and 89a.
    Gif,
    /// The Quite OK Image format.
    Qoi,
    /// Tagged Image File Format, revision 6.0.
    Tiff,
    /// WebP with VP8L data, in an extended file or alone (RFC 9649).
    WebPLossless,
    /// WebP with VP8 data (RFC 9649).
    WebPLossy,
}

impl std::fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Qoi => "QOI",
            Self::Tiff => "TIFF",
            Self::WebPLossless => "lossless WebP",
            Self::WebPLossy => "lossy WebP",
        })
    }
}

/// Bits of a sample after decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleDepth {
    /// A byte.
    Eight,
    /// Two bytes, the most significant first, as PNG has them.
    Sixteen,
}

impl SampleDepth {
    /// Bytes of a sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }

    /// Bits of a sample.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

/// What becomes of the metadata in a cover's file: ICC profile, EXIF, XMP, text, time, physical size. What defines the
/// colours (a profile among it) stays in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetadataPolicy {
    /// It goes into the stego image byte for byte, but for what would no longer be true.
    #[default]
    Keep,
    /// It is left out.
    Strip,
}

/// What the samples of a pixel are, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Y.
    Grey,
    /// Y, alpha.
    GreyAlpha,
    /// R, G, B.
    Rgb,
    /// R, G, B, alpha.
    Rgba,
}

impl Channels {
    /// Samples of a pixel, alpha included.
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// Samples of a pixel that may carry bits: all but alpha.
    pub const fn colour_count(self) -> usize {
        if self.has_alpha() { self.count() - 1 } else { self.count() }
    }

    /// Whether the last sample of a pixel is alpha.
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }
}

/// What a file's header says of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file's format, by its content.
    pub format: ImageFormat,
    /// Pixels in a row. Of a JPEG: before its EXIF orientation is applied.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The samples of a pixel after decoding.
    pub channels: Channels,
    /// The samples' depth after decoding.
    pub depth: SampleDepth,
    /// Whether the file stores the image interlaced.
    pub interlaced: bool,
    /// Whether the file is an animation, of which the first frame is read.
    pub animated: bool,
}

impl ImageInfo {
    /// Pixels of the image.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes of the decoded samples.
    pub fn decoded_bytes(&self) -> u64 {
        self.pixels() * (self.channels.count() * self.depth.bytes()) as u64
    }

    /// An upper estimate of the memory, in bytes, that decoding this image as a cover, hiding a secret of this length in it
    /// and writing the result takes. The samples are there once as the cover and once as the rows that change;
    /// the PNG written is at most about as large. A progressive JPEG also holds its coefficients, two bytes
    /// each, while it is decoded. The secret is there packed, read back and once more in between.
    pub fn embed_memory_bytes(&self, secret_len_bytes: u64) -> u64 {
        let coefficients = match self.format {
            ImageFormat::Jpeg => 2 * self.decoded_bytes(),
            _ => 0,
        };
        (3 * self.decoded_bytes() + coefficients).saturating_add(secret_len_bytes.saturating_mul(4))
    }

    /// An upper estimate of the memory, in bytes, that reading rows for a payload takes, besides the payload itself: a few
    /// rows, or the whole image where it is interlaced.
    pub fn extract_memory_bytes(&self) -> u64 {
        let rows = if self.interlaced { u64::from(self.height) } else { 4 };
        (u64::from(self.width) * self.channels.count() as u64).saturating_mul(rows) + (1 << 20)
    }

    /// Fails if `memory_bytes`, one of the estimates above, is more than one image may take.
    pub fn check_memory(&self, memory_bytes: u64, limits: &Limits) -> Result<(), ImageError> {
        self.check(limits, memory_bytes).map(|_| ())
    }

    pub(crate) fn check(self, limits: &Limits, memory_bytes: u64) -> Result<Self, ImageError> {
        if self.pixels() > limits.max_pixels {
            return Err(ImageError::TooManyPixels {
                width: self.width,
                height: self.height,
                max_pixels: limits.max_pixels,
            });
        }
        if memory_bytes > limits.max_image_memory_bytes {
            return Err(ImageError::TooMuchMemory {
                needed_bytes: memory_bytes,
                max_bytes: limits.max_image_memory_bytes,
            });
        }
        Ok(self)
    }
}

/// Why an image was not read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not one of the formats that are read.
    #[error("this is not an image in a format that is read here (PNG, JPEG)")]
    NotAnImage,
    /// A format or a variety that is not read.
    #[error("{what} is not supported")]
    Unsupported {
        /// What was found, such as `16-bit PNG`.
        what: String,
    },
    /// The file ends before its image does.
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
        /// What the decoder found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More pixels than allowed, by the file's header.
    #[error("the image has {width} × {height} pixels; at most {max_pixels} in all are allowed here")]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit on their product.
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
    /// A stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnImage => "not_an_image",
            Self::Unsupported { .. } => "unsupported_image",
            Self::Truncated { .. } => "truncated_image",
            Self::Damaged { .. } => "damaged_image",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TooMuchMemory { .. } => "image_too_large",
            Self::Stopped(_) => "stopped",
        }
    }
}

/// Reads the header of an image file and checks it against `limits`, before anything is decoded.
pub fn probe(file: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    let info = match sniff(file)? {
        ImageFormat::Png => png::header(file)?,
        ImageFormat::Jpeg => jpeg::header(file)?,
        other => return Err(ImageError::Unsupported { what: other.to_string() }),
    };
    let info = info.check(limits, 0)?;
    if info.format == ImageFormat::Png {
        png::check_kind(file)?;
    }
    Ok(info)
}

/// The format of a file by its first bytes; what it is called does not matter.
pub(crate) fn sniff(file: &[u8]) -> Result<ImageFormat, ImageError> {
    const OTHERS: [(&[u8], &str); 6] = [
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"qoif", "QOI"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
    ];
    if file.starts_with(png::SIGNATURE) {
        return Ok(ImageFormat::Png);
    }
    if file.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Ok(ImageFormat::Jpeg);
    }
    let other = match file {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("WebP"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("an HEIF, AVIF or video file"),
        _ => OTHERS.iter().find_map(|(magic, name)| file.starts_with(magic).then_some(*name)),
    };
    Err(other.map_or(ImageError::NotAnImage, |what| ImageError::Unsupported { what: what.to_owned() }))
}

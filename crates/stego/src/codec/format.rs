//! File formats, and the kinds of samples.

/// The supported file formats.
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

impl ImageFormat {
    /// True if saving an image in this format changes the samples, so that no hidden data survive.
    pub const fn is_lossy(self) -> bool {
        matches!(self, Self::Jpeg | Self::Gif | Self::WebPLossy)
    }
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
    /// Returns the number of bytes of a sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }

    /// Returns the bits of a sample.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

/// Treatment of the metadata in a cover's file: ICC profile, EXIF, XMP, text, time, physical size. Colour
/// definitions (a profile among them) stay in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetadataPolicy {
    /// Copied into the stego image byte for byte, except for parts that would become false.
    #[default]
    Keep,
    /// Left out.
    Strip,
}

/// The samples of a pixel, in this order.
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
    /// Returns the number of samples of a pixel, alpha included.
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// Returns the number of colour samples of a pixel, all except alpha: the samples that may carry bits.
    pub const fn colour_count(self) -> usize {
        if self.has_alpha() { self.count() - 1 } else { self.count() }
    }

    /// True if the last sample of a pixel is alpha.
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }
}

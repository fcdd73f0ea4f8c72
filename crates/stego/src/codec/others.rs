//! GIF and WebP covers, and TIFFs with a fax or a JPEG inside, on the decoders of the `image` crate; BMP, QOI
//! and other TIFFs on the decoders of this crate.

use std::borrow::Cow;

use ::image::codecs::{gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::error::LimitErrorKind;
use ::image::{ColorType, ImageDecoder, ImageError as CodecError, Limits as CodecLimits};

use super::exif::{self, Exif};
use super::metadata::{MAX_METADATA_BYTES, Metadata};
use super::orientation::Oriented;
use super::source::Source;
use super::{bmp, gif, qoi, tiff, webp};
use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::codec::sniff::{gif_frames, is_animated_webp};
use crate::limits::Limits;
use crate::watch::Watch;

/// Memory of a decoder for each pixel besides the samples: a canvas and a frame of four bytes each, or an
/// inflated strip of 16-bit samples.
const DECODER_BYTES_PER_PIXEL: u64 = 8;

/// Growth of the decoder of lossless WebP, and of the alpha of a lossy WebP, which makes tables for every
/// group of prefix codes that a file names (RFC 9649, 3.7.2.3), in use or not: up to 65,536 groups of five
/// tables of 4 KiB, and this factor for each byte of an adversarial file.
const CODES_GROWTH: u64 = 300;
const MAX_CODES_BYTES: u64 = 65_536 * 5 * 4096;

pub(super) fn header(file: &[u8], format: ImageFormat) -> Result<ImageInfo, ImageError> {
    let metadata_bytes = (file.len() as u64).min(MAX_METADATA_BYTES);
    let info = match format {
        ImageFormat::Bmp => bmp::header(file)?,
        ImageFormat::Qoi => qoi::header(file)?,
        ImageFormat::Tiff => match tiff::header(file)? {
            Some(info) => ImageInfo { metadata_bytes, ..info },
            None => header_of_codec(file, format)?,
        },
        _ => header_of_codec(file, format)?,
    };
    Ok(info)
}

/// Returns the file in the form for the decoder: a copy if changes are needed.
fn for_decoder(file: &[u8], format: ImageFormat) -> Result<Cow<'_, [u8]>, ImageError> {
    Ok(match format {
        ImageFormat::Gif => gif::as_shown(file),
        ImageFormat::Tiff => tiff::for_codec(file),
        _ if webp::is_webp(format) => webp::as_shown(file)?,
        _ => Cow::Borrowed(file),
    })
}

fn header_of_codec(file: &[u8], format: ImageFormat) -> Result<ImageInfo, ImageError> {
    let watch = Watch::default();
    let shown = for_decoder(file, format)?;
    let copied_bytes = if matches!(shown, Cow::Owned(_)) { file.len() as u64 } else { 0 };
    let decoder = open(&shown, format, &watch, u64::MAX)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { format, source: "it has no pixels".into() });
    }
    let (channels, depth) = kind(decoder.color_type(), format)?;
    let animated = match format {
        ImageFormat::Gif => gif_frames(file) > 1,
        ImageFormat::WebPLossless | ImageFormat::WebPLossy => is_animated_webp(file),
        _ => false,
    };
    let decoder_bytes =
        u64::from(width) * u64::from(height) * DECODER_BYTES_PER_PIXEL + (1 << 20) + copied_bytes;
    let metadata_bytes = (file.len() as u64).min(MAX_METADATA_BYTES);
    let doubtful_bytes = match format {
        ImageFormat::WebPLossless | ImageFormat::WebPLossy => {
            (file.len() as u64).saturating_mul(CODES_GROWTH).min(MAX_CODES_BYTES)
        }
        _ => 0,
    };
    Ok(ImageInfo {
        doubtful_bytes,
        format,
        width,
        height,
        channels,
        depth,
        interlaced: false,
        animated,
        decoder_bytes,
        metadata_bytes,
    })
}

/// Returns the decoder for a file.
fn open<'a>(
    file: &'a [u8],
    format: ImageFormat,
    watch: &'a Watch,
    max_bytes: u64,
) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    let failed = |error| codec_error(error, format);
    let source = Source::new(file, watch);
    let mut decoder: Box<dyn ImageDecoder + 'a> = match format {
        ImageFormat::Gif => Box::new(GifDecoder::new(source).map_err(failed)?),
        ImageFormat::Tiff => Box::new(TiffDecoder::new(source).map_err(failed)?),
        ImageFormat::WebPLossless | ImageFormat::WebPLossy => {
            Box::new(WebPDecoder::new(source).map_err(failed)?)
        }
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::Qoi => {
            return Err(ImageError::Unsupported { what: format!("{format} in this place") });
        }
    };
    let mut limits = CodecLimits::no_limits();
    limits.max_alloc = Some(max_bytes);
    decoder.set_limits(limits).map_err(failed)?;
    Ok(decoder)
}

fn kind(colour: ColorType, format: ImageFormat) -> Result<(Channels, SampleDepth), ImageError> {
    Ok(match colour {
        ColorType::L8 => (Channels::Grey, SampleDepth::Eight),
        ColorType::La8 => (Channels::GreyAlpha, SampleDepth::Eight),
        ColorType::Rgb8 => (Channels::Rgb, SampleDepth::Eight),
        ColorType::Rgba8 => (Channels::Rgba, SampleDepth::Eight),
        ColorType::L16 => (Channels::Grey, SampleDepth::Sixteen),
        ColorType::La16 => (Channels::GreyAlpha, SampleDepth::Sixteen),
        ColorType::Rgb16 => (Channels::Rgb, SampleDepth::Sixteen),
        ColorType::Rgba16 => (Channels::Rgba, SampleDepth::Sixteen),
        _ => {
            return Err(ImageError::Unsupported {
                what: format!("a {format} with samples in floating point"),
            });
        }
    })
}

/// A decoded image: upright samples, their format, and the parts of the file for a stego image.
pub(super) struct Decoded {
    pub(super) image: Oriented,
    pub(super) channels: Channels,
    pub(super) metadata: Metadata,
}

pub(super) fn decode(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Decoded, ImageError> {
    let own = match info.format {
        ImageFormat::Bmp => Some((bmp::decode(file, info, limits)?, Described::default())),
        ImageFormat::Qoi => Some((qoi::decode(file, info, limits)?, Described::default())),
        ImageFormat::Tiff => {
            tiff::decode(file, info, limits)?.map(|samples| (samples, Described::of_tiff(file)))
        }
        _ => None,
    };
    let (mut samples, described) = match own {
        Some(decoded) => decoded,
        None => decode_by_codec(file, info, limits)?,
    };
    let mut channels = info.channels;
    if info.format == ImageFormat::Gif && samples.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX) {
        // The decoder gives every GIF an alpha channel.
        drop_alpha(&mut samples);
        channels = Channels::Rgb;
    }
    let orientation = described.orientation;
    let metadata = described.into_metadata(file, info.format, channels);
    let image = Oriented::new(samples, &ImageInfo { channels, ..*info }, orientation);
    Ok(Decoded { image, channels, metadata })
}

fn decode_by_codec(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Vec<u8>, Described), ImageError> {
    let failed = |error| codec_error(error, info.format);
    let max_bytes = (info.decoded_bytes() + info.decoder_bytes).min(limits.max_image_memory_bytes);
    let shown = for_decoder(file, info.format)?;
    let mut decoder = open(&shown, info.format, &limits.watch, max_bytes)?;
    let described = if info.format == ImageFormat::Tiff {
        Described::of_tiff(file)
    } else {
        let exif = decoder.exif_metadata().map_err(failed)?.map(webp::exif_block);
        Described {
            profile: decoder.icc_profile().map_err(failed)?,
            orientation: exif.as_deref().and_then(Exif::parse).map_or(1, |exif| exif.orientation),
            exif,
            xmp: decoder.xmp_metadata().map_err(failed)?,
        }
    };
    if decoder.total_bytes() != info.decoded_bytes() {
        return Err(ImageError::Damaged {
            format: info.format,
            source: "its headers contradict each other".into(),
        });
    }
    let mut samples = vec![0; info.decoded_bytes() as usize];
    decoder.read_image_boxed(&mut samples).map_err(failed)?;
    if info.depth == SampleDepth::Sixteen {
        most_significant_first(&mut samples);
    }
    Ok((samples, described))
}

/// Metadata of a file.
#[derive(Default)]
struct Described {
    profile: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    orientation: u8,
}

impl Described {
    /// Reads from the file's own structure: the decoder reads lists of bytes at many times their size, and
    /// refuses long lists.
    fn of_tiff(file: &[u8]) -> Self {
        let is_bearable = |bytes: &&[u8]| bytes.len() as u64 <= MAX_METADATA_BYTES;
        Self {
            profile: exif::tiff_bytes(file, exif::ICC_PROFILE).filter(is_bearable).map(<[u8]>::to_vec),
            exif: None,
            xmp: exif::tiff_bytes(file, exif::XMP).filter(is_bearable).map(<[u8]>::to_vec),
            orientation: Exif::parse(file).map_or(1, |exif| exif.orientation),
        }
    }

    fn into_metadata(self, file: &[u8], format: ImageFormat, channels: Channels) -> Metadata {
        let mut metadata = Metadata::default();
        if let Some(profile) = self.profile {
            metadata.keep_profile(&profile, channels);
        }
        if let Some(exif) = self.exif {
            metadata.keep_exif(exif);
        }
        if let Some(packet) = self.xmp {
            metadata.keep_xmp(&packet);
        }
        // Its directories are part of the file's own structure and cannot be taken out as they are.
        let has = |tag| exif::tiff_number(file, tag).is_some();
        if format == ImageFormat::Tiff && (has(exif::EXIF_DIRECTORY) || has(exif::GPS_DIRECTORY)) {
            metadata.leave_out("EXIF");
        }
        if format == ImageFormat::Tiff && tiff::has_more_pages(file) {
            metadata.leave_out("further pages");
        }
        if format == ImageFormat::Bmp
            && let Some((x, y)) = bmp_pixels_per_metre(file)
        {
            metadata.keep_pixel_size(x, y, true);
        }
        metadata
    }
}

/// True if the samples of a TIFF file went through JPEG (TIFF 6.0, section 22, and technical note 2).
pub(crate) fn is_jpeg_in_tiff(file: &[u8]) -> bool {
    matches!(exif::tiff_number(file, exif::COMPRESSION), Some(6 | 7))
}

/// Reads a header of the third version or later (BITMAPINFOHEADER); `None` if unspecified.
fn bmp_pixels_per_metre(file: &[u8]) -> Option<(u32, u32)> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk::<4>()?));
    let (x, y) = (u32_at(38)?, u32_at(42)?);
    (u32_at(14)? >= 40 && (1..=i32::MAX as u32).contains(&x) && (1..=i32::MAX as u32).contains(&y))
        .then_some((x, y))
}

/// Reorders 16-bit samples from native byte order to most significant first.
fn most_significant_first(samples: &mut [u8]) {
    for sample in samples.chunks_exact_mut(2) {
        let value = u16::from_ne_bytes([sample[0], sample[1]]);
        sample.copy_from_slice(&value.to_be_bytes());
    }
}

fn drop_alpha(samples: &mut Vec<u8>) {
    let pixels = samples.len() / 4;
    for i in 0..pixels {
        samples.copy_within(4 * i..4 * i + 3, 3 * i);
    }
    samples.truncate(3 * pixels);
    samples.shrink_to_fit();
}

fn codec_error(error: CodecError, format: ImageFormat) -> ImageError {
    match error {
        CodecError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format }
        }
        CodecError::Unsupported(unsupported) => {
            ImageError::Unsupported { what: format!("this kind of {format} ({unsupported})") }
        }
        CodecError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            ImageError::Unsupported {
                what: format!("a {format} whose parts take more memory than the limit for an image"),
            }
        }
        other if ends_early(&other) => ImageError::Truncated { format },
        other => ImageError::Damaged { format, source: Box::new(other) },
    }
}

/// True if a decoder reached the end of the file. Some decoders wrap the error.
fn ends_early(error: &CodecError) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(here) = error {
        let io = here.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return true;
        }
        error = here.source();
    }
    false
}

//! JPEG covers, on the `image` crate.

use std::io::{Cursor, Write};

use ::image::codecs::jpeg::JpegDecoder;
use ::image::{ColorType, DynamicImage, ImageDecoder};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Channels, Chunk, Cover, ImageError, ImageFormat, ImageInfo, SampleDepth};

pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let decoder = open(file)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { format: ImageFormat::Jpeg, source: "it has no pixels".into() });
    }
    let channels = match decoder.color_type() {
        ColorType::L8 => Channels::Grey,
        ColorType::Rgb8 => Channels::Rgb,
        other => return Err(ImageError::Unsupported { what: format!("a JPEG with {other:?} samples") }),
    };
    Ok(ImageInfo {
        format: ImageFormat::Jpeg,
        width,
        height,
        channels,
        depth: SampleDepth::Eight,
        interlaced: false,
        animated: false,
    })
}

pub(super) fn decode(file: &[u8], info: ImageInfo) -> Result<Cover, ImageError> {
    if !is_whole(file) {
        return Err(ImageError::Truncated { format: ImageFormat::Jpeg });
    }
    let mut decoder = open(file)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let profile = decoder.icc_profile().map_err(damaged)?;
    let mut dropped_metadata = Vec::new();
    if decoder.exif_metadata().map_err(damaged)?.is_some() {
        dropped_metadata.push("EXIF".to_owned());
    }
    if decoder.xmp_metadata().map_err(damaged)?.is_some() {
        dropped_metadata.push("XMP".to_owned());
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);

    let (width, height) = (image.width(), image.height());
    let colour_chunks = profile.and_then(|profile| iccp_chunk(&profile, info.channels)).into_iter().collect();
    Ok(Cover {
        width,
        height,
        channels: info.channels,
        samples: image.into_bytes(),
        colour_chunks,
        dropped_metadata,
    })
}

fn open(file: &[u8]) -> Result<JpegDecoder<Cursor<&[u8]>>, ImageError> {
    JpegDecoder::new(Cursor::new(file)).map_err(damaged)
}

/// Whether an end-of-image marker follows the scans. The decoder fills up what is missing of a file with grey instead of
/// failing. What comes after the marker does not matter: phones put films and further images there.
///
/// Markers are walked as T.81, B.1.1 has them: segments by their length, entropy-coded data up to the next marker that is
/// neither a stuffed byte (FF00) nor a restart (FFD0 to FFD7).
fn is_whole(file: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        let Some(at) =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0xD0..=0xD7))
        else {
            return false;
        };
        let marker = rest[at + 1];
        if marker == END_OF_IMAGE {
            return true;
        }
        let segment = &rest[at + 2..];
        let len = segment.first_chunk::<2>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        let Some(after) = segment.get(len.max(2)..) else { return false };
        // Between segments only fill bytes may stand, so the search after a segment finds the next one at once; after
        // the header of a scan it runs through the scan's data.
        rest = after;
    }
}

/// The profile as PNG carries it (PNG third edition, 11.3.2.3), if it describes the samples we have: a
/// CMYK file's profile says nothing of the RGB that it was decoded to (ICC.1, 7.2.6: data colour space).
fn iccp_chunk(profile: &[u8], channels: Channels) -> Option<Chunk> {
    let space = match channels {
        Channels::Grey | Channels::GreyAlpha => b"GRAY",
        Channels::Rgb | Channels::Rgba => b"RGB ",
    };
    if profile.get(16..20)? != space {
        return None;
    }
    let mut encoder = ZlibEncoder::new(b"ICC profile\0\0".to_vec(), Compression::default());
    encoder.write_all(profile).and_then(|()| encoder.finish()).ok().map(|data| (*b"iCCP", data))
}

fn damaged(error: ::image::ImageError) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Jpeg, source: Box::new(error) }
}

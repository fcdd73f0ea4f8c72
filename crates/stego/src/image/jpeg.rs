//! JPEG covers, on the `image` crate.

use std::io::{Cursor, Write};

use ::image::codecs::jpeg::JpegDecoder;
use ::image::{ColorType, DynamicImage, ImageDecoder};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Channels, Cover, ImageError, ImageFormat, ImageInfo};

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
    Ok(ImageInfo { format: ImageFormat::Jpeg, width, height, channels, interlaced: false })
}

pub(super) fn decode(file: &[u8], info: ImageInfo) -> Result<Cover, ImageError> {
    if !ends_after_its_last_scan(file) {
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

/// The decoder fills up what is missing of a file with grey instead of failing. An image is whole if an
/// end-of-image marker follows its last start-of-scan marker (T.81, B.1.1.3); in entropy-coded data
/// neither can occur.
fn ends_after_its_last_scan(file: &[u8]) -> bool {
    let last = |marker: u8| file.windows(2).rposition(|pair| pair == [0xFF, marker]);
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    last(END_OF_IMAGE) > last(START_OF_SCAN)
}

/// The profile as PNG carries it (PNG third edition, 11.3.2.3), if it describes the samples we have: a
/// CMYK file's profile says nothing of the RGB that it was decoded to (ICC.1, 7.2.6: data colour space).
fn iccp_chunk(profile: &[u8], channels: Channels) -> Option<([u8; 4], Vec<u8>)> {
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

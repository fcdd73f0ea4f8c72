//! JPEG covers, on the `zune-jpeg` crate.

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::exif::Exif;
use super::metadata::{MAX_METADATA_BYTES, Metadata, held_bytes};
use super::orientation::Oriented;
use super::source::Source;
use super::{Channels, ImageError, ImageFormat, ImageInfo, SampleDepth};
use crate::limits::Limits;
use crate::watch::{Stage, Watch};

type Decoder<'a> = JpegDecoder<Source<'a>>;

/// Scans of a progressive file, at most: each may go over the whole image.
const MAX_SCANS: usize = 128;

pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let watch = Watch::default();
    let mut decoder = open(file, &watch);
    decoder.decode_headers().map_err(damaged)?;
    let channels = channels(&decoder);
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(damaged_by("it has an impossible size"));
    };
    if width == 0 || height == 0 {
        return Err(damaged_by("it has no pixels"));
    }
    let components = u64::from(decoder.info().map_or(4, |info| info.components));
    let info = ImageInfo {
        format: ImageFormat::Jpeg,
        width,
        height,
        channels,
        depth: SampleDepth::Eight,
        interlaced: false,
        animated: false,
        decoder_bytes: 0,
        metadata_bytes: 0,
        doubtful_bytes: 0,
    };
    let headers = || segments(file).take_while(|segment| segment.marker != START_OF_SCAN);
    // A row of blocks for each component or, where it comes in several scans, all coefficients, two bytes each.
    let rows = if is_one_scan(file, components) { 96 } else { u64::from(height) + 32 };
    Ok(ImageInfo {
        decoder_bytes: 2 * components * (u64::from(width) + 32) * rows + (1 << 20),
        metadata_bytes: headers()
            .map(|segment| held_bytes(segment.data))
            .sum::<u64>()
            .min(MAX_METADATA_BYTES),
        ..info
    })
}

fn channels(decoder: &Decoder<'_>) -> Channels {
    match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => Channels::Grey,
        _ => Channels::Rgb,
    }
}

fn open<'a>(file: &'a [u8], watch: &'a Watch) -> Decoder<'a> {
    JpegDecoder::new_with_options(Source::new(file, watch), options(ColorSpace::RGB))
}

fn options(output: ColorSpace) -> DecoderOptions {
    DecoderOptions::default()
        .set_strict_mode(false)
        .jpeg_set_max_scans(MAX_SCANS)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(output)
}

/// The samples with the orientation applied, and what else of the file goes into a stego image.
pub(super) fn decode(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Oriented, Metadata), ImageError> {
    if !is_whole(file) {
        return Err(ImageError::Truncated { format: ImageFormat::Jpeg });
    }
    let mut decoder = open(file, &limits.watch);
    decoder.decode_headers().map_err(damaged)?;
    // What stands before the pixels counts; decoding them goes past whatever stands among them.
    let metadata = surviving(file, &decoder, info.channels);
    let exif = decoder.exif().cloned();
    let wanted = match info.channels {
        Channels::Grey => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options(wanted));
    let mut samples = vec![0; info.decoded_bytes() as usize];
    if decoder.output_buffer_size() != Some(samples.len()) {
        return Err(damaged_by("its headers contradict each other"));
    }
    decoder.decode_into(&mut samples).map_err(damaged)?;
    // A stop may look like the end of the file to the decoder, which makes do with what it has.
    limits.watch.check(Stage::Decode, file.len() as u64, file.len() as u64)?;
    drop(decoder);
    Ok((Oriented::by_exif(samples, info, exif.as_deref()), metadata))
}

fn surviving(file: &[u8], decoder: &Decoder<'_>, channels: Channels) -> Metadata {
    let mut metadata = Metadata::default();
    // Orientations from 5 on turn the image by a quarter.
    let is_turned =
        decoder.exif().and_then(|block| Exif::parse(block)).is_some_and(|exif| exif.orientation >= 5);
    if let Some(profile) = decoder.icc_profile() {
        metadata.keep_profile(&profile, channels);
    }
    for segment in segments(file) {
        match (segment.marker, segment.data) {
            (0xE0, [b'J', b'F', b'I', b'F', 0, _, _, unit, x0, x1, y0, y1, ..]) => {
                let density = [u16::from_be_bytes([*x0, *x1]), u16::from_be_bytes([*y0, *y1])];
                keep_density(&mut metadata, *unit, density, is_turned);
            }
            (0xE1, data) if data.starts_with(b"http://ns.adobe.com/xmp/extension/\0") => {
                metadata.leave_out("extended XMP");
            }
            (0xE2, data) if data.starts_with(b"MPF\0") => metadata.leave_out("further images (MPF)"),
            (0xED, _) => metadata.leave_out("IPTC"),
            (0xFE, text) => metadata.keep_comment(text),
            _ => {}
        }
    }
    if let Some(exif) = decoder.exif() {
        metadata.keep_exif(exif.clone());
    }
    if let Some(packet) = decoder.xmp() {
        metadata.keep_xmp(packet);
    }
    metadata
}

/// JFIF's density (T.871, 10.1) as PNG's size of a pixel: per inch, per centimetre, or only their ratio; along x and y as the
/// image is once it is upright.
fn keep_density(metadata: &mut Metadata, unit: u8, [x, y]: [u16; 2], is_turned: bool) {
    let per_metre = |density: u16| match unit {
        1 => (f64::from(density) / 0.0254).round() as u32,
        2 => u32::from(density) * 100,
        _ => u32::from(density),
    };
    let says_something = x > 0 && y > 0 && unit <= 2 && (unit > 0 || x != y);
    if says_something && !metadata.has(b"pHYs") {
        let (x, y) = if is_turned { (y, x) } else { (x, y) };
        metadata.keep_pixel_size(per_metre(x), per_metre(y), unit > 0);
    }
}

/// Whether a file is sequential (SOF0, SOF1: T.81, table B.1) and its first scan has all of its components. Where that cannot be
/// seen it counts as the more expensive kind: decoders find markers in more places than the standard has them.
fn is_one_scan(file: &[u8], components: u64) -> bool {
    let is_sequential = |segment: &Segment<'_>| matches!(segment.marker, 0xC0 | 0xC1);
    let mut headers = segments(file).take_while(|segment| segment.marker != START_OF_SCAN);
    let scan = segments(file).find(|segment| segment.marker == START_OF_SCAN);
    headers.any(|segment| is_sequential(&segment))
        && scan.and_then(|scan| scan.data.first()).is_some_and(|&count| u64::from(count) == components)
}

/// A marker segment before the image's end: what follows its length.
struct Segment<'a> {
    marker: u8,
    data: &'a [u8],
}

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// The marker segments of a file (T.81, B.1.1): segments by their length, entropy-coded data up to the next marker that is
/// neither a stuffed byte (FF00) nor a restart (FFD0 to FFD7). The last one is the end-of-image marker, if it is there; what
/// comes after it does not matter: phones put films and further images there.
fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = file.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let at =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0xD0..=0xD7))?;
        let marker = rest[at + 1];
        let after = &rest[at + 2..];
        if marker == END_OF_IMAGE {
            rest = &[];
            return Some(Segment { marker, data: &[] });
        }
        let len = after.first_chunk::<2>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        // Between segments only fill bytes may stand, so the search after a segment finds the next one at once; after
        // the header of a scan it runs through the scan's data.
        rest = after.get(len.max(2)..).unwrap_or_default();
        Some(Segment { marker, data: after.get(2..len.max(2)).unwrap_or_default() })
    })
}

/// Whether the image is there to its end. The decoder fills up what is missing of a file with grey instead of failing.
fn is_whole(file: &[u8]) -> bool {
    segments(file).any(|segment| segment.marker == END_OF_IMAGE)
}

fn damaged(error: zune_jpeg::errors::DecodeErrors) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Jpeg, source: Box::new(error) }
}

fn damaged_by(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Jpeg, source: what.into() }
}

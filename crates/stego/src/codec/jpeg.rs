//! JPEG covers, on the `libjpeg-turbo-rs` crate.
//!
//! The decoder reads a whole image in one call, which no watch can end: the watch is checked before and
//! after. The cost of a call is bounded by the limit on pixels and by [`MAX_SCANS`].

mod error;
mod layout;
mod segments;

use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use super::exif::Exif;
use super::metadata::{MAX_METADATA_BYTES, Metadata, held_bytes};
use super::orientation::Oriented;
use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::limits::Limits;
use crate::watch::Stage;
use error::{damaged_by, failed};
use layout::Layout;
use segments::{START_OF_SCAN, segments};

/// Scans of a progressive file, at most: each may go over the whole image.
const MAX_SCANS: usize = 128;
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";

pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let layout = Layout::of(file)?;
    let frame = &layout.frame;
    let headers = segments(file).take_while(|segment| segment.marker != START_OF_SCAN);
    let metadata_bytes = headers.map(|segment| held_bytes(segment.data)).sum::<u64>();
    Ok(ImageInfo {
        format: ImageFormat::Jpeg,
        width: frame.width.into(),
        height: frame.height.into(),
        channels: if frame.components.len() == 1 { Channels::Grey } else { Channels::Rgb },
        depth: SampleDepth::Eight,
        interlaced: false,
        animated: false,
        decoder_bytes: decoder_bytes(&layout) + layout.copied_bytes(),
        metadata_bytes: metadata_bytes.min(MAX_METADATA_BYTES),
        doubtful_bytes: 0,
    })
}

/// Returns the memory of the decoder besides the samples: a plane for each component; coefficients, unless
/// all components come in one scan; planes of the full size for unusual samplings; four samples a pixel of
/// CMYK.
fn decoder_bytes(layout: &Layout) -> u64 {
    let frame = &layout.frame;
    let planes: u64 = (0..frame.components.len()).map(|i| frame.padded_samples(i)).sum();
    let coefficients = if layout.is_one_scan { 0 } else { 2 * planes + planes / 64 };
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    let is_usual = matches!(*frame.components.as_slice(), [_] | [(_, 1 | 2, 1 | 2), (_, 1, 1), (_, 1, 1)]);
    let expanded = if is_usual { 0 } else { frame.components.len() as u64 * pixels };
    let cmyk = if frame.components.len() == 4 { 4 * pixels } else { 0 };
    planes + coefficients + expanded + cmyk + (1 << 20)
}

/// Decodes the samples with the orientation applied, and the other parts of the file for a stego image.
pub(super) fn decode(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Oriented, Metadata), ImageError> {
    let layout = Layout::of(file)?;
    let image = layout.image(file)?;
    layout.check_restarts(file)?;
    limits.watch.check(Stage::Decode, 0, file.len() as u64)?;
    let scans = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(&image, scans).map_err(failed)?;
    decoder.set_block_smoothing(true);
    let samples = match layout.frame.components.len() {
        1 => samples(&mut decoder, PixelFormat::Grayscale, info.decoded_bytes())?,
        4 => rgb(samples(&mut decoder, PixelFormat::Cmyk, 4 * info.pixels())?),
        _ => samples(&mut decoder, PixelFormat::Rgb, info.decoded_bytes())?,
    };
    limits.watch.check(Stage::Decode, file.len() as u64, file.len() as u64)?;
    drop(decoder);
    let metadata = surviving(file, info.channels);
    Ok((Oriented::by_exif(samples, info, exif(file)), metadata))
}

fn samples(decoder: &mut Decoder<'_>, format: PixelFormat, len_bytes: u64) -> Result<Vec<u8>, ImageError> {
    decoder.set_output_format(format);
    let mut samples = vec![0; len_bytes as usize];
    let read = decoder.decode_image_into(&mut samples).map_err(failed)?;
    if read.bytes_written != samples.len() || read.pixel_format != format {
        return Err(damaged_by("its headers contradict each other"));
    }
    Ok(samples)
}

/// R, G and B of C, M, Y and K, which files hold inverted (Adobe technical note 5116), as 255 for no ink.
fn rgb(mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / 4;
    for i in 0..pixels {
        let [c, m, y, k] = [0, 1, 2, 3].map(|channel| u32::from(samples[4 * i + channel]));
        for (channel, ink) in [c, m, y].into_iter().enumerate() {
            samples[3 * i + channel] = ((ink * k + 127) / 255) as u8;
        }
    }
    samples.truncate(3 * pixels);
    samples.shrink_to_fit();
    samples
}

/// Returns the first EXIF block before the pixels; only this block counts.
fn exif(file: &[u8]) -> Option<&[u8]> {
    application_data(file, 0xE1, EXIF).next()
}

/// Returns the content behind `name` of the segments with this marker before the pixels.
fn application_data<'a>(file: &'a [u8], marker: u8, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    segments(file)
        .take_while(|segment| segment.marker != START_OF_SCAN)
        .filter(move |segment| segment.marker == marker)
        .filter_map(move |segment| segment.data.strip_prefix(name))
}

/// Returns the colour profile, which may lie in several segments with numbers from 1 on and a count (ICC.1,
/// B.4). Inner `None` if a segment is missing.
fn profile(file: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut parts: Vec<(u8, u8, &[u8])> = application_data(file, 0xE2, ICC)
        .filter_map(|data| data.split_first_chunk::<2>())
        .map(|(&[number, count], part)| (number, count, part))
        .collect();
    let count = parts.first()?.1;
    parts.sort_by_key(|part| part.0);
    let is_whole = parts.len() == usize::from(count)
        && parts.iter().zip(1..).all(|(part, number)| (part.0, part.1) == (number, count));
    Some(is_whole.then(|| parts.iter().flat_map(|part| part.2).copied().collect()))
}

fn surviving(file: &[u8], channels: Channels) -> Metadata {
    let mut metadata = Metadata::default();
    let exif = exif(file);
    // Orientations from 5 on turn the image by a quarter.
    let is_turned = exif.and_then(Exif::parse).is_some_and(|exif| exif.orientation >= 5);
    match profile(file) {
        Some(Some(profile)) => metadata.keep_profile(&profile, channels),
        Some(None) => metadata.leave_out("ICC profile"),
        None => {}
    }
    for segment in segments(file) {
        match (segment.marker, segment.data) {
            (0xE0, [b'J', b'F', b'I', b'F', 0, _, _, unit, x0, x1, y0, y1, ..]) => {
                let density = [u16::from_be_bytes([*x0, *x1]), u16::from_be_bytes([*y0, *y1])];
                keep_density(&mut metadata, *unit, density, is_turned);
            }
            (0xE1, data) if data.starts_with(EXTENDED_XMP) => {
                metadata.leave_out("extended XMP");
            }
            (0xE2, data) if data.starts_with(b"MPF\0") => metadata.leave_out("further images (MPF)"),
            (0xED, _) => metadata.leave_out("IPTC"),
            (0xFE, text) => metadata.keep_comment(text),
            _ => {}
        }
    }
    if let Some(exif) = exif {
        metadata.keep_exif(exif.to_vec());
    }
    if let Some(packet) = application_data(file, 0xE1, XMP).next() {
        metadata.keep_xmp(packet);
    }
    metadata
}

/// JFIF's density (T.871, 10.1) as PNG's size of a pixel: per inch, per centimetre, or only the ratio; along
/// x and y of the upright image.
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

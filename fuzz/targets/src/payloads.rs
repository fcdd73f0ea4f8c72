//! Targets for payloads: containers in valid images, and images of all kinds.

use image::ImageFormat;
use png::{BitDepth, ColorType, Compression, Encoder};
use stego::{Channels, ContainerError, ExtractError, SampleDepth, claimed_lengths_bytes, extract};
use testkit::{Container, Pixels, legacy_container};

use crate::images::raster_of;
use crate::limits;

const WIDTH: u32 = 32;
const HEIGHT: u32 = 24;

/// Extracts a container from a small image. The first byte has flags, the rest is the container: bit 0
/// corrects the digest, bit 1 the checksum; bit 2 chooses the earlier system's format, where bit 1 adds a
/// header in front; bits 3 and 4 choose the kind of image. Panics if extraction and the definition of the
/// format disagree.
pub fn container(bytes: &[u8]) {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let channels = [Channels::Rgb, Channels::Rgba, Channels::Grey, Channels::GreyAlpha];
    let mut raster = plain(channels[usize::from(flags >> 3 & 3)]);
    if flags & 4 != 0 {
        let container = if flags & 2 != 0 { legacy_container(bytes) } else { bytes.to_vec() };
        raster.put_legacy(&container);
    } else if let Some(mut container) = Container::from_bytes(bytes) {
        if flags & 1 != 0 {
            container.set_digest();
        }
        if flags & 2 != 0 {
            container.set_crc();
        }
        raster.put(&container);
    }
    let outcome = extract(&stored_png(&raster), &limits());
    let expected = raster.carried();
    match outcome {
        Ok(found) => assert!(
            expected.as_ref().is_some_and(|carried| carried.is(&found)),
            "found {found:?} instead of {expected:?}"
        ),
        Err(ExtractError::Container(ContainerError::SecretTooLarge { .. })) => {}
        Err(error) => assert!(expected.is_none(), "{error} instead of {expected:?}"),
    }
}

/// Encodes without compression, which would take most of the time.
fn stored_png(raster: &Pixels) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, raster.width, raster.height);
    encoder.set_compression(Compression::NoCompression);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match raster.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::GreyAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    });
    let writer = encoder.write_header();
    let written = writer.and_then(|mut writer| writer.write_image_data(&raster.samples));
    written.expect("writing to a Vec does not fail, and the samples are as many as they should be");
    file
}

/// Creates a small image; with alpha, some pixels are invisible.
fn plain(channels: Channels) -> Pixels {
    let count = channels.count();
    let mut samples: Vec<u8> =
        (0..WIDTH as usize * HEIGHT as usize * count).map(|at| (at * 5) as u8).collect();
    if channels.has_alpha() {
        for (at, pixel) in samples.chunks_exact_mut(count).enumerate() {
            pixel[count - 1] = if at % 9 == 4 { 0 } else { 255 };
        }
    }
    Pixels { width: WIDTH, height: HEIGHT, channels, depth: SampleDepth::Eight, samples }
}

/// Extracts from `bytes` as a stego image. Panics if the result differs from another decoder and the
/// definition of the format.
pub fn extract_png(bytes: &[u8]) {
    let claimed = claimed_lengths_bytes(bytes, &limits());
    match extract(bytes, &limits()) {
        Ok(found) => {
            let claimed = claimed.expect("whoever finds a payload has read its header");
            assert!(claimed.1 >= found.secret.len() as u64, "{claimed:?} for {} bytes", found.secret.len());
            // Other decoders refuse a file damaged below its payload.
            let Some(raster) = decoded(bytes) else { return };
            let expected = raster.carried();
            assert!(
                expected.as_ref().is_some_and(|carried| carried.is(&found)),
                "found {found:?} instead of {expected:?}"
            );
        }
        Err(ExtractError::Container(ContainerError::NoPayload)) => {
            let carried = decoded(bytes).and_then(|raster| raster.carried());
            assert!(carried.is_none(), "no payload instead of {carried:?}");
        }
        Err(_) => {}
    }
}

fn decoded(bytes: &[u8]) -> Option<Pixels> {
    raster_of(bytes, ImageFormat::Png)
}

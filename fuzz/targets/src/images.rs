//! Image files as covers.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader};
use stego::{
    BitsPerSample, Channels, Cover, EmbedError, EmbedOptions, ImageError, ImageFile, MetadataPolicy,
    SampleDepth, Secret, embed, extract, probe,
};
use testkit::{Pixels, PngFile};

use crate::limits;

const SECRET: &[u8] = b"any bytes";

/// Decodes `bytes` as a cover. Panics if the result contradicts the header, or if embedding a secret loses
/// the secret or changes anything but the bits that carry.
pub fn cover_decode(bytes: &[u8]) {
    let info = probe(bytes, &limits());
    let Ok(cover) = Cover::decode(bytes, &limits()) else { return };
    let info = info.expect("what can be decoded has a header that can be read");
    let before = Pixels::of(&cover);
    assert_eq!(info.pixels(), u64::from(cover.width()) * u64::from(cover.height()));
    assert_eq!(info.depth, cover.depth());
    // Opacity of a GIF is known only after decoding.
    let is_opaque_gif = info.format == stego::ImageFormat::Gif && cover.channels() == Channels::Rgb;
    if !is_opaque_gif {
        assert_eq!(info.channels, cover.channels());
        assert_eq!(info.decoded_bytes(), cover.samples().len() as u64);
    }
    let bits = BitsPerSample::all().nth(bytes.len() % 4).expect("there are four widths");
    let metadata = if bytes.len() % 8 < 4 { MetadataPolicy::Keep } else { MetadataPolicy::Strip };
    let options = EmbedOptions::default().with_bits(bits).with_metadata(metadata);
    let embedded = match embed(&cover, &Secret::new(SECRET), &options, &limits()) {
        Ok(embedded) => embedded,
        Err(EmbedError::CapacityExceeded { .. } | EmbedError::CoverTooSmall) => return,
        Err(error) => panic!("cannot embed: {error:?}"),
    };
    let found = extract(&embedded.to_vec(), &limits()).expect("what was embedded can be extracted");
    assert_eq!(found.secret, SECRET);
    let stego = Cover::decode(&embedded.to_vec(), &limits()).expect("a stego image is a cover");
    let mut after = Pixels::of(&stego);
    assert_eq!((after.width, after.height), (before.width, before.height));
    assert_eq!((after.channels, after.depth), (before.channels, before.depth));
    let mask = u8::MAX << bits.as_u8();
    for at in before.carrying(false) {
        assert_eq!(before.samples[at] & mask, after.samples[at] & mask, "sample byte {at}");
        after.samples[at] = before.samples[at];
    }
    assert!(after.samples == before.samples, "something changed that does not carry");
}

/// Embeds into `bytes` as a PNG cover with the compressed pixels kept. Panics if the secret is not extracted
/// again or, for a decodable cover, if anything but the bits that carry changes; for other covers the rows
/// below the payload are not checked.
pub fn embed_into_png(bytes: &[u8]) {
    let bits = BitsPerSample::all().nth(bytes.len() % 4).expect("there are four widths");
    let options = EmbedOptions::default().with_bits(bits);
    let Ok(cover) = ImageFile::open(bytes, &limits()) else { return };
    let spliced = match embed(cover, &Secret::new(SECRET), &options, &limits()) {
        Ok(image) if image.is_spliced() => image,
        _ => return,
    };
    let file = spliced.to_vec();
    assert_eq!(file.len(), spliced.len_bytes());
    assert_eq!(extract(&file, &limits()).expect("what was embedded can be extracted").secret, SECRET);
    let Ok(cover) = Cover::decode(bytes, &limits()) else { return };
    if !is_as_long_as_it_says(bytes, &cover) {
        return;
    }
    let stego = Cover::decode(&file, &limits()).expect("the stego image of a good cover is good");
    let (before, mut after) = (Pixels::of(&cover), Pixels::of(&stego));
    for at in before.carrying(false) {
        assert_eq!(
            before.samples[at] & (u8::MAX << bits.as_u8()),
            after.samples[at] & (u8::MAX << bits.as_u8())
        );
        after.samples[at] = before.samples[at];
    }
    assert!(after.samples == before.samples, "something changed that does not carry");
}

/// True if the compressed pixels of a PNG are exactly as long as its rows. Decoders stop after the last row
/// and do not notice excess data.
fn is_as_long_as_it_says(file: &[u8], cover: &Cover) -> bool {
    let compressed = PngFile::parse(file).map_or(Vec::new(), |png| png.compressed());
    let mut decoder = flate2::read::ZlibDecoder::new(compressed.as_slice());
    let inflated = std::io::copy(&mut decoder, &mut std::io::sink());
    let height = cover.height() as usize;
    let wanted = (cover.samples().len() / height + 1) * height;
    inflated.is_ok_and(|len| len == wanted as u64) && decoder.total_in() == compressed.len() as u64
}

/// Decodes `bytes` as a cover and with another decoder. Panics if both read a PNG or a QOI as the same kind
/// and the samples differ.
///
/// Other formats are left out, since the `image` crate decodes some kinds wrongly; the library's tests
/// compare these formats with the reference decoders. A PNG may have chunks ignored here and refused by the
/// other decoder.
pub fn differential(bytes: &[u8]) {
    let Ok(cover) = Cover::decode(bytes, &limits()).inspect_err(check_refusal) else { return };
    let format = image::guess_format(bytes).ok();
    let Some(format) = format.filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Qoi)) else {
        return;
    };
    let raster = Pixels::of(&cover);
    let Some(other) = raster_of(bytes, format) else { return };
    assert_eq!((raster.width, raster.height), (other.width, other.height));
    let kinds = [&raster, &other].map(|raster| (raster.channels, raster.depth));
    // A transparency ignored here is alpha for the other decoder.
    if kinds[0] == kinds[1] {
        assert!(raster.samples == other.samples, "{format:?} of {} by {}", raster.width, raster.height);
    }
}

/// Panics if a refusal hides a defect.
fn check_refusal(error: &ImageError) {
    let code = error.code();
    assert!(!matches!(code, "internal" | "stopped"), "refused as {code}: {error}");
}

/// Decodes a file with the `image` crate: palettes and depths below 8 bits expanded, orientation applied.
pub(crate) fn raster_of(bytes: &[u8], format: ImageFormat) -> Option<Pixels> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(64 << 20);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let orientation = match format {
        // Programs disagree on the orientation of a PNG.
        ImageFormat::Png => Orientation::NoTransforms,
        _ => decoder.orientation().ok()?,
    };
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    image.apply_orientation(orientation);
    let (channels, depth) = match image.color() {
        image::ColorType::L8 => (Channels::Grey, SampleDepth::Eight),
        image::ColorType::La8 => (Channels::GreyAlpha, SampleDepth::Eight),
        image::ColorType::Rgb8 => (Channels::Rgb, SampleDepth::Eight),
        image::ColorType::Rgba8 => (Channels::Rgba, SampleDepth::Eight),
        image::ColorType::L16 => (Channels::Grey, SampleDepth::Sixteen),
        image::ColorType::La16 => (Channels::GreyAlpha, SampleDepth::Sixteen),
        image::ColorType::Rgb16 => (Channels::Rgb, SampleDepth::Sixteen),
        image::ColorType::Rgba16 => (Channels::Rgba, SampleDepth::Sixteen),
        _ => return None,
    };
    let mut samples = image.as_bytes().to_vec();
    if depth == SampleDepth::Sixteen && cfg!(target_endian = "little") {
        samples.chunks_exact_mut(2).for_each(|sample| sample.reverse());
    }
    Some(Pixels { width: image.width(), height: image.height(), channels, depth, samples })
}

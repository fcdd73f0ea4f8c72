//! Embedding into PNGs as sent by users, from any writer: the result differs in the carried bits only.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use image::ImageDecoder;
use png::{BitDepth, ColorType, Encoder, Filter};
use proptest::prelude::*;
use stego::{
    BitsPerSample, Cover, EmbedError, EmbedOptions, HEADER_LEN_BYTES, ImageFile, Limits, MetadataPolicy,
    Note, Part, Secret, StegoImage, Verify, Watch, embed, extract,
};

const COLOURS: [ColorType; 4] =
    [ColorType::Grayscale, ColorType::Rgb, ColorType::GrayscaleAlpha, ColorType::Rgba];
const FILTERS: [Filter; 6] =
    [Filter::NoFilter, Filter::Sub, Filter::Up, Filter::Avg, Filter::Paeth, Filter::Adaptive];

/// Style of a PNG writer.
#[derive(Debug, Clone, Copy)]
struct Style {
    colour: ColorType,
    depth: BitDepth,
    filter: Filter,
    packing: Packing,
    /// Bytes of data in all IDAT chunks but the last.
    chunk_len: usize,
    /// Bytes of data in the last IDAT chunk, at most.
    last_chunk_len: usize,
}

#[derive(Debug, Clone, Copy)]
enum Packing {
    /// The `png` crate's own encoder: one block, or few.
    Fdeflate,
    /// flate2 at a level, flushed after so many bytes.
    Level(u32, usize),
}

/// A picture that compresses moderately: slopes and noise, and flat parts.
fn samples(seed: u64, width: usize, height: usize, style: Style) -> Vec<u8> {
    let pixel_len = style.colour.samples() * if style.depth == BitDepth::Sixteen { 2 } else { 1 };
    let row_len = width * pixel_len;
    let noise = testkit::noise(seed, row_len * height);
    let has_alpha = matches!(style.colour, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let mut samples: Vec<u8> = (0..row_len * height)
        .map(|at| {
            let (x, y) = (at % row_len, at / row_len);
            let grain = if y % 64 < 40 { noise[at] & 7 } else { 0 };
            ((x / 4 + y) as u8).wrapping_add(grain)
        })
        .collect();
    if has_alpha {
        let alpha_len = pixel_len / style.colour.samples();
        for (pixel, draw) in samples.chunks_exact_mut(pixel_len).zip(&noise) {
            pixel[pixel_len - alpha_len..].fill(if draw % 5 == 0 { 0 } else { *draw });
        }
    }
    samples
}

fn cover(seed: u64, width: u32, height: u32, style: Style) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(style.colour);
    encoder.set_depth(style.depth);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(style.filter);
    encoder.add_text_chunk("Title".to_owned(), "a cover".to_owned()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&samples(seed, width as usize, height as usize, style)).unwrap();
    writer.finish().unwrap();
    packed_anew(&file, style)
}

/// The chunks of a file: type and data.
fn chunks(file: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = &file[8..];
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        found.push((*after.first_chunk().unwrap(), after[4..4 + len].to_vec()));
        rest = &after[8 + len..];
    }
    found
}

fn packed_anew(file: &[u8], style: Style) -> Vec<u8> {
    let mut out = file[..8].to_vec();
    let stream: Vec<u8> =
        chunks(file).iter().filter(|(kind, _)| kind == b"IDAT").flat_map(|(_, data)| data.clone()).collect();
    let stream = match style.packing {
        Packing::Fdeflate => stream,
        Packing::Level(level, flush) => {
            let mut rows = Vec::new();
            ZlibDecoder::new(&stream[..]).read_to_end(&mut rows).unwrap();
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(level));
            for part in rows.chunks(flush) {
                zlib.write_all(part).unwrap();
                zlib.flush().unwrap();
            }
            zlib.finish().unwrap()
        }
    };
    let last_len = style.last_chunk_len.min(stream.len());
    let (most, last) = stream.split_at(stream.len() - last_len);
    let mut is_written = false;
    for (kind, data) in chunks(file) {
        if kind != *b"IDAT" {
            out.extend(testkit::chunk(kind, &data));
        } else if !is_written {
            is_written = true;
            most.chunks(style.chunk_len).for_each(|data| out.extend(testkit::chunk(kind, data)));
            out.extend(testkit::chunk(kind, last));
        }
    }
    out
}

/// All samples in the eyes of the `png` crate, all checksums checked.
fn decoded(file: &[u8]) -> Vec<u8> {
    let mut options = png::DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut reader = png::Decoder::new_with_options(std::io::Cursor::new(file), options).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    reader.finish().unwrap();
    samples
}

/// Only the low bits of the first samples of the sequence may differ, and never samples of alpha or of
/// transparent pixels. The sequence is derived here independently from `docs/format.md`.
fn check_untouched(before: &[u8], after: &[u8], style: Style, bits: u8, payload_bytes: u64) {
    let sample_len = if style.depth == BitDepth::Sixteen { 2 } else { 1 };
    let pixel_len = style.colour.samples() * sample_len;
    let has_alpha = matches!(style.colour, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let colour_len = if has_alpha { pixel_len - sample_len } else { pixel_len };
    let carrying = 224 + ((payload_bytes - HEADER_LEN_BYTES as u64) * 8).div_ceil(u64::from(bits));
    assert_eq!(before.len(), after.len());
    let mut place = 0;
    for (before, after) in before.chunks_exact(pixel_len).zip(after.chunks_exact(pixel_len)) {
        let is_visible = !has_alpha || before[colour_len..].iter().any(|&byte| byte != 0);
        for (at, (&a, &b)) in before.iter().zip(after).enumerate() {
            let carries = is_visible && at < colour_len && at % sample_len == sample_len - 1;
            let may_change = match place {
                _ if !carries => 0,
                0..224 => 1,
                _ if place < carrying => (1_u8 << bits) - 1,
                _ => 0,
            };
            assert_eq!(a & !may_change, b & !may_change, "sample {place}");
            place += u64::from(carries);
        }
    }
}

/// Embeds into a file.
fn embed_into<'f>(
    file: &'f [u8],
    secret: &Secret<'_>,
    options: &EmbedOptions,
    limits: &Limits,
) -> Result<StegoImage<'f>, EmbedError> {
    embed(ImageFile::open(file, limits)?, secret, options, limits)
}

/// Embeds into a file and compares everything that must be the same. Returns the result, if compressed pixels
/// were kept.
fn check<'f>(file: &'f [u8], style: Style, secret: &[u8], bits: u8) -> Option<StegoImage<'f>> {
    let options = EmbedOptions::default().with_bits(BitsPerSample::new(bits).unwrap());
    let (secret, limits) = (Secret::new(secret), Limits::default());
    let spliced = embed_into(file, &secret, &options, &limits).unwrap();
    if !spliced.is_spliced() {
        return None;
    }
    let stego = spliced.to_vec();
    assert_eq!(stego.len(), spliced.len_bytes());
    let found = extract(&stego, &limits).unwrap();
    assert_eq!(found.secret, secret.bytes);
    assert_eq!(found.notes, []);

    let after = decoded(&stego);
    check_untouched(&decoded(file), &after, style, bits, spliced.report.payload_bytes);
    let other = image::codecs::png::PngDecoder::new(std::io::Cursor::new(&stego)).unwrap();
    let mut by_other = vec![0; other.total_bytes() as usize];
    other.read_image(&mut by_other).unwrap();
    if style.depth == BitDepth::Sixteen {
        // It gives them as the machine has them.
        for sample in by_other.chunks_exact_mut(2) {
            let value = u16::from_ne_bytes([sample[0], sample[1]]);
            sample.copy_from_slice(&value.to_be_bytes());
        }
    }
    assert!(by_other == after);

    let cover = Cover::decode(file, &limits).unwrap();
    let embedded = embed(&cover, &secret, &options, &limits).unwrap();
    assert_eq!(spliced.report.capacity_bytes, embedded.report.capacity_bytes);
    assert_eq!(spliced.report.payload_bytes, embedded.report.payload_bytes);
    assert_eq!(spliced.report.psnr_db, embedded.report.psnr_db);
    assert_eq!((spliced.report.info.width, spliced.report.info.height), (cover.width(), cover.height()));
    assert_eq!((spliced.report.info.channels, spliced.report.info.depth), (cover.channels(), cover.depth()));
    let kept = |file: &[u8]| -> Vec<([u8; 4], Vec<u8>)> {
        chunks(file).into_iter().filter(|(kind, _)| kind != b"IDAT").collect()
    };
    assert_eq!(kept(&stego), kept(&embedded.to_vec()));
    Some(spliced)
}

fn style() -> impl Strategy<Value = Style> {
    let packing = prop_oneof![
        Just(Packing::Fdeflate),
        (0_u32..=9).prop_map(|level| Packing::Level(level, usize::MAX)),
        (0_u32..=9, 1000_usize..50_000).prop_map(|(level, flush)| Packing::Level(level, flush)),
    ];
    let chunk_len = prop_oneof![Just(1), 2_usize..50, Just(8192), Just(usize::MAX)];
    let colour = prop::sample::select(COLOURS.to_vec());
    let depth = prop::sample::select(vec![BitDepth::Eight, BitDepth::Sixteen]);
    let filter = prop::sample::select(FILTERS.to_vec());
    (colour, depth, filter, packing, chunk_len, 0_usize..7).prop_map(
        |(colour, depth, filter, packing, chunk_len, last_chunk_len)| Style {
            colour,
            depth,
            filter,
            packing,
            chunk_len,
            last_chunk_len,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_wrote_it_only_carried_bits_change(
        style in style(),
        width in 1_u32..300,
        pixels in 60_000_u32..110_000,
        bits in 1_u8..=4,
        secret_len in prop_oneof![Just(0_usize), 0_usize..2000],
        seed in any::<u64>(),
    ) {
        let file = cover(seed, width, pixels / width, style);
        let secret = testkit::noise(seed ^ 1, secret_len);
        // Of an image with few bytes to a pixel the payload may take too much.
        let must = secret_len * 8 / usize::from(bits) * 4 < pixels as usize && width > 10;
        // A file of very many chunks is left to the decoder.
        let must = must && testkit::png_chunks(&file).len() < 60_000;
        let is_spliced = check(&file, style, &secret, bits).is_some();
        prop_assert!(is_spliced || !must);
    }

    /// Changed bytes anywhere cause no panic and no wrong secret. A file spliced in spite of changes gives
    /// its secret back.
    #[test]
    fn broken_files_are_left_to_the_decoder(style in style(), seed in any::<u64>(), cut in any::<bool>()) {
        let mut file = cover(seed, 100, 700, style);
        let draw = u64::from_le_bytes(*testkit::noise(seed, 8).first_chunk().unwrap()) as usize;
        if cut {
            file.truncate(draw % file.len());
        } else {
            // Chunks before the pixels, or anywhere.
            let at = if draw.is_multiple_of(2) { draw / 2 % file.len() } else { draw / 2 % 100 };
            file[at] ^= 1 << (draw >> 61);
        }
        let (secret, limits) = (Secret::new(b"a secret"), Limits::default());
        let decoded = Cover::decode(&file, &limits);
        match embed_into(&file, &secret, &EmbedOptions::default(), &limits) {
            Ok(image) => {
                prop_assert!(decoded.is_ok(), "one bit breaks a checksum");
                prop_assert_eq!(extract(&image.to_vec(), &limits).unwrap().secret, secret.bytes);
            }
            Err(error) => prop_assert_eq!(Some(error.code()), decoded.err().map(|error| error.code())),
        }
    }
}

const PLAIN: Style = Style {
    colour: ColorType::Rgb,
    depth: BitDepth::Eight,
    filter: Filter::Adaptive,
    packing: Packing::Level(6, usize::MAX),
    chunk_len: 8192,
    last_chunk_len: 100,
};

#[test]
fn most_of_the_file_is_not_copied() {
    for packing in [PLAIN.packing, Packing::Fdeflate, Packing::Level(0, usize::MAX)] {
        let style = Style { packing, ..PLAIN };
        let file = cover(5, 800, 600, style);
        let spliced = check(&file, style, b"a secret", 1).unwrap();
        let kept = spliced.parts.iter().map(|part| match part {
            Part::New(_) => 0,
            Part::Kept(bytes) => bytes.len(),
        });
        assert!(kept.sum::<usize>() > file.len() * 9 / 10, "{packing:?}");
        assert!(spliced.parts.len() < 10);
        assert!(spliced.report.notes.contains(&Note::ShowsItsMaker));
    }
}

/// A decoder decides on the validity of the data after the head, so a file with a wrong checksum is not for
/// splicing.
#[test]
fn damage_that_a_checksum_shows_is_left_to_the_decoder() {
    let file = cover(6, 400, 300, PLAIN);
    let (secret, limits) = (Secret::new(b"a secret"), Limits::default());
    let is_spliced = |file: &[u8]| {
        let image = embed_into(file, &secret, &EmbedOptions::default(), &limits);
        image.map(|image| image.is_spliced()).unwrap_or_default()
    };
    assert!(is_spliced(&file));
    let mut damaged = file.clone();
    let place = file.len() - 200;
    damaged[place] ^= 1;
    assert!(!is_spliced(&damaged));
    for cut in [1, 12, 13, 1000, file.len() / 2] {
        assert!(!is_spliced(&file[..file.len() - cut]), "{cut}");
    }
    assert!(is_spliced(&[&file[..], b"something after the end"].concat()));
}

/// A stream whose checksum is wrong, in chunks whose checksums hold.
#[test]
fn damage_below_the_payload_is_found_unless_it_is_taken_on_trust() {
    let style = Style {
        colour: ColorType::Rgb,
        depth: BitDepth::Eight,
        filter: Filter::Up,
        packing: Packing::Level(6, usize::MAX),
        chunk_len: 1 << 20,
        last_chunk_len: 4,
    };
    let mut file = cover(1, 400, 300, style);
    // The last chunk with pixels ends with the stream's checksum.
    let crc_at = file.len() - 16;
    file[crc_at - 1] ^= 1;
    let crc = crc32fast::hash(&file[crc_at - 8..crc_at]);
    file[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
    let embedded = |verify| {
        let options = EmbedOptions::default().with_verify(verify);
        embed_into(&file, &Secret::new(b"x"), &options, &Limits::default())
    };
    assert!(!embedded(Verify::File).is_ok_and(|image| image.is_spliced()));
    let trusting = embedded(Verify::Payload).unwrap();
    assert!(trusting.is_spliced());
    let trusting = trusting.to_vec();
    assert_eq!(extract(&trusting, &Limits::default()).unwrap().secret, b"x");
}

#[test]
fn metadata_go_where_the_policy_says() {
    let file = cover(7, 300, 300, PLAIN);
    let secret = Secret::new(b"a secret");
    for (metadata, is_there) in [(MetadataPolicy::Keep, true), (MetadataPolicy::Strip, false)] {
        let options = EmbedOptions::default().with_metadata(metadata);
        let spliced = embed_into(&file, &secret, &options, &Limits::default()).unwrap();
        assert!(spliced.is_spliced());
        let has_text = chunks(&spliced.to_vec()).iter().any(|(kind, _)| kind == b"tEXt");
        assert_eq!(has_text, is_there);
    }
}

/// Stopped at the first check, the second, and so on until the end.
#[test]
fn it_stops_when_told_to() {
    for style in [PLAIN, Style { colour: ColorType::Rgba, ..PLAIN }] {
        let file = cover(8, 300, 200, style);
        let mut is_done = false;
        for looks in 0..2000 {
            let left = AtomicUsize::new(looks);
            let watch = Watch::new(move |_| {
                // Once it has come to 0 it stays there.
                match left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
                    Ok(_) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            let limits = Limits { watch, ..Limits::default() };
            match embed_into(&file, &Secret::new(b"a secret"), &EmbedOptions::default(), &limits) {
                Ok(spliced) => {
                    assert!(spliced.is_spliced() && looks > 5);
                    is_done = true;
                    break;
                }
                Err(error) => assert_eq!(error.code(), "stopped", "after {looks} looks"),
            }
        }
        assert!(is_done);
    }
}

#[test]
fn what_is_stored_otherwise_is_left_to_the_decoder() {
    let (secret, limits) = (Secret::new(b"a secret"), Limits::default());
    let check = |name: &str, file: &[u8]| {
        let image = embed_into(file, &secret, &EmbedOptions::default(), &limits);
        assert!(!image.is_ok_and(|image| image.is_spliced()), "{name}");
    };
    let parts = testkit::PngParts {
        width: 300,
        height: 300,
        depth: 8,
        colour: 2,
        chunks: Vec::new(),
        rows: vec![testkit::noise(1, 900); 300],
    };
    check("not a PNG", b"BM");
    check(
        "transparent",
        &testkit::PngParts { chunks: vec![(*b"tRNS", vec![0; 6])], ..parts.clone() }.to_file(),
    );
    let palette = vec![(*b"PLTE", vec![0; 768])];
    check("palette", &testkit::PngParts { colour: 3, chunks: palette, ..parts.clone() }.to_file());
    let (colour, depth) = (0, 4);
    check("few bits", &testkit::PngParts { colour, depth, ..parts.clone() }.to_file());
    check(
        "a critical chunk",
        &testkit::PngParts { chunks: vec![(*b"CrIt", vec![])], ..parts.clone() }.to_file(),
    );
    check("small", &Cover::from_samples(20, 20, stego::Channels::Rgb, vec![0; 1200]).unwrap().to_png());
}

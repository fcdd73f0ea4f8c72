//! Covers of every format besides PNG: BMP, GIF, QOI, TIFF, WebP, JPEG in their varieties.
//!
//! `fixtures/make.py` makes files and, beside each, a PNG of the expected pixels. The output at 23 × 15 is
//! kept with the tests, so that each format is tested everywhere; with Pillow and ImageMagick, larger files
//! are made anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::catch_unwind;
use std::path::Path;

use stego::{BitsPerSample, Cover, EmbedOptions, ImageFormat, Limits, Note, Secret, embed, extract, probe};
use testkit::{Pixels, PngKind, PngSpecimen, ReadPng, qoi_file, run_pillow};

/// Tolerance of a sample between decoders of a lossy format: JPEG leaves open the rounding of the inverse
/// transform and of colours, and the scaling of chroma.
const LOSSY_MAX: u16 = 8;
/// The same on average over an image.
const LOSSY_MEAN: f64 = 0.6;

/// A line of the list written by `make.py`.
struct Listed<'a> {
    name: &'a str,
    format: ImageFormat,
    twin: &'a str,
    /// `None`: a lossy format.
    max_difference: Option<u16>,
    animated: bool,
}

impl<'a> Listed<'a> {
    fn parse(line: &'a str) -> Self {
        let [name, format, twin, tolerance, motion] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let format = match format {
            "bmp" => ImageFormat::Bmp,
            "gif" => ImageFormat::Gif,
            "tiff" => ImageFormat::Tiff,
            "webp-lossless" => ImageFormat::WebPLossless,
            "webp-lossy" => ImageFormat::WebPLossy,
            "jpeg" => ImageFormat::Jpeg,
            other => panic!("{other}: not a format of the list"),
        };
        Self { name, format, twin, max_difference: tolerance.parse().ok(), animated: motion == "animated" }
    }
}

/// Greatest and mean difference of two images' samples; the colour of invisible pixels does not count.
fn differences(name: &str, left: &Pixels, right: &Pixels) -> (u16, f64) {
    assert_eq!((left.width, left.height), (right.width, right.height), "{name}: size");
    assert_eq!((left.channels, left.depth), (right.channels, right.depth), "{name}: kind");
    let count = left.channels.count();
    let (left, right) = (left.values(), right.values());
    let pixels = left.chunks(count).zip(right.chunks(count));
    let unseen = |pixel: &[u16]| matches!(count, 2 | 4) && pixel[count - 1] == 0;
    let differences: Vec<u16> = pixels
        .filter(|(left, right)| !(unseen(left) && unseen(right)))
        .flat_map(|(left, right)| left.iter().zip(right).map(|(left, right)| left.abs_diff(*right)))
        .collect();
    let sum: u64 = differences.iter().map(|&difference| u64::from(difference)).sum();
    (differences.iter().copied().max().unwrap_or(0), sum as f64 / differences.len() as f64)
}

/// A secret in the cover comes back from a PNG that equals the cover except for the carried bits.
fn check_round_trip(name: &str, cover: &Cover, animated: bool) {
    let bits = BitsPerSample::new(1 + (name.len() % 4) as u8).unwrap();
    let secret = testkit::noise(name.len() as u64, 10);
    let options = EmbedOptions::default().with_bits(bits);
    let embedded = embed(cover, &Secret::new(&secret), &options, &Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let stego = ReadPng::of(&embedded.to_vec());
    Pixels::of(cover).assert_carries(name, &stego.pixels, embedded.report.payload_bytes, bits);
    assert_eq!(extract(&embedded.to_vec(), &Limits::default()).unwrap().secret, secret, "{name}");
    assert_eq!(
        embedded.report.notes.contains(&Note::FirstFrameOnly),
        animated,
        "{name}: {:?}",
        embedded.report.notes
    );
    assert_eq!(cover.is_first_frame(), animated, "{name}");
}

fn check(folder: &Path, listed: &Listed<'_>) {
    let Listed { name, format, twin, max_difference, animated } = *listed;
    let file = std::fs::read(folder.join(name)).unwrap();
    if twin == "refused" {
        let error = Cover::decode(&file, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "unsupported_image", "{name}: {error}");
        return;
    }
    let info = probe(&file, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!((info.format, info.animated), (format, animated), "{name}");
    let cover = Cover::decode(&file, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:?}"));

    let expected = ReadPng::of(&std::fs::read(folder.join(format!("{twin}.png"))).unwrap()).pixels;
    let (max, mean) = differences(name, &Pixels::of(&cover), &expected);
    match max_difference {
        Some(allowed) => assert!(max <= allowed, "{name}: a sample is {max} off, {mean:.3} on average"),
        None => assert!(
            max <= LOSSY_MAX && mean <= LOSSY_MEAN,
            "{name}: samples are {mean:.3} off on average, {max} at most"
        ),
    }

    check_round_trip(name, &cover, animated);
    let error = extract(&file, &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "no_payload", "{name}");
    // That a picture is in such a format does not show that it was ever in another one.
    let lossy = matches!(format, ImageFormat::Jpeg | ImageFormat::WebPLossy | ImageFormat::Gif);
    assert_eq!(
        error.to_string().contains("nothing is embedded yet; if its source"),
        lossy,
        "{name}: {error}"
    );
    check_cut_off(name, &file, animated);
}

/// Half a file never passes for a whole file, unless the first frame of an animation is complete.
fn check_cut_off(name: &str, file: &[u8], animated: bool) {
    for len in (0..file.len()).step_by(file.len() / 40) {
        let outcome = Cover::decode(&file[..len], &Limits::default());
        if let Err(error) = &outcome {
            let code = error.code();
            let expected = ["truncated_image", "damaged_image", "not_an_image"];
            assert!(expected.contains(&code), "{name}, {len} of {} bytes: {error:?}", file.len());
        }
        let may_do = animated || len > file.len() / 2;
        assert!(outcome.is_err() || may_do, "{name}: {len} of {} bytes will do", file.len());
        assert!(extract(&file[..len], &Limits::default()).is_err(), "{name}, {len} of {} bytes", file.len());
    }
}

/// Checks every file of a list, and reports all failures.
fn check_folder(folder: &Path) {
    let list = std::fs::read_to_string(folder.join("list")).unwrap();
    let failed: Vec<&str> =
        list.lines().filter(|line| catch_unwind(|| check(folder, &Listed::parse(line))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {} files: {failed:#?}", failed.len(), list.lines().count());
}

#[test]
fn kept_files_of_every_format_are_covers() {
    check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
}

#[test]
fn files_of_every_format_made_anew_are_covers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    // No whole number of blocks, tiles or strips.
    if run_pillow(include_str!("fixtures/make.py"), [path, "147", "101"]).is_some() {
        check_folder(folder.path());
    }
}

#[test]
fn qoi_is_a_cover() {
    for colour in [2, 6] {
        let noise = PngSpecimen::new(PngKind::plain(colour, 8), 61, 43, 9);
        // Noise, noise in few steps, lines of one colour: every kind of chunk.
        let steps = |mask: u16| noise.values.iter().map(|value| value & mask).collect();
        let lines = (0..noise.values.len()).map(|at| (at / 700 * 9) as u16 % 256).collect();
        for (what, values) in [("noise", noise.values.clone()), ("steps", steps(0x83)), ("lines", lines)] {
            let specimen = PngSpecimen { values, ..noise.clone() };
            let (name, expected) = (format!("{what} of colour type {colour}"), specimen.promoted());
            let file = qoi_file(&expected);
            assert_eq!(probe(&file, &Limits::default()).unwrap().format, ImageFormat::Qoi, "{name}");
            let cover = Cover::decode(&file, &Limits::default()).unwrap();
            Pixels::of(&cover).assert_same(&name, &expected);
            if !(what == "lines" && colour == 6) {
                check_round_trip(&name, &cover, false);
            }
            assert_eq!(extract(&file, &Limits::default()).unwrap_err().code(), "no_payload", "{name}");
            check_cut_off(&name, &file, false);
        }
    }
}

/// The still image of an animated PNG is the content of IDAT; the frames are left out.
#[test]
fn the_still_image_of_an_animated_png_is_a_cover() {
    let mut specimen = PngSpecimen::new(PngKind::plain(2, 8), 40, 30, 10);
    let control = |number: u32| {
        let numbers = [number, 40, 30, 0, 0].map(u32::to_be_bytes).concat();
        (*b"fcTL", [&numbers[..], &[0, 1, 0, 10, 0, 0]].concat())
    };
    specimen.before = vec![(*b"acTL", [2, 0].map(u32::to_be_bytes).concat()), control(0)];
    let frame = PngSpecimen::new(PngKind::plain(2, 8), 40, 30, 11).to_file();
    let (_, data) = testkit::png_chunks(&frame).into_iter().find(|(kind, _)| kind == b"IDAT").unwrap();
    specimen.after = vec![control(1), (*b"fdAT", [&2_u32.to_be_bytes()[..], &data].concat())];

    let file = specimen.to_file();
    assert!(probe(&file, &Limits::default()).unwrap().animated);
    let cover = Cover::decode(&file, &Limits::default()).unwrap();
    Pixels::of(&cover).assert_same("APNG", &specimen.promoted());
    check_round_trip("APNG", &cover, true);
    let stego = embed(&cover, &Secret::new(b"moves"), &EmbedOptions::default(), &Limits::default())
        .unwrap()
        .into_vec();
    let read = ReadPng::of(&stego);
    assert!(read.before.is_empty() && read.after.is_empty(), "the animation's chunks are left out");

    // A stego image to which somebody adds frames still gives its secret.
    let animated = PngSpecimen { values: read.pixels.values(), ..specimen }.to_file();
    assert_eq!(extract(&animated, &Limits::default()).unwrap().secret, b"moves");
}

/// Known, unsupported formats: the answer names the format and the remedy.
#[test]
fn formats_that_are_not_read_are_named() {
    let check = |file: &[u8], format: &str| {
        let file = [file, &[0; 100]].concat();
        let error = Cover::decode(&file, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "unsupported_image", "{format}");
        let text = error.to_string();
        assert!(text.contains(format) && text.contains("PNG"), "{format}: {text}");
        assert_eq!(probe(&file, &Limits::default()).unwrap_err().code(), "unsupported_image", "{format}");
    };
    check(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF");
    check(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF");
    check(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC");
    check(b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL");
    check(b"\xFF\x0A\xFF\x07", "JPEG XL");
}

/// A conversion to such a format destroys any hidden content.
#[test]
fn modern_lossy_formats_are_told_from_images_without_a_secret() {
    for brand in ["avif", "heic"] {
        let file =
            [b"\0\0\0\x18ftyp", brand.as_bytes(), b"\0\0\0\0mif1", brand.as_bytes(), &[0; 100]].concat();
        let error = extract(&file, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "no_payload", "{brand}: {error}");
        assert!(error.to_string().contains("nothing is embedded yet"), "{brand}: {error}");
    }
}

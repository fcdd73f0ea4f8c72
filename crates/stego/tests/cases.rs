//! Small files that were once decoded wrongly, refused wrongly, or made a decoder panic: a sample of each
//! kind.
//!
//! `fixtures/cases/list` has a line for each: the file; the PNG with the pixels seen by the reference
//! decoders and the tolerance of a sample, or the error's code; words of the note or of the error.
//! `fixtures/reference.py` made the PNGs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use stego::{Channels, Cover, EmbedError, EmbedOptions, ImageFile, Limits, Secret, embed, extract};
use testkit::{Pixels, ReadPng, run_outside, run_pillow};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases")
}

/// A line of the list.
#[derive(Debug)]
enum Expected<'a> {
    Pixels { twin: &'a str, tolerance: u16, note: &'a str },
    Refused { code: &'a str, words: &'a str },
}

fn parse(line: &str) -> (&str, Expected<'_>) {
    let [name, twin, third, words] = {
        let mut parts = line.splitn(4, ' ');
        [(); 4].map(|()| parts.next().unwrap_or_default())
    };
    let expected = match twin {
        "refused" => Expected::Refused { code: third, words },
        _ => Expected::Pixels { twin, tolerance: third.parse().unwrap(), note: words },
    };
    (name, expected)
}

/// R, G, B and alpha of each pixel, so that grey and opaque images compare with any other image.
fn rgba(pixels: &Pixels) -> Vec<[u16; 4]> {
    let opaque = u16::MAX >> (16 - pixels.depth.bits());
    let to_rgba = |pixel: &[u16]| match (pixels.channels, pixel) {
        (Channels::Grey, &[y]) => [y, y, y, opaque],
        (Channels::GreyAlpha, &[y, a]) => [y, y, y, a],
        (Channels::Rgb, &[r, g, b]) => [r, g, b, opaque],
        (_, &[r, g, b, a]) => [r, g, b, a],
        _ => unreachable!("a pixel has as many samples as channels"),
    };
    pixels.values().chunks(pixels.channels.count()).map(to_rgba).collect()
}

/// The largest difference of two images in a visible sample.
fn difference(seen: &Pixels, expected: &Pixels) -> u16 {
    assert_eq!((seen.width, seen.height), (expected.width, expected.height), "size");
    assert_eq!(seen.depth, expected.depth, "depth");
    let pairs = rgba(seen).into_iter().zip(rgba(expected)).filter(|(a, b)| (a[3], b[3]) != (0, 0));
    pairs.flat_map(|(a, b)| a.into_iter().zip(b)).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

/// Decodes the file, and embeds into it like a server, which may keep the compressed data.
fn check(name: &str, expected: &Expected<'_>) {
    let file = std::fs::read(folder().join(name)).unwrap();
    let limits = Limits::default();
    let decoded = Cover::decode(&file, &limits);
    let embedded = ImageFile::open(&file, &limits)
        .map_err(EmbedError::from)
        .and_then(|file| embed(file, &Secret::new(b"x"), &EmbedOptions::default(), &limits));
    match *expected {
        Expected::Refused { code, words } => {
            let (Err(decoded), Err(embedded)) = (decoded, embedded) else { panic!("it is read") };
            assert_eq!((decoded.code(), embedded.code()), (code, code), "{decoded:?}");
            let EmbedError::Image(embedded) = embedded else { panic!("{embedded:?}") };
            for error in [decoded, embedded] {
                assert!(error.to_string().contains(words), "{error}");
                assert!(code != "unsupported_image" || error.to_string().contains("as a PNG"), "{error}");
            }
        }
        Expected::Pixels { twin, tolerance, note } => {
            let expected = ReadPng::of(&std::fs::read(folder().join(twin)).unwrap()).pixels;
            let off = difference(&Pixels::of(&decoded.unwrap()), &expected);
            assert!(off <= tolerance, "samples are up to {off} off");
            let embedded = embedded.unwrap();
            let stego = embedded.to_vec();
            let off = difference(&ReadPng::of(&stego).pixels, &expected);
            assert!(off <= tolerance + 1, "samples are up to {off} off once embedded into");
            assert_eq!(extract(&stego, &limits).unwrap().secret, b"x");
            let told: Vec<String> = embedded.report.notes.iter().map(ToString::to_string).collect();
            assert!(note.is_empty() || told.iter().any(|told| told.contains(note)), "{told:?}");
            check_readers(&stego);
        }
    }
}

/// libpng opens the file without a warning.
fn check_readers(png: &[u8]) {
    // Sides beyond ImageMagick's limit.
    const MAX_SIDE: u32 = 16_000;
    let Pixels { width, height, .. } = ReadPng::of(png).pixels;
    if width.max(height) > MAX_SIDE {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stego.png");
    std::fs::write(&path, png).unwrap();
    run_outside(
        std::process::Command::new("identify").args(["-regard-warnings", "-format", "%#"]).arg(&path),
    );
}

#[test]
fn every_case_has_its_right_answer() {
    let list = std::fs::read_to_string(folder().join("list")).unwrap();
    let mut failed = Vec::new();
    for (name, expected) in list.lines().map(parse) {
        if let Err(panic) = catch_unwind(|| check(name, &expected)) {
            let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            failed.push(format!("{name}: {said}"));
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), list.lines().count(), failed.join("\n"));
}

/// The list names every file present.
#[test]
fn no_case_is_forgotten() {
    let list = std::fs::read_to_string(folder().join("list")).unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_listed = list.lines().any(|line| line.split(' ').take(2).any(|word| word == name));
        assert!(name == "list" || is_listed, "{name}");
    }
}

/// The reference decoders still see the recorded pixels.
#[test]
fn the_twins_are_what_the_reference_decoders_see() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().to_str().unwrap();
    if run_pillow(include_str!("fixtures/reference.py"), [path]).is_none() {
        return;
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        if Path::new(&name).extension().is_some_and(|kind| kind == "png") {
            let (kept, anew) = (read(&folder()), read(copy.path()));
            assert!(
                kept == anew || difference(&ReadPng::of(&kept).pixels, &ReadPng::of(&anew).pixels) == 0,
                "{name:?}"
            );
        }
    }
}

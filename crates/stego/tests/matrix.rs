//! PNG covers of every legal kind: colour type × depth × transparent colours × interlacing, with every filter
//! and with IDAT cut in every odd way.
//!
//! The files and the expected samples come from testkit's generator; stego images are read with testkit's
//! reader, and by Pillow, ImageMagick and pngcheck. So the library's `png` crate is never compared with
//! itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use stego::{BitsPerSample, Channels, Cover, EmbedOptions, Limits, Note, Secret, embed, extract, probe};
use testkit::{Filtering, OutsideReaders, Pixels, PngKind, PngSpecimen, ReadPng, Split};

const SPLITS: [Split; 5] =
    [Split::Whole, Split::Every(1), Split::Every(7), Split::Every(1000), Split::WithEmpty];

fn name_of(specimen: &PngSpecimen) -> String {
    let PngSpecimen { kind, width, height, filtering, split, level, .. } = specimen;
    let PngKind { colour, depth, transparent, interlaced } = kind;
    format!(
        "{width}x{height} colour {colour} depth {depth}{}{} {filtering:?} {split:?} level {level}",
        if *transparent { " tRNS" } else { "" },
        if *interlaced { " Adam7" } else { "" },
    )
}

/// The samples match the specification.
fn check_decoding(specimen: &PngSpecimen) -> Cover {
    let (name, file, expected) = (name_of(specimen), specimen.to_file(), specimen.promoted());
    let info = probe(&file, &Limits::default()).unwrap();
    assert_eq!((info.width, info.height), (expected.width, expected.height), "{name}");
    assert_eq!((info.channels, info.depth), (expected.channels, expected.depth), "{name}");
    assert_eq!((info.interlaced, info.animated), (specimen.kind.interlaced, false), "{name}");
    let cover = Cover::decode(&file, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    Pixels::of(&cover).assert_same(&name, &expected);
    cover
}

/// Embeds and extracts; the stego image is the cover except for the carried bits, and gives the secret. The
/// cover without an embed reports no payload.
fn check_embedding(specimen: &PngSpecimen, bits: BitsPerSample, readers: &mut OutsideReaders) {
    let name = format!("{} at {}", name_of(specimen), bits.as_u8());
    let (cover, expected) = (check_decoding(specimen), specimen.promoted());
    let secret = testkit::noise(7, 17 * usize::from(bits.as_u8()));
    let options = EmbedOptions::default().with_bits(bits);
    let embedded = embed(&cover, &Secret::new(&secret), &options, &Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(embedded.report.notes, [Note::NotHiddenFromAnalysis], "{name}");

    let stego = ReadPng::of(&embedded.to_vec());
    expected.assert_carries(&name, &stego.pixels, embedded.report.payload_bytes, bits);
    assert_eq!(stego.before, specimen.before, "{name}: chunks before IDAT");
    assert_eq!(stego.after, specimen.after, "{name}: chunks after IDAT");
    assert_eq!(extract(&embedded.to_vec(), &Limits::default()).unwrap().secret, secret, "{name}");
    let plain = extract(&specimen.to_file(), &Limits::default()).unwrap_err();
    assert_eq!(plain.code(), "no_payload", "{name}");

    readers.add(&format!("cover {name}"), &specimen.to_file(), expected);
    readers.add(&format!("stego {name}"), &embedded.to_vec(), stego.pixels);
}

#[test]
fn every_kind_of_png_carries_a_secret() {
    let mut readers = OutsideReaders::new();
    for (i, kind) in PngKind::all().enumerate() {
        for (j, filtering) in Filtering::EVERY.into_iter().enumerate() {
            let mut specimen = PngSpecimen::new(kind, 37, 29, i as u64);
            specimen.filtering = filtering;
            specimen.split = SPLITS[(i + j) % SPLITS.len()];
            specimen.level = [6, 0, 9, 1][(i + j) % 4];
            specimen.before = vec![
                (*b"pHYs", vec![0, 0, 11, 19, 0, 0, 11, 19, 1]),
                (*b"tEXt", b"Comment\0in front".to_vec()),
            ];
            specimen.after =
                vec![(*b"tEXt", b"Comment\0behind".to_vec()), (*b"tIME", vec![7, 234, 5, 6, 7, 8, 9])];
            let bits = BitsPerSample::new(1 + ((i + j) % 4) as u8).unwrap();
            check_embedding(&specimen, bits, &mut readers);
        }
    }
    readers.check();
}

/// Passes without any pixel, rows that end inside a byte, images of one pixel.
#[test]
fn every_size_is_decoded() {
    for kind in PngKind::all() {
        for (width, height) in (1..=9).flat_map(|width| (1..=9).map(move |height| (width, height))) {
            if kind.interlaced || width == 1 || height == 1 {
                let seed = u64::from(width * 10 + height);
                check_decoding(&PngSpecimen::new(kind, width, height, seed));
            }
        }
        check_decoding(&PngSpecimen::new(kind, 1, 300, 3));
        check_decoding(&PngSpecimen::new(kind, 301, 1, 4));
    }
}

/// IHDR allows five colour types, each with its own depths (PNG third edition, table 11.1).
#[test]
fn illegal_kinds_are_refused() {
    for (colour, depth) in (0..=7_u8).flat_map(|colour| (0..=17_u8).map(move |depth| (colour, depth))) {
        if PngKind::all().any(|kind| (kind.colour, kind.depth) == (colour, depth)) {
            continue;
        }
        let mut file = PngSpecimen::new(PngKind::plain(6, 16), 8, 8, 5).to_file();
        (file[24], file[25]) = (depth, colour);
        let crc = crc32fast::hash(&file[12..29]);
        file[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = Cover::decode(&file, &Limits::default()).unwrap_err();
        assert!(
            matches!(error.code(), "unsupported_image" | "damaged_image"),
            "colour type {colour}, depth {depth}: {error:?}"
        );
        assert!(extract(&file, &Limits::default()).is_err(), "colour type {colour}, depth {depth}");
    }
}

/// Other programs may store the content of an interlaced cover interlaced again, in every kind of stego
/// image.
#[test]
fn interlaced_stego_images_give_the_secret() {
    for kind in PngKind::all().filter(|kind| kind.depth >= 8 && kind.colour != 3 && !kind.transparent) {
        let specimen = PngSpecimen::new(PngKind { interlaced: false, ..kind }, 40, 23, 6);
        let cover = check_decoding(&specimen);
        let stego =
            embed(&cover, &Secret::new(b"passes"), &EmbedOptions::default(), &Limits::default()).unwrap();
        let values = ReadPng::of(&stego.to_vec()).pixels.values();
        let again = PngSpecimen { kind, values, split: Split::WithEmpty, ..specimen };
        let name = name_of(&again);
        assert_eq!(extract(&again.to_file(), &Limits::default()).unwrap().secret, b"passes", "{name}");
    }
}

/// Programs for smaller PNG files store the same samples in fewer bits: with a palette, and alpha as a
/// transparent colour.
#[test]
fn stego_images_made_smaller_give_the_secret() {
    let stego_of = |channels, pixels: &[u8]| {
        let samples = pixels.iter().copied().cycle().take(60 * 20 * pixels.len()).collect();
        let cover = Cover::from_samples(60, 20, channels, samples).unwrap();
        let stego =
            embed(&cover, &Secret::new(b"smaller"), &EmbedOptions::default(), &Limits::default()).unwrap();
        ReadPng::of(&stego.to_vec()).pixels
    };
    let check = |name: &str,
                 colour: u8,
                 depth: u8,
                 values: Vec<u16>,
                 palette: Vec<[u8; 3]>,
                 transparency: &[u8]| {
        for interlaced in [false, true] {
            let kind = PngKind { colour, depth, transparent: !transparency.is_empty(), interlaced };
            let specimen = PngSpecimen::new(kind, 60, 20, 1);
            let (values, palette) = (values.clone(), palette.clone());
            let smaller = PngSpecimen { values, palette, transparency: transparency.to_vec(), ..specimen };
            let found = extract(&smaller.to_file(), &Limits::default());
            assert_eq!(found.unwrap_or_else(|error| panic!("{name}: {error}")).secret, b"smaller", "{name}");
        }
    };

    let rgb = stego_of(Channels::Rgb, &[100, 150, 200]);
    let (palette, indices) = palette_of(&rgb);
    let colours = palette.iter().map(|colour| [colour[0], colour[1], colour[2]]).collect::<Vec<_>>();
    for depth in [4, 8] {
        check("RGB with a palette", 3, depth, indices.clone(), colours.clone(), &[]);
    }

    // What cannot be seen is of one colour, which nothing else has.
    let mut rgba = stego_of(Channels::Rgba, &[100, 150, 200, 255]);
    rgba.samples.chunks_mut(4).take(100).for_each(|pixel| pixel.copy_from_slice(&[7, 8, 9, 0]));
    let cover = Cover::from_samples(60, 20, Channels::Rgba, rgba.samples).unwrap();
    let stego =
        embed(&cover, &Secret::new(b"smaller"), &EmbedOptions::default(), &Limits::default()).unwrap();
    let rgba = ReadPng::of(&stego.to_vec()).pixels;
    let colours: Vec<u16> = rgba.values().chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
    check("RGBA with a transparent colour", 2, 8, colours, Vec::new(), &[0, 7, 0, 8, 0, 9]);
    let (palette, indices) = palette_of(&rgba);
    let alphas: Vec<u8> = palette.iter().map(|colour| colour[3]).collect();
    let colours = palette.iter().map(|colour| [colour[0], colour[1], colour[2]]).collect();
    check("RGBA with a palette", 3, 8, indices, colours, &alphas);

    let mut grey = stego_of(Channels::GreyAlpha, &[90, 255]);
    grey.samples.chunks_mut(2).take(100).for_each(|pixel| pixel.copy_from_slice(&[3, 0]));
    let cover = Cover::from_samples(60, 20, Channels::GreyAlpha, grey.samples).unwrap();
    let stego =
        embed(&cover, &Secret::new(b"smaller"), &EmbedOptions::default(), &Limits::default()).unwrap();
    let values = ReadPng::of(&stego.to_vec()).pixels.values().chunks(2).map(|pixel| pixel[0]).collect();
    check("grey with a transparent colour", 0, 8, values, Vec::new(), &[0, 3]);
}

/// The colours of an image, with alpha if present, and each pixel as an index into the colours.
fn palette_of(pixels: &Pixels) -> (Vec<Vec<u8>>, Vec<u16>) {
    let mut palette: Vec<Vec<u8>> = Vec::new();
    let mut index_of = |pixel: &[u8]| {
        palette.iter().position(|colour| colour == pixel).unwrap_or_else(|| {
            palette.push(pixel.to_vec());
            palette.len() - 1
        }) as u16
    };
    let indices = pixels.samples.chunks(pixels.channels.count()).map(&mut index_of).collect();
    (palette, indices)
}

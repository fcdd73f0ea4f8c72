//! Covers that give away: made ones of each kind are named, photographs are not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use stego::{
    Channels, Cover, DerivedKey, EmbedOptions, GiveAway, ImageFormat, Limits, Note, Salt, Seal, SealingKey,
    Secret, embed,
};

const MADE: usize = 100;
const WIDTH: usize = 480;
const HEIGHT: usize = 320;

fn limits() -> Limits {
    Limits::default()
}

/// Crops of the photographs, or of what stands for them, as R, G, B of 8 bits.
fn crops() -> Vec<Vec<u8>> {
    let mut crops = Vec::new();
    for (_, file) in testkit::covers() {
        let cover = Cover::decode(&file, &limits()).unwrap();
        let (width, height) = (cover.width() as usize, cover.height() as usize);
        if cover.channels() != Channels::Rgb || cover.depth().bytes() > 1 || width < WIDTH || height < HEIGHT
        {
            continue;
        }
        for i in 0..5 {
            let (x, y) = ((width - WIDTH) * i / 4, (height - HEIGHT) * (i * 3 % 5) / 4);
            let rows = cover.samples().chunks_exact(3 * width).skip(y).take(HEIGHT);
            crops.push(rows.flat_map(|row| row[3 * x..3 * (x + WIDTH)].to_vec()).collect());
        }
    }
    crops
}

/// True if the crops are of photographs: the images in their place are made, and may give away.
fn has_photographs() -> bool {
    !testkit::photographs().is_empty()
}

/// Makes covers and counts those named as `kind`.
fn check(kind: GiveAway, make: impl Fn(usize, &[u8]) -> Cover) {
    let crops = crops();
    let named = (0..MADE).filter(|&i| make(i, &crops[i % crops.len()]).give_aways().contains(&kind)).count();
    eprintln!("{}: {named} of {MADE}", kind.code());
    assert!(named * 100 >= MADE * 98, "{kind:?}: {named} of {MADE}");
}

fn rgb(samples: Vec<u8>) -> Cover {
    Cover::from_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgb, samples).unwrap()
}

fn grey(crop: &[u8]) -> Vec<u8> {
    crop.as_chunks::<3>()
        .0
        .iter()
        .map(|&[r, g, b]| ((u16::from(r) + 2 * u16::from(g) + u16::from(b)) / 4) as u8)
        .collect()
}

#[test]
fn samples_of_fewer_bits_in_sixteen_are_named() {
    // A stand-in for samples of 16 bits: noise below the bits of the photograph.
    let deep = |i: usize, crop: &[u8]| -> Vec<u16> {
        let low = testkit::noise(i as u64, crop.len());
        crop.iter().zip(low).map(|(&high, low)| u16::from(high) << 8 | u16::from(low)).collect()
    };
    let rules: [fn(u16) -> u16; 10] = [
        |v| (v >> 8) * 257,
        |v| v & 0xFF00,
        |v| v & 0xFFFE,
        |v| v & 0xFFF0,
        |v| v | 1,
        |v| v >> 6 << 6 | v >> 10,
        |v| v >> 4 << 4 | v >> 12,
        |v| v >> 2 << 2 | v >> 14,
        // 8 and 10 bits through a curve.
        |v| ((f64::from(v >> 8) / 255.0).powf(0.8) * 65_535.0).round() as u16,
        |v| ((f64::from(v >> 6) / 1023.0).powf(1.2) * 65_535.0).round() as u16,
    ];
    check(GiveAway::StructuredLowBytes, |i, crop| {
        let values: Vec<u16> = deep(i, crop).into_iter().map(rules[i % rules.len()]).collect();
        Cover::from_deep_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgb, &values).unwrap()
    });
    for (i, crop) in crops().iter().enumerate() {
        let cover =
            Cover::from_deep_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgb, &deep(i, crop)).unwrap();
        assert!(!cover.give_aways().contains(&GiveAway::StructuredLowBytes), "{i}");
    }
}

#[test]
fn stretched_and_squeezed_histograms_are_named() {
    check(GiveAway::HistogramComb, |i, crop| {
        let factor = [1.05, 1.1, 1.2, 1.5, 2.0, 0.9, 0.8, 0.7, 1.33, 1.7][i % 10];
        let offset = [0.0, 128.0, 60.0][i / 10 % 3];
        let edit = |value: u8| ((f64::from(value) - offset) * factor + offset).clamp(0.0, 255.0) as u8;
        let crop: Vec<u8> = crop.iter().map(|&value| edit(value)).collect();
        match i % 4 {
            0 => Cover::from_samples(
                WIDTH as u32,
                HEIGHT as u32,
                Channels::Grey,
                grey(&crop).into_iter().map(edit).collect(),
            )
            .unwrap(),
            _ => rgb(crop),
        }
    });
}

#[test]
fn few_colours_are_named() {
    check(GiveAway::FewColours, |i, crop| {
        let levels = [2, 4, 6, 8, 12, 16][i % 6];
        let step = 256 / levels;
        rgb(crop.iter().map(|&value| (usize::from(value) / step * step) as u8).collect())
    });
}

#[test]
fn repeated_pixels_are_named() {
    check(GiveAway::RepeatedPixels, |i, crop| {
        let at = |x: usize, y: usize| -> [u8; 3] { crop[3 * (y * WIDTH + x)..][..3].try_into().unwrap() };
        let pixel = |x: usize, y: usize| -> [u8; 3] {
            match i % 5 {
                // Enlarged, also by a part.
                0 => at(x / 2, y / 2),
                1 => at(x * 10 / 13, y * 10 / 13),
                2 => at(x / (3 + i / 20), y / (3 + i / 20)),
                // Tiled.
                3 => at(x % (40 + i), y % (30 + i)),
                // Painted areas beside the photograph.
                _ if y < HEIGHT / (2 + i / 50) => [(i * 2) as u8, 40, 99],
                _ => at(x, y),
            }
        };
        rgb((0..WIDTH * HEIGHT).flat_map(|i| pixel(i % WIDTH, i / WIDTH)).collect())
    });
}

#[test]
fn lossy_files_are_named() {
    check(GiveAway::LossyFile(ImageFormat::Jpeg), |i, crop| {
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, 50 + (i / 2) as u8)
            .encode(crop, WIDTH as u32, HEIGHT as u32, ExtendedColorType::Rgb8)
            .unwrap();
        Cover::decode(&file, &limits()).unwrap()
    });
    let webp = Cover::decode(include_bytes!("fixtures/lossy.webp"), &limits()).unwrap();
    assert!(webp.give_aways().contains(&GiveAway::LossyFile(ImageFormat::WebPLossy)));
    let lossless = Cover::decode(include_bytes!("fixtures/lossless.webp"), &limits()).unwrap();
    assert!(!lossless.give_aways().iter().any(|kind| matches!(kind, GiveAway::LossyFile(_))));
}

#[test]
fn photographs_are_not_named() {
    if !has_photographs() {
        eprintln!("passed over: no photographs");
        return;
    }
    let mut looked_at = 0;
    for (name, file) in testkit::covers() {
        let cover = Cover::decode(&file, &limits()).unwrap();
        let found = cover.give_aways();
        if name.ends_with(".png") {
            looked_at += 1;
            assert!(found.is_empty(), "{name}: {found:?}");
            let values: Vec<u8> = grey(cover.samples());
            let in_grey = Cover::from_samples(cover.width(), cover.height(), Channels::Grey, values).unwrap();
            assert!(in_grey.give_aways().is_empty(), "{name} in grey: {:?}", in_grey.give_aways());
        } else {
            assert_eq!(found, [GiveAway::LossyFile(ImageFormat::Jpeg)], "{name}");
        }
    }
    assert!(looked_at > 0);
}

#[test]
fn invisible_pixels_do_not_count() {
    let crops = crops();
    let noise = testkit::noise(1, 4 * WIDTH * HEIGHT);
    let mut samples: Vec<u8> =
        crops[0].as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
    let visible = Cover::from_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgba, samples.clone()).unwrap();
    // Noise in a few invisible pixels does not make more colours of an image with few.
    for (i, pixel) in samples.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        if i % 3 == 0 {
            *pixel = [noise[3 * i], noise[3 * i + 1], noise[3 * i + 2], 0];
        } else {
            pixel[..3].iter_mut().for_each(|value| *value &= 0xE0);
        }
    }
    let few = Cover::from_samples(WIDTH as u32, HEIGHT as u32, Channels::Rgba, samples).unwrap();
    assert!(few.give_aways().contains(&GiveAway::FewColours));
    assert!(!has_photographs() || visible.give_aways().is_empty());
}

#[test]
fn a_keyed_embed_notes_it_and_the_safe_capacity() {
    let key = DerivedKey::from_prk(Salt([1; 16]), &[2; 32]);
    let sealed = EmbedOptions::default().with_seal(Seal::Derived(key));
    let flat = rgb(vec![77; 3 * WIDTH * HEIGHT]);
    let report = embed(&flat, &Secret::new(b"seen"), &sealed, &limits()).unwrap().report;
    assert_eq!(report.notes, [Note::CoverGivesAway(vec![GiveAway::RepeatedPixels])]);
    assert_eq!(report.safe_capacity_bytes(), Some(0));
    let told = report.notes[0].to_string();
    assert!(told.starts_with("cover_gives_away: ") && told.contains("repeated_pixels"), "{told}");
    let open = embed(&flat, &Secret::new(b"seen"), &EmbedOptions::default(), &limits()).unwrap().report;
    assert_eq!(open.safe_capacity_bytes(), None);
    let noise = rgb(testkit::noise(5, 3 * WIDTH * HEIGHT));
    let report = embed(&noise, &Secret::new(b"seen"), &sealed, &limits()).unwrap().report;
    assert_eq!((report.notes.as_slice(), report.safe_capacity_bytes()), (&[][..], None));
}

#[test]
fn a_cover_that_a_key_opens_is_known() {
    let (right, wrong) =
        (SealingKey::new(Some("right"), None).unwrap(), SealingKey::new(Some("wrong"), None).unwrap());
    let cover = rgb(testkit::noise(6, 3 * WIDTH * HEIGHT));
    let options = EmbedOptions::default().with_seal(Seal::Key(right.clone(), Salt([3; 16])));
    let stego = embed(&cover, &Secret::new(b"first"), &options, &limits()).unwrap().into_vec();
    let stego = Cover::decode(&stego, &limits()).unwrap();
    assert!(stego.opens_under(&right, &limits()).unwrap());
    assert!(!stego.opens_under(&wrong, &limits()).unwrap());
    assert!(!cover.opens_under(&right, &limits()).unwrap());
    let small = Cover::from_samples(8, 8, Channels::Grey, vec![1; 64]).unwrap();
    assert!(!small.opens_under(&right, &limits()).unwrap());
    // Equal pixels have equal digests, in whatever file.
    let again = Cover::decode(&cover.to_png(), &limits()).unwrap();
    assert_eq!(again.pixel_digest(), cover.pixel_digest());
    assert_ne!(stego.pixel_digest(), cover.pixel_digest());
    let turned =
        Cover::from_samples(HEIGHT as u32, WIDTH as u32, Channels::Rgb, cover.samples().to_vec()).unwrap();
    assert_ne!(turned.pixel_digest(), cover.pixel_digest());
}

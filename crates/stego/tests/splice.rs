//! Stego images assembled from prepared parts: equal to any other stego image for every reader.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use proptest::prelude::*;
use stego::{
    BitsPerSample, Channels, Cover, EmbedError, EmbedOptions, Limits, MetadataPolicy, Mode, Note, Part,
    PreparedCover, SampleDepth, Secret, Stage, StegoImage, Watch, embed, examine,
};
use testkit::{Pixels, PngKind, PngSpecimen, ReadPng, chunk, run_outside, run_pillow};
use zune_core::bytestream::ZCursor;
use zune_core::options::DecoderOptions;

fn limits() -> Limits {
    Limits::default()
}

/// A cover of noise, with some transparent pixels if it has alpha.
fn cover(width: u32, height: u32, channels: Channels, depth: SampleDepth) -> Cover {
    let samples = width as usize * height as usize * channels.count();
    let mut values: Vec<u16> = testkit::noise(u64::from(width * 31 + height), samples * 2)
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    if channels.has_alpha() {
        for pixel in values.chunks_exact_mut(channels.count()) {
            let alpha = pixel.len() - 1;
            pixel[alpha] = if pixel[alpha] < 0x4000 { 0 } else { pixel[alpha] };
        }
    }
    match depth {
        SampleDepth::Sixteen => Cover::from_deep_samples(width, height, channels, &values),
        SampleDepth::Eight => {
            let bytes = values.iter().map(|value| (value >> 8) as u8).collect();
            Cover::from_samples(width, height, channels, bytes)
        }
    }
    .unwrap()
}

/// The parts of a spliced file: before, among and after the prepared chunks.
fn parts<'a>(spliced: &'a StegoImage<'_>) -> [&'a [u8]; 3] {
    let [Part::New(head), Part::Kept(chunks), Part::New(trailer)] = spliced.parts.as_slice() else {
        panic!("a prepared cover is kept from some row on")
    };
    [head, chunks, trailer]
}

/// Checks the properties of every spliced file.
fn check<'c>(
    prepared: &'c PreparedCover,
    secret: &[u8],
    bits: BitsPerSample,
) -> Result<StegoImage<'c>, EmbedError> {
    let options = EmbedOptions::default().with_bits(bits);
    let spliced = embed(prepared, &Secret::new(secret), &options, &limits())?;
    let file = spliced.to_vec();
    assert_eq!(file.len(), spliced.len_bytes());
    let [head, kept, _] = parts(&spliced);
    assert!(prepared.chunks().ends_with(kept));
    assert!(kept.is_empty() || head.len() % 3 == (prepared.chunks().len() - kept.len()) % 3);
    assert!(spliced.report.notes.contains(&Note::ShowsItsMaker));

    let found = examine(&file, &limits()).unwrap();
    assert_eq!(
        (&found.secret[..], found.payload_bytes, found.notes),
        (secret, spliced.report.payload_bytes, vec![])
    );
    let pixels = ReadPng::of(&file).pixels;
    Pixels::of(prepared.cover()).assert_carries("spliced", &pixels, spliced.report.payload_bytes, bits);
    check_other_readers(&file, &pixels);
    Ok(spliced)
}

/// The `png`, `image` and `zune-png` crates see the same samples.
fn check_other_readers(file: &[u8], pixels: &Pixels) {
    let mut options = png::DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut reader = png::Decoder::new_with_options(std::io::Cursor::new(file), options).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    reader.finish().unwrap();
    assert!(samples == pixels.samples, "png");

    let image = image::load_from_memory(file).unwrap();
    let native: Vec<u8> = match pixels.depth {
        SampleDepth::Eight => pixels.samples.clone(),
        SampleDepth::Sixteen => pixels.values().into_iter().flat_map(u16::to_ne_bytes).collect(),
    };
    assert!(image.as_bytes() == native, "image");

    let strict = DecoderOptions::default()
        .set_max_width(1 << 17)
        .set_strict_mode(true)
        .png_set_confirm_crc(true)
        .inflate_set_confirm_adler(true);
    let decoded = zune_png::PngDecoder::new_with_options(ZCursor::new(file), strict).decode_raw().unwrap();
    assert!(decoded == pixels.samples, "zune-png");
}

fn all_kinds() -> impl Iterator<Item = (Channels, SampleDepth)> {
    let channels = [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba];
    channels
        .into_iter()
        .flat_map(|channels| [(channels, SampleDepth::Eight), (channels, SampleDepth::Sixteen)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_spliced_image_is_a_valid_png(
        (width, height) in prop_oneof![(1_u32..40, 1_u32..80), (40_u32..400, 1_u32..60), (1_u32..4, 60_u32..600)],
        kind in prop::sample::select(all_kinds().collect::<Vec<_>>()),
        bits in 1_u8..=4,
        rows_in_segment in 1_usize..20,
        share in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64],
    ) {
        let bits = BitsPerSample::new(bits).unwrap();
        let cover = cover(width, height, kind.0, kind.1);
        let prepared =
            PreparedCover::in_segments(cover, MetadataPolicy::Keep, rows_in_segment, &Watch::default()).unwrap();
        let fits = prepared.capacity(Mode::Sequential).secret_bytes(bits);
        let secret = testkit::noise(7, (fits as f64 * share) as usize);
        match check(&prepared, &secret, bits) {
            Ok(_) => prop_assert!(prepared.capacity(Mode::Sequential).holds_a_header()),
            Err(error) => {
                prop_assert!(matches!(error, EmbedError::CoverTooSmall), "{error:?}");
                prop_assert!(!prepared.capacity(Mode::Sequential).holds_a_header());
            }
        }
    }
}

#[test]
fn very_wide_and_very_small_images() {
    for (channels, depth) in all_kinds() {
        let wide =
            PreparedCover::new(cover(5000, 7, channels, depth), MetadataPolicy::Keep, &Watch::default())
                .unwrap();
        for len in [0, 100, 1500] {
            check(&wide, &testkit::noise(1, len), BitsPerSample::ONE).unwrap();
        }
        let tiny = PreparedCover::new(cover(1, 1, channels, depth), MetadataPolicy::Keep, &Watch::default())
            .unwrap();
        assert!(matches!(check(&tiny, b"", BitsPerSample::ONE), Err(EmbedError::CoverTooSmall)));
    }
}

#[test]
fn a_row_that_is_longer_than_a_stored_block() {
    let cover = cover(23_000, 17, Channels::Rgb, SampleDepth::Eight);
    let prepared = PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default()).unwrap();
    check(&prepared, &testkit::noise(1, 100), BitsPerSample::ONE).unwrap();
}

/// A small payload leaves most of the file unchanged, whatever the image's size.
#[test]
fn the_head_is_as_long_as_the_payload_needs() {
    let prepared = PreparedCover::new(
        cover(1920, 1080, Channels::Rgb, SampleDepth::Eight),
        MetadataPolicy::Keep,
        &Watch::default(),
    )
    .unwrap();
    let spliced = check(&prepared, &testkit::noise(3, 10 << 10), BitsPerSample::ONE).unwrap();
    // 82,144 samples in 15 rows of 1920; the row below is written anew too.
    let [head, _, trailer] = parts(&spliced);
    assert!(head.len() < 17 * 1920 * 3, "{}", head.len());
    assert!(trailer.len() < 40, "{}", trailer.len());
    assert!((51.0..90.0).contains(&spliced.report.psnr_db), "{}", spliced.report.psnr_db);
}

/// The same input gives the same bytes, on one thread or many.
#[test]
fn the_bytes_depend_on_nothing_but_the_input() {
    let prepare = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let cover = cover(300, 200, Channels::Rgb, SampleDepth::Eight);
        pool.install(|| PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default()).unwrap())
    };
    let secret = testkit::noise(5, 2000);
    let files: Vec<Vec<u8>> = [1, 4]
        .map(|threads| {
            let prepared = prepare(threads);
            check(&prepared, &secret, BitsPerSample::ONE).unwrap().to_vec()
        })
        .to_vec();
    assert!(files[0] == files[1]);
}

#[test]
fn what_the_cover_says_of_itself_is_there_unless_it_is_stripped() {
    let mut specimen = PngSpecimen::new(PngKind::plain(2, 8), 60, 50, 1);
    let before = vec![(*b"gAMA", 45_455_u32.to_be_bytes().to_vec()), (*b"tEXt", b"Comment\0before".to_vec())];
    let after = vec![(*b"tEXt", b"Comment\0after".to_vec())];
    (specimen.before, specimen.after) = (before.clone(), after.clone());
    let cover = Cover::decode(&specimen.to_file(), &limits()).unwrap();
    for policy in [MetadataPolicy::Keep, MetadataPolicy::Strip] {
        let prepared = PreparedCover::new(cover.clone(), policy, &Watch::default()).unwrap();
        let file = check(&prepared, b"x", BitsPerSample::ONE).unwrap().to_vec();
        let holds = |(kind, data): &([u8; 4], Vec<u8>)| {
            let whole = chunk(*kind, data);
            file.windows(whole.len()).any(|window| window == whole)
        };
        assert!(holds(&before[0]));
        let keeps = policy == MetadataPolicy::Keep;
        assert_eq!((holds(&before[1]), holds(&after[0])), (keeps, keeps));
    }
}

#[test]
fn preparing_can_be_stopped() {
    let watch = Watch::new(|progress| match progress.stage {
        Stage::Encode => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    });
    let cover = cover(100, 100, Channels::Rgb, SampleDepth::Eight);
    assert!(PreparedCover::new(cover, MetadataPolicy::Keep, &watch).is_err());
}

/// Pillow (libpng), ImageMagick and pngcheck, which warns of everything unusual.
#[test]
fn readers_outside_take_them_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for (i, (channels, depth)) in all_kinds().enumerate() {
        for (width, height, share) in
            [(64, 48, 0.0), (64, 48, 1.0), (1, 700, 0.5), (333, 31, 0.3), (5000, 7, 0.2)]
        {
            let prepared = PreparedCover::in_segments(
                cover(width, height, channels, depth),
                MetadataPolicy::Keep,
                5,
                &Watch::default(),
            )
            .unwrap();
            let fits = prepared.capacity(Mode::Sequential).secret_bytes(BitsPerSample::ONE);
            let secret = testkit::noise(i as u64, (fits as f64 * share) as usize);
            let file = check(&prepared, &secret, BitsPerSample::ONE).unwrap().to_vec();
            let name = folder.path().join(format!("{i}-{width}-{share}.png")).to_str().unwrap().to_owned();
            std::fs::write(&name, file).unwrap();
            names.push(name);
        }
    }
    if let Some(told) = run_outside(Command::new("pngcheck").arg("-v").args(&names)) {
        assert!(
            told.contains(&format!("No errors were detected in {0} of the {0} files", names.len())),
            "{told}"
        );
        assert!(!told.to_lowercase().contains("warning"), "{told}");
    }
    run_outside(Command::new("identify").args(["-regard-warnings"]).args(&names));
    run_pillow(
        "import sys, warnings\nfrom PIL import Image\nwarnings.simplefilter('error')\nfor name in sys.argv[1:]:\n    Image.open(name).load()\n",
        names.iter().map(String::as_str),
    );
}

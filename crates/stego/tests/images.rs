//! Supported images, and the refusal of others.

use std::ops::ControlFlow;

use stego::{
    Channels, Cover, EmbedOptions, ExtractError, ImageError, ImageFormat, Limits, MetadataPolicy, Note,
    Secret, Stage, Watch, claimed_lengths_bytes, embed, extract, probe,
};
use testkit::{PngParts, chunk};

fn limits() -> Limits {
    Limits::default()
}

fn grey(width: u32, height: u32) -> PngParts {
    let rows = (0..height).map(|y| (0..width).map(|x| (x * 3 + y * 5) as u8).collect()).collect();
    PngParts { width, height, depth: 8, colour: 0, chunks: Vec::new(), rows }
}

fn code_of_decoding(file: &[u8]) -> &'static str {
    Cover::decode(file, &limits()).map_or_else(|error| error.code(), |_| "none")
}

fn code_of_extraction(file: &[u8]) -> &'static str {
    extract(file, &limits()).map_or_else(|error| error.code(), |_| "none")
}

#[test]
fn kinds_that_png_does_not_have_are_named() {
    for (depth, colour) in [(16, 3), (3, 0), (4, 2), (8, 5), (1, 6)] {
        let file = PngParts { depth, colour, ..grey(8, 8) }.to_file();
        let error = Cover::decode(&file, &limits()).unwrap_err();
        assert_eq!(error.code(), "unsupported_image");
        let kind = format!("colour type {colour} with {depth} bits");
        assert!(error.to_string().contains(&kind), "{error}");
        assert_eq!(code_of_extraction(&file), "unsupported_image");
    }
}

#[test]
fn other_files_are_refused() {
    let check = |file: &[u8], decoding: &str, extraction: &str| {
        assert_eq!(code_of_decoding(file), decoding, "{}", String::from_utf8_lossy(file));
        assert_eq!(code_of_extraction(file), extraction, "{}", String::from_utf8_lossy(file));
    };
    check(&testkit::noise(1, 100), "not_an_image", "not_an_image");
    check(b"", "not_an_image", "not_an_image");
    check(b"\x89PNG\r\n\x1a\n", "truncated_image", "truncated_image");
    check(b"\0\0\0\x20ftypavif\0\0\0\0", "unsupported_image", "no_payload");
    check(b"\0\0\0\x20ftypheic\0\0\0\0", "unsupported_image", "no_payload");
    check(b"\0\0\0\x20ftypisom\0\0\0\0", "unsupported_image", "unsupported_image");
    check(b"\0\0\0\x0cJXL \r\n", "unsupported_image", "unsupported_image");
    check(b"%PDF-1.7", "unsupported_image", "unsupported_image");
    let error = Cover::decode(b"\0\0\0\x20ftypavif\0\0\0\0", &limits()).unwrap_err();
    assert!(error.to_string().contains("AVIF") && error.to_string().contains("PNG"), "{error}");
}

/// Every truncated file is an error, reported as truncation or damage.
#[test]
fn beginnings_of_other_formats_are_errors() {
    for start in
        [&b"GIF89a"[..], b"BM", b"II*\0", b"MM\0*", b"qoif", b"RIFF\x1a\0\0\0WEBPVP8L", b"\xFF\xD8\xFF\xE0"]
    {
        let code = code_of_decoding(start);
        assert!(
            ["truncated_image", "damaged_image"].contains(&code),
            "{}: {code}",
            String::from_utf8_lossy(start)
        );
    }
}

#[test]
fn huge_headers_are_refused_before_anything_is_allocated() {
    let check = |width: u32, height: u32, depth: u8, colour: u8| {
        let file = PngParts { width, height, depth, colour, ..grey(8, 8) }.to_file();
        for error in [probe(&file, &limits()).unwrap_err(), Cover::decode(&file, &limits()).unwrap_err()] {
            assert!(matches!(error, ImageError::TooManyPixels { .. }), "{error:?}");
        }
        assert_eq!(code_of_extraction(&file), "too_many_pixels");
    };
    check(60_000, 60_000, 8, 2);
    check(20_000, 20_000, 1, 0);
    check(2_000_000_000, 2_000_000_000, 8, 6);

    let file = PngParts { width: 10_000, height: 9_000, colour: 6, ..grey(8, 8) }.to_file();
    let small = Limits { max_image_memory_bytes: 100 << 20, ..limits() };
    let error = Cover::decode(&file, &small).unwrap_err();
    // The samples and a PNG that is not smaller.
    assert!(matches!(error, ImageError::TooMuchMemory { needed_bytes: 720_000_000.., .. }), "{error:?}");
}

/// A truncated file is refused as a cover. The secret is given as long as all carrying rows are present.
#[test]
fn cut_off_files_give_the_whole_secret_or_none() {
    let cover = Cover::from_samples(64, 64, Channels::Rgb, testkit::noise(1, 64 * 64 * 3)).unwrap();
    let secret = testkit::noise(2, 200);
    let file = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    let mut given = 0;
    for len in (8..file.len()).step_by(97).chain([file.len() - 12, file.len() - 1]) {
        assert_eq!(code_of_decoding(&file[..len]), "truncated_image", "{len} of {}", file.len());
        match extract(&file[..len], &limits()) {
            Ok(found) => {
                assert_eq!(found.secret, secret, "{len} of {}", file.len());
                assert_eq!(found.notes, [Note::CutOffBelowPayload], "{len} of {}", file.len());
                given += 1;
            }
            Err(error) => assert_eq!(error.code(), "truncated_image", "{len} of {}", file.len()),
        }
    }
    // The secret takes ten rows of 64: most of the places to cut lie below them.
    assert!(given > 60, "{given}");
    assert_eq!(extract(&file, &limits()).unwrap().notes, []);
}

#[test]
fn flipped_bits_never_give_wrong_bytes() {
    let cover = Cover::from_samples(40, 30, Channels::Rgb, testkit::noise(1, 40 * 30 * 3)).unwrap();
    let secret = testkit::noise(2, 100);
    let file = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    for bit in (0..file.len() * 8).step_by(5) {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = extract(&damaged, &limits()) {
            assert_eq!(found.secret, secret, "bit {bit}");
        }
    }
}

#[test]
fn one_flipped_payload_bit_is_told() {
    let cover = Cover::from_samples(40, 30, Channels::Rgb, testkit::noise(1, 40 * 30 * 3)).unwrap();
    let secret = testkit::noise(2, 100);
    let file = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    let stego = Cover::decode(&file, &limits()).unwrap();
    for sample in [32, 200, 223, 224, 500, 224 + 799] {
        let mut samples = stego.samples().to_vec();
        samples[sample] ^= 1;
        let damaged = Cover::from_samples(40, 30, Channels::Rgb, samples).unwrap().to_png();
        let error = extract(&damaged, &limits()).unwrap_err();
        assert_eq!(error.code(), "damaged_payload", "sample {sample}");
    }
}

#[test]
fn an_image_without_a_payload_says_so() {
    let plain = Cover::from_samples(64, 64, Channels::Rgb, testkit::noise(1, 64 * 64 * 3)).unwrap().to_png();
    assert_eq!(code_of_extraction(&plain), "no_payload");
    assert_eq!(code_of_extraction(&plain[..plain.len() - 100]), "truncated_image");
    let tiny = Cover::from_samples(3, 3, Channels::Rgb, testkit::noise(1, 27)).unwrap().to_png();
    assert_eq!(code_of_extraction(&tiny), "no_payload");
}

fn holds(file: &[u8], kind: [u8; 4], data: &[u8]) -> bool {
    let whole = chunk(kind, data);
    file.windows(whole.len()).any(|window| window == whole)
}

#[test]
fn what_a_file_says_survives_byte_for_byte() {
    let colour = [
        (*b"gAMA", 45_455_u32.to_be_bytes().to_vec()),
        (*b"cHRM", testkit::noise(1, 32)),
        (*b"cICP", vec![12, 13, 0, 1]),
    ];
    let description = [
        (*b"tEXt", b"Comment\0made by hand".to_vec()),
        (*b"pHYs", vec![0, 0, 0, 1, 0, 0, 0, 1, 0]),
        (*b"tIME", vec![7, 0xEA, 11, 24, 11, 0, 0]),
        (*b"prVt", b"unknown and safe to copy".to_vec()),
    ];
    let left_out = [(*b"cICP", vec![1, 1, 0, 1]), (*b"prVT", b"unknown and unsafe to copy".to_vec())];
    let chunks = [&colour[..], &description, &left_out].concat();
    let file = PngParts { chunks, ..grey(64, 64) }.to_file();
    let cover = Cover::decode(&file, &limits()).unwrap();
    assert_eq!(cover.dropped_metadata(), ["prVT"]);
    let check = |metadata: MetadataPolicy, kept: &[&[([u8; 4], Vec<u8>)]], gone: &[&[([u8; 4], Vec<u8>)]]| {
        let options = EmbedOptions::default().with_metadata(metadata);
        let stego = embed(&cover, &Secret::new(b"x"), &options, &limits()).unwrap();
        let is_there = |(kind, data): &([u8; 4], Vec<u8>)| holds(&stego.to_vec(), *kind, data);
        assert!(kept.concat().iter().all(is_there), "{metadata:?}");
        assert!(!gone.concat().iter().any(is_there), "{metadata:?}");
        let told = stego.report.notes.contains(&Note::MetadataLeftOut(vec!["prVT".to_owned()]));
        assert_eq!(told, metadata == MetadataPolicy::Keep);
    };
    check(MetadataPolicy::Keep, &[&colour, &description], &[&left_out]);
    check(MetadataPolicy::Strip, &[&colour], &[&description, &left_out]);
}

/// The size in an EXIF block (4000 × 3000) is the only sign of another size in a PNG.
#[test]
fn an_image_that_was_resized_is_told_so() {
    let exif = |width: u16, height: u16| {
        let mut block = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0\0\x02".to_vec();
        for (tag, value) in [(0xA002_u16, width), (0xA003, height)] {
            block.extend(
                [&tag.to_be_bytes()[..], b"\0\x03\0\0\0\x01", &value.to_be_bytes(), b"\0\0"].concat(),
            );
        }
        block.extend([0; 4]);
        block
    };
    let check = |width: u16, height: u16, code: &str| {
        let file = PngParts { chunks: vec![(*b"eXIf", exif(width, height))], ..grey(40, 30) }.to_file();
        assert_eq!(code_of_extraction(&file), code, "{width} × {height}");
        let cover = Cover::decode(&file, &limits()).unwrap();
        let stego =
            embed(&cover, &Secret::new(b"x"), &EmbedOptions::default(), &limits()).unwrap().into_vec();
        assert_eq!(extract(&stego, &limits()).unwrap().secret, b"x");
    };
    check(40, 30, "no_payload");
    check(30, 40, "no_payload");
    check(0, 0, "no_payload");
    check(4000, 3000, "image_was_reencoded");
}

#[test]
fn a_screenshot_is_told_so() {
    let check = |keyword: &[u8], code: &str| {
        let file = PngParts { chunks: vec![(*b"tEXt", keyword.to_vec())], ..grey(40, 30) }.to_file();
        assert_eq!(code_of_extraction(&file), code, "{}", String::from_utf8_lossy(keyword));
    };
    check(b"Software\0gnome-screenshot", "image_was_reencoded");
    check(b"Comment\0Screenshot", "image_was_reencoded");
    check(b"Comment\0a shot", "no_payload");
}

/// The photographs were scaled down from large ones and have no blocks; a JPEG made of a photograph has
/// blocks, whatever was done to the image since.
#[test]
fn an_image_that_was_a_jpeg_is_told_so() {
    let photographs =
        testkit::photographs().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "png"));
    let covers = photographs.map(|path| Cover::decode(&std::fs::read(path).unwrap(), &limits()).unwrap());
    // Without photographs the dataset stands for them.
    let covers: Vec<Cover> = covers.chain((0..4).filter_map(dataset::cover)).collect();
    for cover in &covers {
        assert_eq!(code_of_extraction(&cover.to_png()), "no_payload");
    }
    let mut told = 0;
    for cover in &covers {
        let (width, height) = (cover.width(), cover.height());
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 70)
            .encode(cover.samples(), width, height, image::ExtendedColorType::Rgb8)
            .unwrap();
        let again = Cover::decode(&jpeg, &limits()).unwrap().to_png();
        told += usize::from(code_of_extraction(&again) == "image_was_reencoded");
    }
    assert!(told * 10 >= covers.len() * 9, "{told} of {}", covers.len());
}

#[test]
fn work_ends_when_its_watch_says_so() {
    let noise = testkit::noise(1, 600 * 500 * 3);
    let cover = Cover::from_samples(600, 500, Channels::Rgb, noise).unwrap();
    let text = testkit::text(2 << 20);
    let file = embed(&cover, &Secret::new(&text), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    let check = |stage: Stage, work: &dyn Fn(&Limits) -> Option<&'static str>| {
        let watch = Watch::new(move |progress| {
            let stops = progress.stage == stage && progress.done > 0;
            if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(work(&Limits { watch, ..limits() }), Some("stopped"), "{stage:?}");
        assert_eq!(work(&limits()), None, "{stage:?}");
    };
    let decoding = |limits: &Limits| Cover::decode(&file, limits).err().map(|error| error.code());
    let embedding = |limits: &Limits| {
        embed(&cover, &Secret::new(&text), &EmbedOptions::default(), limits).err().map(|error| error.code())
    };
    let extraction = |limits: &Limits| extract(&file, limits).err().map(|error| error.code());
    check(Stage::Decode, &decoding);
    check(Stage::Compress, &embedding);
    check(Stage::Encode, &embedding);
    check(Stage::Read, &embedding);
    check(Stage::Decode, &extraction);
    check(Stage::Read, &extraction);
    check(Stage::Compress, &extraction);
}

/// A decoder passes over an unneeded chunk with a wrong checksum; later chunks still count.
#[test]
fn a_bad_checksum_hides_nothing() {
    let chunks = vec![(*b"tEXt", b"Comment\0x".to_vec()), (*b"gAMA", 45_455_u32.to_be_bytes().to_vec())];
    let mut file = PngParts { chunks, ..grey(64, 64) }.to_file();
    file[33 + 8] ^= 1;
    let stego = embed(
        &Cover::decode(&file, &limits()).unwrap(),
        &Secret::new(b"x"),
        &EmbedOptions::default(),
        &limits(),
    )
    .unwrap()
    .into_vec();
    assert!(stego.windows(4).any(|window| window == b"gAMA"));

    let chunks = vec![(*b"tEXt", b"Comment\0x".to_vec()), (*b"tRNS", vec![0, 1])];
    let mut file = PngParts { chunks, ..grey(64, 64) }.to_file();
    file[33 + 8] ^= 1;
    assert_eq!(Cover::decode(&file, &limits()).unwrap().channels(), Channels::GreyAlpha);
}

#[test]
fn interlaced_images_carry_in_the_order_of_their_rows() {
    let cover = Cover::from_samples(33, 21, Channels::Grey, testkit::noise(4, 33 * 21)).unwrap();
    let file =
        embed(&cover, &Secret::new(b"seven passes"), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    let stego = Cover::decode(&file, &limits()).unwrap();
    let interlaced = adam7(33, 21, stego.samples());
    assert!(probe(&interlaced, &limits()).unwrap().interlaced);
    assert_eq!(Cover::decode(&interlaced, &limits()).unwrap().samples(), stego.samples());
    assert_eq!(extract(&interlaced, &limits()).unwrap().secret, b"seven passes");
    assert_eq!(claimed_lengths_bytes(&file, &limits()).unwrap(), (12, 12));
    let most = 33 * 21 * 4 / 8;
    assert_eq!(claimed_lengths_bytes(&interlaced, &limits()).unwrap(), (most, most * 1032));
}

/// A grey image stored in the seven passes of PNG's interlace method 1 (third edition, section 8.2).
fn adam7(width: usize, height: usize, samples: &[u8]) -> Vec<u8> {
    const PASSES: [(usize, usize, usize, usize); 7] =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    let mut rows = Vec::new();
    for (x0, y0, dx, dy) in PASSES {
        for y in (y0..height).step_by(dy) {
            rows.push((x0..width).step_by(dx).map(|x| samples[y * width + x]).collect());
        }
    }
    let mut file = PngParts { rows, ..grey(width as u32, height as u32) }.to_file();
    file[28] = 1;
    let crc = crc32fast::hash(&file[12..29]);
    file[29..33].copy_from_slice(&crc.to_be_bytes());
    file
}

#[test]
fn a_jpeg_is_a_cover_and_carries_nothing() {
    for path in
        testkit::photographs().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "jpg"))
    {
        let file = std::fs::read(&path).unwrap();
        assert_eq!(probe(&file, &limits()).unwrap().format, ImageFormat::Jpeg);
        let outcome = extract(&file, &limits());
        assert!(matches!(outcome, Err(ExtractError::LossyFormat { .. })), "{outcome:?}");
        for len in [file.len() / 2, file.len() - 2] {
            assert_eq!(code_of_decoding(&file[..len]), "truncated_image", "{len} of {}", file.len());
        }
    }
}

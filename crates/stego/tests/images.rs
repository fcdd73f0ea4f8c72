//! Which images are read, and how the others are refused.

use stego::{
    Channels, Cover, EmbedOptions, ExtractError, ImageError, ImageFormat, Limits, Secret,
    claimed_lengths_bytes, embed, extract, probe,
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
fn kinds_of_png_that_are_not_read_are_named() {
    let check = |depth: u8, colour: u8, chunks: Vec<([u8; 4], Vec<u8>)>, wanted: &str| {
        let file = PngParts { depth, colour, chunks, ..grey(8, 8) }.to_file();
        let error = Cover::decode(&file, &limits()).unwrap_err();
        assert_eq!(error.code(), "unsupported_image");
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(code_of_extraction(&file), "unsupported_image");
    };
    check(1, 0, vec![], "1 bits per sample");
    check(16, 2, vec![], "16 bits");
    check(8, 3, vec![(*b"PLTE", vec![0; 3])], "palette");
    check(8, 0, vec![(*b"tRNS", vec![0, 1])], "tRNS");
    check(8, 0, vec![(*b"acTL", vec![0, 0, 0, 1, 0, 0, 0, 0])], "animated");
}

#[test]
fn other_files_are_refused() {
    let noise = testkit::noise(1, 100);
    assert_eq!(code_of_decoding(&noise), "not_an_image");
    assert_eq!(code_of_extraction(&noise), "not_an_image");
    assert_eq!(code_of_decoding(b""), "not_an_image");
    assert_eq!(code_of_decoding(b"GIF89a..."), "unsupported_image");
    assert_eq!(code_of_decoding(b"RIFF\0\0\0\0WEBPVP8 "), "unsupported_image");
    assert_eq!(code_of_decoding(b"\x89PNG\r\n\x1a\n"), "truncated_image");
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
    assert!(matches!(error, ImageError::TooMuchMemory { needed_bytes: 1_080_000_000, .. }), "{error:?}");
}

#[test]
fn cut_off_files_are_refused_wherever_they_are_cut() {
    let cover = Cover::from_samples(64, 64, Channels::Rgb, testkit::noise(1, 64 * 64 * 3)).unwrap();
    let file = embed(&cover, &Secret::new(b"short"), &EmbedOptions::default(), &limits()).unwrap().png;
    for len in (8..file.len()).step_by(97).chain([file.len() - 12, file.len() - 1]) {
        assert_eq!(code_of_decoding(&file[..len]), "truncated_image", "{len} of {}", file.len());
        assert_eq!(code_of_extraction(&file[..len]), "truncated_image", "{len} of {}", file.len());
    }
}

#[test]
fn flipped_bits_never_give_wrong_bytes() {
    let cover = Cover::from_samples(40, 30, Channels::Rgb, testkit::noise(1, 40 * 30 * 3)).unwrap();
    let secret = testkit::noise(2, 100);
    let file = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().png;
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
    let file = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().png;
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

#[test]
fn what_a_colour_means_survives_byte_for_byte() {
    let chunks = vec![
        (*b"gAMA", 45_455_u32.to_be_bytes().to_vec()),
        (*b"cHRM", testkit::noise(1, 32)),
        (*b"cICP", vec![12, 13, 0, 1]),
        (*b"cICP", vec![1, 1, 0, 1]),
        (*b"tEXt", b"Comment\0made by hand".to_vec()),
        (*b"pHYs", vec![0, 0, 0, 1, 0, 0, 0, 1, 0]),
    ];
    let file = PngParts { chunks: chunks.clone(), ..grey(64, 64) }.to_file();
    let cover = Cover::decode(&file, &limits()).unwrap();
    assert_eq!(cover.dropped_metadata(), ["tEXt", "pHYs"]);
    let stego = embed(&cover, &Secret::new(b"x"), &EmbedOptions::default(), &limits()).unwrap().png;
    let holds = |kind: [u8; 4], data: &[u8]| {
        let whole = chunk(kind, data);
        stego.windows(whole.len()).any(|window| window == whole)
    };
    for (kind, data) in &chunks[..3] {
        assert!(holds(*kind, data), "{kind:?}");
    }
    for (kind, data) in &chunks[3..] {
        assert!(!holds(*kind, data), "{kind:?}");
    }
}

/// A decoder passes over a chunk that it does not need and whose checksum is wrong; what follows it still counts.
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
    .png;
    assert!(stego.windows(4).any(|window| window == b"gAMA"));

    let chunks = vec![(*b"tEXt", b"Comment\0x".to_vec()), (*b"tRNS", vec![0, 1])];
    let mut file = PngParts { chunks, ..grey(64, 64) }.to_file();
    file[33 + 8] ^= 1;
    assert_eq!(code_of_decoding(&file), "unsupported_image");
}

#[test]
fn interlaced_images_carry_in_the_order_of_their_rows() {
    let cover = Cover::from_samples(33, 21, Channels::Grey, testkit::noise(4, 33 * 21)).unwrap();
    let file = embed(&cover, &Secret::new(b"seven passes"), &EmbedOptions::default(), &limits()).unwrap().png;
    let stego = Cover::decode(&file, &limits()).unwrap();
    let interlaced = adam7(33, 21, stego.samples());
    assert!(probe(&interlaced, &limits()).unwrap().interlaced);
    assert_eq!(Cover::decode(&interlaced, &limits()).unwrap().samples(), stego.samples());
    assert_eq!(extract(&interlaced, &limits()).unwrap().secret, b"seven passes");
    assert_eq!(claimed_lengths_bytes(&file, &limits()).unwrap(), (12, 12));
    let unknown = limits().max_secret_bytes;
    assert_eq!(claimed_lengths_bytes(&interlaced, &limits()).unwrap(), (unknown, unknown));
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
        assert!(matches!(outcome, Err(ExtractError::Reencoded { .. })), "{outcome:?}");
        for len in [file.len() / 2, file.len() - 2] {
            assert_eq!(code_of_decoding(&file[..len]), "truncated_image", "{len} of {}", file.len());
        }
    }
}

//! Fate of stego images in transit: converted, saved in a lossy format, cut off, damaged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use flate2::{Decompress, FlushDecompress};
use stego::{
    BitsPerSample, Channels, Cover, EmbedOptions, ExtractError, ImageError, Limits, Note, Secret, embed,
    examine, extract,
};
use testkit::{ExifPlan, PngKind, PngSpecimen, ReadPng, Split, png_chunks, qoi_file, run_pillow};

const WIDTH: u32 = 131;
const HEIGHT: u32 = 97;

fn cover(colour: u8, depth: u8) -> Cover {
    let specimen = PngSpecimen::new(PngKind::plain(colour, depth), WIDTH, HEIGHT, u64::from(colour));
    Cover::decode(&specimen.to_file(), &Limits::default()).unwrap()
}

fn stego_of(cover: &Cover, secret: &[u8], bits: u8) -> Vec<u8> {
    let options = EmbedOptions::default().with_bits(BitsPerSample::new(bits).unwrap());
    embed(cover, &Secret::new(secret), &options, &Limits::default()).unwrap().into_vec()
}

#[test]
fn lossless_conversions_keep_the_secret_and_lossy_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let secret = testkit::noise(1, 600);
    let opaque = Cover::from_samples(
        WIDTH,
        HEIGHT,
        Channels::Rgba,
        cover(2, 8).samples().chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect(),
    );
    for (name, cover) in
        [("rgb", cover(2, 8)), ("rgba", cover(6, 8)), ("opaque", opaque.unwrap()), ("grey", cover(0, 8))]
    {
        std::fs::write(folder.path().join(format!("{name}.png")), stego_of(&cover, &secret, 1)).unwrap();
    }
    let Some(made) = run_pillow(include_str!("fixtures/convert.py"), [folder.path().to_str().unwrap()])
    else {
        return;
    };
    let failed: Vec<String> = made
        .lines()
        .filter_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let outcome = extract(&std::fs::read(folder.path().join(name)).unwrap(), &Limits::default());
            let as_expected = match &outcome {
                Ok(found) => kind == "lossless" && found.secret == secret && found.notes.is_empty(),
                Err(error) => {
                    kind == "lossy" && ["image_was_reencoded", "no_payload"].contains(&error.code())
                }
            };
            (!as_expected).then(|| format!("{line}: {:?}", outcome.map(|found| found.notes)))
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_qoi_with_the_same_samples_gives_the_secret() {
    for (colour, bits) in [(2, 1), (6, 3)] {
        let stego = stego_of(&cover(colour, 8), b"quite all right", bits);
        let qoi = qoi_file(&ReadPng::of(&stego).pixels);
        assert_eq!(extract(&qoi, &Limits::default()).unwrap().secret, b"quite all right");
    }
}

/// Phones and messengers that shrink an image keep the EXIF block with the original size.
#[test]
fn an_image_that_was_resized_is_told_by_its_exif() {
    let check = |size: (u32, u32), code: &str| {
        let block = ExifPlan { size, ..ExifPlan::new() }.to_block().bytes;
        let mut specimen = PngSpecimen::new(PngKind::plain(2, 8), 48, 32, 3);
        specimen.before = vec![(*b"eXIf", block)];
        let error = extract(&specimen.to_file(), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), code, "{size:?}: {error}");

        // What carries a secret is not asked about its size.
        let cover = Cover::decode(&specimen.to_file(), &Limits::default()).unwrap();
        let stego = stego_of(&cover, b"here", 1);
        assert_eq!(extract(&stego, &Limits::default()).unwrap().secret, b"here", "{size:?}");
    };
    check((4000, 3000), "image_was_reencoded");
    check((48, 33), "image_was_reencoded");
    check((48, 32), "no_payload");
    check((32, 48), "no_payload");
}

/// Complete rows that can be inflated from the present part of a PNG, regardless of checksums.
fn rows_within(file: &[u8], row_len_bytes: usize) -> usize {
    let mut data = Vec::new();
    let mut rest = &file[8.min(file.len())..];
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let is_data = after.starts_with(b"IDAT");
        let body = after.get(4..).unwrap_or_default();
        if is_data {
            data.extend(&body[..len.min(body.len())]);
        }
        rest = body.get(len + 4..).unwrap_or_default();
    }
    let mut inflated = Vec::with_capacity(row_len_bytes * 200 + 1000);
    let mut zlib = Decompress::new(true);
    let _ = zlib.decompress_vec(&data, &mut inflated, FlushDecompress::Sync);
    inflated.len() / (row_len_bytes + 1)
}

/// Bytes that a decoder may read beyond the needed bytes: the bit buffer, and the chunk's checksum.
const LOOKAHEAD: usize = 32;

/// Cuts a stego image everywhere and checks that every cut from complete carrying rows on gives the secret,
/// with a note. `carrying_rows`: rows with payload; none for a file that must be whole.
fn check_cuts(name: &str, file: &[u8], secret: &[u8], row_len_bytes: usize, carrying_rows: Option<usize>) {
    let mut given = 0;
    for len in (97..file.len()).step_by(97).chain([file.len() - 1, file.len() - 12, file.len() - 13]) {
        let decoded = Cover::decode(&file[..len], &Limits::default());
        let code = decoded.as_ref().map_err(ImageError::code).map(drop);
        assert_eq!(code, Err("truncated_image"), "{name}: {len} of {} bytes as a cover", file.len());
        match extract(&file[..len], &Limits::default()) {
            Ok(found) => {
                assert_eq!(found.secret, secret, "{name}: {len} of {} bytes", file.len());
                assert_eq!(found.notes, [Note::CutOffBelowPayload], "{name}: {len} of {} bytes", file.len());
                given += 1;
                let rows = rows_within(&file[..len], row_len_bytes);
                assert!(
                    carrying_rows.is_none_or(|needed| rows >= needed),
                    "{name}: {rows} rows gave the secret"
                );
            }
            Err(error) => {
                assert_eq!(error.code(), "truncated_image", "{name}: {len} of {} bytes: {error}", file.len());
                let rows = rows_within(&file[..len - LOOKAHEAD], row_len_bytes);
                let needed = carrying_rows.unwrap_or(usize::MAX);
                assert!(
                    rows < needed,
                    "{name}: {rows} rows in {len} of {} bytes, {needed} carry",
                    file.len()
                );
            }
        }
    }
    assert!(given > 0 || carrying_rows.is_none(), "{name}: no cut is below the payload");
}

#[test]
fn a_cut_off_image_gives_the_secret_if_its_rows_are_whole() {
    for (colour, depth, bits) in [(2, 8, 1), (0, 8, 2), (6, 8, 4), (2, 16, 1), (4, 16, 3)] {
        let cover = cover(colour, depth);
        for secret_len in [0, 300] {
            let secret = testkit::noise(5, secret_len);
            let file = stego_of(&cover, &secret, bits);
            let read = ReadPng::of(&file).pixels;
            let payload_bytes = extract(&file, &Limits::default()).unwrap().payload_bytes;
            let masks = read.carried_bits(payload_bytes, BitsPerSample::new(bits).unwrap());
            let last = masks.iter().rposition(|&mask| mask != 0).unwrap();
            let row_samples = WIDTH as usize * read.channels.count();
            let row_len_bytes = row_samples * read.depth.bytes();
            let name = format!("colour type {colour}, {depth} bits, a secret of {secret_len}");
            check_cuts(&name, &file, &secret, row_len_bytes, Some(last / row_samples + 1));

            // The same in chunks of 1000 bytes, so that cuts fall between chunks and into their heads.
            let specimen = PngSpecimen::new(PngKind::plain(colour, depth), WIDTH, HEIGHT, 0);
            let again = PngSpecimen { values: read.values(), split: Split::Every(1000), ..specimen };
            check_cuts(&name, &again.to_file(), &secret, row_len_bytes, Some(last / row_samples + 1));
        }
    }
}

/// Of an interlaced image every row is spread over the file.
#[test]
fn a_cut_off_interlaced_image_is_told() {
    let secret = testkit::noise(6, 500);
    let file = stego_of(&cover(2, 8), &secret, 1);
    let kind = PngKind { interlaced: true, ..PngKind::plain(2, 8) };
    let values = ReadPng::of(&file).pixels.values();
    let interlaced = PngSpecimen { values, ..PngSpecimen::new(kind, WIDTH, HEIGHT, 0) }.to_file();
    assert_eq!(extract(&interlaced, &Limits::default()).unwrap().secret, secret);
    check_cuts("interlaced", &interlaced, &secret, 3 * WIDTH as usize, None);
}

#[test]
fn a_cut_off_image_without_a_secret_is_told() {
    let file = cover(2, 8).to_png();
    for len in (97..file.len()).step_by(97) {
        let error = extract(&file[..len], &Limits::default()).unwrap_err();
        assert!(
            matches!(error, ExtractError::Image(ImageError::Truncated { .. })),
            "{len} of {}: {error:?}",
            file.len()
        );
    }
}

/// A wrong checksum below the payload is reported and harms nothing; a wrong checksum at the payload hides
/// the secret or is harmless. Bytes other than the secret never come out.
#[test]
fn damage_is_told_and_never_gives_other_bytes() {
    let secret = testkit::noise(8, 200);
    let values = ReadPng::of(&stego_of(&cover(2, 8), &secret, 1)).pixels.values();
    let specimen = PngSpecimen::new(PngKind::plain(2, 8), WIDTH, HEIGHT, 0);
    let file = PngSpecimen { values, split: Split::Every(2000), ..specimen }.to_file();
    assert!(png_chunks(&file).len() > 10);

    for bit in (33 * 8..file.len() * 8).step_by(997) {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(found) = extract(&damaged, &Limits::default()) {
            assert_eq!(found.secret, secret, "bit {bit}");
        }
        match examine(&damaged, &Limits::default()) {
            Ok(found) => {
                assert_eq!(found.secret, secret, "bit {bit}");
                let told = found
                    .notes
                    .iter()
                    .all(|note| matches!(note, Note::DamagedBelowPayload | Note::CutOffBelowPayload));
                assert!(told && !found.notes.is_empty(), "bit {bit}: {:?}", found.notes);
            }
            Err(error) => {
                let codes = ["damaged_image", "truncated_image", "damaged_payload"];
                assert!(codes.contains(&error.code()), "bit {bit}: {error:?}");
            }
        }
    }
    let last = file.len() - 12 - 4 - 100;
    let mut damaged = file;
    damaged[last] ^= 0x10;
    let found = examine(&damaged, &Limits::default()).unwrap();
    assert_eq!((found.secret, found.notes), (secret, vec![Note::DamagedBelowPayload]));
}

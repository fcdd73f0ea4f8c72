//! JPEG covers: EXIF orientation and colour profile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use stego::{Channels, Cover, EmbedOptions, Limits, Secret, embed, extract};

/// The grey values of a 48 × 32 picture's four quarters: top left, top right, bottom left, bottom right.
const CORNERS: [u8; 4] = [20, 90, 160, 230];

/// A 48 × 32 grey JPEG with a different grey in each corner.
fn jpeg(extra_segments: &[u8]) -> Vec<u8> {
    let samples: Vec<u8> = (0..32)
        .flat_map(|y| (0..48).map(move |x| CORNERS[usize::from(y >= 16) * 2 + usize::from(x >= 24)]))
        .collect();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 95)
        .write_image(&samples, 48, 32, ExtendedColorType::L8)
        .unwrap();
    file.splice(2..2, extra_segments.iter().copied());
    file
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xFF, marker];
    segment.extend((data.len() as u16 + 2).to_be_bytes());
    segment.extend(data);
    segment
}

/// An APP1 segment whose only entry is the orientation (EXIF 2.32, 4.6.4 A, tag 0x0112, SHORT).
fn orientation(value: u8) -> Vec<u8> {
    let mut data = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    data.extend([value, 0, 0, 0, 0, 0, 0]);
    segment(0xE1, &data)
}

/// EXIF 2.32, tag 0x0112: the sides of the stored row 0 and column 0. The corners are listed in display
/// order.
#[test]
fn every_orientation_is_applied() {
    let check = |value: u8, (width, height): (u32, u32), corners: [usize; 4]| {
        let cover = Cover::decode(&jpeg(&orientation(value)), &Limits::default()).unwrap();
        assert_eq!((cover.width(), cover.height()), (width, height), "orientation {value}");
        let at = |x: u32, y: u32| cover.samples()[(y * width + x) as usize];
        let seen = [at(4, 4), at(width - 5, 4), at(4, height - 5), at(width - 5, height - 5)];
        for (seen, corner) in seen.into_iter().zip(corners) {
            assert!(seen.abs_diff(CORNERS[corner]) < 8, "orientation {value}: {seen} is not corner {corner}");
        }
    };
    check(1, (48, 32), [0, 1, 2, 3]);
    check(2, (48, 32), [1, 0, 3, 2]);
    check(3, (48, 32), [3, 2, 1, 0]);
    check(4, (48, 32), [2, 3, 0, 1]);
    check(5, (32, 48), [0, 2, 1, 3]);
    check(6, (32, 48), [2, 0, 3, 1]);
    check(7, (32, 48), [3, 1, 2, 0]);
    check(8, (32, 48), [1, 3, 0, 2]);
}

/// A profile is kept only if it describes the samples present.
#[test]
fn a_colour_profile_becomes_a_chunk() {
    let check = |space: &[u8; 4], kept: bool| {
        let mut profile = testkit::noise(1, 200);
        profile[16..20].copy_from_slice(space);
        let mut data = b"ICC_PROFILE\0\x01\x01".to_vec();
        data.extend(&profile);
        let cover = Cover::decode(&jpeg(&segment(0xE2, &data)), &Limits::default()).unwrap();
        let stego = embed(&cover, &Secret::new(b"x"), &EmbedOptions::default(), &Limits::default())
            .unwrap()
            .into_vec();
        let chunk = stego.windows(4).position(|window| window == b"iCCP");
        assert_eq!(chunk.is_some(), kept, "{}", String::from_utf8_lossy(space));
        if let Some(at) = chunk {
            let zlib = &stego[at + 4 + b"ICC profile\0\0".len()..];
            let mut found = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(zlib), &mut found).unwrap();
            assert_eq!(found, profile);
        }
    };
    check(b"GRAY", true);
    check(b"CMYK", false);
}

/// Phones put films and further images behind the image; every marker occurs in such data by chance.
#[test]
fn what_follows_the_image_does_not_matter() {
    let mut file = jpeg(&[]);
    let whole = file.len();
    file.extend(b"ftypmp42 \xFF\xDA something \xFF\xC0");
    assert!(Cover::decode(&file, &Limits::default()).is_ok());
    let cut_off = Cover::decode(&file[..whole - 2], &Limits::default()).unwrap_err();
    assert_eq!(cut_off.code(), "truncated_image");
}

#[test]
fn a_secret_in_a_jpeg_comes_back_from_the_png() {
    let cover = Cover::decode(&jpeg(&orientation(6)), &Limits::default()).unwrap();
    assert_eq!(cover.channels(), Channels::Grey);
    assert_eq!(cover.kept_metadata(), ["EXIF"]);
    assert!(cover.dropped_metadata().is_empty());
    let embedded =
        embed(&cover, &Secret::new(b"upright"), &EmbedOptions::default(), &Limits::default()).unwrap();
    assert_eq!(extract(&embedded.to_vec(), &Limits::default()).unwrap().secret, b"upright");
}

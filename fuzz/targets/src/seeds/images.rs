//! Small images of every format.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use testkit::{PngParts, chunk, noise};

const WIDTH: u32 = 21;
const HEIGHT: u32 = 17;

/// Returns every image: a name and the file.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = pngs();
    let rgb = image(3);
    for (name, image, format) in [
        ("rgb.jpg", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Jpeg),
        ("grey.jpg", DynamicImage::ImageRgb8(rgb.clone()).to_luma8().into(), ImageFormat::Jpeg),
        ("rgb.bmp", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Bmp),
        ("rgba.bmp", DynamicImage::ImageRgb8(rgb.clone()).to_rgba8().into(), ImageFormat::Bmp),
        ("rgb.gif", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Gif),
        ("rgb.qoi", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Qoi),
        ("rgba.qoi", DynamicImage::ImageRgb8(rgb.clone()).to_rgba8().into(), ImageFormat::Qoi),
        ("rgb.tiff", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Tiff),
        ("grey-16.tiff", DynamicImage::ImageRgb8(rgb.clone()).to_luma16().into(), ImageFormat::Tiff),
        ("rgb.webp", DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::WebP),
        ("rgba.webp", DynamicImage::ImageRgb8(rgb).to_rgba8().into(), ImageFormat::WebP),
    ] {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).expect("a small image can be written");
        files.push((name, file.into_inner()));
    }
    let turned = files.iter().find(|(name, _)| *name == "rgb.jpg").map(|(_, file)| with_orientation(file));
    files.extend(turned.map(|file| ("turned.jpg", file)));
    files
}

/// Returns PNGs in small files with more pixel data than the window of deflate, so that compressed pixels can
/// be kept.
pub(super) fn large_pngs() -> Vec<(String, Vec<u8>)> {
    let kinds = [(0, 8, 1), (2, 8, 3), (4, 8, 2), (6, 8, 4), (0, 16, 2), (2, 16, 6)];
    let file = |(colour, depth, pixel_len): (u8, u8, usize)| {
        let (width, height) = (120, 60_000 / (120 * pixel_len) + 20);
        let grain = noise(2, 97);
        let row = |y: usize| {
            (0..width * pixel_len).map(|x| (x / 3 + y / 2) as u8 ^ grain[(x * 7 + y) % 97] >> 7).collect()
        };
        let rows = (0..height).map(row).collect();
        let parts =
            PngParts { width: width as u32, height: height as u32, depth, colour, chunks: Vec::new(), rows };
        (format!("large-{colour}-{depth}.png"), parts.to_file())
    };
    kinds.map(file).into()
}

/// Creates a gradient with a little noise in one corner.
fn image(channels: u32) -> image::RgbImage {
    let noise = noise(1, 64);
    image::RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let at = |c: u32| (x * 9 + y * 5 + c * 60) as u8;
        let rough = if x < 8 && y < 8 { noise[(x + 8 * y) as usize] & 15 } else { 0 };
        image::Rgb([at(0) ^ rough, at(1), at(channels - 1)])
    })
}

/// Inserts an EXIF segment with orientation 6, rotated by 90° (TIFF tag 0x0112).
fn with_orientation(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let len = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xFF\xE1", &len, exif, &jpeg[2..]].concat()
}

fn pngs() -> Vec<(&'static str, Vec<u8>)> {
    let palette = (*b"PLTE", noise(3, 3 * 16));
    let transparent = |data: &[u8]| (*b"tRNS", data.to_vec());
    let kinds = [
        ("grey-8.png", 8, 0, vec![]),
        ("rgb-8.png", 8, 2, vec![]),
        ("grey-alpha-8.png", 8, 4, vec![]),
        ("rgba-8.png", 8, 6, vec![]),
        ("grey-1.png", 1, 0, vec![]),
        ("grey-2.png", 2, 0, vec![]),
        ("grey-4.png", 4, 0, vec![]),
        ("grey-16.png", 16, 0, vec![]),
        ("rgb-16.png", 16, 2, vec![]),
        ("rgba-16.png", 16, 6, vec![]),
        ("palette-4.png", 4, 3, vec![palette.clone()]),
        ("palette-4-transparent.png", 4, 3, vec![palette, transparent(&[0, 100, 255])]),
        ("grey-8-transparent.png", 8, 0, vec![transparent(&[0, 10])]),
        ("rgb-8-transparent.png", 8, 2, vec![transparent(&[0, 10, 0, 20, 0, 30])]),
        (
            "rgb-8-colours.png",
            8,
            2,
            vec![
                (*b"gAMA", 45_455_u32.to_be_bytes().to_vec()),
                (*b"cICP", vec![12, 13, 0, 1]),
                (*b"sBIT", vec![8, 8, 8]),
            ],
        ),
        (
            "rgb-8-metadata.png",
            8,
            2,
            vec![
                (*b"tEXt", b"Comment\0made by hand".to_vec()),
                (*b"pHYs", vec![0, 0, 0, 1, 0, 0, 0, 1, 0]),
                (*b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec()),
                (*b"tIME", vec![7, 233, 1, 2, 3, 4, 5]),
            ],
        ),
        (
            "animated.png",
            8,
            0,
            vec![
                (*b"acTL", vec![0, 0, 0, 1, 0, 0, 0, 0]),
                (*b"fcTL", [&[0; 4][..], &WIDTH.to_be_bytes(), &HEIGHT.to_be_bytes(), &[0; 14]].concat()),
            ],
        ),
    ];
    let mut files: Vec<_> =
        kinds.into_iter().map(|(name, depth, colour, chunks)| (name, png(depth, colour, chunks))).collect();
    let mut after = png(8, 2, Vec::new());
    after.truncate(after.len() - 12);
    after.extend(chunk(*b"tEXt", b"Comment\0at the end"));
    after.extend(chunk(*b"IEND", b""));
    files.push(("rgb-8-text-at-end.png", after));
    files
}

fn png(depth: u8, colour: u8, chunks: Vec<([u8; 4], Vec<u8>)>) -> Vec<u8> {
    let count = match colour {
        2 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    let row_len = (WIDTH as usize * count * usize::from(depth)).div_ceil(8);
    let rows = (0..HEIGHT as usize).map(|y| (0..row_len).map(|x| (x * 5 + y * 3) as u8).collect()).collect();
    PngParts { width: WIDTH, height: HEIGHT, depth, colour, chunks, rows }.to_file()
}

//! Changes to files, their chunks and their rows.

use flate2::Compression;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{Changed, StegoImage};
use crate::inputs::noise;
use crate::pixels::Pixels;
use crate::png_file::{FileChunk, PngFile, zlib};

/// Types of chunks to insert, or to turn other chunks into.
const KINDS: [&[u8; 4]; 20] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT",
    b"eXIf", b"tEXt", b"iTXt", b"pHYs", b"acTL", b"fcTL", b"fdAT", b"zTXt", b"ABCD",
];
/// Maximum length of rows inflated for a change.
const MAX_ROWS_BYTES: u64 = 8 << 20;

/// Flips bits of the file without adjusting checksums.
pub(super) fn flip_bits(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut file = image.file.clone();
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..file.len());
        file[at] ^= 1 << random.random_range(0..8);
    }
    file.into()
}

/// Replaces a range of bytes by noise or zeros, removes the range, or repeats it.
pub(super) fn overwrite(image: &StegoImage, random: &mut SmallRng) -> Changed {
    let mut file = image.file.clone();
    let from = random.random_range(0..file.len());
    let to = (from + random.random_range(1..=64)).min(file.len());
    let instead = match random.random_range(0..4) {
        0 => noise(random.random(), to - from),
        1 => vec![0; to - from],
        2 => Vec::new(),
        _ => file[from..to].repeat(2),
    };
    file.splice(from..to, instead);
    file.into()
}

/// Truncates the file at any position.
pub(super) fn truncate(image: &StegoImage, random: &mut SmallRng) -> Changed {
    image.file[..random.random_range(0..image.file.len())].to_vec().into()
}

/// Duplicates, moves, drops, splits or invents chunks, each with a matching checksum.
pub(super) fn change_chunks(image: &StegoImage, random: &mut SmallRng) -> Changed {
    changed(image, random, |png, random| {
        for _ in 0..random.random_range(1..=3) {
            change_chunk_list(png, random);
        }
    })
}

/// Changes size, depth, colour type or interlacing, with a matching checksum.
pub(super) fn change_header(image: &StegoImage, random: &mut SmallRng) -> Changed {
    changed(image, random, change_image_header)
}

/// Changes the compressed rows, with matching checksums of the chunks.
pub(super) fn change_compressed(image: &StegoImage, random: &mut SmallRng) -> Changed {
    changed(image, random, change_stream)
}

/// Changes the rows and their filters, and compresses the rows again.
pub(super) fn change_rows(image: &StegoImage, random: &mut SmallRng) -> Changed {
    changed(image, random, change_filtered_rows)
}

fn changed(image: &StegoImage, random: &mut SmallRng, change: fn(&mut PngFile, &mut SmallRng)) -> Changed {
    let mut png = PngFile::parse(&image.file).expect("a stego image is a PNG");
    change(&mut png, random);
    png.to_bytes().into()
}

/// Applies one of the changes above to a PNG, with matching checksums of all chunks; `None` if `file` is no
/// PNG.
pub fn mutate_png(file: &[u8], random: &mut SmallRng) -> Option<Vec<u8>> {
    let mut png = PngFile::parse(file)?;
    match random.random_range(0..5) {
        0 => change_chunk_list(&mut png, random),
        1 => change_image_header(&mut png, random),
        2 => change_stream(&mut png, random),
        3 => change_filtered_rows(&mut png, random),
        // The checksums alone.
        _ => {}
    }
    Some(png.to_bytes())
}

fn change_chunk_list(png: &mut PngFile, random: &mut SmallRng) {
    let made_up = |random: &mut SmallRng| FileChunk {
        kind: *KINDS[random.random_range(0..KINDS.len())],
        data: noise(random.random(), random.random_range(0..40)),
    };
    if png.chunks.is_empty() {
        png.chunks.push(made_up(random));
        return;
    }
    let at = random.random_range(0..png.chunks.len());
    let last = png.chunks.len() - 1;
    let to = random.random_range(0..=last + 1);
    match random.random_range(0..8) {
        0 => png.chunks.insert(to, png.chunks[at].clone()),
        1 => drop(png.chunks.remove(at)),
        2 => png.chunks.swap(at, to.min(last)),
        3 => png.chunks.insert(to, made_up(random)),
        4 => png.chunks[at].kind = *KINDS[random.random_range(0..KINDS.len())],
        5 => {
            let data = &mut png.chunks[at].data;
            let rest = data.split_off(random.random_range(0..=data.len()));
            let kind = png.chunks[at].kind;
            png.chunks.insert(at + 1, FileChunk { kind, data: rest });
        }
        6 => {
            let data = &mut png.chunks[at].data;
            data.truncate(random.random_range(0..=data.len()));
        }
        _ => {
            let compressed = png.compressed();
            png.replace_compressed(&compressed, random.random_range(1..=compressed.len().max(1)));
        }
    }
}

fn change_image_header(png: &mut PngFile, random: &mut SmallRng) {
    let Some(header) = png.header_mut() else { return };
    let size = |old: u32, random: &mut SmallRng| match random.random_range(0..5) {
        0 => old.saturating_sub(random.random_range(1..=8)),
        1 => old.saturating_add(random.random_range(1..=8)),
        2 => old.saturating_mul(random.random_range(2..=100)),
        3 => random.random_range(0..5000),
        _ => random.random(),
    };
    for _ in 0..random.random_range(1..=2) {
        match random.random_range(0..8) {
            at @ 0..4 => {
                let at = at % 2 * 4;
                let old = u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
                header[at..at + 4].copy_from_slice(&size(old, random).to_be_bytes());
            }
            4 => header[8] = [1, 2, 4, 8, 16, random.random()][random.random_range(0..6)],
            5 => header[9] = [0, 2, 3, 4, 6, random.random()][random.random_range(0..6)],
            6 => header[12] ^= 1,
            _ => header[random.random_range(10..13)] = random.random(),
        }
    }
}

fn change_stream(png: &mut PngFile, random: &mut SmallRng) {
    let mut compressed = png.compressed();
    match random.random_range(0..4) {
        0 => compressed.extend(noise(random.random(), random.random_range(1..=16))),
        1 => compressed.truncate(random.random_range(0..=compressed.len())),
        _ if compressed.is_empty() => {}
        // The last four bytes are the checksum of the rows.
        2 => {
            let at = compressed.len() - random.random_range(1..=compressed.len().min(4));
            compressed[at] ^= 1 << random.random_range(0..8);
        }
        _ => {
            for _ in 0..random.random_range(1..=8) {
                let at = random.random_range(0..compressed.len());
                compressed[at] ^= 1 << random.random_range(0..8);
            }
        }
    }
    png.replace_compressed(&compressed, 32 << 10);
}

fn change_filtered_rows(png: &mut PngFile, random: &mut SmallRng) {
    let mut rows = png.inflated(MAX_ROWS_BYTES);
    match random.random_range(0..4) {
        0 => rows.extend(noise(random.random(), random.random_range(1..=300))),
        1 => rows.truncate(random.random_range(0..=rows.len())),
        _ if rows.is_empty() => {}
        2 => rows[0] = random.random_range(0..6),
        _ => {
            for _ in 0..random.random_range(1..=8) {
                let at = random.random_range(0..rows.len());
                rows[at] ^= 1 << random.random_range(0..8);
            }
        }
    }
    png.replace_compressed(&zlib(&rows, Compression::fast()), 32 << 10);
}

/// Joins the beginning of one image and the end of another, by bytes or by chunks.
pub(super) fn splice(one: &StegoImage, other: &StegoImage, random: &mut SmallRng) -> Vec<u8> {
    if random.random() {
        let at = random.random_range(0..one.file.len());
        let from =
            if random.random() { at.min(other.file.len()) } else { random.random_range(0..other.file.len()) };
        return [&one.file[..at], &other.file[from..]].concat();
    }
    let parse = |image: &StegoImage| PngFile::parse(&image.file).expect("a stego image is a PNG");
    let (mut png, other) = (parse(one), parse(other));
    if random.random() {
        png.replace_compressed(&other.compressed(), 32 << 10);
    } else {
        png.chunks.truncate(random.random_range(0..=png.chunks.len()));
        png.chunks.extend_from_slice(&other.chunks[random.random_range(0..other.chunks.len())..]);
    }
    png.to_bytes()
}

/// Encodes the same image in another program's manner.
pub(super) fn save_again(image: &StegoImage, random: &mut SmallRng) -> Vec<u8> {
    let levels = [Compression::none(), Compression::fast(), Compression::best()];
    let level = levels[random.random_range(0..levels.len())];
    let file = if random.random() { interlaced(&image.raster, level) } else { image.raster.to_png(level) };
    let mut png = PngFile::parse(&file).expect("just made");
    if random.random() {
        let compressed = png.compressed();
        png.replace_compressed(&compressed, random.random_range(1..=compressed.len()));
    }
    if random.random() {
        let comment = FileChunk { kind: *b"tEXt", data: b"Comment\0saved again".to_vec() };
        // Not among the IDAT chunks, which must be consecutive.
        png.chunks.insert(if random.random() { 1 } else { png.chunks.len() - 1 }, comment);
    }
    png.to_bytes()
}

/// Encodes the image in the seven passes of PNG's interlace method 1 (third edition, section 8.2).
fn interlaced(raster: &Pixels, level: Compression) -> Vec<u8> {
    const PASSES: [(usize, usize, usize, usize); 7] =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    let (width, height) = (raster.width as usize, raster.height as usize);
    let pixel_len = raster.channels.count() * raster.depth.bytes();
    let pixels: Vec<&[u8]> = raster.samples.chunks_exact(pixel_len).collect();
    let mut rows = Vec::new();
    for (x0, y0, dx, dy) in PASSES {
        // A pass without columns has no rows either.
        for y in (y0..height).step_by(dy).filter(|_| x0 < width) {
            rows.push(0);
            rows.extend((x0..width).step_by(dx).flat_map(|x| pixels[y * width + x]));
        }
    }
    let mut png = PngFile::parse(&raster.to_png(Compression::none())).expect("just made");
    png.header_mut().expect("just made")[12] = 1;
    png.replace_compressed(&zlib(&rows, level), 32 << 10);
    png.to_bytes()
}

//! PNG files of every legal kind, with their samples after promotion.
//!
//! Written from the specification (PNG third edition) without the library under test, as an independent
//! reference. Only deflate comes from flate2.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use stego::{Channels, SampleDepth};

use crate::pixels::Pixels;
use crate::png::chunk;
use crate::png_filter::{Filtering, filter_rows};

/// A PNG chunk: type and data.
pub type PngChunk = ([u8; 4], Vec<u8>);

/// Columns and rows of the seven passes: first column, first row, steps (PNG third edition, 8.2).
const PASSES: [(usize, usize, usize, usize); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

/// Chunks required before PLTE (PNG third edition, 5.6).
const BEFORE_PALETTE: [&[u8; 4]; 8] =
    [b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB"];

/// Kind of a PNG: the fields of IHDR, and the presence of tRNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PngKind {
    /// Colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
    pub colour: u8,
    /// Bits per sample, or per index into the palette.
    pub depth: u8,
    /// True if a tRNS chunk names transparent colours.
    pub transparent: bool,
    /// True if the rows are stored in Adam7's seven passes.
    pub interlaced: bool,
}

impl PngKind {
    /// Returns all 52 kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        const DEPTHS: [(u8, &[u8]); 5] =
            [(0, &[1, 2, 4, 8, 16]), (2, &[8, 16]), (3, &[1, 2, 4, 8]), (4, &[8, 16]), (6, &[8, 16])];
        let kinds = DEPTHS.iter().flat_map(|(colour, depths)| depths.iter().map(|depth| (*colour, *depth)));
        kinds.flat_map(|(colour, depth)| {
            [(false, false), (false, true), (true, false), (true, true)]
                .into_iter()
                .map(move |(transparent, interlaced)| Self { colour, depth, transparent, interlaced })
                .filter(|kind| !kind.transparent || matches!(kind.colour, 0 | 2 | 3))
        })
    }

    /// Returns the kind without transparent colours, in plain rows.
    pub fn plain(colour: u8, depth: u8) -> Self {
        Self { colour, depth, transparent: false, interlaced: false }
    }

    fn samples_per_pixel(self) -> usize {
        match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        }
    }
}

/// Division of the compressed rows into IDAT chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// One chunk.
    Whole,
    /// Chunks of the given number of bytes.
    Every(usize),
    /// Empty chunks in front, in the middle of the zlib header, inside and behind.
    WithEmpty,
}

/// A PNG file to be made, its samples included.
#[derive(Debug, Clone)]
pub struct PngSpecimen {
    /// The fields of IHDR.
    pub kind: PngKind,
    /// Pixels in a row.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
    /// Filters of the rows.
    pub filtering: Filtering,
    /// Division of the compressed rows.
    pub split: Split,
    /// Deflate's level, 0 (stored) to 9.
    pub level: u32,
    /// Chunks in front of IDAT; each is placed on its legal side of PLTE.
    pub before: Vec<PngChunk>,
    /// Chunks behind IDAT.
    pub after: Vec<PngChunk>,
    /// The samples or indices, row-major, as stored in the file.
    pub values: Vec<u16>,
    /// The colours of a palette.
    pub palette: Vec<[u8; 3]>,
    /// The data of tRNS; empty for none.
    pub transparency: Vec<u8>,
}

impl PngSpecimen {
    /// Creates a specimen with noise for samples, determined by `seed`. Transparent colours occur, beside
    /// colours that differ in the lowest bit only; alpha has its extremes, and in 16 bits values with one
    /// byte zero.
    pub fn new(kind: PngKind, width: u32, height: u32, seed: u64) -> Self {
        let count = width as usize * height as usize * kind.samples_per_pixel();
        let noise = crate::inputs::noise(seed, 2 * count);
        let mut values: Vec<u16> = noise
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&pair| u16::from_le_bytes(pair) >> (16 - kind.depth))
            .collect();
        let mut specimen = Self {
            kind,
            width,
            height,
            filtering: Filtering::Mixed,
            split: Split::Whole,
            level: 6,
            before: Vec::new(),
            after: Vec::new(),
            values: Vec::new(),
            palette: Vec::new(),
            transparency: Vec::new(),
        };
        match kind.colour {
            3 => specimen.choose_palette(&mut values, seed),
            4 | 6 => vary_alpha(&mut values, kind),
            _ if kind.transparent => specimen.choose_transparent_colour(&mut values),
            _ => {}
        }
        specimen.values = values;
        specimen
    }

    /// Chooses fewer colours than indices have room for, and fewer alphas than colours.
    fn choose_palette(&mut self, values: &mut [u16], seed: u64) {
        let len = match self.kind.depth {
            1 => 2,
            2 => 3,
            4 => 13,
            _ => 200,
        };
        self.palette = crate::inputs::noise(seed + 1, 3 * len).as_chunks::<3>().0.to_vec();
        for value in values {
            *value %= len as u16;
        }
        if self.kind.transparent {
            self.transparency = [0, 255, 128, 1].into_iter().cycle().take(len * 3 / 4).collect();
        }
    }

    fn choose_transparent_colour(&mut self, values: &mut [u16]) {
        let per_pixel = self.kind.samples_per_pixel();
        let middle = values.len() / per_pixel / 2 * per_pixel;
        let key = values[middle..middle + per_pixel].to_vec();
        for pixel in values.chunks_mut(per_pixel).step_by(5) {
            pixel.copy_from_slice(&key);
        }
        for pixel in values.chunks_mut(per_pixel).skip(2).step_by(5) {
            pixel.copy_from_slice(&key);
            pixel[per_pixel - 1] ^= 1;
        }
        self.transparency = key.iter().flat_map(|value| value.to_be_bytes()).collect();
    }

    /// Encodes the file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut header = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        header.extend([self.kind.depth, self.kind.colour, 0, 0, u8::from(self.kind.interlaced)]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(chunk(*b"IHDR", &header));
        let (first, second): (Vec<_>, Vec<_>) =
            self.before.iter().partition(|(kind, _)| BEFORE_PALETTE.contains(&kind));
        file.extend(first.into_iter().flat_map(|(kind, data)| chunk(*kind, data)));
        if !self.palette.is_empty() {
            file.extend(chunk(*b"PLTE", self.palette.as_flattened()));
        }
        if !self.transparency.is_empty() {
            file.extend(chunk(*b"tRNS", &self.transparency));
        }
        file.extend(second.into_iter().flat_map(|(kind, data)| chunk(*kind, data)));
        file.extend(self.split.cut(&self.compressed()).into_iter().flat_map(|part| chunk(*b"IDAT", part)));
        file.extend(self.after.iter().flat_map(|(kind, data)| chunk(*kind, data)));
        file.extend(chunk(*b"IEND", &[]));
        file
    }

    fn compressed(&self) -> Vec<u8> {
        let bits_per_pixel = usize::from(self.kind.depth) * self.kind.samples_per_pixel();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::new(self.level));
        let passes: &[_] = if self.kind.interlaced { &PASSES } else { &[(0, 0, 1, 1)] };
        for &(x0, y0, dx, dy) in passes {
            let rows: Vec<Vec<u8>> = (y0..self.height as usize)
                .step_by(dy)
                .map(|y| self.packed_row((x0..self.width as usize).step_by(dx), y))
                .filter(|row| !row.is_empty())
                .collect();
            let filtered = filter_rows(&rows, bits_per_pixel.div_ceil(8), self.filtering);
            zlib.write_all(&filtered).expect("writing to a Vec does not fail");
        }
        zlib.finish().expect("writing to a Vec does not fail")
    }

    /// Packs some pixels of a row into bytes: samples in sequence, the leftmost in the high bits (7.2).
    fn packed_row(&self, columns: impl Iterator<Item = usize>, y: usize) -> Vec<u8> {
        let per_pixel = self.kind.samples_per_pixel();
        let pixel = |x| &self.values[(y * self.width as usize + x) * per_pixel..][..per_pixel];
        let samples: Vec<u16> = columns.flat_map(pixel).copied().collect();
        match self.kind.depth {
            16 => samples.into_iter().flat_map(u16::to_be_bytes).collect(),
            depth => {
                let in_byte = 8 / usize::from(depth);
                let pack = |samples: &[u16]| {
                    let packed = samples.iter().fold(0, |byte, &sample| byte << depth | sample);
                    (packed << (usize::from(depth) * (in_byte - samples.len()))) as u8
                };
                samples.chunks(in_byte).map(pack).collect()
            }
        }
    }

    /// Promotes the samples to 8 or 16 bits, and to alpha where tRNS requires it (12.4, 12.5, 13.12).
    pub fn promoted(&self) -> Pixels {
        let (channels, depth) = (self.promoted_channels(), self.promoted_depth());
        let pixels = self.values.chunks(self.kind.samples_per_pixel());
        let values = pixels.flat_map(|pixel| self.promoted_pixel(pixel));
        let samples = match depth {
            SampleDepth::Eight => values.map(|value| value as u8).collect(),
            SampleDepth::Sixteen => values.flat_map(u16::to_be_bytes).collect(),
        };
        Pixels { width: self.width, height: self.height, channels, depth, samples }
    }

    fn promoted_depth(&self) -> SampleDepth {
        if self.kind.depth == 16 { SampleDepth::Sixteen } else { SampleDepth::Eight }
    }

    fn promoted_channels(&self) -> Channels {
        match (self.kind.colour, self.kind.transparent) {
            (0, false) => Channels::Grey,
            (0, true) | (4, _) => Channels::GreyAlpha,
            (2 | 3, false) => Channels::Rgb,
            _ => Channels::Rgba,
        }
    }

    fn promoted_pixel(&self, pixel: &[u16]) -> Vec<u16> {
        let max = if self.kind.depth == 16 { u16::MAX } else { 255 };
        if self.kind.colour == 3 {
            let index = usize::from(pixel[0]);
            let mut colour: Vec<u16> = self.palette[index].iter().map(|&value| u16::from(value)).collect();
            if self.kind.transparent {
                colour.push(u16::from(*self.transparency.get(index).unwrap_or(&255)));
            }
            return colour;
        }
        let mut promoted = match self.kind.depth {
            8 | 16 => pixel.to_vec(),
            depth => pixel.iter().map(|&value| value * 255 / ((1 << depth) - 1)).collect(),
        };
        if self.kind.transparent {
            let is_key =
                pixel.iter().flat_map(|value| value.to_be_bytes()).eq(self.transparency.iter().copied());
            promoted.push(if is_key { 0 } else { max });
        }
        promoted
    }
}

/// Sets alpha to its extremes; in 16 bits also to values with only one byte non-zero.
fn vary_alpha(values: &mut [u16], kind: PngKind) {
    let special = if kind.depth == 16 { [0, u16::MAX, 1, 0x0100, 0xFF00] } else { [0, 255, 1, 128, 254] };
    for (i, pixel) in values.chunks_mut(kind.samples_per_pixel()).enumerate() {
        if let (Some(alpha), Some(&value)) = (pixel.last_mut(), special.get(i % 7)) {
            *alpha = value;
        }
    }
}

impl Split {
    fn cut(self, data: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![data],
            Self::Every(len) => data.chunks(len).collect(),
            Self::WithEmpty => {
                let (first, rest) = data.split_at(1);
                let (second, third) = rest.split_at(rest.len() / 2);
                vec![&[], first, &[], second, &[], &[], third, &[]]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::OutsideReaders;

    /// Checks the specimens against readers independent of the library under test.
    #[test]
    fn other_readers_see_what_is_meant() {
        let mut readers = OutsideReaders::new();
        for (i, kind) in PngKind::all().enumerate() {
            let mut specimen = PngSpecimen::new(kind, 19, 11, i as u64);
            specimen.split = [Split::Whole, Split::Every(3), Split::WithEmpty][i % 3];
            for filtering in Filtering::EVERY {
                specimen.filtering = filtering;
                readers.add(&format!("{kind:?}"), &specimen.to_file(), specimen.promoted());
            }
        }
        readers.check();
    }
}

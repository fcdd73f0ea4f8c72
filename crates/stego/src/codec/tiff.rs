//! TIFF (revision 6.0): strips and tiles of whole numbers, plain or in one of the lossless compressions,
//! interleaved or in planes.
//!
//! Grey, RGB, palette and YCbCr of 1 to 16 bits, read as in libtiff. Images compressed as fax or JPEG go to
//! the decoder of the `image` crate, through [`for_codec`].

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus, decode::Decoder as LzwDecoder};

use super::exif::{
    COMPRESSION, tiff_has_more_pages, tiff_is_big_endian, tiff_link, tiff_numbers, tiff_place, tiff_rationals,
};
use super::source::Source;
use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::limits::Limits;
use crate::watch::{Stage, Watch};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_LENGTHS: u16 = 279;
const PLANAR: u16 = 284;
const PREDICTOR: u16 = 317;
const COLOUR_MAP: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const COEFFICIENTS: u16 = 529;
const SUBSAMPLING: u16 = 530;
const REFERENCE: u16 = 532;

/// Upper limit of samples of a pixel.
const MAX_SAMPLES: usize = 16;
const TRUNCATED: ImageError = ImageError::Truncated { format: ImageFormat::Tiff };
/// Bytes decompressed between two checks of the watch.
const STEP_LEN_BYTES: usize = 64 << 10;

/// Meaning of the numbers in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Colour {
    Grey { white_is_zero: bool },
    Rgb,
    YCbCr,
    Palette(Vec<[u8; 3]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpha {
    None,
    Straight,
    /// Colours premultiplied by alpha (TIFF 6.0, section 18).
    Associated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    PackBits,
    Lzw,
    Deflate,
}

/// An image supported by this module.
struct Page {
    width: usize,
    height: usize,
    bits: usize,
    samples: usize,
    colour: Colour,
    alpha: Alpha,
    packing: Packing,
    has_differences: bool,
    is_planar: bool,
    is_big_endian: bool,
    /// Width and height of a strip or a tile.
    chunk: (usize, usize),
    is_tiled: bool,
    /// Pixels across and down with common Cb and Cr; 1 and 1 in other colours.
    subsampling: (usize, usize),
    /// Offset and length of each.
    chunks: Vec<(usize, usize)>,
}

impl Page {
    /// Returns the first page of a file; `None` if for the codec.
    fn of(file: &[u8]) -> Result<Option<Self>, ImageError> {
        let numbers = |tag| tiff_numbers(file, tag).unwrap_or_default();
        let number = |tag, default: u32| numbers(tag).first().copied().unwrap_or(default);
        let packing = match number(COMPRESSION, 1) {
            1 => Packing::None,
            5 => Packing::Lzw,
            8 | 32_946 => Packing::Deflate,
            32_773 => Packing::PackBits,
            _ => return Ok(None),
        };
        let bits_of_samples = numbers(BITS);
        let bits = bits_of_samples.first().copied().unwrap_or(1) as usize;
        let is_uniform = bits_of_samples.iter().all(|&each| each as usize == bits);
        let samples = number(SAMPLES_PER_PIXEL, 1) as usize;
        let is_whole_number = numbers(SAMPLE_FORMAT).iter().all(|&format| format == 1);
        let predictor = number(PREDICTOR, 1);
        if !matches!(bits, 1 | 2 | 4 | 8 | 16) || !is_uniform || !is_whole_number || predictor > 2 {
            return Ok(None);
        }
        let Some(colour) = colour(file, bits)? else { return Ok(None) };
        let subsampling = if colour == Colour::YCbCr { subsampling(file) } else { (1, 1) };
        let colours = if matches!(colour, Colour::Rgb | Colour::YCbCr) { 3 } else { 1 };
        if samples < colours || samples > MAX_SAMPLES {
            return Err(damaged("it has another number of samples than its colours take"));
        }
        let (width, height) = (number(WIDTH, 0) as usize, number(HEIGHT, 0) as usize);
        if width == 0 || height == 0 || width > i32::MAX as usize || height > i32::MAX as usize {
            return Err(damaged("it has no pixels"));
        }
        let is_tiled = tiff_numbers(file, TILE_WIDTH).is_some();
        let chunk = if is_tiled {
            (number(TILE_WIDTH, 0) as usize, number(TILE_HEIGHT, 0) as usize)
        } else {
            (width, (number(ROWS_PER_STRIP, u32::MAX) as usize).min(height))
        };
        if chunk.0 == 0 || chunk.1 == 0 {
            return Err(damaged("its strips or tiles have no pixels"));
        }
        let is_planar = number(PLANAR, 1) == 2 && samples > 1;
        let is_plain = !is_planar && predictor == 1 && samples == 3;
        if !matches!(subsampling, (1 | 2 | 4, 1 | 2 | 4)) || (subsampling != (1, 1) && !is_plain) {
            return Err(unsupported("a TIFF in YCbCr with an unusual layout"));
        }
        let alpha = match (numbers(EXTRA_SAMPLES).first(), samples - colours) {
            (_, 0) | (Some(0), _) => Alpha::None,
            (Some(1), _) => Alpha::Associated,
            (Some(_), _) | (None, 1) => Alpha::Straight,
            (None, _) => Alpha::None,
        };
        let alpha = if matches!(colour, Colour::Palette(_)) { Alpha::None } else { alpha };
        Ok(Some(Self {
            width,
            height,
            bits,
            samples,
            colour,
            alpha,
            packing,
            has_differences: predictor == 2,
            is_planar,
            is_big_endian: tiff_is_big_endian(file),
            chunk,
            is_tiled,
            subsampling,
            chunks: Vec::new(),
        }))
    }

    fn with_chunks(mut self, file: &[u8]) -> Result<Self, ImageError> {
        let across = self.width.div_ceil(self.chunk.0) * self.height.div_ceil(self.chunk.1);
        let needed = across * if self.is_planar { self.samples } else { 1 };
        let (offsets, lengths) =
            if self.is_tiled { (TILE_OFFSETS, TILE_LENGTHS) } else { (STRIP_OFFSETS, STRIP_LENGTHS) };
        let offsets = tiff_numbers(file, offsets).unwrap_or_default();
        let lengths = tiff_numbers(file, lengths);
        if offsets.len() < needed || lengths.as_ref().is_some_and(|lengths| lengths.len() < needed) {
            return Err(damaged("it does not say where all of its strips or tiles are"));
        }
        // Old writers leave the lengths out.
        let length = |i: usize| lengths.as_ref().map_or(usize::MAX, |lengths| lengths[i] as usize);
        self.chunks = (0..needed).map(|i| (offsets[i] as usize, length(i))).collect();
        Ok(self)
    }

    fn channels(&self) -> Channels {
        match (&self.colour, self.alpha) {
            (Colour::Grey { .. }, Alpha::None) => Channels::Grey,
            (Colour::Grey { .. }, _) => Channels::GreyAlpha,
            (_, Alpha::None) => Channels::Rgb,
            _ => Channels::Rgba,
        }
    }

    fn depth(&self) -> SampleDepth {
        if self.bits == 16 { SampleDepth::Sixteen } else { SampleDepth::Eight }
    }

    /// Returns the number of samples of a pixel in one strip or tile.
    fn samples_in_chunk(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Returns the number of bytes of a row of a strip or tile.
    fn chunk_row_bytes(&self) -> usize {
        (self.chunk.0.saturating_mul(self.samples_in_chunk() * self.bits)).div_ceil(8)
    }

    /// Returns the number of stored bytes of `height` rows of a strip or tile.
    fn stored_bytes(&self, height: usize) -> usize {
        match self.subsampling {
            (1, 1) => height * self.chunk_row_bytes(),
            (h, v) => self.chunk.0.div_ceil(h) * height.div_ceil(v) * (h * v + 2),
        }
    }
}

/// Returns the kind of the samples; `None` for kinds that the codec may support.
fn colour(file: &[u8], bits: usize) -> Result<Option<Colour>, ImageError> {
    let numbers = |tag| tiff_numbers(file, tag).unwrap_or_default();
    Ok(Some(match numbers(PHOTOMETRIC).first() {
        Some(0) => Colour::Grey { white_is_zero: true },
        Some(1) | None => Colour::Grey { white_is_zero: false },
        Some(2) => Colour::Rgb,
        Some(3) if bits <= 8 => {
            let map = numbers(COLOUR_MAP);
            let len = 1 << bits;
            if map.len() < 3 * len {
                return Err(damaged("its palette is too short"));
            }
            // Levels of 16 bits, of which old writers fill the lower eight.
            let shift = if map.iter().all(|&level| level < 256) { 0 } else { 8 };
            Colour::Palette(
                (0..len).map(|i| [0, len, 2 * len].map(|plane| (map[plane + i] >> shift) as u8)).collect(),
            )
        }
        Some(6) if bits != 8 || !has_usual_levels(file) => {
            return Err(unsupported("a TIFF in YCbCr with levels of its own"));
        }
        Some(6) => Colour::YCbCr,
        _ => return Ok(None),
    }))
}

/// Returns the pixels across and down with common Cb and Cr (section 21).
fn subsampling(file: &[u8]) -> (usize, usize) {
    let factors = tiff_numbers(file, SUBSAMPLING).unwrap_or_default();
    let factor = |i: usize| factors.get(i).map_or(2, |&factor| factor as usize);
    (factor(0), factor(1))
}

/// True if Y, Cb and Cr are defined as in JPEG (ITU-R BT.601, all levels), also the default.
fn has_usual_levels(file: &[u8]) -> bool {
    let is_close = |tag, usual: &[f64]| {
        tiff_rationals(file, tag).is_none_or(|found| {
            found.len() == usual.len()
                && found.iter().zip(usual).all(|(found, usual)| (found - usual).abs() < 0.002)
        })
    };
    is_close(COEFFICIENTS, &[0.299, 0.587, 0.114])
        && is_close(REFERENCE, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0])
}

/// Returns the content of the header; `None` for an image for the codec.
pub(super) fn header(file: &[u8]) -> Result<Option<ImageInfo>, ImageError> {
    let Some(page) = Page::of(file)? else { return Ok(None) };
    let chunk_bytes = (page.chunk_row_bytes() as u64).saturating_mul(page.chunk.1 as u64);
    Ok(Some(ImageInfo {
        format: ImageFormat::Tiff,
        width: page.width as u32,
        height: page.height as u32,
        channels: page.channels(),
        depth: page.depth(),
        interlaced: false,
        animated: false,
        decoder_bytes: chunk_bytes.saturating_mul(3).saturating_add(file.len() as u64 / 2 + (1 << 20)),
        metadata_bytes: 0,
        doubtful_bytes: 0,
    }))
}

/// Decodes the samples, row-major, 16-bit samples most significant byte first; `None` for an image for the
/// codec.
pub(super) fn decode(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Option<Vec<u8>>, ImageError> {
    let Some(page) = Page::of(file)? else { return Ok(None) };
    let page = page.with_chunks(file)?;
    let reversed = tiff_numbers(file, FILL_ORDER).is_some_and(|order| order.first() == Some(&2));
    let mut samples = vec![0; info.decoded_bytes() as usize];
    let mut raw = Vec::new();
    let across = page.width.div_ceil(page.chunk.0);
    let in_plane = across * page.height.div_ceil(page.chunk.1);
    let mut row = Vec::new();
    for (i, &(offset, len)) in page.chunks.iter().enumerate() {
        limits.watch.check(Stage::Decode, offset as u64, file.len() as u64)?;
        let (plane, place) = (i / in_plane, i % in_plane);
        let (x0, y0) = (place % across * page.chunk.0, place / across * page.chunk.1);
        let height = page.chunk.1.min(page.height - y0);
        let data = file.get(offset..).ok_or(TRUNCATED)?;
        let data = &data[..len.min(data.len())];
        let data = if reversed {
            Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(data)
        };
        unpack(&page, &data, page.stored_bytes(height), &mut raw, &limits.watch)?;
        if page.subsampling != (1, 1) {
            raw = scaled_up(&page, &raw, height);
        }
        for (y, stored) in raw.chunks_exact(page.chunk_row_bytes()).enumerate() {
            values(&page, stored, &mut row);
            put(&page, &row, (x0, y0 + y), plane, &mut samples);
        }
    }
    finish(&page, &mut samples);
    Ok(Some(samples))
}

/// Decompresses `len` bytes of a strip or tile.
fn unpack(page: &Page, data: &[u8], len: usize, raw: &mut Vec<u8>, watch: &Watch) -> Result<(), ImageError> {
    raw.clear();
    match page.packing {
        Packing::None => raw.extend_from_slice(data.get(..len).ok_or(TRUNCATED)?),
        Packing::PackBits => packbits(data, len, raw).ok_or(TRUNCATED)?,
        Packing::Deflate => {
            let inflated = ZlibDecoder::new(Source::new(data, watch)).take(len as u64).read_to_end(raw);
            inflated.map_err(|error| ImageError::Damaged {
                format: ImageFormat::Tiff,
                source: Box::new(error),
            })?;
        }
        Packing::Lzw => lzw(data, len, raw, watch)?,
    }
    if raw.len() < len { Err(TRUNCATED) } else { Ok(()) }
}

/// Returns Y, Cb and Cr of each pixel, from units with Y of some pixels and common Cb and Cr (section 21).
fn scaled_up(page: &Page, stored: &[u8], height: usize) -> Vec<u8> {
    let ((h, v), width) = (page.subsampling, page.chunk.0);
    let (unit_len, units_across) = (h * v + 2, width.div_ceil(h));
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let unit = &stored[(y / v * units_across + x / h) * unit_len..][..unit_len];
            pixels.extend_from_slice(&[unit[y % v * h + x % h], unit[h * v], unit[h * v + 1]]);
        }
    }
    pixels
}

/// Section 9: a count and literal bytes, or a count and one byte to repeat.
fn packbits(mut data: &[u8], len: usize, raw: &mut Vec<u8>) -> Option<()> {
    while raw.len() < len {
        let (&count, rest) = data.split_first()?;
        data = match count as i8 {
            -128 => rest,
            0.. => {
                let (literal, rest) = rest.split_at_checked(usize::from(count) + 1)?;
                raw.extend_from_slice(literal);
                rest
            }
            run => {
                let (&byte, rest) = rest.split_first()?;
                raw.resize(raw.len() + 1 + usize::from(run.unsigned_abs()), byte);
                rest
            }
        };
    }
    raw.truncate(len);
    Some(())
}

fn lzw(data: &[u8], len: usize, raw: &mut Vec<u8>, watch: &Watch) -> Result<(), ImageError> {
    let mut decoder = LzwDecoder::with_tiff_size_switch(BitOrder::Msb, 8);
    raw.resize(len, 0);
    let (mut read, mut written) = (0, 0);
    while written < len {
        watch.check(Stage::Decode, read as u64, data.len() as u64)?;
        let until = len.min(written + STEP_LEN_BYTES);
        let step = decoder.decode_bytes(&data[read..], &mut raw[written..until]);
        (read, written) = (read + step.consumed_in, written + step.consumed_out);
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(error) => {
                return Err(ImageError::Damaged { format: ImageFormat::Tiff, source: Box::new(error) });
            }
        }
    }
    raw.truncate(written);
    Ok(())
}

/// The numbers of a row, with differences added up (section 14).
fn values(page: &Page, stored: &[u8], row: &mut Vec<u16>) {
    row.clear();
    let count = page.chunk.0 * page.samples_in_chunk();
    match page.bits {
        8 => row.extend(stored.iter().map(|&byte| u16::from(byte))),
        16 => {
            let read = if page.is_big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            row.extend(stored.chunks_exact(2).map(|bytes| read([bytes[0], bytes[1]])));
        }
        bits => {
            let mask = (1 << bits) - 1;
            row.extend(
                (0..count).map(|i| u16::from(stored[i * bits / 8] >> (8 - bits - i * bits % 8) & mask)),
            );
        }
    }
    if page.has_differences {
        let (step, mask) = (page.samples_in_chunk(), u16::MAX >> (16 - page.bits));
        for i in step..row.len() {
            row[i] = row[i].wrapping_add(row[i - step]) & mask;
        }
    }
}

/// Copies a row of a strip or tile to its position among the samples.
fn put(page: &Page, row: &[u16], (x0, y): (usize, usize), plane: usize, samples: &mut [u8]) {
    let (channels, bytes) = (page.channels().count(), page.depth().bytes());
    let width = page.chunk.0.min(page.width - x0);
    let start = (y * page.width + x0) * channels * bytes;
    let place = &mut samples[start..start + width * channels * bytes];
    let step = page.samples_in_chunk();
    for (pixel, values) in place.chunks_exact_mut(channels * bytes).zip(row.chunks_exact(step)) {
        if let Colour::Palette(palette) = &page.colour {
            if plane == 0 {
                pixel.copy_from_slice(&palette[usize::from(values[0])]);
            }
            continue;
        }
        for (i, &value) in values.iter().enumerate() {
            let channel = if page.is_planar { plane } else { i };
            if channel >= channels {
                break;
            }
            match page.bits {
                16 => pixel[2 * channel..2 * channel + 2].copy_from_slice(&value.to_be_bytes()),
                8 => pixel[channel] = value as u8,
                bits => pixel[channel] = (value * (255 / ((1 << bits) - 1))) as u8,
            }
        }
    }
}

/// Converts the samples to the form shown by viewers: black is 0, colours are R, G and B, not multiplied by
/// alpha.
fn finish(page: &Page, samples: &mut [u8]) {
    let (channels, bytes) = (page.channels().count(), page.depth().bytes());
    let colour_len = page.channels().colour_count() * bytes;
    debug_assert_eq!(samples.len() % (channels * bytes), 0, "pixels are whole");
    for pixel in samples.chunks_exact_mut(channels * bytes) {
        if page.colour == (Colour::Grey { white_is_zero: true }) {
            pixel[..colour_len].iter_mut().for_each(|byte| *byte = !*byte);
        }
        if page.colour == Colour::YCbCr {
            let rgb = rgb([pixel[0], pixel[1], pixel[2]]);
            pixel[..3].copy_from_slice(&rgb);
        }
        if page.alpha == Alpha::Associated {
            straighten(pixel, colour_len, bytes);
        }
    }
}

/// ITU-T T.871, section 7.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb]
        .map(|level| level.round().clamp(0.0, 255.0) as u8)
}

/// Divides the colours of a pixel by alpha.
fn straighten(pixel: &mut [u8], colour_len: usize, bytes: usize) {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let max = (1 << (8 * bytes)) - 1;
    let alpha = number(&pixel[colour_len..]);
    if alpha == 0 || alpha == max {
        return;
    }
    for sample in pixel[..colour_len].chunks_exact_mut(bytes) {
        let level = (number(sample) * max / alpha).min(max);
        sample.copy_from_slice(&level.to_be_bytes()[8 - bytes..]);
    }
}

/// True if the file has further pages, or directories in a loop.
pub(super) fn has_more_pages(file: &[u8]) -> bool {
    tiff_has_more_pages(file)
}

/// `file` in the form for the codec: without further pages, and with the bits of the strips in the usual
/// order (section 8, FillOrder).
pub(super) fn for_codec(file: &[u8]) -> Cow<'_, [u8]> {
    let number = |tag| tiff_numbers(file, tag).and_then(|numbers| numbers.first().copied());
    let reversed = number(FILL_ORDER) == Some(2) && !matches!(number(COMPRESSION), Some(6 | 7));
    if !reversed && !has_more_pages(file) {
        return Cow::Borrowed(file);
    }
    let mut copy = file.to_vec();
    if let Some(link) = tiff_link(file).and_then(|at| copy.get_mut(at..at + 4)) {
        link.fill(0);
    }
    if !reversed {
        return Cow::Owned(copy);
    }
    let list = |tag| tiff_numbers(file, tag).unwrap_or_default();
    let strips = list(STRIP_OFFSETS).into_iter().zip(list(STRIP_LENGTHS));
    for (offset, len) in strips.chain(list(TILE_OFFSETS).into_iter().zip(list(TILE_LENGTHS))) {
        let (offset, len) = (offset as usize, len as usize);
        if let Some(data) = copy.get_mut(offset..offset.saturating_add(len)) {
            data.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
    }
    if let Some(place) = tiff_place(file, FILL_ORDER).and_then(|at| copy.get_mut(at..at + 2)) {
        place.copy_from_slice(&if tiff_is_big_endian(file) {
            1_u16.to_be_bytes()
        } else {
            1_u16.to_le_bytes()
        });
    }
    Cow::Owned(copy)
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Tiff, source: what.into() }
}

fn unsupported(what: &str) -> ImageError {
    ImageError::Unsupported { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TIFF with the entries given, `value` at once in each, whose bits and pixels follow the directory.
    fn file(entries: &[(u16, u16, u32, u32)], pixels: &[u8]) -> Vec<u8> {
        let bits_at = 8 + 2 + 12 * (entries.len() as u32 + 2) + 4;
        let mut all = entries.to_vec();
        all.extend([(BITS, 3, 3, bits_at), (STRIP_OFFSETS, 4, 1, bits_at + 6)]);
        let mut file = b"II*\0\x08\0\0\0".to_vec();
        file.extend((all.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in all {
            file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
        }
        file.extend([0; 4]);
        file.extend([8, 0, 8, 0, 8, 0]);
        file.extend(pixels);
        file
    }

    /// Three by three pixels in units of two by two, by the definition in section 21.
    #[test]
    fn chroma_of_a_unit_is_that_of_its_pixels() {
        let units = [
            [10, 20, 40, 50, 128, 128],
            [30, 0, 60, 0, 128, 228],
            [70, 80, 0, 0, 228, 128],
            [90, 0, 0, 0, 128, 128],
        ];
        let entries = [
            (WIDTH, 4, 1, 3),
            (HEIGHT, 4, 1, 3),
            (COMPRESSION, 3, 1, 1),
            (PHOTOMETRIC, 3, 1, 6),
            (SAMPLES_PER_PIXEL, 3, 1, 3),
            (STRIP_LENGTHS, 4, 1, 24),
        ];
        let file = file(&entries, &units.concat());
        let info = header(&file).unwrap().unwrap();
        let samples = decode(&file, &info, &Limits::default()).unwrap().unwrap();
        let pixels: Vec<&[u8]> = samples.chunks(3).collect();
        assert_eq!([pixels[0], pixels[1], pixels[3], pixels[4]], [[10; 3], [20; 3], [40; 3], [50; 3]]);
        // Cr 100 above the middle: 140.2 more red, 71.4 less green.
        assert_eq!([pixels[2], pixels[5]], [[170, 0, 30], [200, 0, 60]]);
        // Cb 100 above the middle: 34.4 less green, 177.2 more blue.
        assert_eq!([pixels[6], pixels[7]], [[70, 36, 247], [80, 46, 255]]);
        assert_eq!(pixels[8], [90; 3]);
    }
}

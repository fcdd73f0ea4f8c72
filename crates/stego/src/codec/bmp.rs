//! Windows and OS/2 bitmaps: headers of every version, palettes, bit fields and run lengths.
//!
//! Read as in browsers: the number of planes does not count, pixels follow the headers where the file gives
//! no offset, a palette may be longer than the index range, and 32 bits hold alpha only where a mask says so
//! in a file with bit fields.

use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;
use crate::limits::Limits;
use crate::watch::Stage;

const FILE_HEADER_LEN_BYTES: usize = 14;
const TRUNCATED: ImageError = ImageError::Truncated { format: ImageFormat::Bmp };

/// Compression of the pixels, by the number in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Raw,
    RunLength { bits: u16 },
}

/// Content of the headers.
struct Header {
    width: u32,
    height: u32,
    is_top_down: bool,
    bits: u16,
    coding: Coding,
    /// Of red, green, blue and alpha, where pixels are numbers of 16 or 32 bits; no alpha: 0.
    masks: [u32; 4],
    /// R, G and B of each colour.
    palette: Vec<[u8; 3]>,
    pixels_at: usize,
}

impl Header {
    fn of(file: &[u8]) -> Result<Self, ImageError> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(*file.get(at..)?.first_chunk()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
        let needed = |value: Option<u32>| value.ok_or(TRUNCATED);
        let len = needed(u32_at(14))? as usize;
        let is_core = len == 12;
        if !is_core && !(16..=1024).contains(&len) {
            return Err(unsupported(format!("a BMP with a header of {len} bytes")));
        }
        // Fields that a shorter header of OS/2 leaves out are 0.
        let field = |at: usize| if at + 4 <= 14 + len { needed(u32_at(at)) } else { Ok(0) };
        let (width, height, bits) = if is_core {
            let short = |at| u16_at(at).ok_or(TRUNCATED);
            (i32::from(short(18)?), i32::from(short(20)?), short(24)?)
        } else {
            (needed(u32_at(18))? as i32, needed(u32_at(22))? as i32, u16_at(28).ok_or(TRUNCATED)?)
        };
        let compression = if is_core { 0 } else { field(30)? };
        let coding = coding(compression, bits, matches!(len, 12 | 16 | 64))?;
        let mut tables_at = FILE_HEADER_LEN_BYTES + len;
        let masks = match (compression, bits) {
            (3 | 6, _) => {
                let count = if compression == 6 || len >= 56 { 4 } else { 3 };
                let mut masks = [0; 4];
                for (i, mask) in masks.iter_mut().enumerate().take(count) {
                    *mask = needed(u32_at(54 + 4 * i))?;
                }
                if len < 52 {
                    tables_at += 4 * count;
                }
                masks
            }
            (_, 16) => [0x7C00, 0x03E0, 0x001F, 0],
            _ => [0xFF_0000, 0xFF00, 0xFF, 0],
        };
        if masks.iter().any(|mask| mask.count_ones() > 16 || !is_run(*mask)) {
            return Err(damaged("its bit masks are impossible"));
        }
        let mut pixels_at = needed(u32_at(10))? as usize;
        let said = if is_core || bits > 8 { 0 } else { field(46)? as usize };
        let room = pixels_at.checked_sub(tables_at).filter(|&room| room > 0);
        let (palette, palette_len) =
            palette(file.get(tables_at..).unwrap_or_default(), said, room, bits, if is_core { 3 } else { 4 });
        if pixels_at < FILE_HEADER_LEN_BYTES + len {
            pixels_at = tables_at + palette_len;
        }
        if width <= 0 || height == 0 || height == i32::MIN {
            return Err(damaged("it has no pixels"));
        }
        let (width, height, is_top_down) = (width as u32, height.unsigned_abs(), height < 0);
        Ok(Self { width, height, is_top_down, bits, coding, masks, palette, pixels_at })
    }

    fn channels(&self) -> Channels {
        if self.masks[3] != 0 && self.bits > 8 { Channels::Rgba } else { Channels::Rgb }
    }

    /// Returns the row of the image stored as row `i`.
    fn row(&self, i: usize) -> usize {
        if self.is_top_down { i } else { self.height as usize - 1 - i }
    }
}

fn coding(compression: u32, bits: u16, is_os2: bool) -> Result<Coding, ImageError> {
    Err(unsupported(match (compression, bits) {
        (0, 1 | 2 | 4 | 8 | 16 | 24 | 32) => return Ok(Coding::Raw),
        (1, 8) | (2, 4) => return Ok(Coding::RunLength { bits }),
        (3 | 6, 16 | 32) if !is_os2 => return Ok(Coding::Raw),
        (4, _) if is_os2 => "a BMP with 24-bit run lengths (OS/2)".to_owned(),
        (4, _) => "a BMP that holds a JPEG".to_owned(),
        (5, _) => "a BMP that holds a PNG".to_owned(),
        _ => format!("a BMP of compression {compression} with {bits} bits per pixel"),
    }))
}

/// Returns the colours at the start of `table`, as R, G and B, and their bytes in total: `said` colours, or
/// for 0 as many as the index range, of `entry` bytes each, within `room`.
fn palette(table: &[u8], said: usize, room: Option<usize>, bits: u16, entry: usize) -> (Vec<[u8; 3]>, usize) {
    if bits > 8 {
        return (Vec::new(), 0);
    }
    let most = 1 << bits;
    let stored = if said == 0 { most } else { said.min(1 << 16) };
    let stored = stored.min(room.map_or(usize::MAX, |room| room / entry));
    let colours = table.chunks_exact(entry).take(stored.min(most));
    (colours.map(|colour| [colour[2], colour[1], colour[0]]).collect(), entry * stored)
}

/// True if the set bits are contiguous.
fn is_run(mask: u32) -> bool {
    mask == 0 || (mask >> mask.trailing_zeros()).checked_add(1).is_none_or(u32::is_power_of_two)
}

pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let header = Header::of(file)?;
    Ok(ImageInfo {
        format: ImageFormat::Bmp,
        width: header.width,
        height: header.height,
        channels: header.channels(),
        depth: SampleDepth::Eight,
        interlaced: false,
        animated: false,
        decoder_bytes: u64::from(header.width) + (1 << 20),
        metadata_bytes: 0,
        doubtful_bytes: 0,
    })
}

/// Decodes the samples, row-major, from the top.
pub(super) fn decode(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let header = Header::of(file)?;
    let data = file.get(header.pixels_at..).ok_or(TRUNCATED)?;
    let mut samples = vec![0; info.decoded_bytes() as usize];
    match header.coding {
        Coding::Raw => raw(&header, data, &mut samples, limits)?,
        Coding::RunLength { bits } => run_lengths(&header, bits, data, &mut samples, limits)?,
    }
    Ok(samples)
}

fn raw(header: &Header, data: &[u8], samples: &mut [u8], limits: &Limits) -> Result<(), ImageError> {
    let (width, bits) = (header.width as usize, usize::from(header.bits));
    let used = (width * bits).div_ceil(8);
    let stride = used.next_multiple_of(4);
    let row_len = samples.len() / header.height as usize;
    for i in 0..header.height as usize {
        limits.watch.check(Stage::Decode, (i * stride) as u64, data.len() as u64)?;
        // Of the last row, padding may be missing.
        let stored = data.get(i * stride..i * stride + used).ok_or(TRUNCATED)?;
        let row = &mut samples[header.row(i) * row_len..][..row_len];
        match bits {
            24 => {
                for (pixel, stored) in row.chunks_exact_mut(3).zip(stored.chunks_exact(3)) {
                    pixel.copy_from_slice(&[stored[2], stored[1], stored[0]]);
                }
            }
            16 | 32 => masked(header, stored, row),
            _ => {
                for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                    let shift = 8 - bits - x * bits % 8;
                    let index = usize::from(stored[x * bits / 8] >> shift) & ((1 << bits) - 1);
                    pixel.copy_from_slice(&colour(header, index));
                }
            }
        }
    }
    Ok(())
}

/// Returns a colour of the palette; black beyond the end.
fn colour(header: &Header, index: usize) -> [u8; 3] {
    header.palette.get(index).copied().unwrap_or_default()
}

fn masked(header: &Header, stored: &[u8], row: &mut [u8]) {
    let channels = header.channels().count();
    for (pixel, stored) in
        row.chunks_exact_mut(channels).zip(stored.chunks_exact(usize::from(header.bits) / 8))
    {
        let number = stored.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
        for (sample, mask) in pixel.iter_mut().zip(header.masks) {
            let (level, max) = match mask {
                0 => (0, 1),
                _ => ((number & mask) >> mask.trailing_zeros(), mask >> mask.trailing_zeros()),
            };
            *sample = ((u64::from(level) * 255 + u64::from(max) / 2) / u64::from(max)) as u8;
        }
    }
}

/// Decodes runs and literal pixels (BI_RLE8, BI_RLE4). Skipped pixels have the first colour.
fn run_lengths(
    header: &Header,
    bits: u16,
    data: &[u8],
    samples: &mut [u8],
    limits: &Limits,
) -> Result<(), ImageError> {
    let (width, height) = (header.width as usize, header.height as usize);
    samples.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour(header, 0)));
    let mut put = |x: usize, y: usize, index: u8| {
        if x < width && y < height {
            samples[(header.row(y) * width + x) * 3..][..3].copy_from_slice(&colour(header, index.into()));
        }
    };
    let nibble = |byte: u8, i: usize| if i.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
    let (mut x, mut y, mut at, mut steps) = (0, 0, 0, 0_u32);
    while y < height {
        if steps.is_multiple_of(1 << 14) {
            limits.watch.check(Stage::Decode, at as u64, data.len() as u64)?;
        }
        steps += 1;
        let Some(&[count, value]) = data.get(at..).and_then(|rest| rest.first_chunk()) else {
            // Some writers leave out the end marker.
            return if y + 1 == height && x >= width { Ok(()) } else { Err(TRUNCATED) };
        };
        at += 2;
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return Ok(()),
            (0, 2) => {
                let &[right, up] = data.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TRUNCATED)?;
                (x, y, at) = (x + usize::from(right), y + usize::from(up), at + 2);
            }
            (0, literal) => {
                let len = (usize::from(literal) * usize::from(bits)).div_ceil(8);
                let pixels = data.get(at..at + len).ok_or(TRUNCATED)?;
                for i in 0..usize::from(literal) {
                    put(x + i, y, if bits == 8 { pixels[i] } else { nibble(pixels[i / 2], i) });
                }
                (x, at) = (x + usize::from(literal), at + len.next_multiple_of(2));
            }
            (run, value) => {
                for i in 0..usize::from(run) {
                    put(x + i, y, if bits == 8 { value } else { nibble(value, i) });
                }
                x += usize::from(run);
            }
        }
    }
    Ok(())
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Bmp, source: what.into() }
}

fn unsupported(what: String) -> ImageError {
    ImageError::Unsupported { what }
}

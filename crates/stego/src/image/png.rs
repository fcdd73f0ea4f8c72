//! PNG: header, chunks, rows and encoding, on the `png` crate.

use std::io::{Cursor, ErrorKind, Write};

use ::png::chunk::ChunkType;
use ::png::{
    BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Encoder, Limits as PngLimits, Reader,
};

use super::{Channels, Chunk, Cover, ImageError, ImageFormat, ImageInfo, SampleDepth};

pub(super) const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// The signature, and IHDR with its length, type and checksum.
const HEADER_END: usize = 33;
/// Bytes of compressed data in an IDAT chunk that this module writes.
const IDAT_LEN_BYTES: usize = 256 << 10;
/// What the `png` crate may allocate besides the samples: a few rows of a very wide image.
const DECODER_LIMIT_BYTES: usize = 1 << 30;

/// Chunks that say what the samples' colours mean (PNG third edition, 11.3.2). They may not be lost.
const COLOUR_CHUNKS: [&[u8; 4]; 8] = [b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sBIT", b"sRGB"];
/// Names of chunks that are left out are listed up to this many.
const MAX_NAMES: usize = 16;
/// Chunks that are rewritten or mean nothing for the samples of the image that is read.
const STRUCTURE_CHUNKS: [&[u8; 4]; 5] = [b"IHDR", b"IDAT", b"IEND", b"hIST", b"PLTE"];

/// Reads what IHDR says. The kind of a PNG that [`check_kind`] refuses is taken for the largest one.
pub(super) fn header(file: &[u8]) -> Result<ImageInfo, ImageError> {
    let Some(ihdr) = file.get(..HEADER_END) else {
        return Err(ImageError::Truncated { format: ImageFormat::Png });
    };
    if ihdr[8..16] != *b"\0\0\0\x0dIHDR" {
        return Err(damaged("the first chunk is not IHDR"));
    }
    let u32_at = |at: usize| u32::from_be_bytes([ihdr[at], ihdr[at + 1], ihdr[at + 2], ihdr[at + 3]]);
    if crc32fast::hash(&ihdr[12..29]) != u32_at(29) {
        return Err(damaged("the checksum of IHDR differs"));
    }
    let (width, height, depth, colour) = (u32_at(16), u32_at(20), ihdr[24], ihdr[25]);
    if width == 0 || height == 0 || width > i32::MAX as u32 || height > i32::MAX as u32 {
        return Err(damaged("IHDR gives an impossible size"));
    }
    let channels = channels(depth, colour).unwrap_or(Channels::Rgba);
    Ok(ImageInfo {
        format: ImageFormat::Png,
        width,
        height,
        channels,
        depth: SampleDepth::Eight,
        interlaced: ihdr[28] != 0,
        animated: false,
    })
}

/// Refuses what is not read, by name. Comes after the limits: a bomb is one whatever its kind.
pub(super) fn check_kind(file: &[u8]) -> Result<(), ImageError> {
    channels(file[24], file[25]).map_err(|what| ImageError::Unsupported { what })?;
    for (kind, _) in chunks(file).take_while(|(kind, _)| kind != b"IDAT") {
        match &kind {
            b"tRNS" => {
                return Err(ImageError::Unsupported {
                    what: "a PNG with a transparent colour (tRNS)".into(),
                });
            }
            b"acTL" => return Err(ImageError::Unsupported { what: "an animated PNG".into() }),
            _ => {}
        }
    }
    Ok(())
}

fn channels(depth: u8, colour: u8) -> Result<Channels, String> {
    match (colour, depth) {
        (0, 8) => Ok(Channels::Grey),
        (2, 8) => Ok(Channels::Rgb),
        (4, 8) => Ok(Channels::GreyAlpha),
        (6, 8) => Ok(Channels::Rgba),
        (3, _) => Err("a PNG with a palette".into()),
        (_, 16) => Err("a PNG with 16 bits per sample".into()),
        (0, 1 | 2 | 4) => Err(format!("a PNG with {depth} bits per sample")),
        _ => Err(format!("a PNG of colour type {colour} with {depth} bits per sample")),
    }
}

/// The chunks of a file up to IEND, as far as they are whole: type and data. One whose checksum does not hold is passed
/// over; the decoder does the same with those that it does not need, and fails at the others.
fn chunks(file: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    let all = std::iter::from_fn(move || {
        let (len, after_len) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len) as usize;
        let typed = after_len.get(..len.checked_add(4)?)?;
        let (crc, after) = after_len[typed.len()..].split_first_chunk::<4>()?;
        rest = after;
        Some((typed, u32::from_be_bytes(*crc)))
    });
    all.filter(|(typed, crc)| crc32fast::hash(typed) == *crc)
        .filter_map(|(typed, _)| typed.split_first_chunk::<4>())
        .map(|(kind, data)| (*kind, data))
        .take_while(|(kind, _)| kind != b"IEND")
}

pub(super) fn decode(file: &[u8], info: ImageInfo) -> Result<Cover, ImageError> {
    let mut reader = open(file)?;
    let mut samples = vec![0; info.decoded_bytes() as usize];
    reader.next_frame(&mut samples).map_err(decoding_error)?;
    reader.finish().map_err(decoding_error)?;

    let (colour_chunks, dropped_metadata) = ancillary(file);
    let ImageInfo { width, height, channels, .. } = info;
    Ok(Cover { width, height, channels, samples, colour_chunks, dropped_metadata })
}

/// The chunks that say what colours mean, where they may stand and once each, and the names of what is left out.
fn ancillary(file: &[u8]) -> (Vec<Chunk>, Vec<String>) {
    let mut colour_chunks: Vec<Chunk> = Vec::new();
    let mut dropped: Vec<String> = Vec::new();
    let mut before_pixels = true;
    for (kind, data) in chunks(file) {
        before_pixels &= kind != *b"IDAT";
        if COLOUR_CHUNKS.contains(&&kind) {
            if before_pixels && colour_chunks.iter().all(|(kept, _)| *kept != kind) {
                colour_chunks.push((kind, data.to_vec()));
            }
        } else if kind.iter().all(u8::is_ascii_alphabetic)
            && !STRUCTURE_CHUNKS.contains(&&kind)
            && dropped.len() < MAX_NAMES
        {
            let name = String::from_utf8_lossy(&kind).into_owned();
            if !dropped.contains(&name) {
                dropped.push(name);
            }
        }
    }
    (colour_chunks, dropped)
}

fn open(file: &[u8]) -> Result<Reader<Cursor<&[u8]>>, ImageError> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(file), options);
    decoder.set_limits(PngLimits { bytes: DECODER_LIMIT_BYTES });
    decoder.read_info().map_err(decoding_error)
}

/// The rows of a PNG from top to bottom, decoded as they are asked for.
pub(crate) enum PngRows<'a> {
    /// Row by row.
    Streamed(Box<Reader<Cursor<&'a [u8]>>>),
    /// An interlaced image has no whole row before its last pass.
    Whole { samples: Vec<u8>, row_len_bytes: usize, next: usize },
}

impl<'a> PngRows<'a> {
    /// Opens a PNG whose header was checked: `info` is what [`super::probe`] gave for `file`.
    pub(crate) fn open(file: &'a [u8], info: &ImageInfo) -> Result<Self, ImageError> {
        let mut reader = open(file)?;
        if !info.interlaced {
            return Ok(Self::Streamed(Box::new(reader)));
        }
        let mut samples = vec![0; info.decoded_bytes() as usize];
        reader.next_frame(&mut samples).map_err(decoding_error)?;
        reader.finish().map_err(decoding_error)?;
        Ok(Self::Whole { samples, row_len_bytes: info.width as usize * info.channels.count(), next: 0 })
    }

    /// The next row's samples, `None` after the last.
    pub(crate) fn next_row(&mut self) -> Result<Option<&[u8]>, ImageError> {
        match self {
            Self::Streamed(reader) => {
                let row = reader.next_row().map_err(decoding_error)?;
                Ok(row.map(|row| row.data()))
            }
            Self::Whole { samples, row_len_bytes, next } => {
                let row = samples.get(*next..*next + *row_len_bytes);
                *next += *row_len_bytes;
                Ok(row)
            }
        }
    }

    /// Reads on to the end of the file: every row, every checksum.
    pub(crate) fn drain(mut self) -> Result<(), ImageError> {
        while self.next_row()?.is_some() {}
        match self {
            Self::Streamed(mut reader) => reader.finish().map_err(decoding_error),
            Self::Whole { .. } => Ok(()),
        }
    }
}

fn decoding_error(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: ImageFormat::Png }
        }
        DecodingError::LimitsExceeded => ImageError::TooMuchMemory {
            needed_bytes: DECODER_LIMIT_BYTES as u64 + 1,
            max_bytes: DECODER_LIMIT_BYTES as u64,
        },
        other => ImageError::Damaged { format: ImageFormat::Png, source: Box::new(other) },
    }
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Damaged { format: ImageFormat::Png, source: what.into() }
}

/// Writes `cover` as a PNG, its first rows replaced by those in `head` (whole rows). Never interlaced.
pub(crate) fn encode(cover: &Cover, head: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(cover.samples.len() * 3 / 4 + 1024);
    write(cover, head, &mut file)
        .expect("writing to a Vec does not fail, and a cover has as many samples as its size says");
    file.shrink_to_fit();
    file
}

fn write(cover: &Cover, head: &[u8], file: &mut Vec<u8>) -> Result<(), ::png::EncodingError> {
    let mut encoder = Encoder::new(file, cover.width, cover.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match cover.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::GreyAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    });
    encoder.set_compression(::png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    for (kind, data) in cover.colour_chunks() {
        writer.write_chunk(ChunkType(*kind), data)?;
    }
    let mut rows = writer.stream_writer_with_size(IDAT_LEN_BYTES)?;
    rows.write_all(head)?;
    rows.write_all(&cover.samples[head.len()..])?;
    rows.finish()?;
    writer.finish()
}

//! The rows of a PNG from top to bottom, as 8- or 16-bit samples: palettes, low depths and transparent
//! colours are resolved.

use ::png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits as PngLimits, Reader, Transformations};

use super::chunks::surviving;
use super::needed::NeededChunks;
use crate::codec::error::ImageError;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::guard::guarded;
use crate::codec::info::ImageInfo;
use crate::codec::metadata::Metadata;
use crate::codec::png::error::{CHUNK_LIMIT_BYTES, damaged, decoding_error};
use crate::codec::png::header::stored;
use crate::limits::Limits;
use crate::watch::Watch;

fn open<'a>(
    file: &'a [u8],
    info: &ImageInfo,
    watch: &'a Watch,
) -> Result<Reader<NeededChunks<'a>>, ImageError> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let (stored, animated) = stored(file);
    let chunks = NeededChunks::new(file, stored, animated, watch);
    let mut decoder = Decoder::new_with_options(chunks, options);
    decoder.set_limits(PngLimits { bytes: CHUNK_LIMIT_BYTES + info.decoder_bytes as usize });
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(decoding_error)?;
    let colour = match info.channels {
        Channels::Grey => ColorType::Grayscale,
        Channels::GreyAlpha => ColorType::GrayscaleAlpha,
        Channels::Rgb => ColorType::Rgb,
        Channels::Rgba => ColorType::Rgba,
    };
    let depth = match info.depth {
        SampleDepth::Eight => BitDepth::Eight,
        SampleDepth::Sixteen => BitDepth::Sixteen,
    };
    // Both read the same chunks; should they ever disagree, on a damaged one say, nobody counts on wrong row
    // lengths.
    if reader.output_color_type() != (colour, depth)
        || reader.output_line_size(reader.info().width) != Some(info.row_len_bytes())
    {
        return Err(damaged("its chunks contradict each other"));
    }
    Ok(reader)
}

/// Decodes the samples of the image, and the other parts of the file for a stego image.
pub(in crate::codec) fn decode(
    file: &[u8],
    info: &ImageInfo,
    limits: &Limits,
) -> Result<(Vec<u8>, Metadata), ImageError> {
    let samples = samples(file, info, limits)?;
    Ok((samples, surviving(file, stored(file).0)))
}

/// Returns all samples. The file is read to its end, and the checksums of all chunks needed for the pixels
/// are checked.
fn samples(file: &[u8], info: &ImageInfo, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let mut reader = open(file, info, &limits.watch)?;
    let mut samples = vec![0; info.decoded_bytes() as usize];
    reader.next_frame(&mut samples).map_err(decoding_error)?;
    reader.finish().map_err(decoding_error)?;
    Ok(samples)
}

/// The rows of a PNG, decoded on demand. Interlaced images have no whole row before the last pass: [`decode`]
/// handles those.
pub(crate) struct PngRows<'a>(Box<Reader<NeededChunks<'a>>>);

impl<'a> PngRows<'a> {
    /// Opens a PNG with a checked header that is not interlaced: `info` is the result of [`crate::probe`] for
    /// `file`.
    pub(crate) fn open(file: &'a [u8], info: &ImageInfo, watch: &'a Watch) -> Result<Self, ImageError> {
        guarded(ImageFormat::Png, || open(file, info, watch).map(|reader| Self(Box::new(reader))))
    }

    /// Returns the next row's samples, `None` after the last.
    pub(crate) fn next_row(&mut self) -> Result<Option<&[u8]>, ImageError> {
        guarded(ImageFormat::Png, || {
            let row = self.0.next_row().map_err(decoding_error)?;
            Ok(row.map(|row| row.data()))
        })
    }

    /// Reads on to the end of the file: every row, every checksum.
    pub(crate) fn drain(mut self) -> Result<(), ImageError> {
        while self.next_row()?.is_some() {}
        guarded(ImageFormat::Png, || self.0.finish().map_err(decoding_error))
    }
}

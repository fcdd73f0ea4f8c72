//! A decoded cover.

use super::{Channels, ImageError, ImageFormat, ImageInfo, SampleDepth, jpeg, png, probe};
use crate::limits::Limits;
use crate::synth;

/// A PNG chunk: type and data.
pub(super) type Chunk = ([u8; 4], Vec<u8>);

/// An image to hide something in: its samples and what else of its file goes into the stego image.
#[derive(Debug, Clone)]
pub struct Cover {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    /// Row-major, `width × height × channels`, 8 bits each.
    pub(super) samples: Vec<u8>,
    /// PNG chunks that define what the samples' colours mean, in the cover's order.
    pub(super) colour_chunks: Vec<Chunk>,
    /// Names of the metadata that the stego image will not have.
    pub(super) dropped_metadata: Vec<String>,
}

impl Cover {
    /// Decodes an image file. A JPEG's EXIF orientation is applied. The header is checked against `limits`
    /// before anything is allocated.
    pub fn decode(file: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let info = probe(file, limits)?;
        info.check(limits, info.embed_memory_bytes(0))?;
        match info.format {
            ImageFormat::Png => png::decode(file, info),
            ImageFormat::Jpeg => jpeg::decode(file, info),
            other => Err(ImageError::Unsupported { what: other.to_string() }),
        }
    }

    /// A cover from samples in memory: row-major, 8 bits each. `None` if their number is not
    /// `width × height × channels` or the image is empty.
    pub fn from_samples(width: u32, height: u32, channels: Channels, samples: Vec<u8>) -> Option<Self> {
        let info = Self::info_of(width, height, channels);
        (info.pixels() > 0 && info.decoded_bytes() == samples.len() as u64).then(|| Self {
            width,
            height,
            channels,
            samples,
            colour_chunks: Vec::new(),
            dropped_metadata: Vec::new(),
        })
    }

    /// One of the [`crate::DATASET_LEN`] images made by code, photograph-like and the same on every machine;
    /// image 0 is the default cover, 1920 × 1080.
    pub fn dataset(index: u32) -> Option<Self> {
        let made = synth::dataset_image(index)?;
        Self::from_samples(made.width, made.height, Channels::Rgb, made.pixels)
    }

    /// What the header of this cover as a PNG says.
    pub fn info(&self) -> ImageInfo {
        Self::info_of(self.width, self.height, self.channels)
    }

    fn info_of(width: u32, height: u32, channels: Channels) -> ImageInfo {
        ImageInfo {
            format: ImageFormat::Png,
            width,
            height,
            channels,
            depth: SampleDepth::Eight,
            interlaced: false,
            animated: false,
        }
    }

    /// The depth of the samples.
    pub fn depth(&self) -> SampleDepth {
        SampleDepth::Eight
    }

    /// Names of the metadata in the cover's file that a stego image made from it has, unless it is to be stripped.
    pub fn kept_metadata(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the metadata that can be kept tells where the picture was taken.
    pub fn tells_location(&self) -> bool {
        false
    }

    /// Whether the cover is the first frame of an animation.
    pub fn is_first_frame(&self) -> bool {
        false
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The samples of a pixel.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// All samples, row-major.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Names of the metadata in the cover's file that a stego image made from it will not have.
    pub fn dropped_metadata(&self) -> &[String] {
        &self.dropped_metadata
    }

    /// The cover as a PNG, written as stego images are.
    pub fn to_png(&self) -> Vec<u8> {
        png::encode(self, &[])
    }

    pub(crate) fn row_len_bytes(&self) -> usize {
        self.width as usize * self.channels.count()
    }

    pub(crate) fn colour_chunks(&self) -> &[Chunk] {
        &self.colour_chunks
    }
}

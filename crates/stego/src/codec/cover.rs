//! A decoded cover.

use super::metadata::Metadata;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;

/// A cover image: the samples and the other parts of the file that go into the stego image.
#[derive(Debug, Clone)]
pub struct Cover {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    pub(super) depth: SampleDepth,
    /// Row-major, `width × height × channels`, each of `depth`.
    pub(super) samples: Vec<u8>,
    pub(super) metadata: Metadata,
    pub(super) first_frame: bool,
    /// Format of the file; PNG for samples in memory.
    pub(crate) file_format: ImageFormat,
}

impl Cover {
    /// Creates a cover from samples in memory: row-major, 8 bits each. `None` if the length is not `width ×
    /// height × channels` or the image is empty.
    pub fn from_samples(width: u32, height: u32, channels: Channels, samples: Vec<u8>) -> Option<Self> {
        Self::from_bytes(width, height, channels, SampleDepth::Eight, samples)
    }

    /// Creates a cover from samples in memory: row-major, 16 bits each. `None` as for
    /// [`Cover::from_samples`].
    pub fn from_deep_samples(width: u32, height: u32, channels: Channels, samples: &[u16]) -> Option<Self> {
        let bytes = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
        Self::from_bytes(width, height, channels, SampleDepth::Sixteen, bytes)
    }

    fn from_bytes(
        width: u32,
        height: u32,
        channels: Channels,
        depth: SampleDepth,
        samples: Vec<u8>,
    ) -> Option<Self> {
        let cover = Self {
            width,
            height,
            channels,
            depth,
            samples,
            metadata: Metadata::default(),
            first_frame: false,
            file_format: ImageFormat::Png,
        };
        let info = cover.info();
        (info.pixels() > 0 && info.decoded_bytes() == cover.samples.len() as u64).then_some(cover)
    }

    /// Returns the header of this cover as a PNG.
    pub fn info(&self) -> ImageInfo {
        ImageInfo {
            format: ImageFormat::Png,
            width: self.width,
            height: self.height,
            channels: self.channels,
            depth: self.depth,
            interlaced: false,
            animated: false,
            decoder_bytes: 0,
            metadata_bytes: 0,
            doubtful_bytes: 0,
        }
    }

    /// Returns the number of pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the samples of a pixel.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// Returns the depth of the samples.
    pub fn depth(&self) -> SampleDepth {
        self.depth
    }

    /// Returns all samples, row-major; 16-bit samples as two bytes, the most significant first.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Returns the names of the metadata in the cover's file that a stego image keeps, unless stripped.
    pub fn kept_metadata(&self) -> Vec<String> {
        self.metadata.kept_names()
    }

    /// Returns the names of the metadata in the cover's file that a stego image does not keep.
    pub fn dropped_metadata(&self) -> &[String] {
        self.metadata.left_out()
    }

    /// True if metadata to keep tell the location of the picture.
    pub fn tells_location(&self) -> bool {
        self.metadata.tells_location()
    }

    /// True if the cover is the first frame of an animation.
    pub fn is_first_frame(&self) -> bool {
        self.first_frame
    }
}

//! A decoded cover.

use super::metadata::Metadata;
use crate::codec::format::{Channels, ImageFormat, SampleDepth};
use crate::codec::info::ImageInfo;

/// An image to hide something in: its samples and what else of its file goes into the stego image.
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
}

impl Cover {
    /// A cover from samples in memory: row-major, 8 bits each. `None` if their number is not
    /// `width × height × channels` or the image is empty.
    pub fn from_samples(width: u32, height: u32, channels: Channels, samples: Vec<u8>) -> Option<Self> {
        Self::from_bytes(width, height, channels, SampleDepth::Eight, samples)
    }

    /// A cover from samples in memory: row-major, 16 bits each. `None` as for [`Cover::from_samples`].
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
        };
        let info = cover.info();
        (info.pixels() > 0 && info.decoded_bytes() == cover.samples.len() as u64).then_some(cover)
    }

    /// Header of this cover as a PNG.
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

    /// The depth of the samples.
    pub fn depth(&self) -> SampleDepth {
        self.depth
    }

    /// All samples, row-major; those of 16 bits as two bytes, the most significant first.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Names of the metadata in the cover's file that a stego image made from it has, unless it is to be
    /// stripped.
    pub fn kept_metadata(&self) -> Vec<String> {
        self.metadata.kept_names()
    }

    /// Names of the metadata in the cover's file that a stego image made from it will not have.
    pub fn dropped_metadata(&self) -> &[String] {
        self.metadata.left_out()
    }

    /// True if the metadata that can be kept tells where the picture was taken.
    pub fn tells_location(&self) -> bool {
        self.metadata.tells_location()
    }

    /// True if the cover is the first frame of an animation.
    pub fn is_first_frame(&self) -> bool {
        self.first_frame
    }
}

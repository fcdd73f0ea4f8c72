//! Covers that give away: those in which a single changed sample is proof of a change.
//!
//! A keyed mode hides changes among the noise of a cover. A cover without noise, or with a structure that no
//! camera leaves in the lowest bits, hides nothing, whatever the mode. One pass over the samples finds such
//! covers. The arithmetic is of integers, and the memory is bounded by the sides of the image and constants.

use std::fmt;

use crate::codec::cover::Cover;
use crate::codec::format::{ImageFormat, SampleDepth};
use crate::extract::error::ExtractError;
use crate::extract::sealed::SealedReading;
use crate::key::SealingKey;
use crate::limits::Limits;
use crate::watch::{Stage, Stopped, Watch};

mod histogram;
mod pattern;

use histogram::{DeepHistogram, Histogram};
use pattern::{Colours, FlatBlocks, Lines};

/// A property of a cover by which a single changed sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveAway {
    /// 16-bit samples with values that 8 to 15 bits were made into: scaled, shifted, or through a curve.
    StructuredLowBytes,
    /// Values that no sample has, or every other sample, as a stretch or a squeeze of the histogram leaves
    /// them.
    HistogramComb,
    /// An image in colour with few colours: a palette, a drawing, a screenshot.
    FewColours,
    /// Repeated rows or columns, or flat areas: enlarged without interpolation, tiled, or painted.
    RepeatedPixels,
    /// Samples decoded from a lossy file, whose quantization every sample of a block has to fit.
    LossyFile(ImageFormat),
}

impl GiveAway {
    /// Most colours of an image in colour that count as few.
    pub const FEW_COLOURS: usize = 4096;

    /// Returns a stable name, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::StructuredLowBytes => "structured_low_bytes",
            Self::HistogramComb => "histogram_comb",
            Self::FewColours => "few_colours",
            Self::RepeatedPixels => "repeated_pixels",
            Self::LossyFile(_) => "cover_was_jpeg",
        }
    }
}

impl fmt::Display for GiveAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StructuredLowBytes => f.write_str("its 16-bit samples hold fewer bits"),
            Self::HistogramComb => f.write_str("its histogram has gaps or peaks of an edited image"),
            Self::FewColours => write!(f, "it has no more than {} colours", Self::FEW_COLOURS),
            Self::RepeatedPixels => f.write_str("its pixels are repeated or flat"),
            Self::LossyFile(format) => write!(f, "it was a {format} file"),
        }
    }
}

impl Cover {
    /// Returns the properties by which a change of this cover shows; none for a photograph as it left a
    /// converter. Only visible pixels count.
    pub fn give_aways(&self) -> Vec<GiveAway> {
        self.give_aways_within(&Watch::default()).expect("nothing stops this")
    }

    /// As [`Cover::give_aways`].
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub fn give_aways_within(&self, watch: &Watch) -> Result<Vec<GiveAway>, Stopped> {
        let found = Findings::of(self, watch)?;
        let of_file = Some(self.file_format)
            .filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::WebPLossy))
            .map(GiveAway::LossyFile);
        let of_samples = [
            (found.has_structured_low_bytes(), GiveAway::StructuredLowBytes),
            (found.histograms.iter().any(Histogram::is_comb), GiveAway::HistogramComb),
            (found.colours.are_few(), GiveAway::FewColours),
            (found.lines.are_repeated() || found.flat.are_many(), GiveAway::RepeatedPixels),
        ];
        Ok(of_samples
            .into_iter()
            .filter_map(|(is_found, kind)| is_found.then_some(kind))
            .chain(of_file)
            .collect())
    }

    /// Returns the SHA-256 of size, kind and samples: covers of equal pixels have equal digests, whatever the
    /// file. For comparison with covers that others have too. A caller neither stores nor logs the digest of
    /// a cover used with a key.
    pub fn pixel_digest(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let kind = [self.channels().count() as u8, self.depth().bits()];
        let digest =
            Sha256::new().chain_update(self.width().to_be_bytes()).chain_update(self.height().to_be_bytes());
        digest.chain_update(kind).chain_update(self.samples()).finalize().into()
    }

    /// True if the cover carries a payload under `key` already, even a damaged one: a second stego image
    /// beside it would show where the key changes samples. Costs the derivation of a key, as an extraction
    /// does.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the limits' watch ends the work.
    pub fn opens_under(&self, key: &SealingKey, limits: &Limits) -> Result<bool, Stopped> {
        let opened = SealedReading::of_cover(self).and_then(|reading| reading.derive_and_open(key, limits));
        match opened {
            Ok(_) | Err(ExtractError::Container(_)) => Ok(true),
            Err(error) if error.code() == Stopped::CODE => Err(Stopped),
            Err(_) => Ok(false),
        }
    }
}

/// Measures of all rows.
struct Findings {
    histograms: Vec<Histogram>,
    deep: Vec<DeepHistogram>,
    colours: Colours,
    lines: Lines,
    flat: FlatBlocks,
}

impl Findings {
    fn of(cover: &Cover, watch: &Watch) -> Result<Self, Stopped> {
        let (info, channels) = (cover.info(), cover.channels().colour_count());
        let is_deep = cover.depth() == SampleDepth::Sixteen;
        let mut found = Self {
            histograms: vec![Histogram::default(); if is_deep { 0 } else { channels }],
            deep: vec![DeepHistogram::default(); if is_deep { channels } else { 0 }],
            colours: Colours::default(),
            lines: Lines::new(info.width as usize),
            flat: FlatBlocks::new(info.width as usize),
        };
        let (pixel_len, has_alpha) = (info.pixel_len_bytes(), cover.channels().has_alpha());
        let colour_len = channels * cover.depth().bytes();
        let mut keys = vec![0; info.width as usize];
        for (y, row) in cover.samples().chunks_exact(info.row_len_bytes()).enumerate() {
            if y % 64 == 0 {
                watch.check(Stage::Read, y as u64, u64::from(info.height))?;
            }
            for (key, pixel) in keys.iter_mut().zip(row.chunks_exact(pixel_len)) {
                let (colour, alpha) = pixel.split_at(colour_len);
                let is_visible = !has_alpha || alpha.iter().any(|&byte| byte != 0);
                *key = if is_visible { found.add_pixel(colour) } else { INVISIBLE };
            }
            found.lines.add(&keys);
            found.flat.add(&keys);
        }
        Ok(found)
    }

    /// Counts a visible pixel, and returns its colour as a number.
    fn add_pixel(&mut self, colour: &[u8]) -> u64 {
        let (mut key, mut is_grey) = (0, true);
        let mut first = None;
        if self.deep.is_empty() {
            for (histogram, &value) in self.histograms.iter_mut().zip(colour) {
                histogram.add(value);
                key = key << 8 | u64::from(value);
                is_grey &= *first.get_or_insert(u16::from(value)) == u16::from(value);
            }
        } else {
            for (histogram, bytes) in self.deep.iter_mut().zip(colour.as_chunks::<2>().0) {
                let value = u16::from_be_bytes(*bytes);
                histogram.add(value);
                key = key << 16 | u64::from(value);
                is_grey &= *first.get_or_insert(value) == value;
            }
        }
        self.colours.add(key, is_grey);
        key
    }

    fn has_structured_low_bytes(&self) -> bool {
        self.deep.iter().any(DeepHistogram::is_structured)
    }
}

/// The number of an invisible pixel; colours have 48 bits at most.
const INVISIBLE: u64 = u64::MAX;

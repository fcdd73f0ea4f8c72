//! Carriers: payloads into samples and back.
//!
//! A carrier decides and a codec writes. The carrier of a mode tells the capacity of a cover and the memory
//! needed, and plans the [`Changes`] for a payload; a codec gives every row of the cover to the plan, from
//! the top, and writes the result. A plan may follow the rows as they stream or be a map over the whole
//! cover; the codec does not know which. A carrier that changes only the first rows implements [`TopDown`],
//! so that a codec can keep the rest of a file unchanged.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub(crate) mod sequential;
mod words;

use crate::bits::BitsPerSample;
use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::container::open::{HEADER_LEN_BYTES, Packed};
use crate::limits::Limits;
use crate::note::Note;

/// Samples that the container's header takes at one bit each.
pub(crate) const HEADER_SAMPLES: usize = HEADER_LEN_BYTES * 8;

/// A way to carry payloads.
pub(crate) trait Carrier: Sync {
    /// Returns the capacity of `cover`.
    fn capacity(&self, cover: &Cover) -> Capacity;

    /// Returns an upper estimate of the memory, in bytes, for planning or reading besides samples and
    /// payload, in an image described by `info`: maps, orders, and the derivation of a key.
    fn memory_bytes(&self, info: &ImageInfo) -> u64;

    /// Plans the changes that carry `payload`, which fits, in `cover`.
    fn plan<'a>(&self, cover: &Cover, payload: &'a Packed) -> Box<dyn Changes + 'a>;

    /// Returns the carrier, if the changes begin with the first sample and end with the payload.
    fn top_down(&self) -> Option<&dyn TopDown> {
        None
    }

    /// Returns advice to the user on every image made in this mode.
    fn note(&self) -> Option<Note> {
        None
    }
}

/// A carrier that changes the first rows of an image and needs no other row.
pub(crate) trait TopDown {
    /// Returns the capacity of a PNG that is not interlaced; `info` is the header of `file`. The file is read
    /// only if the image has alpha, and then to the end.
    ///
    /// # Errors
    ///
    /// Errors of reading the rows.
    fn capacity_of_png(&self, file: &[u8], info: &ImageInfo, limits: &Limits)
    -> Result<Capacity, ImageError>;

    /// Returns the number of rows of `cover` that carry `payload`, or all rows if too few.
    fn rows(&self, cover: &Cover, payload: &Packed) -> usize;

    /// Returns a lower bound of [`TopDown::rows`] by the header of an image.
    fn min_rows(&self, info: &ImageInfo, payload: &Packed) -> u64;

    /// Plans the changes that carry `payload` in rows of an image described by `info`.
    fn plan_rows<'a>(&self, info: &ImageInfo, payload: &'a Packed) -> Box<dyn Changes + 'a>;
}

/// A plan of changes to the samples of an image.
pub(crate) trait Changes {
    /// Changes the next whole rows, from the top of the image on. True while further rows may change.
    fn apply(&mut self, rows: &mut [u8]) -> bool;

    /// Returns the sum of the squares of all changes so far.
    fn squared_error(&self) -> u64;
}

/// The plan of an unchanged image.
pub(crate) struct Unchanged;

impl Changes for Unchanged {
    fn apply(&mut self, _: &mut [u8]) -> bool {
        false
    }

    fn squared_error(&self) -> u64 {
        0
    }
}

/// Capacity of an image in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    carrying_samples: u64,
}

impl Capacity {
    /// Returns the capacity of an image with this number of carrying samples.
    pub(crate) const fn of_samples(carrying_samples: u64) -> Self {
        Self { carrying_samples }
    }

    /// Returns the number of samples that may carry bits.
    pub(crate) const fn carrying_samples(self) -> u64 {
        self.carrying_samples
    }

    /// True if an empty secret fits.
    pub fn holds_a_header(self) -> bool {
        self.carrying_samples >= HEADER_SAMPLES as u64
    }

    /// Returns the length in bytes of the longest incompressible secret without a name that fits at `bits`
    /// per sample; the container's header is accounted for. A name and a mark reduce the result by their
    /// lengths.
    pub fn secret_bytes(self, bits: BitsPerSample) -> u64 {
        self.carrying_samples.saturating_sub(HEADER_SAMPLES as u64) * u64::from(bits.as_u8()) / 8
    }
}

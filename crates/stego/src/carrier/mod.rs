//! Carriers: payloads into samples and back.
//!
//! A carrier decides and a codec writes. The carrier of a mode tells the capacity of a cover and the memory
//! that it needs, and plans the [`Changes`] that carry a payload; a codec gives every row of the cover to
//! that plan, from the top, and writes the result. A plan may follow the rows as they stream or be a map over
//! the whole cover; the codec does not know which. A carrier that changes the first rows only says so by
//! [`TopDown`], which lets a codec keep the rest of a file as it is.

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

/// Samples that the container's header takes, at one bit each.
pub(crate) const HEADER_SAMPLES: usize = HEADER_LEN_BYTES * 8;

/// A way to carry payloads.
pub(crate) trait Carrier: Sync {
    /// Room of `cover`.
    fn capacity(&self, cover: &Cover) -> Capacity;

    /// Upper estimate of the memory, in bytes, that planning or reading takes besides samples and payload, in
    /// an image as `info` has it: maps, orders, and the derivation of a key.
    fn memory_bytes(&self, info: &ImageInfo) -> u64;

    /// Plan of the changes that carry `payload`, which fits, in `cover`.
    fn plan<'a>(&self, cover: &Cover, payload: &'a Packed) -> Box<dyn Changes + 'a>;

    /// The carrier, if its changes begin with the first sample and end with the payload.
    fn top_down(&self) -> Option<&dyn TopDown> {
        None
    }

    /// Advice to the user on every image made in this mode.
    fn note(&self) -> Option<Note> {
        None
    }
}

/// A carrier that changes the first rows of an image and needs no look at the others.
pub(crate) trait TopDown {
    /// Room of a PNG that is not interlaced; `info` is the header of `file`, which is read only if it has
    /// alpha, then to its end.
    ///
    /// # Errors
    ///
    /// Those of reading the rows.
    fn capacity_of_png(&self, file: &[u8], info: &ImageInfo, limits: &Limits)
    -> Result<Capacity, ImageError>;

    /// Number of rows of `cover` that carry `payload`, or all rows if they do not suffice.
    fn rows(&self, cover: &Cover, payload: &Packed) -> usize;

    /// Lower bound of [`TopDown::rows`] by the header of an image.
    fn min_rows(&self, info: &ImageInfo, payload: &Packed) -> u64;

    /// Plan of the changes that carry `payload` in rows of an image as `info` has it.
    fn plan_rows<'a>(&self, info: &ImageInfo, payload: &'a Packed) -> Box<dyn Changes + 'a>;
}

/// A plan of changes to the samples of an image.
pub(crate) trait Changes {
    /// Changes the next rows: whole ones, from the top of the image on. True while further rows may change.
    fn apply(&mut self, rows: &mut [u8]) -> bool;

    /// Sum of the squares of all changes so far.
    fn squared_error(&self) -> u64;
}

/// The plan of an image that stays as it is.
pub(crate) struct Unchanged;

impl Changes for Unchanged {
    fn apply(&mut self, _: &mut [u8]) -> bool {
        false
    }

    fn squared_error(&self) -> u64 {
        0
    }
}

/// Room of an image in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    carrying_samples: u64,
}

impl Capacity {
    /// Room of an image with this number of carrying samples.
    pub(crate) const fn of_samples(carrying_samples: u64) -> Self {
        Self { carrying_samples }
    }

    /// Samples that may carry bits.
    pub(crate) const fn carrying_samples(self) -> u64 {
        self.carrying_samples
    }

    /// True if an empty secret fits.
    pub fn holds_a_header(self) -> bool {
        self.carrying_samples >= HEADER_SAMPLES as u64
    }

    /// Length in bytes of the longest secret that fits at `bits` per sample if it does not compress and goes
    /// without a name; the container's header is accounted for. A name and a mark take their length from it.
    pub fn secret_bytes(self, bits: BitsPerSample) -> u64 {
        self.carrying_samples.saturating_sub(HEADER_SAMPLES as u64) * u64::from(bits.as_u8()) / 8
    }
}

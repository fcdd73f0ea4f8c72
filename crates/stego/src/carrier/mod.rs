//! Carriers: payloads into samples and back.
//!
//! A carrier decides and a codec writes. The carrier of a mode tells the capacity of a cover and the memory
//! needed, and plans the [`Changes`] for a payload; a codec gives every row of the cover to the plan, from
//! the top, and writes the result. A plan may follow the rows as they stream or be a map over the whole
//! cover; the codec does not know which.
//!
//! An open mode has an [`OpenCarrier`], which plans without a key. One that changes only the first rows
//! implements [`TopDown`], so that a codec can keep the rest of a file unchanged. The carrier of a keyed mode
//! ([`scattered`]) plans with the keys of the stego image.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub(crate) mod adaptive;
mod bits;
pub(crate) mod cost_map;
mod costs;
pub(crate) mod eligible;
mod hill;
mod layout;
mod positions;
pub(crate) mod scattered;
mod segments;
pub(crate) mod sequential;
mod stream;
mod words;

use crate::bits::BitsPerSample;
use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::container::open::{HEADER_LEN_BYTES, Packed};
use crate::container::sealed::SEALED_OVERHEAD_LEN_BYTES;
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

    /// Returns advice to the user on every image made in this mode.
    fn note(&self) -> Option<Note> {
        None
    }
}

/// A way to carry payloads without a key.
pub(crate) trait OpenCarrier: Carrier {
    /// Plans the changes that carry `payload`, which fits, in `cover`.
    fn plan<'a>(&self, cover: &Cover, payload: &'a Packed) -> Box<dyn Changes + 'a>;

    /// Returns the carrier, if the changes begin with the first sample and end with the payload.
    fn top_down(&self) -> Option<&dyn TopDown> {
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
    /// Samples for what comes before name, mark and content.
    overhead_samples: u64,
    /// Bytes beside name, mark and content in the other samples.
    overhead_bytes: u64,
    max_bits: BitsPerSample,
}

impl Capacity {
    /// Returns the capacity of an image with this number of carrying samples in an open mode.
    pub(crate) const fn open(carrying_samples: u64) -> Self {
        let (overhead_samples, max_bits) = (HEADER_SAMPLES as u64, BitsPerSample::MAX);
        Self { carrying_samples, overhead_samples, overhead_bytes: 0, max_bits }
    }

    /// Returns the capacity of an image with this number of eligible samples in a keyed mode, of which
    /// `overhead_samples` carry salt and header.
    pub(crate) const fn sealed(eligible: u64, overhead_samples: u64) -> Self {
        let (overhead_bytes, max_bits) = (SEALED_OVERHEAD_LEN_BYTES, BitsPerSample::ONE);
        Self { carrying_samples: eligible, overhead_samples, overhead_bytes, max_bits }
    }

    /// Returns the number of samples that may carry bits.
    pub(crate) const fn carrying_samples(self) -> u64 {
        self.carrying_samples
    }

    /// Returns the number of samples that an empty secret needs.
    pub(crate) const fn least_samples(self) -> u64 {
        self.overhead_samples + 8 * self.overhead_bytes
    }

    /// True if an empty secret fits.
    pub fn holds_a_header(self) -> bool {
        self.carrying_samples >= self.least_samples()
    }

    /// Returns the length in bytes of the longest incompressible secret without a name that fits at `bits`
    /// per sample; the container's header is accounted for. A name and a mark reduce the result by their
    /// lengths. Keyed modes carry one bit per sample, whatever `bits` says.
    pub fn secret_bytes(self, bits: BitsPerSample) -> u64 {
        let bits = bits.min(self.max_bits);
        let bytes = self.carrying_samples.saturating_sub(self.overhead_samples) * u64::from(bits.as_u8()) / 8;
        bytes.saturating_sub(self.overhead_bytes)
    }
}

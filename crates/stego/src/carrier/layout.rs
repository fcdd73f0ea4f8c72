//! Places of samples in the bytes of rows.

use crate::codec::info::ImageInfo;

/// Places of the samples in the bytes of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) pixel_len: usize,
    /// Bytes of the colour samples, which come first; alpha follows.
    pub(super) colour_len: usize,
    /// Bytes of the carrying colour samples.
    pub(super) carrying_len: usize,
    pub(super) sample_len: usize,
}

impl Layout {
    pub(super) fn of(info: &ImageInfo) -> Self {
        let sample_len = info.depth.bytes();
        let colour_len = info.channels.colour_count() * sample_len;
        debug_assert!(colour_len <= info.pixel_len_bytes(), "alpha follows the colours");
        Self { pixel_len: info.pixel_len_bytes(), colour_len, carrying_len: colour_len, sample_len }
    }

    /// Of an image whose colours are all grey and which was saved in colour since.
    pub(super) fn of_grey_in_colour(info: &ImageInfo) -> Self {
        Self { carrying_len: info.depth.bytes(), ..Self::of(info) }
    }

    /// Returns the number of colour samples of a pixel.
    pub(super) fn colours(self) -> usize {
        self.colour_len / self.sample_len
    }

    pub(super) fn has_alpha(self) -> bool {
        self.colour_len < self.pixel_len
    }

    /// True if a pixel takes part: alpha, if present, is not 0.
    pub(super) fn is_visible(self, pixel: &[u8]) -> bool {
        pixel[self.colour_len..].iter().any(|&byte| byte != 0)
    }

    /// Returns the bytes of whole rows with carrying low bits, in the order of the sequence: the least
    /// significant byte of each colour sample.
    pub(super) fn carrying_mut(self, rows: &mut [u8]) -> impl Iterator<Item = &mut u8> {
        rows.chunks_exact_mut(self.pixel_len)
            .filter(move |pixel| !self.has_alpha() || self.is_visible(pixel))
            .flat_map(move |pixel| {
                pixel[..self.carrying_len].iter_mut().skip(self.sample_len - 1).step_by(self.sample_len)
            })
    }

    /// True if the samples of a pixel are in the sequence.
    pub(super) fn is_eligible(self, pixel: &[u8]) -> bool {
        !self.has_alpha() || self.is_visible(pixel)
    }

    /// True if the colour samples of a pixel are equal.
    pub(super) fn is_grey(self, pixel: &[u8]) -> bool {
        let mut samples = pixel.get(..self.colour_len).unwrap_or_default().chunks_exact(self.sample_len);
        let first = samples.next();
        samples.all(|sample| Some(sample) == first)
    }

    /// Returns the least significant bytes of the carrying samples of a pixel.
    pub(super) fn low_bytes(self, pixel: &[u8]) -> impl Iterator<Item = u8> {
        let carrying = pixel.get(..self.carrying_len).unwrap_or_default();
        carrying.iter().skip(self.sample_len - 1).step_by(self.sample_len).copied()
    }
}

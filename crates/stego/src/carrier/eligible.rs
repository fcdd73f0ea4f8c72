//! Eligible samples of keyed modes: those that may carry, and their lowest bits.
//!
//! Defined in `docs/format.md`, section "Carrier `scattered`". An image whose carrying pixels are all grey
//! has one eligible sample per pixel, also if saved in colour; that is known once the last pixel was seen.

use super::bits::{Bits, WORD_LEN};
use super::layout::Layout;
use super::positions::MAX_ELIGIBLE;
use crate::codec::cover::Cover;
use crate::codec::info::ImageInfo;

/// The two lowest bits of the eligible samples of an image, and the places of the samples.
pub(crate) struct Eligible {
    pub(super) bits: Bits,
    /// The second lowest bits.
    pub(super) second: Bits,
    pub(super) layout: Layout,
}

impl Eligible {
    /// Returns the eligible samples of a cover.
    pub(crate) fn of(cover: &Cover) -> Self {
        let mut collector = Collector::new(&cover.info());
        cover.samples().chunks_exact(cover.info().row_len_bytes()).for_each(|row| collector.add(row));
        collector.finish()
    }

    /// Returns the number of eligible samples.
    pub(crate) fn count(&self) -> u64 {
        self.bits.len() as u64
    }
}

/// Returns the number of eligible samples of a cover.
pub(super) fn count(cover: &Cover) -> u64 {
    let layout = Layout::of(&cover.info());
    let mut visible = 0_u64;
    let mut is_grey = layout.colours() > 1;
    for pixel in cover.samples().chunks_exact(layout.pixel_len) {
        if layout.is_eligible(pixel) {
            visible += 1;
            is_grey = is_grey && layout.is_grey(pixel);
        }
        if !is_grey && !layout.has_alpha() {
            visible = cover.info().pixels();
            break;
        }
    }
    let in_pixel = if is_grey { 1 } else { layout.colours() as u64 };
    (visible * in_pixel).min(MAX_ELIGIBLE as u64)
}

/// Collects the lowest bits of the eligible samples from the rows of an image, from the top.
pub(crate) struct Collector {
    info: ImageInfo,
    layout: Layout,
    bits: Bits,
    second: Bits,
    /// True while all carrying pixels of an image in colour are grey. Only their first samples are collected.
    is_grey: bool,
}

impl Collector {
    /// Begins with the first row of an image described by `info`.
    pub(crate) fn new(info: &ImageInfo) -> Self {
        let layout = Layout::of(info);
        let is_grey = layout.colours() > 1;
        let capacity = usize::try_from(info.pixels()).unwrap_or_default() * layout.colours();
        Self {
            info: *info,
            layout: if is_grey { Layout::of_grey_in_colour(info) } else { layout },
            bits: Bits::with_capacity(capacity.min(MAX_ELIGIBLE)),
            second: Bits::with_capacity(capacity.min(MAX_ELIGIBLE)),
            is_grey,
        }
    }

    /// Takes the next row.
    pub(crate) fn add(&mut self, row: &[u8]) {
        if !self.is_grey {
            return self.collect(row);
        }
        let layout = self.layout;
        let is_colour = |pixel: &[u8]| layout.is_eligible(pixel) && !layout.is_grey(pixel);
        match row.chunks_exact(layout.pixel_len).position(is_colour) {
            None => self.collect(row),
            Some(grey_pixels) => {
                let (grey, others) = row.split_at(grey_pixels * layout.pixel_len);
                self.collect(grey);
                self.turn_to_colour();
                self.collect(others);
            }
        }
    }

    /// Returns the samples of the whole image.
    pub(crate) fn finish(mut self) -> Eligible {
        self.bits.truncate(MAX_ELIGIBLE);
        self.second.truncate(MAX_ELIGIBLE);
        Eligible { bits: self.bits, second: self.second, layout: self.layout }
    }

    /// The samples so far count three times: those of a grey pixel are equal.
    fn turn_to_colour(&mut self) {
        self.is_grey = false;
        self.layout = Layout::of(&self.info);
        for bits in [&mut self.bits, &mut self.second] {
            let grey = std::mem::take(bits);
            *bits = Bits::with_capacity(grey.capacity());
            for i in 0..grey.len() {
                bits.push(if grey.at(i) { 0b111 } else { 0 }, self.layout.colours());
            }
        }
    }

    fn collect(&mut self, row: &[u8]) {
        let Layout { pixel_len, carrying_len, sample_len, .. } = self.layout;
        if pixel_len == carrying_len && sample_len == 1 {
            return self.collect_bytes(row);
        }
        let (mut word, mut second, mut fill) = (0, 0, 0);
        for pixel in row.chunks_exact(pixel_len).filter(|pixel| self.layout.is_eligible(pixel)) {
            for low in self.layout.low_bytes(pixel) {
                word |= u64::from(low & 1) << fill;
                second |= u64::from(low >> 1 & 1) << fill;
                fill += 1;
            }
            if fill + MAX_COLOURS > WORD_LEN {
                self.bits.push(word, fill);
                self.second.push(second, fill);
                (word, second, fill) = (0, 0, 0);
            }
        }
        self.bits.push(word, fill);
        self.second.push(second, fill);
    }

    /// Each byte is a sample.
    fn collect_bytes(&mut self, row: &[u8]) {
        let (words, rest) = row.as_chunks::<WORD_LEN>();
        for word in words {
            let eights = word.as_chunks::<8>().0.iter().rev().map(|bytes| u64::from_le_bytes(*bytes));
            let (lowest, second) = eights.fold((0, 0), |(lowest, second), bytes| {
                (lowest << 8 | lowest_bits(bytes), second << 8 | lowest_bits(bytes >> 1))
            });
            self.bits.push(lowest, WORD_LEN);
            self.second.push(second, WORD_LEN);
        }
        let bits =
            |shift: u32| rest.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(byte >> shift & 1));
        self.bits.push(bits(0), rest.len());
        self.second.push(bits(1), rest.len());
    }
}

/// Most samples of a pixel that carry.
const MAX_COLOURS: usize = 3;

/// Returns the lowest bits of eight bytes, the first byte's in the lowest place.
fn lowest_bits(bytes: u64) -> u64 {
    const LOWEST: u64 = 0x0101_0101_0101_0101;
    // Moves bit 8·i to 56 + i; no two products meet in the top byte.
    const TO_TOP: u64 = 0x0102_0408_1020_4080;
    (bytes & LOWEST).wrapping_mul(TO_TOP) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::format::{Channels, SampleDepth};

    /// The definition of `docs/format.md`, pixel by pixel.
    fn by_definition(cover: &Cover) -> Vec<u16> {
        let (channels, depth) = (cover.channels(), cover.depth().bytes());
        let values: Vec<u16> = cover
            .samples()
            .chunks_exact(depth)
            .map(|sample| sample.iter().fold(0, |value, &byte| value << 8 | u16::from(byte)))
            .collect();
        let visible: Vec<&[u16]> = values
            .chunks_exact(channels.count())
            .filter(|pixel| !channels.has_alpha() || pixel.last() != Some(&0))
            .map(|pixel| &pixel[..channels.colour_count()])
            .collect();
        let is_grey = visible.iter().all(|pixel| pixel.iter().all(|value| *value == pixel[0]));
        let takes = if is_grey { 1 } else { channels.colour_count() };
        visible.iter().flat_map(|pixel| &pixel[..takes]).map(|value| value & 3).collect()
    }

    fn cover(
        channels: Channels,
        depth: SampleDepth,
        (width, height): (u32, u32),
        grey_pixels: usize,
    ) -> Cover {
        let pixels = (width * height) as usize;
        let mut values: Vec<u16> = testkit::noise(u64::from(width), 2 * pixels * channels.count())
            .chunks_exact(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
            .collect();
        for (i, pixel) in values.chunks_exact_mut(channels.count()).enumerate() {
            if i < grey_pixels {
                let first = pixel[0];
                pixel[..channels.colour_count()].fill(first);
            }
            if channels.has_alpha() && i % 3 != 0 {
                *pixel.last_mut().unwrap() &= 0x8000;
            }
        }
        let cover = match depth {
            SampleDepth::Eight => {
                let samples = values.iter().map(|value| (value >> 8) as u8).collect();
                Cover::from_samples(width, height, channels, samples)
            }
            SampleDepth::Sixteen => Cover::from_deep_samples(width, height, channels, &values),
        };
        cover.unwrap()
    }

    #[test]
    fn eligible_samples_are_those_of_the_definition() {
        for channels in [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba] {
            for depth in [SampleDepth::Eight, SampleDepth::Sixteen] {
                for size in [(1, 1), (64, 3), (65, 7), (131, 5), (1, 200)] {
                    let pixels = (size.0 * size.1) as usize;
                    for grey_pixels in [0, 1, pixels / 2, pixels - 1, pixels] {
                        let cover = cover(channels, depth, size, grey_pixels);
                        let (expected, found) = (by_definition(&cover), Eligible::of(&cover));
                        let name = format!("{channels:?} {depth:?} {size:?}, {grey_pixels} grey");
                        assert_eq!(found.count(), expected.len() as u64, "{name}");
                        assert_eq!(count(&cover), expected.len() as u64, "{name}");
                        let bits =
                            |i: usize| u16::from(found.bits.at(i)) | u16::from(found.second.at(i)) << 1;
                        assert!((0..expected.len()).all(|i| bits(i) == expected[i]), "{name}");
                    }
                }
            }
        }
    }
}

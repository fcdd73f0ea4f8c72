//! The `sequential` carrier: bytes into the low bits of an image's samples, in order, and back.
//!
//! The sequence and the order of bits are defined in `docs/format.md`, section "Carrier `sequential`".

use crate::bits::BitsPerSample;
use crate::container::HEADER_LEN_BYTES;
use crate::image::{Channels, Cover, ImageError, PngRows};

/// Samples that the container's header takes, at one bit each.
const HEADER_SAMPLES: u64 = HEADER_LEN_BYTES as u64 * 8;
/// Room made at once for bytes being read; more is made as rows with more of them arrive.
const FIRST_ROOM_BYTES: usize = 1 << 20;

/// What an image can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    carrying_samples: u64,
}

impl Capacity {
    /// The capacity of `cover`. Images with alpha are looked at pixel by pixel.
    pub fn of(cover: &Cover) -> Self {
        let channels = cover.channels();
        let visible_pixels = if channels.has_alpha() {
            cover.samples().chunks_exact(channels.count()).filter(|pixel| is_visible(pixel)).count()
        } else {
            cover.samples().len() / channels.count()
        };
        Self { carrying_samples: visible_pixels as u64 * channels.colour_count() as u64 }
    }

    /// Samples that may carry bits.
    pub(crate) fn carrying_samples(self) -> u64 {
        self.carrying_samples
    }

    /// Whether even an empty secret fits.
    pub fn holds_a_header(self) -> bool {
        self.carrying_samples >= HEADER_SAMPLES
    }

    /// The longest secret in bytes that fits at `bits` per sample if it does not compress and goes without
    /// a name; the container's header is accounted for. A name and a mark take their length from it.
    pub fn secret_bytes(self, bits: BitsPerSample) -> u64 {
        self.carrying_samples.saturating_sub(HEADER_SAMPLES) * u64::from(bits.as_u8()) / 8
    }
}

/// Whether a pixel of an image with alpha takes part: its last sample is not 0.
fn is_visible(pixel: &[u8]) -> bool {
    pixel.last().is_some_and(|&alpha| alpha != 0)
}

/// Rows from the top that carry `header` at one bit per sample and `rest_len_bytes` at `bits`, or all rows if
/// they do not suffice.
pub(crate) fn carrying_rows(cover: &Cover, rest_len_bytes: usize, bits: BitsPerSample) -> usize {
    let needed = HEADER_SAMPLES as usize + (rest_len_bytes * 8).div_ceil(usize::from(bits.as_u8()));
    let channels = cover.channels();
    let mut carried = 0;
    let mut rows = 0;
    for row in cover.samples().chunks_exact(cover.row_len_bytes()) {
        if carried >= needed {
            break;
        }
        carried += if channels.has_alpha() {
            row.chunks_exact(channels.count()).filter(|pixel| is_visible(pixel)).count()
                * channels.colour_count()
        } else {
            row.len()
        };
        rows += 1;
    }
    rows
}

/// Writes `header` and `rest` into `samples`, whole rows from the top of an image.
pub(crate) fn write(samples: &mut [u8], channels: Channels, header: &[u8], rest: &[u8], bits: BitsPerSample) {
    if channels.has_alpha() {
        let pixels = samples.chunks_exact_mut(channels.count()).filter(|pixel| is_visible(pixel));
        let mut carrying = pixels.flat_map(|pixel| &mut pixel[..channels.colour_count()]);
        put(&mut carrying, header, BitsPerSample::ONE);
        put(&mut carrying, rest, bits);
    } else {
        let mut carrying = samples.iter_mut();
        put(&mut carrying, header, BitsPerSample::ONE);
        put(&mut carrying, rest, bits);
    }
}

fn put<'a>(carrying: &mut impl Iterator<Item = &'a mut u8>, bytes: &[u8], bits: BitsPerSample) {
    let width = u32::from(bits.as_u8());
    let mask = (1_u8 << width) - 1;
    // `held` bits wait in the low end of `waiting`, the next to go on top.
    let (mut waiting, mut held) = (0_u32, 0);
    for &byte in bytes {
        waiting = waiting << 8 | u32::from(byte);
        held += 8;
        while held >= width {
            let Some(sample) = carrying.next() else { return };
            held -= width;
            *sample = *sample & !mask | (waiting >> held) as u8 & mask;
        }
    }
    if held > 0
        && let Some(sample) = carrying.next()
    {
        let below = width - held;
        let last_mask = mask >> below << below;
        *sample = *sample & !last_mask | (waiting << below) as u8 & last_mask;
    }
}

/// Which pixels of an image with alpha take part in the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Those whose alpha is not 0.
    Visible,
    /// All of them, as the earlier system did.
    All,
}

/// Why bytes could not be read from a carrier.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The image has no more samples.
    Exhausted,
    /// The image cannot be read on.
    Image(ImageError),
}

/// Reads bytes from the rows of a PNG, no further than asked for.
pub(crate) struct SampleReader<'a> {
    rows: PngRows<'a>,
    channels: Channels,
    taking: Taking,
    /// The carrying samples of the current row.
    row: Vec<u8>,
    /// How many of them have been read.
    read: usize,
}

impl<'a> SampleReader<'a> {
    pub(crate) fn new(rows: PngRows<'a>, channels: Channels, taking: Taking) -> Self {
        Self { rows, channels, taking, row: Vec::new(), read: 0 }
    }

    /// The next `len` bytes at `bits` per sample, starting with a fresh sample.
    pub(crate) fn read(&mut self, len: usize, bits: BitsPerSample) -> Result<Vec<u8>, ReadError> {
        let width = u32::from(bits.as_u8());
        let mask = (1_u8 << width) - 1;
        let mut bytes = Vec::with_capacity(len.min(FIRST_ROOM_BYTES));
        let (mut waiting, mut held) = (0_u32, 0);
        while bytes.len() < len {
            self.refill()?;
            for &sample in &self.row[self.read..] {
                self.read += 1;
                waiting = waiting << width | u32::from(sample & mask);
                held += width;
                if held >= 8 {
                    held -= 8;
                    bytes.push((waiting >> held) as u8);
                    if bytes.len() == len {
                        break;
                    }
                }
            }
        }
        Ok(bytes)
    }

    /// The next `N` bytes at one bit per sample.
    pub(crate) fn read_header<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut header = [0; N];
        header.copy_from_slice(&self.read(N, BitsPerSample::ONE)?);
        Ok(header)
    }

    /// Makes sure that there is a sample to read.
    fn refill(&mut self) -> Result<(), ReadError> {
        while self.read == self.row.len() {
            let row = self.rows.next_row().map_err(ReadError::Image)?.ok_or(ReadError::Exhausted)?;
            self.row.clear();
            self.read = 0;
            if self.channels.has_alpha() {
                let pixels = row.chunks_exact(self.channels.count());
                let taken = pixels.filter(|pixel| self.taking == Taking::All || is_visible(pixel));
                self.row.extend(taken.flat_map(|pixel| &pixel[..self.channels.colour_count()]));
            } else {
                self.row.extend_from_slice(row);
            }
        }
        Ok(())
    }

    /// Reads the rest of the image, so that all of its checksums are checked.
    pub(crate) fn drain(self) -> Result<(), ImageError> {
        self.rows.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from `docs/format.md`: 0xB5 is 10110101. The last sample of three bits takes the two bits that
    /// are left at its top and keeps its lowest one.
    #[test]
    fn bits_lie_where_the_format_says() {
        let check = |width: u8, want: &[u8]| {
            let bits = BitsPerSample::new(width).expect("1 to 4");
            let mut samples = [0b1001_1001; 10];
            put(&mut samples.iter_mut(), &[0xB5], bits);
            assert_eq!(&samples[..want.len()], want, "{width} bits");
            assert!(samples[want.len()..].iter().all(|&sample| sample == 0b1001_1001), "{width} bits");
        };
        check(1, &[0x99, 0x98, 0x99, 0x99, 0x98, 0x99, 0x98, 0x99]);
        check(2, &[0x9A, 0x9B, 0x99, 0x99]);
        check(3, &[0x9D, 0x9D, 0x9B]);
        check(4, &[0x9B, 0x95]);
    }

    /// A header of one byte stands for the real one: alpha never carries, transparent pixels are passed over.
    #[test]
    fn the_sequence_passes_over_what_cannot_be_seen() {
        let mut samples = [0, 0, 0, 9, 4, 4, 4, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9];
        write(&mut samples, Channels::Rgba, &[0xFF], &[0xA0], BitsPerSample::MAX);
        assert_eq!(samples, [1, 1, 1, 9, 4, 4, 4, 0, 1, 1, 1, 9, 1, 1, 0xA, 9, 0, 0, 0, 9]);
    }
}

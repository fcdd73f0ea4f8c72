//! The `sequential` carrier: bytes into the low bits of an image's samples, in order, and back.
//!
//! The sequence and the order of bits are defined in `docs/format.md`, section "Carrier `sequential`".

use super::layout::Layout;
use super::{Capacity, Carrier, Changes, HEADER_SAMPLES, OpenCarrier, TopDown, words};
use crate::bits::BitsPerSample;
use crate::codec::cover::Cover;
use crate::codec::error::ImageError;
use crate::codec::info::ImageInfo;
use crate::codec::rows::Rows;
use crate::container::open::{HEADER_LEN_BYTES, Packed};
use crate::limits::Limits;
use crate::note::Note;

/// Initial room for bytes being read; rows with more bytes extend it.
const FIRST_ROOM_BYTES: usize = 1 << 20;

/// The carrier: the payload lies in the first samples, in row order.
pub(crate) struct Sequential;

impl Carrier for Sequential {
    /// Images with alpha are looked at pixel by pixel.
    fn capacity(&self, cover: &Cover) -> Capacity {
        let layout = Layout::of(&cover.info());
        let visible_pixels = if layout.has_alpha() {
            cover.samples().chunks_exact(layout.pixel_len).filter(|pixel| layout.is_visible(pixel)).count()
        } else {
            cover.samples().len() / layout.pixel_len
        };
        Capacity::open(visible_pixels as u64 * cover.channels().colour_count() as u64)
    }

    fn memory_bytes(&self, _: &ImageInfo) -> u64 {
        0
    }

    fn note(&self) -> Option<Note> {
        Some(Note::NotHiddenFromAnalysis)
    }
}

impl OpenCarrier for Sequential {
    fn plan<'a>(&self, cover: &Cover, payload: &'a Packed) -> Box<dyn Changes + 'a> {
        self.plan_rows(&cover.info(), payload)
    }

    fn top_down(&self) -> Option<&dyn TopDown> {
        Some(self)
    }
}

impl TopDown for Sequential {
    fn capacity_of_png(
        &self,
        file: &[u8],
        info: &ImageInfo,
        limits: &Limits,
    ) -> Result<Capacity, ImageError> {
        let layout = Layout::of(info);
        let mut visible_pixels = info.pixels();
        if layout.has_alpha() {
            visible_pixels = 0;
            let mut rows = Rows::open(file, info, limits)?;
            while let Some(row) = rows.next_row()? {
                let visible = row.chunks_exact(layout.pixel_len).filter(|pixel| layout.is_visible(pixel));
                visible_pixels += visible.count() as u64;
            }
            rows.drain()?;
        }
        Ok(Capacity::open(visible_pixels * info.channels.colour_count() as u64))
    }

    fn rows(&self, cover: &Cover, payload: &Packed) -> usize {
        let bits = usize::from(payload.bits.as_u8());
        let needed = HEADER_SAMPLES + (payload.rest.len() * 8).div_ceil(bits);
        let layout = Layout::of(&cover.info());
        let in_pixel = cover.channels().colour_count();
        if !layout.has_alpha() {
            return needed.div_ceil(cover.width() as usize * in_pixel).min(cover.height() as usize);
        }
        let mut carried = 0;
        let rows = cover.samples().chunks_exact(cover.info().row_len_bytes());
        rows.take_while(|row| {
            let is_needed = carried < needed;
            carried += row.chunks_exact(layout.pixel_len).filter(|pixel| layout.is_visible(pixel)).count()
                * in_pixel;
            is_needed
        })
        .count()
    }

    fn min_rows(&self, info: &ImageInfo, payload: &Packed) -> u64 {
        let bytes = HEADER_LEN_BYTES as u64 + payload.rest.len() as u64 / u64::from(payload.bits.as_u8());
        bytes * 8 / (u64::from(info.width) * info.channels.colour_count() as u64)
    }

    fn plan_rows<'a>(&self, info: &ImageInfo, payload: &'a Packed) -> Box<dyn Changes + 'a> {
        Box::new(SampleWriter::new(info, &payload.header, &payload.rest, payload.bits))
    }
}

/// A writer of a container into the rows of an image, from the top, in the order of arrival.
struct SampleWriter<'a> {
    layout: Layout,
    header: Feed<'a>,
    rest: Feed<'a>,
    squared_error: u64,
}

impl<'a> SampleWriter<'a> {
    /// Creates a writer of `header` at one bit per sample and `rest` at `bits`, for rows of an image
    /// described by `info`.
    fn new(info: &ImageInfo, header: &'a [u8], rest: &'a [u8], bits: BitsPerSample) -> Self {
        Self {
            layout: Layout::of(info),
            header: Feed::new(header, BitsPerSample::ONE),
            rest: Feed::new(rest, bits),
            squared_error: 0,
        }
    }
}

impl Changes for SampleWriter<'_> {
    fn apply(&mut self, rows: &mut [u8]) -> bool {
        if self.layout.has_alpha() || self.layout.sample_len > 1 {
            let mut carrying = self.layout.carrying_mut(rows);
            self.squared_error += self.header.put(&mut carrying) + self.rest.put(&mut carrying);
        } else {
            let (written, in_header) = self.header.put_in_row(rows);
            let (_, in_rest) = self.rest.put_in_row(&mut rows[written..]);
            self.squared_error += in_header + in_rest;
        }
        !(self.header.is_empty() && self.rest.is_empty())
    }

    fn squared_error(&self) -> u64 {
        self.squared_error
    }
}

/// Bytes handed out a few bits at a time, most significant first.
struct Feed<'a> {
    bytes: std::slice::Iter<'a, u8>,
    width: u32,
    /// `held` bits wait in the low end of `waiting`, the next to go on top.
    waiting: u32,
    held: u32,
}

impl<'a> Feed<'a> {
    fn new(bytes: &'a [u8], bits: BitsPerSample) -> Self {
        Self { bytes: bytes.iter(), width: u32::from(bits.as_u8()), waiting: 0, held: 0 }
    }

    fn is_empty(&self) -> bool {
        self.held == 0 && self.bytes.as_slice().is_empty()
    }

    /// Returns the bits for the next sample and the mask of their position; the last bits fill the sample
    /// from the top.
    fn next(&mut self) -> Option<(u8, u8)> {
        debug_assert!(self.held < 8, "less than a byte waits");
        let mask = (1_u8 << self.width) - 1;
        if self.held < self.width {
            if let Some(&byte) = self.bytes.next() {
                self.waiting = self.waiting << 8 | u32::from(byte);
                self.held += 8;
            } else if self.held > 0 {
                let below = self.width - self.held;
                self.held = 0;
                return Some((((self.waiting << below) & 0xFF) as u8 & mask, mask >> below << below));
            } else {
                return None;
            }
        }
        self.held -= self.width;
        Some((((self.waiting >> self.held) & 0xFF) as u8 & mask, mask))
    }

    /// Applies [`Feed::put`] to all of `samples`, by whole words where possible. Returns the number of
    /// samples written and the sum of the squared changes.
    fn put_in_row(&mut self, samples: &mut [u8]) -> (usize, u64) {
        let (mut written, mut squared_error) = (0, 0);
        // Until a sample begins with the first bit of a byte.
        while self.held > 0 && written < samples.len() {
            squared_error += self.put(&mut samples[written..=written].iter_mut());
            written += 1;
        }
        if self.held == 0 {
            let width = self.width as usize;
            let (groups, squares) = words::write(width, self.bytes.as_slice(), &mut samples[written..]);
            self.bytes = self.bytes.as_slice()[groups * width..].iter();
            written += groups * words::SAMPLES;
            squared_error += squares;
        }
        debug_assert!(self.held == 0 || written == samples.len(), "words begin with the first bit of a byte");
        let len = samples.len();
        let mut rest = samples[written..].iter_mut();
        squared_error += self.put(&mut rest);
        (len - rest.len(), squared_error)
    }

    /// Writes into samples until either the samples or the bits end. Returns the sum of the squared changes.
    fn put<'s>(&mut self, carrying: &mut impl Iterator<Item = &'s mut u8>) -> u64 {
        let mut squared_error = 0;
        while !self.is_empty() {
            let Some(sample) = carrying.next() else { break };
            let Some((value, mask)) = self.next() else { break };
            let value = *sample & !mask | value & mask;
            squared_error += u64::from(value.abs_diff(*sample)).pow(2);
            *sample = value;
        }
        squared_error
    }
}

/// The pixels of an image with alpha that take part in the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Pixels with alpha other than 0.
    Visible,
    /// Pixels with alpha other than 0, with only the first sample of each: a grey image saved in colour has
    /// the samples there.
    VisibleGrey,
    /// All pixels, as in the earlier system.
    All,
}

/// Reasons for which bytes cannot be read from a carrier.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The image has no more samples.
    Exhausted,
    /// The image cannot be read on.
    Image(ImageError),
}

/// Reads bytes from the rows of an image, no further than asked for.
pub(crate) struct SampleReader<'a> {
    rows: Rows<'a>,
    layout: Layout,
    taking: Taking,
    /// The carrying samples of the current row.
    row: Vec<u8>,
    /// Number of samples already read.
    read: usize,
}

impl<'a> SampleReader<'a> {
    /// Reads from the first row on. With alpha, only visible pixels take part.
    pub(crate) fn new(rows: Rows<'a>) -> Self {
        Self { layout: Layout::of(rows.info()), rows, taking: Taking::Visible, row: Vec::new(), read: 0 }
    }

    /// Begins anew with the first row.
    pub(crate) fn restart(&mut self, taking: Taking) -> Result<(), ImageError> {
        self.row.clear();
        self.read = 0;
        self.taking = taking;
        self.layout = match taking {
            Taking::Visible | Taking::All => Layout::of(self.rows.info()),
            Taking::VisibleGrey => Layout::of_grey_in_colour(self.rows.info()),
        };
        self.rows.restart()
    }

    /// Returns the kind of image.
    pub(crate) fn info(&self) -> &ImageInfo {
        self.rows.info()
    }

    /// Returns the next `len` bytes at `bits` per sample, starting with a fresh sample.
    pub(crate) fn read(&mut self, len: usize, bits: BitsPerSample) -> Result<Vec<u8>, ReadError> {
        let width = u32::from(bits.as_u8());
        let mask = (1_u8 << width) - 1;
        let mut bytes = Vec::with_capacity(len.min(FIRST_ROOM_BYTES));
        let (mut waiting, mut held) = (0_u32, 0);
        while bytes.len() < len {
            self.refill()?;
            if held == 0 {
                let start = bytes.len();
                // No more than this row holds, so that a length that was forged costs nothing.
                let room = (len - start).min(self.row.len());
                bytes.resize(start + room, 0);
                let groups = words::read(width as usize, &self.row[self.read..], &mut bytes[start..]);
                self.read += groups * words::SAMPLES;
                bytes.truncate(start + groups * width as usize);
                if bytes.len() == len {
                    break;
                }
            }
            for &sample in &self.row[self.read..] {
                self.read += 1;
                waiting = waiting << width | u32::from(sample & mask);
                held += width;
                if held >= 8 {
                    held -= 8;
                    bytes.push(((waiting >> held) & 0xFF) as u8);
                    if bytes.len() == len {
                        break;
                    }
                }
            }
        }
        debug_assert_eq!(bytes.len(), len, "no further than asked for");
        debug_assert!(self.read <= self.row.len(), "samples of later rows are not read yet");
        Ok(bytes)
    }

    /// Returns the next `N` bytes at one bit per sample.
    pub(crate) fn read_header<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut header = [0; N];
        header.copy_from_slice(&self.read(N, BitsPerSample::ONE)?);
        Ok(header)
    }

    /// Ensures a sample to read.
    fn refill(&mut self) -> Result<(), ReadError> {
        while self.read == self.row.len() {
            let row = self.rows.next_row().map_err(ReadError::Image)?.ok_or(ReadError::Exhausted)?;
            self.row.clear();
            self.read = 0;
            let Layout { pixel_len, carrying_len, sample_len, .. } = self.layout;
            if pixel_len > carrying_len || sample_len > 1 {
                let takes_all = self.taking == Taking::All || !self.layout.has_alpha();
                let taken =
                    row.chunks_exact(pixel_len).filter(|pixel| takes_all || self.layout.is_visible(pixel));
                taken.for_each(|pixel| {
                    self.row.extend(pixel[..carrying_len].iter().skip(sample_len - 1).step_by(sample_len));
                });
            } else {
                self.row.extend_from_slice(row);
            }
        }
        Ok(())
    }

    /// Returns the rows, where reading has come to.
    pub(crate) fn into_rows(self) -> Rows<'a> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::format::Channels;

    fn info(channels: Channels, pixels: u32) -> ImageInfo {
        let samples = vec![0; channels.count() * pixels as usize];
        Cover::from_samples(pixels, 1, channels, samples).unwrap().info()
    }

    /// Worked out by hand from `docs/format.md`: 0xB5 is 10110101. The last sample of three bits takes the
    /// two remaining bits at the top and keeps the lowest bit.
    #[test]
    fn bits_lie_where_the_format_says() {
        let check = |width: u8, want: &[u8]| {
            let bits = BitsPerSample::new(width).expect("1 to 4");
            let mut samples = [0b1001_1001; 10];
            let squared_error = Feed::new(&[0xB5], bits).put(&mut samples.iter_mut());
            assert_eq!(&samples[..want.len()], want, "{width} bits");
            assert!(samples[want.len()..].iter().all(|&sample| sample == 0b1001_1001), "{width} bits");
            let squares = want.iter().map(|&sample| u64::from(sample.abs_diff(0x99)).pow(2));
            assert_eq!(squared_error, squares.sum::<u64>(), "{width} bits");
        };
        check(1, &[0x99, 0x98, 0x99, 0x99, 0x98, 0x99, 0x98, 0x99]);
        check(2, &[0x9A, 0x9B, 0x99, 0x99]);
        check(3, &[0x9D, 0x9D, 0x9B]);
        check(4, &[0x9B, 0x95]);
    }

    /// A header of one byte stands for the real header: alpha never carries, transparent pixels are passed
    /// over.
    #[test]
    fn the_sequence_passes_over_what_cannot_be_seen() {
        let mut samples = [0, 0, 0, 9, 4, 4, 4, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9];
        let mut writer = SampleWriter::new(&info(Channels::Rgba, 5), &[0xFF], &[0xA0], BitsPerSample::MAX);
        assert!(!writer.apply(&mut samples));
        assert_eq!(samples, [1, 1, 1, 9, 4, 4, 4, 0, 1, 1, 1, 9, 1, 1, 0xA, 9, 0, 0, 0, 9]);
    }

    /// Two bytes a sample, the second carries; alpha counts as a whole.
    #[test]
    fn deep_samples_carry_in_their_low_byte() {
        let cover =
            Cover::from_deep_samples(3, 1, Channels::GreyAlpha, &[0x100, 0x100, 0x200, 0, 0x300, 1]).unwrap();
        let mut samples = cover.samples().to_vec();
        let mut writer = SampleWriter::new(&cover.info(), &[], &[0xF0], BitsPerSample::MAX);
        assert!(!writer.apply(&mut samples));
        assert_eq!(samples, [1, 0xF, 1, 0, 2, 0, 0, 0, 3, 0, 0, 1]);
    }

    /// Word by word and sample by sample, for rows of every length modulo a word.
    #[test]
    fn words_are_written_as_samples_are() {
        let bytes: Vec<u8> = (0..600_u32).map(|i| ((i * i * 31) >> 3) as u8).collect();
        for bits in BitsPerSample::all() {
            for row_len in 1..40 {
                let mut by_words: Vec<u8> = (0..2000_u32).map(|i| (i * 77) as u8).collect();
                let mut by_samples = by_words.clone();
                let mut feed = Feed::new(&bytes, bits);
                let squares: u64 = by_words.chunks_mut(row_len).map(|row| feed.put_in_row(row).1).sum();
                assert_eq!(
                    squares,
                    Feed::new(&bytes, bits).put(&mut by_samples.iter_mut()),
                    "{bits:?}, {row_len}"
                );
                assert_eq!(by_words, by_samples, "{bits:?}, rows of {row_len}");
            }
        }
    }

    #[test]
    fn rows_may_come_one_by_one() {
        let (header, rest) = ([0xA5; 2], [0x3C; 7]);
        let mut at_once = vec![0x80; 60];
        let three = BitsPerSample::new(3).unwrap();
        SampleWriter::new(&info(Channels::Grey, 60), &header, &rest, three).apply(&mut at_once);
        let mut one_by_one = vec![0x80; 60];
        let mut writer = SampleWriter::new(&info(Channels::Grey, 5), &header, &rest, three);
        let more: Vec<bool> = one_by_one.chunks_exact_mut(5).map(|row| writer.apply(row)).collect();
        assert_eq!(one_by_one, at_once);
        // 16 samples of the header and 19 of the rest lie in seven rows.
        assert_eq!(more.iter().filter(|&&more| more).count(), 6);
    }
}

//! The `scattered` carrier: a sealed container at keyed positions over all eligible samples.
//!
//! Defined in `docs/format.md`, section "Carrier `scattered`". Salt and header are syndromes of a
//! syndrome-trellis code, each in a share of samples in the order drawn; the body lies bit by bit in a set of
//! the others, in ascending order. A changed bit is a step of one up or down.

use super::bits::{Bits, WORD_LEN};
use super::eligible::{self, Eligible};
use super::layout::Layout;
use super::positions::{Drawing, PUBLIC_KEY};
use super::stream::{RandomBits, Words};
use super::{Capacity, Carrier, Changes, adaptive};
use crate::codec::cover::Cover;
use crate::codec::info::ImageInfo;
use crate::coding::syndrome_trellis;
use crate::container::sealed::{Coding, HEADER_LEN_BYTES, SealedStream, TAG_LEN_BYTES};
use crate::key::{DerivedKey, Salt, SealingKey};
use crate::watch::{Stopped, Watch};

/// Most samples of a share that are more than a code of the lowest rate needs.
const MAX_WIDE_SHARE: u64 = 1 << 16;
/// Samples of a share for each bit, at least: 0.01 bits per sample.
const SAMPLES_PER_BIT: u64 = 100;
const SALT_BITS: u64 = 8 * Salt::LEN_BYTES as u64;
const HEADER_BITS: u64 = 8 * HEADER_LEN_BYTES as u64;

/// Upper limit of the memory for shares, their costs and the trellis, which do not depend on the image.
pub(super) const SHARES_MEMORY_BYTES: u64 = 4 << 20;

/// The carrier.
pub(crate) struct Scattered;

impl Carrier for Scattered {
    fn capacity(&self, cover: &Cover) -> Capacity {
        capacity_of(eligible::count(cover))
    }

    /// Four bits for each sample that may be eligible, the shares, and the derivation of a key.
    fn memory_bytes(&self, info: &ImageInfo) -> u64 {
        let samples = info.pixels().saturating_mul(info.channels.colour_count() as u64);
        (samples / 8).saturating_mul(4) + SHARES_MEMORY_BYTES + SealingKey::DERIVE_MEMORY_BYTES
    }
}

/// Returns the capacity of an image with this number of eligible samples.
pub(super) fn capacity_of(eligible: u64) -> Capacity {
    Capacity::sealed(eligible, Division::of(eligible).overhead())
}

/// The eligible samples of an image as divided among the parts of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Division {
    salt: u64,
    header: u64,
}

impl Division {
    fn of(eligible: u64) -> Self {
        let share = |bits: u64| (eligible / 16).min(MAX_WIDE_SHARE).max(SAMPLES_PER_BIT * bits);
        Self { salt: share(SALT_BITS), header: share(HEADER_BITS) }
    }

    fn overhead(self) -> u64 {
        self.salt + self.header
    }
}

/// A plan of the changes that carry a sealed container.
pub(crate) struct Scattering {
    layout: Layout,
    flips: Bits,
    directions: Directions,
    /// Eligible samples in the rows so far.
    passed: usize,
    changed_samples: u64,
}

/// Direction of each change.
pub(super) enum Directions {
    /// By a key stream.
    Random(RandomBits),
    /// By the code; true is up.
    Chosen(Bits),
}

impl Directions {
    /// Returns the directions of the samples 64 · `index` to 64 · `index` + 63, the first in the lowest
    /// place.
    fn word(&mut self, index: usize) -> u64 {
        match self {
            Self::Random(bits) => bits.word(index),
            Self::Chosen(bits) => bits.words().get(index).copied().unwrap_or_default(),
        }
    }

    /// True if the sample goes up.
    fn at(&mut self, index: usize) -> bool {
        match self {
            Self::Random(bits) => bits.at(index),
            Self::Chosen(bits) => bits.at(index),
        }
    }
}

impl Scattering {
    /// Creates the plan of these changes.
    pub(super) fn new(layout: Layout, flips: Bits, directions: Directions) -> Self {
        Self { layout, flips, directions, passed: 0, changed_samples: 0 }
    }

    /// Plans the changes that carry `stream`, which fits, in `cover`; `key` is the key that sealed it.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(crate) fn plan(
        cover: &Cover,
        stream: &SealedStream,
        key: &DerivedKey,
        watch: &Watch,
    ) -> Result<Self, Stopped> {
        let eligible = Eligible::of(cover);
        let mut shares = Shares::begin(&eligible);
        let header_share = shares.draw_header(key);
        let (mut flips, salt_share) = shares.into_set(&header_share, key, 8 * stream.body.len(), watch)?;
        differ_from(&mut flips, &eligible.bits, &stream.body);

        let mut ties = Words::new(key.positions(), b"ties");
        let header_bits = lowest_bits(&eligible, &header_share);
        set_changes(&mut flips, &header_share, &least_changes(&header_bits, &stream.header, &mut ties));

        let mut salt_bits = lowest_bits(&eligible, &salt_share);
        let mut salt_flips = dummy_changes(&salt_share, &flips, key);
        salt_bits.iter_mut().zip(&salt_flips).for_each(|(bit, flip)| *bit ^= u8::from(*flip));
        for change in least_changes(&salt_bits, &key.salt().0, &mut ties) {
            salt_flips.get_mut(change).into_iter().for_each(|flip| *flip = !*flip);
        }
        let salt_changes: Vec<usize> = (0..salt_flips.len()).filter(|&i| salt_flips[i]).collect();
        set_changes(&mut flips, &salt_share, &salt_changes);
        let directions = RandomBits::new(key.positions(), b"direction");
        Ok(Self::new(eligible.layout, flips, Directions::Random(directions)))
    }
}

/// Decides for each sample of the public share on a dummy change, as often as `flips` changes the samples
/// outside. A public share with the few changes of a syndrome alone would be calmer than what surrounds it,
/// which can be measured without the key.
fn dummy_changes(share: &[u32], flips: &Bits, key: &DerivedKey) -> Vec<bool> {
    let outside = (flips.len() - share.len()) as u64;
    // At most half of the samples change, so a threshold of 32 bits is enough.
    let threshold = (flips.count_ones() << u32::BITS).checked_div(outside).unwrap_or_default();
    let mut words = Words::new(key.positions(), b"dummy");
    share.iter().map(|_| u64::from(words.next()) < threshold).collect()
}

/// Marks as changed the samples of `share` at these places.
fn set_changes(flips: &mut Bits, share: &[u32], changes: &[usize]) {
    let positions = changes.iter().filter_map(|&change| share.get(change));
    positions.for_each(|&position| flips.set(position as usize));
}

/// Returns the places to change in `bits` so that they carry `message`, as few as possible.
fn least_changes(bits: &[u8], message: &[u8], ties: &mut Words) -> Vec<usize> {
    // Surpluses break ties at random. A change settles at least seven bits of the message where all samples
    // may change, so salt and header take 46 changes at most, and their surpluses sum to less than one.
    let costs: Vec<f32> = bits.iter().map(|_| 1.0 + (ties.next() >> 16) as f32 / TIE).collect();
    syndrome_trellis::changes(bits, &costs, message).expect("every block has a sample that may change")
}

/// 2^16 steps of a surplus are 1/64.
const TIE: f32 = (1 << 22) as f32;

/// Returns the lowest bits of the samples of a share, in its order.
pub(super) fn lowest_bits(eligible: &Eligible, share: &[u32]) -> Vec<u8> {
    share.iter().map(|&position| u8::from(eligible.bits.at(position as usize))).collect()
}

/// Leaves in `carrying` the samples whose lowest bit differs from the bit of `body` that they are to carry.
fn differ_from(carrying: &mut Bits, lowest: &Bits, body: &[u8]) {
    let mut done = 0;
    for (carrying, lowest) in carrying.words_mut().iter_mut().zip(lowest.words()) {
        if *carrying != 0 {
            let count = carrying.count_ones() as usize;
            *carrying &= lowest ^ deposited(bits_at(body, done), *carrying);
            done += count;
        }
    }
    debug_assert_eq!(done, 8 * body.len(), "each bit has a sample");
}

/// Returns the 64 bits of `bytes` from bit `first` on, most significant first; the first in the lowest place.
fn bits_at(bytes: &[u8], first: usize) -> u64 {
    let (at, shift) = (first / 8, first % 8);
    let mut window = [0; 9];
    let rest = bytes.get(at..).unwrap_or_default();
    window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let [head @ .., last] = window;
    let head = u64::from_be_bytes(head).reverse_bits();
    if shift == 0 { head } else { head >> shift | u64::from(last.reverse_bits()) << (WORD_LEN - shift) }
}

/// Returns the low bits of `bits` at the places of the ones in `mask`.
fn deposited(mut bits: u64, mask: u64) -> u64 {
    if mask == u64::MAX {
        return bits;
    }
    let (mut rest, mut placed) = (mask, 0);
    while rest != 0 {
        let lowest = rest & rest.wrapping_neg();
        placed |= lowest & (bits & 1).wrapping_neg();
        bits >>= 1;
        rest ^= lowest;
    }
    placed
}

/// Returns the bits of `bits` at the places of the ones in `mask`, in the low places.
fn extracted(bits: u64, mask: u64) -> u64 {
    if mask == u64::MAX {
        return bits;
    }
    let (mut rest, mut found, mut at) = (mask, 0, 0);
    while rest != 0 {
        found |= (bits >> rest.trailing_zeros() & 1) << at;
        at += 1;
        rest &= rest - 1;
    }
    found
}

impl Changes for Scattering {
    fn apply(&mut self, rows: &mut [u8]) -> bool {
        match self.layout {
            Layout { pixel_len, carrying_len, .. } if pixel_len == carrying_len => {
                self.apply_to_samples(rows)
            }
            _ => self.apply_to_pixels(rows),
        }
        self.passed < self.flips.len()
    }

    fn squared_error(&self) -> u64 {
        self.changed_samples
    }
}

impl Scattering {
    /// All samples of the rows are eligible.
    fn apply_to_samples(&mut self, rows: &mut [u8]) {
        let Layout { sample_len, .. } = self.layout;
        let (first, end) = (self.passed, self.passed + rows.len() / sample_len);
        for word in first / WORD_LEN..end.div_ceil(WORD_LEN) {
            let start = word * WORD_LEN;
            let mut flips = self.flips.words().get(word).copied().unwrap_or_default();
            flips &= u64::MAX << first.saturating_sub(start);
            if end - start < WORD_LEN {
                flips &= (1 << (end - start)) - 1;
            }
            if flips == 0 {
                continue;
            }
            self.changed_samples += u64::from(flips.count_ones());
            let ups = self.directions.word(word);
            while flips != 0 {
                let bit = flips.trailing_zeros();
                let at = (start + bit as usize - first) * sample_len;
                if let Some(sample) = rows.get_mut(at..at + sample_len) {
                    step(sample, ups >> bit & 1 == 1);
                }
                flips &= flips - 1;
            }
        }
        self.passed = end;
    }

    /// Some samples of a pixel are not eligible: alpha, or the copies in a grey image saved in colour.
    fn apply_to_pixels(&mut self, rows: &mut [u8]) {
        let Layout { pixel_len, colour_len, carrying_len, sample_len } = self.layout;
        let (carrying, copies) = (carrying_len / sample_len, colour_len / carrying_len);
        for pixel in rows.chunks_exact_mut(pixel_len) {
            if !self.layout.is_eligible(pixel) {
                continue;
            }
            let first = self.passed;
            self.passed += carrying;
            if self.flips.three_at(first) & ((1 << carrying) - 1) == 0 {
                continue;
            }
            for i in (0..carrying).filter(|i| self.flips.at(first + i)) {
                let is_up = self.directions.at(first + i);
                let samples = pixel.chunks_exact_mut(sample_len).skip(i).take(copies);
                samples.for_each(|sample| step(sample, is_up));
                self.changed_samples += copies as u64;
            }
        }
    }
}

/// Adds or subtracts 1; the least value goes up and the greatest down.
fn step(sample: &mut [u8], is_up: bool) {
    let (least, greatest) = match sample {
        [low] => (*low == 0, *low == u8::MAX),
        _ => (sample.iter().all(|&byte| byte == 0), sample.iter().all(|&byte| byte == u8::MAX)),
    };
    let is_up = (is_up || least) && !greatest;
    match sample {
        [low] => *low = if is_up { low.wrapping_add(1) } else { low.wrapping_sub(1) },
        [high, low] => {
            let value = u16::from_be_bytes([*high, *low]);
            let value = if is_up { value.wrapping_add(1) } else { value.wrapping_sub(1) };
            [*high, *low] = value.to_be_bytes();
        }
        _ => debug_assert!(false, "a sample has one or two bytes"),
    }
}

/// Positions of salt and header.
pub(super) struct Shares {
    drawing: Drawing,
    salt: Vec<u32>,
    header_len: usize,
}

impl Shares {
    /// Draws the public share; there are enough samples.
    pub(super) fn begin(eligible: &Eligible) -> Self {
        let division = Division::of(eligible.count());
        debug_assert!(division.overhead() <= eligible.count(), "images too small are refused before");
        let mut drawing = Drawing::new(eligible.bits.len());
        let salt = drawing.share(&mut Words::new(&PUBLIC_KEY, b"salt"), len_of(division.salt));
        Self { drawing, salt, header_len: len_of(division.header) }
    }

    pub(super) fn draw_header(&mut self, key: &DerivedKey) -> Vec<u32> {
        self.drawing.share(&mut Words::new(key.positions(), b"header"), self.header_len)
    }

    /// Returns the number of samples besides those of salt and header.
    pub(super) fn left(&self) -> usize {
        self.drawing.eligible() - self.salt.len() - self.header_len
    }

    /// Returns the set of `count` positions of a body, and the share of the salt.
    pub(super) fn into_set(
        self,
        header: &[u32],
        key: &DerivedKey,
        count: usize,
        watch: &Watch,
    ) -> Result<(Bits, Vec<u32>), Stopped> {
        let Self { drawing, salt, .. } = self;
        let mut words = Words::new(key.positions(), b"body");
        let carrying = drawing.set(&mut words, count, [&salt, header], watch)?;
        Ok((carrying, salt))
    }
}

fn len_of(share: u64) -> usize {
    usize::try_from(share).expect("a share is a part of the image")
}

/// A reader of sealed containers from the samples of an image.
pub(crate) struct ScatteredReader {
    eligible: Eligible,
    division: Division,
}

impl ScatteredReader {
    /// `None` if the image is too small to carry a container.
    pub(crate) fn new(eligible: Eligible) -> Option<Self> {
        let division = Division::of(eligible.count());
        capacity_of(eligible.count()).holds_a_header().then_some(Self { eligible, division })
    }

    /// Returns the number of samples that a container needs at least.
    pub(crate) fn least_samples() -> u64 {
        capacity_of(0).least_samples()
    }

    /// Returns the number of eligible samples.
    pub(crate) fn eligible(&self) -> u64 {
        self.eligible.count()
    }

    /// Returns the room of the image in bytes: the longest padded body.
    pub(crate) fn room_bytes(&self) -> u64 {
        room_bytes(self.eligible.count())
    }

    /// Returns the salt, or what is in its place.
    pub(crate) fn salt(&self) -> Salt {
        let share = Shares::begin(&self.eligible).salt;
        let salt = syndrome_trellis::syndrome(&lowest_bits(&self.eligible, &share), Salt::LEN_BYTES);
        Salt(salt.try_into().expect("the length asked for"))
    }

    /// Returns the header under `key`, or what is in its place, and a reader of the body.
    pub(crate) fn header(&self, key: &DerivedKey) -> ([u8; HEADER_LEN_BYTES], BodyReader<'_>) {
        let mut shares = Shares::begin(&self.eligible);
        let share = shares.draw_header(key);
        let header = syndrome_trellis::syndrome(&lowest_bits(&self.eligible, &share), HEADER_LEN_BYTES);
        debug_assert_eq!(share.len() as u64, self.division.header, "the whole share");
        let body = BodyReader { eligible: &self.eligible, shares, header: share };
        (header.try_into().expect("the length asked for"), body)
    }
}

/// Returns the longest padded body in bytes of an image with this number of eligible samples.
pub(crate) fn room_bytes(eligible: u64) -> u64 {
    let left = eligible.saturating_sub(Division::of(eligible).overhead());
    (left / 8).saturating_sub(TAG_LEN_BYTES as u64)
}

/// A reader of the body of a sealed container.
pub(crate) struct BodyReader<'e> {
    eligible: &'e Eligible,
    shares: Shares,
    header: Vec<u32>,
}

impl BodyReader<'_> {
    /// Returns the body of `len_bytes`, which the image has room for.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(crate) fn read(
        self,
        coding: Coding,
        len_bytes: usize,
        key: &DerivedKey,
        watch: &Watch,
    ) -> Result<Vec<u8>, Stopped> {
        let Coding::Adaptive { height, second_share } = coding else {
            return self.read_scattered(len_bytes, key, watch);
        };
        let left = self.shares.left();
        let count = adaptive::carrying(len_bytes, left);
        let (carrying, _) = self.shares.into_set(&self.header, key, count, watch)?;
        adaptive::read(self.eligible, &carrying, (height, second_share), (len_bytes, left), (key, watch))
    }

    fn read_scattered(self, len_bytes: usize, key: &DerivedKey, watch: &Watch) -> Result<Vec<u8>, Stopped> {
        let (carrying, _) = self.shares.into_set(&self.header, key, 8 * len_bytes, watch)?;
        let mut body = Vec::with_capacity(len_bytes);
        let (mut waiting, mut held) = (0_u128, 0);
        for (&carrying, &lowest) in carrying.words().iter().zip(self.eligible.bits.words()) {
            if carrying == 0 {
                continue;
            }
            waiting |= u128::from(extracted(lowest, carrying)) << held;
            held += carrying.count_ones();
            while held >= 8 {
                body.push(((waiting & 0xFF) as u8).reverse_bits());
                waiting >>= 8;
                held -= 8;
            }
        }
        debug_assert_eq!((body.len(), held), (len_bytes, 0), "each bit has a sample");
        Ok(body)
    }
}

/// What the known answers tell of an image.
#[cfg(test)]
pub(crate) struct KnownAnswers {
    /// Of salt, header and body.
    pub(crate) positions: [Vec<u32>; 3],
    /// Of salt and header.
    pub(crate) syndromes: [Vec<u8>; 2],
}

/// Returns the positions of a body of `padded_len` bytes under `key`, and what an image carries whose lowest
/// bits are those of the bytes of stream(`noise`, `low bits`).
#[cfg(test)]
pub(crate) fn known_answers(
    eligible: u64,
    key: &DerivedKey,
    padded_len: usize,
    noise: &[u8],
) -> KnownAnswers {
    let mut noise = RandomBits::new(noise.try_into().unwrap(), b"low bits");
    let mut bits = Bits::default();
    (0..eligible as usize).for_each(|i| bits.push(noise.at(8 * i).into(), 1));
    let info = Cover::from_samples(1, 1, crate::Channels::Grey, vec![0]).unwrap().info();
    let eligible = Eligible { bits, second: Bits::default(), layout: Layout::of(&info) };
    let mut shares = Shares::begin(&eligible);
    let salt = shares.salt.clone();
    let header = shares.draw_header(key);
    let (body, _) =
        shares.into_set(&header, key, 8 * (padded_len + TAG_LEN_BYTES), &Watch::default()).unwrap();
    let body = (0..body.len()).filter(|&i| body.at(i)).map(|i| i as u32).collect();
    let syndromes = [(&salt, 16), (&header, HEADER_LEN_BYTES)];
    let syndromes =
        syndromes.map(|(share, len)| syndrome_trellis::syndrome(&lowest_bits(&eligible, share), len));
    KnownAnswers { positions: [salt, header, body], syndromes }
}

/// Returns the body of `padded_len` bytes that an image carries in the mode `adaptive` whose two lowest bits
/// are those of the bytes of stream(`noise`, `two bits`).
#[cfg(test)]
pub(crate) fn adaptive_body(
    eligible: u64,
    key: &DerivedKey,
    coding: u16,
    padded_len: usize,
    noise: &[u8],
) -> Vec<u8> {
    let mut noise = RandomBits::new(noise.try_into().unwrap(), b"two bits");
    let (mut bits, mut second) = (Bits::default(), Bits::default());
    for i in 0..eligible as usize {
        bits.push(noise.at(8 * i).into(), 1);
        second.push(noise.at(8 * i + 1).into(), 1);
    }
    let info = Cover::from_samples(1, 1, crate::Channels::Grey, vec![0]).unwrap().info();
    let reader = ScatteredReader::new(Eligible { bits, second, layout: Layout::of(&info) }).unwrap();
    let (_, body) = reader.header(key);
    let coding = Coding::from_bytes(coding.to_be_bytes()).unwrap();
    body.read(coding, padded_len + TAG_LEN_BYTES, key, &Watch::default()).unwrap()
}

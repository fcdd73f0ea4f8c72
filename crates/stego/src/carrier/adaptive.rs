//! The `adaptive` carrier: a sealed container in as few changes as possible, where they are the least
//! conspicuous.
//!
//! Defined in `docs/format.md`, section "Carrier `adaptive`". Positions are those of [`super::scattered`],
//! costs those of [`super::hill`], and the body is carried by a double-layered syndrome-trellis code in
//! segments. The reader knows no costs.

use rayon::prelude::*;

use super::bits::Bits;
use super::costs::{Costs, Levels, place_of};
use super::eligible::{self, Eligible};
use super::scattered::{self, Directions, Scattering, Shares};
use super::segments::{self, Segments};
use super::stream::{RandomBits, Words};
use super::{Capacity, Carrier};
use crate::codec::cover::Cover;
use crate::codec::info::ImageInfo;
use crate::coding::double_layer::{Code, LOWEST, SECOND, Workspace};
use crate::coding::payload_limited::Sending;
use crate::coding::syndrome_trellis;
use crate::container::sealed::{Coding, PlainBody, SealedStream, TAG_LEN_BYTES};
use crate::height::ConstraintHeight;
use crate::key::{DerivedKey, SealingKey};
use crate::watch::{Stage, Stopped, Watch};

/// The carrier.
pub(crate) struct Adaptive;

impl Carrier for Adaptive {
    fn capacity(&self, cover: &Cover) -> Capacity {
        scattered::capacity_of(eligible::count(cover))
    }

    /// For each sample that may be eligible the cost and six bits; the rows of the filters; the shares; and
    /// the derivation of a key.
    fn memory_bytes(&self, info: &ImageInfo) -> u64 {
        let colours = info.channels.colour_count() as u64;
        let samples = info.pixels().saturating_mul(colours);
        let filters = u64::from(info.width) * colours * FILTER_ROWS_BYTES;
        samples
            .saturating_mul(SAMPLE_MEMORY_BYTES)
            .saturating_add(filters)
            .saturating_add(scattered::SHARES_MEMORY_BYTES + SHARE_COSTS_MEMORY_BYTES)
            .saturating_add(SealingKey::DERIVE_MEMORY_BYTES)
    }
}

/// Two bytes of cost, and the bits of the sample, of the sets and of the changes, less than one byte more.
const SAMPLE_MEMORY_BYTES: u64 = 3;
/// Bytes of all rows that the filters keep, for a sample of a row: sixteen rows of reciprocals and fourteen
/// others.
const FILTER_ROWS_BYTES: u64 = 4 * 32;
const SHARE_COSTS_MEMORY_BYTES: u64 = 4 << 20;

/// Returns the memory in bytes of the trellises at this height, one on each thread: a bit of decision for
/// each state and each sample of the longest segment, and what is kept beside them.
pub(crate) fn trellis_memory_bytes(height: ConstraintHeight) -> u64 {
    const BESIDE_BYTES: u64 = 4 << 20;
    let decisions = (segments::MAX_SAMPLES as u64 / 8) << height.as_u8();
    (decisions + BESIDE_BYTES) * rayon::current_num_threads() as u64
}

/// Further tries for a segment in which the second message has no solution.
const MAX_TRIES: i16 = 24;
/// Levels by which changes become cheaper with each further try, so that there are more of them.
const TRY_LEVELS: i16 = 4;

/// Plans the changes that carry `body`, which fits, in `cover`.
///
/// # Errors
///
/// [`Stopped`] if `watch` ends the work.
pub(crate) fn plan(
    cover: &Cover,
    body: &PlainBody,
    (key, height): (&DerivedKey, ConstraintHeight),
    watch: &Watch,
) -> Result<Scattering, Stopped> {
    let eligible = Eligible::of(cover);
    let bits = 8 * (body.len_bytes() + TAG_LEN_BYTES);
    let mut shares = Shares::begin(&eligible);
    let header_share = shares.draw_header(key);
    let samples = segments::carrying(bits, shares.left());
    let (carrying, salt_share) = shares.into_set(&header_share, key, samples, watch)?;
    let division = Segments::new(bits, samples, 0);
    let both_shares = [&salt_share[..], &header_share];
    let costs = Costs::of(cover, &eligible, (&carrying, division, key), both_shares, watch)?;
    let sending = costs.sending(bits);
    let levels = Levels::of(&sending);

    let mut second_share = second_share(&sending, bits);
    let (stream, changes) = loop {
        let stream = body.seal(key, eligible.count(), Coding::Adaptive { height, second_share });
        let division = Segments::new(bits, samples, second_share);
        let code = Code::new(height.as_u8().into(), division.groups());
        let order = division.order(key);
        let coder = Coder { costs: &costs, levels: &levels, division, code, order, key, watch };
        if let Some(changes) = coder.changes(&stream)? {
            break (stream, changes);
        }
        // Without a second layer every body is carried.
        second_share /= 2;
    };

    let mut marks = Marks::of(&carrying, division, &changes, key);
    drop((changes, carrying));
    let shares = ShareCosts { costs: &costs, sending: &sending, samples };
    marks.add_shares(&eligible, &stream, &shares, both_shares, key);
    Ok(Scattering::new(eligible.layout, marks.flips, Directions::Chosen(marks.ups)))
}

/// Returns the part of the bits for the second layer: one for each change that the optimal sender leaves
/// free, and few more. The code makes 7 to 10 % more changes, and the second layer needs some of them as
/// room.
#[expect(clippy::cast_possible_truncation, reason = "a half of 4096 at most")]
fn second_share(sending: &Sending, bits: usize) -> u16 {
    const BITS_PER_CHANGE: f64 = 1.03;
    let share = sending.free_changes * BITS_PER_CHANGE / bits as f64 * 4096.0;
    share.clamp(0.0, 2048.0) as u16
}

/// The coding of a body.
struct Coder<'a> {
    costs: &'a Costs,
    levels: &'a Levels,
    division: Segments,
    code: Code,
    order: Vec<u32>,
    key: &'a DerivedKey,
    watch: &'a Watch,
}

/// Changes of the samples of a segment, in the order of its groups.
struct SegmentChanges {
    flips: Bits,
    ups: Bits,
}

impl Coder<'_> {
    /// Returns the changes segment by segment; `None` if the second message of one has no solution. Segments
    /// are coded in parallel on the rayon pool of the calling thread, each on its own, so the number of
    /// threads does not matter.
    fn changes(&self, stream: &SealedStream) -> Result<Option<Vec<SegmentChanges>>, Stopped> {
        let Self { division, watch, .. } = self;
        let segments = self.costs.segments(division.groups()).enumerate();
        let changes = segments.map_init(Workspace::default, |workspace, (segment, samples)| {
            watch.check(
                Stage::Choose,
                division.bits(segment)[0].start as u64,
                8 * stream.body.len() as u64,
            )?;
            let messages =
                division.bits(segment).map(|bits| bits.map(|i| bit_of(&stream.body, i)).collect::<Vec<u8>>());
            Ok(self.segment(segment, samples, [&messages[0], &messages[1]], workspace))
        });
        changes.collect::<Result<Option<_>, Stopped>>()
    }

    fn segment(
        &self,
        segment: usize,
        samples: &[u16],
        messages: [&[u8]; 2],
        workspace: &mut Workspace,
    ) -> Option<SegmentChanges> {
        let len = self.division.len(segment);
        let order = || self.order.iter().map(|&group| group as usize).filter(move |&group| group < len);
        let mut name = *b"free\0\0\0\0";
        name[4..].copy_from_slice(&u32::try_from(segment).unwrap_or_default().to_be_bytes());
        let mut free = Words::new(self.key.positions(), &name);
        let mut places: Vec<u8> = order().map(|group| place_of(samples[group])).collect();
        for attempt in 0..=MAX_TRIES {
            let levels: Vec<i16> =
                order().map(|group| self.levels.at(samples[group], attempt * TRY_LEVELS)).collect();
            if self.code.embed(&mut places, &levels, messages, || free.next() & 1 == 1, workspace) {
                let mut changes = SegmentChanges { flips: Bits::zeros(len), ups: Bits::zeros(len) };
                for (group, change) in order().zip(places) {
                    if change & LOWEST != 0 {
                        changes.flips.set(group);
                        // From an even value the second bit flips on the way down, from an odd one on the way
                        // up.
                        let flips_second = change & SECOND != 0;
                        if flips_second == (place_of(samples[group]) & LOWEST != 0) {
                            changes.ups.set(group);
                        }
                    }
                }
                return Some(changes);
            }
        }
        None
    }
}

/// Returns a bit of `bytes`, from the most significant of the first on.
fn bit_of(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1)
}

/// The changes of all eligible samples.
struct Marks {
    flips: Bits,
    /// True where a change goes up.
    ups: Bits,
}

/// Figures that decide on the changes of salt and header.
struct ShareCosts<'a> {
    costs: &'a Costs,
    sending: &'a Sending,
    /// Samples that carry the body.
    samples: usize,
}

impl Marks {
    fn of(carrying: &Bits, division: Segments, changes: &[SegmentChanges], key: &DerivedKey) -> Self {
        let mut marks = Self { flips: Bits::zeros(carrying.len()), ups: Bits::zeros(carrying.len()) };
        let mut walk = division.walk(key);
        for index in carrying.ones() {
            let (segment, group) = walk.next();
            let Some(changes) = changes.get(segment) else { continue };
            if changes.flips.at(group) {
                marks.flips.set(index);
                if changes.ups.at(group) {
                    marks.ups.set(index);
                }
            }
        }
        marks
    }

    /// Adds the changes that carry header and salt, at the least cost, and the dummy changes among those of
    /// the salt.
    fn add_shares(
        &mut self,
        eligible: &Eligible,
        stream: &SealedStream,
        shares: &ShareCosts<'_>,
        [salt_share, header_share]: [&[u32]; 2],
        key: &DerivedKey,
    ) {
        let ShareCosts { costs, sending, samples } = shares;
        let mut ties = Words::new(key.positions(), b"ties");
        let mut directions = RandomBits::new(key.positions(), b"direction");
        let [salt_costs, header_costs] = [0, 1].map(|share| costs.of_share(share));
        let mut mark = |marks: &mut Self, position: u32| {
            marks.flips.set(position as usize);
            if directions.at(position as usize) {
                marks.ups.set(position as usize);
            }
        };

        let header_bits = scattered::lowest_bits(eligible, header_share);
        let weights = header_costs.weights(sending, &mut ties);
        for change in cheapest(&header_bits, &weights, &stream.header) {
            header_share.get(change).into_iter().for_each(|&position| mark(self, position));
        }

        // What is outside changes as often as the body has changed it.
        let outside = self.flips.len() - salt_share.len();
        let rate = self.flips.count_ones() as f64 / sending.changes.max(1.0);
        let scale = rate * *samples as f64 / outside as f64;
        let mut words = Words::new(key.positions(), b"dummy");
        let mut salt_flips: Vec<bool> =
            salt_costs.probabilities(sending).map(|p| f64::from(words.next()) < p * scale * TWO_32).collect();
        let mut salt_bits = scattered::lowest_bits(eligible, salt_share);
        salt_bits.iter_mut().zip(&salt_flips).for_each(|(bit, flip)| *bit ^= u8::from(*flip));
        let weights = salt_costs.weights(sending, &mut ties);
        for change in cheapest(&salt_bits, &weights, &key.salt().0) {
            salt_flips.get_mut(change).into_iter().for_each(|flip| *flip = !*flip);
        }
        let flipped = salt_share.iter().zip(salt_flips).filter(|(_, flip)| *flip);
        flipped.for_each(|(&position, _)| mark(self, position));
    }
}

const TWO_32: f64 = 4_294_967_296.0;

/// Returns the places to change in `bits` so that they carry `message` at the least cost.
fn cheapest(bits: &[u8], costs: &[f32], message: &[u8]) -> Vec<usize> {
    syndrome_trellis::changes(bits, costs, message).expect("every block has a sample that may change")
}

/// Returns a body of `len_bytes`, which the image has room for, from the samples of `carrying`, chosen among
/// `left`.
///
/// # Errors
///
/// [`Stopped`] if `watch` ends the work.
pub(super) fn read(
    eligible: &Eligible,
    carrying: &Bits,
    (height, second_share): (ConstraintHeight, u16),
    (len_bytes, left): (usize, usize),
    (key, watch): (&DerivedKey, &Watch),
) -> Result<Vec<u8>, Stopped> {
    let (bits, samples) = (8 * len_bytes, segments::carrying(8 * len_bytes, left));
    let division = Segments::new(bits, samples, second_share);
    let groups = division.groups();
    let mut places = vec![0_u8; groups * division.count];
    let mut walk = division.walk(key);
    for index in carrying.ones() {
        let (segment, group) = walk.next();
        let place = u8::from(eligible.bits.at(index)) | u8::from(eligible.second.at(index)) << 1;
        places.get_mut(segment * groups + group).into_iter().for_each(|to| *to = place);
    }
    let code = Code::new(height.as_u8().into(), groups);
    let order = division.order(key);
    let messages = places.par_chunks(groups).enumerate().map(|(segment, places)| {
        watch.check(Stage::Choose, division.bits(segment)[0].start as u64, bits as u64)?;
        let len = division.len(segment);
        let order = order.iter().map(|&group| group as usize).filter(|&group| group < len);
        let places: Vec<u8> = order.map(|group| places[group]).collect();
        Ok(code.read(&places, division.rows(segment)))
    });
    let messages = messages.collect::<Result<Vec<_>, Stopped>>()?;
    let mut body = vec![0; len_bytes];
    let layers = [0, 1].map(|layer| messages.iter().flat_map(move |messages| &messages[layer]));
    for (index, bit) in layers.into_iter().flatten().enumerate() {
        body.get_mut(index / 8).into_iter().for_each(|byte| *byte |= bit << (7 - index % 8));
    }
    Ok(body)
}

/// Returns the number of samples for a body of `len_bytes` among `left`.
pub(super) fn carrying(len_bytes: usize, left: usize) -> usize {
    segments::carrying(8 * len_bytes, left)
}

/// Returns the set of samples that carry a body of `bits` under `key`.
pub(super) fn carrying_samples(cover: &Cover, key: &DerivedKey, bits: usize) -> Bits {
    let mut shares = Shares::begin(&Eligible::of(cover));
    let header_share = shares.draw_header(key);
    let samples = segments::carrying(bits, shares.left());
    shares.into_set(&header_share, key, samples, &Watch::default()).expect("the watch stops nothing").0
}

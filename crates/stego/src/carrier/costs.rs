//! Costs of the samples that may change, as the mode `adaptive` keeps them.

use rayon::prelude::*;

use super::bits::Bits;
use super::eligible::Eligible;
use super::hill::{self, CLASSES};
use super::layout::Layout;
use super::segments::Segments;
use super::stream::Words;
use crate::codec::cover::Cover;
use crate::coding::double_layer::{LOWEST, ONE_WAY, SECOND};
use crate::coding::payload_limited::{self, Class, Sending};
use crate::key::DerivedKey;
use crate::watch::{Stopped, Watch};

/// A sample: the class of its cost above the bits of its place, [`LOWEST`], [`SECOND`] and [`ONE_WAY`].
type Sample = u16;

const PLACE_BITS: u32 = 3;
/// The bits above the two lowest: the class, and the lowest bit true for a sample that can go one way only.
const KIND_SHIFT: u32 = PLACE_BITS - 1;
const KINDS: usize = CLASSES << 1;

/// Levels of a cost for each factor of e in the probability of a change.
const LEVELS_PER_NAT: f64 = 64.0;
const MAX_LEVEL: f64 = 4095.0;

/// Returns the bits of a sample's place.
pub(super) fn place_of(sample: Sample) -> u8 {
    (sample & ((1 << PLACE_BITS) - 1)) as u8
}

fn kind_of(sample: Sample) -> usize {
    usize::from(sample >> KIND_SHIFT)
}

fn sample_of(value: Value, sum: u32) -> Sample {
    let one_way = if value.is_extreme { ONE_WAY } else { 0 };
    hill::class_of(sum) << PLACE_BITS | Sample::from(value.low & (LOWEST | SECOND) | one_way)
}

/// Parts of a sample's value that matter to an embed.
#[derive(Clone, Copy)]
struct Value {
    low: u8,
    /// True for the least value and the greatest.
    is_extreme: bool,
}

/// Costs of all samples that may change.
pub(super) struct Costs {
    /// The carrying samples, segment by segment; each has room for the samples of the longest.
    carrying: Vec<Sample>,
    /// The samples of salt and header, in the order of the shares.
    shares: [Vec<Sample>; 2],
    /// The carrying samples by cost.
    classes: Vec<Class>,
}

impl Costs {
    /// Returns the costs of the carrying samples and of the samples of `shares`.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if `watch` ends the work.
    pub(super) fn of(
        cover: &Cover,
        eligible: &Eligible,
        (carrying, division, key): (&Bits, Segments, &DerivedKey),
        shares: [&[u32]; 2],
        watch: &Watch,
    ) -> Result<Self, Stopped> {
        let groups = division.groups();
        let mut samples = vec![0; groups * division.count];
        let mut in_shares = shares.map(|share| vec![0; share.len()]);
        let mut next_in_shares = ascending(shares).into_iter().peekable();
        let mut walk = division.walk(key);
        let (mut index, layout) = (0, eligible.layout);
        hill::rows(cover, layout, watch, |y, sums| {
            let row_len = cover.info().row_len_bytes();
            let row = cover.samples().get(y * row_len..(y + 1) * row_len).unwrap_or_default();
            for_each_eligible(row, layout, sums, |value, sum| {
                if carrying.at(index) {
                    let (segment, group) = walk.next();
                    let to = samples.get_mut(segment * groups + group);
                    to.into_iter().for_each(|to| *to = sample_of(value, sum));
                } else if let Some((_, share, place)) =
                    next_in_shares.next_if(|next| next.0 as usize == index)
                {
                    in_shares[share][place as usize] = sample_of(value, sum);
                }
                index += 1;
            });
        })?;
        debug_assert!(next_in_shares.peek().is_none(), "each position is in the image");
        let mut costs = Self { carrying: samples, shares: in_shares, classes: Vec::new() };
        costs.classes = costs.counted(division);
        Ok(costs)
    }

    fn counted(&self, division: Segments) -> Vec<Class> {
        let mut counts = vec![0_u64; KINDS];
        for (segment, samples) in self.carrying.chunks(division.groups()).enumerate() {
            for &sample in samples.iter().take(division.len(segment)) {
                counts.get_mut(kind_of(sample)).into_iter().for_each(|count| *count += 1);
            }
        }
        let classes = counts.as_chunks::<2>().0.iter().enumerate().filter(|(_, counts)| **counts != [0, 0]);
        let class = |(class, &[both_ways, one_way]): (usize, &[u64; 2])| Class {
            cost: hill::cost(u16::try_from(class).unwrap_or(u16::MAX)),
            both_ways,
            one_way,
        };
        classes.map(class).collect()
    }

    /// Returns the optimal sender of a body of `bits` in the carrying samples.
    pub(super) fn sending(&self, bits: usize) -> Sending {
        payload_limited::send(&self.classes, bits as f64)
    }

    /// Returns the carrying samples of each segment.
    pub(super) fn segments(&self, groups: usize) -> impl IndexedParallelIterator<Item = &[Sample]> {
        self.carrying.par_chunks(groups)
    }

    /// Returns the costs of salt (0) or header (1).
    pub(super) fn of_share(&self, share: usize) -> ShareSamples<'_> {
        ShareSamples(self.shares.get(share).map_or(&[], Vec::as_slice))
    }
}

/// Returns the positions of two shares in ascending order: the position, the share, and the place in the
/// share.
fn ascending(shares: [&[u32]; 2]) -> Vec<(u32, usize, u32)> {
    let places = shares.iter().enumerate().flat_map(|(share, positions)| {
        positions.iter().zip(0..).map(move |(&position, place)| (position, share, place))
    });
    let mut places: Vec<(u32, usize, u32)> = places.collect();
    places.sort_unstable();
    places
}

/// Calls `each` for the eligible samples of a row, with the sums that belong to them.
fn for_each_eligible(row: &[u8], layout: Layout, sums: &[u32], mut each: impl FnMut(Value, u32)) {
    let Layout { pixel_len, carrying_len, sample_len, .. } = layout;
    if pixel_len == carrying_len && sample_len == 1 {
        let value = |&low: &u8| Value { low, is_extreme: low == 0 || low == u8::MAX };
        return row.iter().map(value).zip(sums).for_each(|(value, &sum)| each(value, sum));
    }
    let sums = sums.chunks_exact(carrying_len / sample_len);
    for (pixel, sums) in row.chunks_exact(pixel_len).zip(sums).filter(|(pixel, _)| layout.is_eligible(pixel))
    {
        let samples = pixel.get(..carrying_len).unwrap_or_default().chunks_exact(sample_len);
        for (sample, &sum) in samples.zip(sums) {
            let is = |extreme: u8| sample.iter().all(|&byte| byte == extreme);
            let low = sample.last().copied().unwrap_or_default();
            each(Value { low, is_extreme: is(0) || is(u8::MAX) }, sum);
        }
    }
}

/// The samples of a share.
pub(super) struct ShareSamples<'a>(&'a [Sample]);

impl ShareSamples<'_> {
    /// Returns the costs of changes, with a random surplus that breaks ties.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, as ties are broken anyway")]
    pub(super) fn weights(&self, sending: &Sending, ties: &mut Words) -> Vec<f32> {
        let by_kind = by_kind(|cost, _| (sending.lambda * cost).min(MAX_LEVEL / LEVELS_PER_NAT) as f32);
        let weight = |&sample: &Sample| by_kind.get(kind_of(sample)).copied().unwrap_or_default();
        self.0.iter().map(|sample| weight(sample) + (ties.next() >> 16) as f32 / TIE).collect()
    }

    /// Returns the probabilities of changes by the optimal sender.
    pub(super) fn probabilities(&self, sending: &Sending) -> impl Iterator<Item = f64> {
        let by_kind = by_kind(|cost, ways| {
            let e = ways * payload_limited::exp_neg(sending.lambda * cost);
            e / (1.0 + e)
        });
        self.0.iter().map(move |&sample| by_kind.get(kind_of(sample)).copied().unwrap_or_default())
    }
}

/// 2^16 steps of a surplus are 1/64.
const TIE: f32 = (1 << 22) as f32;

/// Returns a value for each kind of sample, of its cost and the number of ways that it can go.
fn by_kind<T>(of: impl Fn(f64, f64) -> T) -> Vec<T> {
    let kinds = (0..CLASSES).flat_map(|class| [2.0, 1.0].map(|ways| (class, ways)));
    kinds.map(|(class, ways)| of(hill::cost(u16::try_from(class).unwrap_or(u16::MAX)), ways)).collect()
}

/// Costs in the first layer of the code: the weight of a change, less what it gains in the second layer.
pub(super) struct Levels(Vec<i16>);

impl Levels {
    #[expect(clippy::cast_possible_truncation, reason = "clamped, and a whole number")]
    pub(super) fn of(sending: &Sending) -> Self {
        Self(by_kind(|cost, ways| {
            let level = (sending.lambda * cost - payload_limited::ln(ways)) * LEVELS_PER_NAT;
            (level + 0.5).floor().clamp(-MAX_LEVEL, MAX_LEVEL) as i16
        }))
    }

    /// Returns the level of a sample, less `bonus` if it can go both ways.
    pub(super) fn at(&self, sample: Sample, bonus: i16) -> i16 {
        let level = self.0.get(kind_of(sample)).copied().unwrap_or_default();
        if sample & Sample::from(ONE_WAY) == 0 { level.saturating_sub(bonus) } else { level }
    }
}

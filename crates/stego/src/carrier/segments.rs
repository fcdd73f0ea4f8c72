//! Segments of the mode `adaptive`: parts of a body and of the carrying samples, coded one by one.
//!
//! Defined in `docs/format.md`, section "Carrier `adaptive`". The carrying samples in ascending order form
//! groups, and each segment has one sample of each group, so that all segments spread over the whole image.
//! Within a segment an order that the key tells brings samples from everywhere together.

use std::ops::Range;

use super::stream::Words;
use crate::coding::double_layer::Rows;
use crate::key::DerivedKey;

/// Most samples of a segment.
pub(super) const MAX_SAMPLES: usize = 1 << 16;
/// Most bits of a segment.
const MAX_BITS: usize = 1 << 12;
/// Samples that carry, for each bit of a body, where there are as many.
const SAMPLES_PER_BIT: usize = 128;

/// Returns the number of carrying samples among `left` for a body of `bits`.
pub(super) fn carrying(bits: usize, left: usize) -> usize {
    bits.saturating_mul(SAMPLES_PER_BIT).min(left)
}

/// The division of a body and its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segments {
    /// The number of segments.
    pub(super) count: usize,
    /// Carrying samples.
    samples: usize,
    /// Bits of the two messages.
    first: usize,
    second: usize,
}

impl Segments {
    /// Divides a body of `bits` in `samples`, of which the second layer carries ⌊`bits` · `share` / 4096⌋.
    pub(super) fn new(bits: usize, samples: usize, share: u16) -> Self {
        debug_assert!(0 < bits && bits <= samples, "a body fits, and is not empty");
        let count = samples.div_ceil(MAX_SAMPLES).max(bits.div_ceil(MAX_BITS));
        let second = second_bits(bits, share);
        Self { count, samples, first: bits - second, second }
    }

    /// Returns the number of groups: the samples of the longest segment.
    pub(super) fn groups(self) -> usize {
        self.samples.div_ceil(self.count)
    }

    /// Returns the number of samples of segment `segment`: the last group may be too short for all.
    pub(super) fn len(self, segment: usize) -> usize {
        self.groups() - usize::from(segment >= self.samples - (self.groups() - 1) * self.count)
    }

    /// Returns the bits of the body in the two messages of a segment.
    pub(super) fn bits(self, segment: usize) -> [Range<usize>; 2] {
        // The first segments have a bit more, as they have a sample more: a bit has a sample wherever.
        let part = |bits: usize, from: usize| {
            let start =
                |segment: usize| from + segment * (bits / self.count) + segment.min(bits % self.count);
            start(segment)..start(segment + 1)
        };
        [part(self.first, 0), part(self.second, self.first)]
    }

    /// Returns the lengths of the two messages of a segment.
    pub(super) fn rows(self, segment: usize) -> Rows {
        let [first, second] = self.bits(segment).map(|bits| bits.len());
        Rows { first, second }
    }

    /// Returns the groups in the order of a segment. A segment without a sample in the last group leaves it
    /// out.
    pub(super) fn order(self, key: &DerivedKey) -> Vec<u32> {
        let mut words = Words::new(key.positions(), b"order");
        let groups = u32::try_from(self.groups()).expect("a segment has 65,536 samples at most");
        let mut order: Vec<u32> = (0..groups).collect();
        // Fisher and Yates.
        for last in (1..order.len()).rev() {
            order.swap(last, below(words.next(), last + 1));
        }
        order
    }

    /// Begins with the first carrying sample.
    pub(super) fn walk(self, key: &DerivedKey) -> Walk {
        let mut walk = Walk {
            segments: self,
            words: Words::new(key.positions(), b"rotation"),
            group: 0,
            in_group: 0,
            segment: 0,
        };
        walk.begin_group();
        walk
    }
}

/// Returns the bits that the second layer carries.
pub(super) fn second_bits(bits: usize, share: u16) -> usize {
    // A product of no more than 2^35 bits and a share below 2^12.
    usize::try_from((bits as u64 * u64::from(share)) >> 12).unwrap_or(bits)
}

/// Returns ⌊`word` · `count` / 2^32⌋.
fn below(word: u32, count: usize) -> usize {
    ((u64::from(word) * count as u64) >> 32) as usize
}

/// The carrying samples in ascending order.
pub(super) struct Walk {
    segments: Segments,
    words: Words,
    group: usize,
    in_group: usize,
    segment: usize,
}

impl Walk {
    /// Returns the segment of the next sample, and its group.
    #[inline]
    pub(super) fn next(&mut self) -> (usize, usize) {
        let at = (self.segment, self.group);
        self.in_group += 1;
        self.segment += 1;
        if self.segment == self.segments.count {
            self.segment = 0;
        }
        if self.in_group == self.segments.count {
            self.group += 1;
            self.in_group = 0;
            self.begin_group();
        }
        at
    }

    /// The first sample of a whole group goes to a segment that the key tells; that of the last group, which
    /// may be short, to the first.
    fn begin_group(&mut self) {
        let is_last = self.group + 1 >= self.segments.groups();
        self.segment = if is_last { 0 } else { below(self.words.next(), self.segments.count) };
    }
}

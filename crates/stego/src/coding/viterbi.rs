//! The Viterbi algorithm over the trellis of a syndrome-trellis code.
//!
//! T. Filler, J. Judas, J. Fridrich, *Minimizing Additive Distortion in Steganography Using Syndrome-Trellis
//! Codes*, IEEE Transactions on Information Forensics and Security 6 (2011), section IV. A state is the
//! partial syndrome of the next rows, and a step decides on the change of one place. Metrics are integers of
//! 16 bits, so that every implementation gives the same path.
//!
//! A metric that reaches [`UNREACHED`] leaves the trellis. The best state of a row has metric 0 and can
//! complete the rest of the message by the first place of each block, at [`MAX_COST`] a row at most. So the
//! path to the end always survives in the last rows, and every message that has a place in each block is
//! carried.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

/// Greatest cost of a change.
pub(super) const MAX_COST: u16 = 4095;
/// Metric of a state that no path reaches.
const UNREACHED: u16 = u16::MAX;
/// Metrics in a vector.
const LANES: usize = 16;

/// Constraint heights that are supported.
pub(super) const HEIGHTS: std::ops::RangeInclusive<u32> = 7..=12;

const _: () = assert!(MAX_COST as u32 * *HEIGHTS.end() < UNREACHED as u32, "the best path stays reached");

/// Decision on one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Column of the parity-check matrix: an odd number below 2^height; bit k is in row k of the block.
    pub(super) column: u16,
    /// Cost of the change, at most [`MAX_COST`].
    pub(super) cost: u16,
    pub(super) place: u32,
}

/// A search for the cheapest changes with a given syndrome, and its memory.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) steps: Vec<Step>,
    /// The end of each row in `steps`, and the bit of the syndrome in the lowest place.
    pub(super) rows: Vec<u32>,
    /// For each step a bit per state: 1 if the place stays as it is on the way there.
    decisions: Vec<u32>,
}

impl Search {
    /// Begins an empty search.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.rows.clear();
        self.decisions.clear();
    }

    /// Ends the row of the last steps, which are to sum to `bit`.
    pub(super) fn end_row(&mut self, bit: bool) {
        let end = u32::try_from(self.steps.len()).expect("a segment has 65,536 places at most");
        self.rows.push(end << 1 | u32::from(bit));
    }

    /// Calls `change` for each place on the cheapest path, from the last to the first. False if there is
    /// none: a row without a step of its own and with a bit that no path leaves right.
    pub(super) fn run(&mut self, height: u32, change: impl FnMut(u32)) -> bool {
        debug_assert!(HEIGHTS.contains(&height), "a height that readers know");
        debug_assert!(self.steps.iter().all(|step| step.cost <= MAX_COST && step.column % 2 == 1));
        let is_reached = self.forward(height);
        if is_reached {
            self.backward(height, change);
        }
        is_reached
    }

    #[cfg(target_arch = "x86_64")]
    fn forward(&mut self, height: u32) -> bool {
        if is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "AVX2 was detected; nothing else is asked of the caller")]
            return unsafe { avx2::forward(height, &self.steps, &self.rows, &mut self.decisions) };
        }
        portable::forward(height, &self.steps, &self.rows, &mut self.decisions)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn forward(&mut self, height: u32) -> bool {
        portable::forward(height, &self.steps, &self.rows, &mut self.decisions)
    }

    fn backward(&self, height: u32, mut change: impl FnMut(u32)) {
        let words = words_per_step(height);
        let mask = (1 << height) - 1;
        let mut state = 0_usize;
        let mut decisions = self.decisions.chunks_exact(words).rev();
        let starts = self.rows.iter().rev().skip(1).map(|row| row >> 1).chain([0]);
        for (row, start) in self.rows.iter().rev().zip(starts) {
            state = (state << 1 | (row & 1) as usize) & mask;
            let steps = self.steps.get(start as usize..(row >> 1) as usize).unwrap_or_default();
            for (step, decisions) in steps.iter().rev().zip(&mut decisions) {
                let is_odd = state & 1;
                let even = (state ^ (usize::from(step.column) * is_odd)) / 2;
                let bit = decision_bit(even % LANES) + 8 * is_odd;
                if decisions.get(even / LANES).is_some_and(|word| word >> bit & 1 == 0) {
                    state ^= usize::from(step.column);
                    change(step.place);
                }
            }
        }
        debug_assert_eq!(state, 0, "the path begins with no partial syndrome");
    }
}

/// Returns the words of decisions in a step: a word for [`LANES`] even states and the odd states they meet.
const fn words_per_step(height: u32) -> usize {
    (1 << (height - 1)) / LANES
}

/// Returns the bit of an even state in a word. That of the odd state lies 8 bits above: the order in which
/// AVX2 packs.
const fn decision_bit(lane: usize) -> usize {
    lane % 8 + lane / 8 * 16
}

#[cfg(test)]
mod tests;

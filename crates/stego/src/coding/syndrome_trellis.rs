//! Syndrome-trellis code of constraint height 7 for low rates.
//!
//! T. Filler, J. Judas, J. Fridrich, *Minimizing Additive Distortion in Steganography Using Syndrome-Trellis
//! Codes*, IEEE Transactions on Information Forensics and Security 6 (2011), section IV. The parity-check
//! matrix is that of `docs/format.md`, section "Carrier `scattered`".
//!
//! The encoder searches among patterns of changes instead of stego vectors: their syndrome is the sum of the
//! message and the cover's syndrome, and costs belong to changes. Two columns of a block with the same number
//! cancel, so only the cheaper can be in a pattern of least cost. That leaves at most 64 columns of a block
//! to the trellis, however low the rate.

use std::ops::Range;

/// Rows of the submatrix.
const HEIGHT: usize = 7;
/// Partial syndromes: the next `HEIGHT` rows.
const STATES: usize = 1 << HEIGHT;
/// Columns of a block that differ: the odd numbers below `STATES`.
const COLUMNS: usize = STATES / 2;

/// Returns the message of `len_bytes` carried by `cover`, the lowest bits of the samples as 0 or 1.
pub(crate) fn syndrome(cover: &[u8], len_bytes: usize) -> Vec<u8> {
    let blocks = Blocks { samples: cover.len(), rows: len_bytes * 8 };
    let mut message = vec![0; len_bytes];
    let mut partial = 0;
    for row in 0..blocks.rows {
        let bits = cover.get(blocks.samples_of(row)).unwrap_or_default();
        for (column, bit) in bits.iter().enumerate() {
            partial ^= blocks.column(row, column) * (bit & 1);
        }
        if let Some(byte) = message.get_mut(row / 8) {
            *byte |= (partial & 1) << (7 - row % 8);
        }
        partial >>= 1;
    }
    message
}

/// Returns the samples to change, in ascending order, so that `cover` carries `message` at the least sum of
/// `costs`. A cost is that of changing the sample: at least 0, infinite for a sample that must not change.
/// `None` if the message cannot be carried.
pub(crate) fn changes(cover: &[u8], costs: &[f32], message: &[u8]) -> Option<Vec<usize>> {
    debug_assert_eq!(cover.len(), costs.len(), "a cost for each sample");
    let blocks = Blocks { samples: cover.len(), rows: message.len() * 8 };
    let carried = syndrome(cover, message.len());
    let mut trellis = Trellis::default();
    for row in 0..blocks.rows {
        let samples = blocks.samples_of(row);
        let first = samples.start;
        for (number, choice) in cheapest(blocks, row, costs.get(samples)?).into_iter().enumerate() {
            if let Some((cost, column)) = choice {
                let pattern = blocks.column(row, number);
                trellis.step(usize::from(pattern), cost, first + column);
            }
        }
        let wanted = (message.get(row / 8)? ^ carried.get(row / 8)?) >> (7 - row % 8) & 1;
        trellis.end_row(wanted);
    }
    trellis.least()
}

/// Returns for each column that differs the least cost in the block and the place in the block.
fn cheapest(blocks: Blocks, row: usize, costs: &[f32]) -> [Option<(f32, usize)>; COLUMNS] {
    let mut cheapest: [Option<(f32, usize)>; COLUMNS] = [None; COLUMNS];
    debug_assert!(row < blocks.rows, "a block for each row");
    for (column, &cost) in costs.iter().enumerate() {
        debug_assert!(cost >= 0.0, "a change gains nothing");
        let least = &mut cheapest[column % COLUMNS];
        if cost.is_finite() && least.is_none_or(|(least, _)| cost < least) {
            *least = Some((cost, column));
        }
    }
    cheapest
}

/// The parity-check matrix: a block of columns for each row.
#[derive(Clone, Copy)]
struct Blocks {
    samples: usize,
    rows: usize,
}

impl Blocks {
    /// Returns the samples of a block.
    fn samples_of(self, row: usize) -> Range<usize> {
        let start = |row: usize| {
            // In 128 bits: no product of two lengths overflows.
            let start = row as u128 * self.samples as u128 / self.rows as u128;
            usize::try_from(start).unwrap_or(self.samples)
        };
        start(row)..start(row + 1)
    }

    /// Returns the column of a sample in the block of `row`; bit k is in row `row` + k. Rows after the last
    /// do not exist.
    fn column(self, row: usize, in_block: usize) -> u8 {
        let rows_left = (self.rows - row).min(HEIGHT);
        debug_assert!(rows_left > 0, "a block belongs to a row");
        let [number, ..] = (2 * (in_block % COLUMNS) + 1).to_le_bytes();
        number & !(u8::MAX << rows_left)
    }
}

/// The Viterbi algorithm over partial syndromes.
///
/// States with an even and with an odd number lie apart, in the order of their numbers: a column leads from
/// each state to one of the other kind. Both lie in groups, so that the loops become SIMD.
struct Trellis {
    even: States,
    odd: States,
    steps: Vec<Step>,
}

type States = [[f32; LANES]; STATES / 2 / LANES];

/// Places of a group.
const LANES: usize = 4;

/// A column of the matrix, or the end of a row.
enum Step {
    /// Bit i of `to_even` and `to_odd` tells of the states 2 · i and (2 · i) ^ `pattern` that the sample is
    /// changed on the way there.
    Column {
        pattern: usize,
        sample: usize,
        to_even: u64,
        to_odd: u64,
    },
    EndOfRow {
        bit: usize,
    },
}

impl Default for Trellis {
    fn default() -> Self {
        let mut trellis = Self { even: UNREACHED, odd: UNREACHED, steps: Vec::new() };
        trellis.even[0][0] = 0.0;
        trellis
    }
}

const UNREACHED: States = [[f32::INFINITY; LANES]; STATES / 2 / LANES];

impl Trellis {
    /// Adds a column. `pattern` is odd.
    fn step(&mut self, pattern: usize, cost: f32, sample: usize) {
        debug_assert!(pattern % 2 == 1 && pattern < STATES, "a column has its row's bit");
        // The state 2 · i meets 2 · (i ^ half) + 1: another group by the high bits, another lane by the low.
        let half = pattern / 2;
        let (to_even, to_odd) = match half % LANES {
            0 => self.relax::<0>(half / LANES, cost),
            1 => self.relax::<1>(half / LANES, cost),
            2 => self.relax::<2>(half / LANES, cost),
            _ => self.relax::<3>(half / LANES, cost),
        };
        self.steps.push(Step::Column { pattern, sample, to_even, to_odd });
    }

    fn relax<const LANE: usize>(&mut self, group: usize, cost: f32) -> (u64, u64) {
        let (mut to_even, mut to_odd) = (0, 0);
        for i in 0..self.even.len() {
            let even = &mut self.even[i];
            let odd = &mut self.odd[(i ^ group) % (STATES / 2 / LANES)];
            let (before, met): ([f32; LANES], [f32; LANES]) =
                (*even, std::array::from_fn(|lane| odd[lane ^ LANE]));
            let is_even: [bool; LANES] = std::array::from_fn(|lane| met[lane] + cost < before[lane]);
            let is_odd: [bool; LANES] = std::array::from_fn(|lane| before[lane] + cost < met[lane]);
            *even = std::array::from_fn(|lane| before[lane].min(met[lane] + cost));
            *odd = std::array::from_fn(|lane| met[lane ^ LANE].min(before[lane ^ LANE] + cost));
            for lane in 0..LANES {
                to_even |= u64::from(is_even[lane]) << (LANES * i + lane);
                to_odd |= u64::from(is_odd[lane]) << (LANES * i + lane);
            }
        }
        (to_even, to_odd)
    }

    /// Keeps the states whose lowest bit is `bit`, and moves on by a row.
    fn end_row(&mut self, bit: u8) {
        let bit = usize::from(bit & 1);
        let kept = if bit == 0 { self.even } else { self.odd };
        (self.even, self.odd) = (UNREACHED, UNREACHED);
        for (state, cost) in kept.into_iter().flatten().enumerate() {
            let states = if state % 2 == 0 { &mut self.even } else { &mut self.odd };
            states[state / 2 / LANES][state / 2 % LANES] = cost;
        }
        self.steps.push(Step::EndOfRow { bit });
    }

    /// Returns the changed samples on the path of least cost to the end, where no row is left.
    fn least(self) -> Option<Vec<usize>> {
        if !self.even[0][0].is_finite() {
            return None;
        }
        let mut state = 0;
        let mut changed_samples = Vec::new();
        for step in self.steps.into_iter().rev() {
            match step {
                Step::EndOfRow { bit } => state = (state << 1 | bit) & (STATES - 1),
                Step::Column { pattern, sample, to_even, to_odd } => {
                    let (changed, even) =
                        if state % 2 == 0 { (to_even, state) } else { (to_odd, state ^ pattern) };
                    if changed >> (even / 2) & 1 == 1 {
                        state ^= pattern;
                        changed_samples.push(sample);
                    }
                }
            }
        }
        debug_assert_eq!(state, 0, "the path begins with no partial syndrome");
        changed_samples.sort_unstable();
        Some(changed_samples)
    }
}

#[cfg(test)]
mod tests;

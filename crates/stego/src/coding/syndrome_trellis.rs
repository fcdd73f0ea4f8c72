//! Syndrome-trellis code of constraint height 7 for low rates.
//!
//! T. Filler, J. Judas, J. Fridrich, *Minimizing Additive Distortion in Steganography Using Syndrome-Trellis
//! Codes*, IEEE Transactions on Information Forensics and Security 6 (2011), section IV. The parity-check
//! matrix is that of `docs/format.md`, section "Carrier `scattered`".
//!
//! The encoder searches among patterns of changes instead of stego vectors: their syndrome is the sum of the
//! message and the cover's syndrome, and costs belong to changes. Two columns of a block with the same number
//! cancel, so only the cheaper can be in a pattern of least cost. That leaves at most 64 columns of a block to
//! the trellis, however low the rate.

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

    /// Returns the column of a sample in the block of `row`; bit k is in row `row` + k. Rows after the last do
    /// not exist.
    fn column(self, row: usize, in_block: usize) -> u8 {
        let rows_left = (self.rows - row).min(HEIGHT);
        debug_assert!(rows_left > 0, "a block belongs to a row");
        let [number, ..] = (2 * (in_block % COLUMNS) + 1).to_le_bytes();
        number & !(u8::MAX << rows_left)
    }
}

/// The Viterbi algorithm over partial syndromes.
struct Trellis {
    costs: [f32; STATES],
    steps: Vec<Step>,
}

/// A column of the matrix, or the end of a row.
enum Step {
    Column { pattern: usize, sample: usize, changed: u128 },
    EndOfRow { bit: usize },
}

impl Default for Trellis {
    fn default() -> Self {
        let mut costs = [f32::INFINITY; STATES];
        costs[0] = 0.0;
        Self { costs, steps: Vec::new() }
    }
}

impl Trellis {
    /// Adds a column. `pattern` is odd: each state with an even number meets one with an odd number.
    fn step(&mut self, pattern: usize, cost: f32, sample: usize) {
        debug_assert!(pattern % 2 == 1 && pattern < STATES, "a column has its row's bit");
        let mut changed = 0_u128;
        for even in (0..STATES).step_by(2) {
            let odd = even ^ pattern & (STATES - 1);
            let (to_even, to_odd) = (self.costs[odd] + cost, self.costs[even] + cost);
            let (is_even, is_odd) = (to_even < self.costs[even], to_odd < self.costs[odd]);
            if is_even {
                self.costs[even] = to_even;
            }
            if is_odd {
                self.costs[odd] = to_odd;
            }
            changed |= u128::from(is_even) << even | u128::from(is_odd) << odd;
        }
        self.steps.push(Step::Column { pattern, sample, changed });
    }

    /// Keeps the states whose lowest bit is `bit`, and moves on by a row.
    fn end_row(&mut self, bit: u8) {
        let bit = usize::from(bit & 1);
        for state in 0..STATES / 2 {
            self.costs[state] = self.costs[2 * state + bit];
        }
        self.costs[STATES / 2..].fill(f32::INFINITY);
        self.steps.push(Step::EndOfRow { bit });
    }

    /// Returns the changed samples on the path of least cost to the end, where no row is left.
    fn least(self) -> Option<Vec<usize>> {
        if !self.costs[0].is_finite() {
            return None;
        }
        let mut state = 0;
        let mut changed_samples = Vec::new();
        for step in self.steps.into_iter().rev() {
            match step {
                Step::EndOfRow { bit } => state = (state << 1 | bit) & (STATES - 1),
                Step::Column { pattern, sample, changed } => {
                    if changed >> state & 1 == 1 {
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

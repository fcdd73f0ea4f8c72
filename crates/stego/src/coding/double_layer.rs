//! A double-layered syndrome-trellis code for changes of ±1.
//!
//! T. Filler, J. Judas, J. Fridrich, *Minimizing Additive Distortion in Steganography Using Syndrome-Trellis
//! Codes*, IEEE Transactions on Information Forensics and Security 6 (2011), section VI, with the layers in
//! the other order. The first layer is a syndrome-trellis code over the lowest bits. Whether a changed sample
//! goes up or down is free then, and decides on its second lowest bit; so the second layer is a code for
//! writing on wet paper (Fridrich, Goljan, Lisoněk, Soukal, *Writing on Wet Paper*, IEEE Transactions on
//! Signal Processing 53, 2005) whose dry places are the changes. It carries about one bit per change and has
//! almost no loss, so that only the first layer is behind the bound. Both matrices are those of
//! `docs/format.md`, section "Carrier `adaptive`".

mod signs;

use super::viterbi::{HEIGHTS, MAX_COST, Search, Step};

/// Bit of a place: the lowest bit of the sample.
pub(crate) const LOWEST: u8 = 1;
/// Bit of a place: the second lowest bit of the sample.
pub(crate) const SECOND: u8 = 2;
/// Bit of a place: a change keeps the second lowest bit, as the sample can go one way only.
pub(crate) const ONE_WAY: u8 = 4;

/// Steps of a row at most: the cheapest places. Where a row has more, the code changes one place in several
/// rows, and the ratio to the bound is the same with 12 steps as with all.
const MAX_STEPS: usize = 20;

/// 2^64 divided by the golden ratio, the odd number next to it.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// The columns of both parity-check matrices.
pub(crate) struct Code {
    height: u32,
    columns: Vec<u16>,
    signs: Vec<u128>,
}

/// Lengths of the two messages of a segment, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) first: usize,
    pub(crate) second: usize,
}

/// Memory of an encoder, kept from segment to segment.
#[derive(Default)]
pub(crate) struct Workspace {
    search: Search,
    row: Vec<Step>,
}

impl Code {
    /// Creates the columns for segments of at most `places`. `height` is the constraint height.
    pub(crate) fn new(height: u32, places: usize) -> Self {
        debug_assert!(HEIGHTS.contains(&height), "a height that readers know");
        // Multiples of the golden ratio: columns of places close to each other differ, most of them in many
        // bits.
        let column = |place: u64| {
            let inner = place.wrapping_mul(GOLDEN_RATIO) >> (u64::BITS - (height - 2));
            u16::try_from(1 << (height - 1) | inner << 1 | 1).unwrap_or_default()
        };
        let signs = |place: u64| u128::from(mixed(2 * place)) << 64 | u128::from(mixed(2 * place + 1));
        let places = places as u64;
        Self { height, columns: (0..places).map(column).collect(), signs: (0..places).map(signs).collect() }
    }

    /// Returns the two messages, a bit in each byte, carried by `places`: the two lowest bits of each sample.
    pub(crate) fn read(&self, places: &[u8], rows: Rows) -> [Vec<u8>; 2] {
        [self.first(places.iter().copied(), places.len(), rows.first), self.second(places, rows.second)]
    }

    /// Decides on the changes that carry `messages`, a bit in each byte. `places` are the bits of the
    /// samples, and become the changes: [`LOWEST`] if the sample changes, [`SECOND`] if its second lowest bit
    /// does too. `levels` are costs of changes in any unit, from −[`MAX_COST`] to [`MAX_COST`]; below 0 a
    /// change gains. `free` gives the second bits that no message needs. False if the second message has no
    /// solution, and `places` are as before.
    pub(crate) fn embed(
        &self,
        places: &mut [u8],
        levels: &[i16],
        messages: [&[u8]; 2],
        free: impl FnMut() -> bool,
        workspace: &mut Workspace,
    ) -> bool {
        debug_assert_eq!(places.len(), levels.len(), "a level for each place");
        debug_assert!(messages[0].len() <= places.len(), "a place for each row");
        let mut changes = self.cheapest_changes(places, levels, messages[0], workspace);
        let rows = messages[1].len();
        let mut wanted = self.second(places, rows);
        wanted.iter_mut().zip(messages[1]).for_each(|(bit, wanted)| *bit ^= wanted & 1);
        let starts = rows_of(places.len(), rows).map(signs::start);
        let dry: Vec<signs::Dry> = starts
            .zip(&self.signs)
            .enumerate()
            .filter(|&(place, _)| changes[place] == LOWEST && places[place] & ONE_WAY == 0)
            .map(|(place, (start, &column))| signs::Dry { place, start, column })
            .collect();
        let is_solved = signs::solve(&dry, &wanted, free, |place| {
            changes.get_mut(place).into_iter().for_each(|change| *change |= SECOND);
        });
        if is_solved {
            places.copy_from_slice(&changes);
        }
        is_solved
    }

    /// Returns the changes of the lowest bits with the first message.
    fn cheapest_changes(
        &self,
        places: &[u8],
        levels: &[i16],
        message: &[u8],
        Workspace { search, row: steps }: &mut Workspace,
    ) -> Vec<u8> {
        // A change that gains is made beforehand; taking it back costs what it gained.
        let mut changes: Vec<u8> = levels.iter().map(|&level| u8::from(level < 0)).collect();
        let before = places.iter().zip(&changes).map(|(place, change)| place ^ change);
        let carried = self.first(before, places.len(), message.len());
        search.clear();
        let row_count = message.len();
        let mut rows = rows_of(places.len(), message.len()).enumerate().peekable();
        for (row, (message, carried)) in message.iter().zip(&carried).enumerate() {
            steps.clear();
            // Rows after the last do not exist.
            let rows_left = u32::try_from(row_count - row).map_or(self.height, |left| left.min(self.height));
            let mask = u16::try_from((1_u32 << rows_left) - 1).unwrap_or(u16::MAX);
            while let Some((place, _)) = rows.next_if(|&(_, row_of_place)| row_of_place == row) {
                let column = self.columns[place] & mask;
                let cost = levels[place].unsigned_abs().min(MAX_COST);
                steps.push(Step { column, cost, place: u32::try_from(place).unwrap_or_default() });
            }
            if steps.len() > MAX_STEPS {
                steps.select_nth_unstable_by_key(MAX_STEPS, |step| (step.cost, step.place));
                steps.truncate(MAX_STEPS);
                steps.sort_unstable_by_key(|step| step.place);
            }
            search.steps.extend_from_slice(steps);
            search.end_row((message ^ carried) & 1 == 1);
        }
        let is_carried = search.run(self.height, |place| {
            changes.get_mut(place as usize).into_iter().for_each(|change| *change ^= LOWEST);
        });
        debug_assert!(is_carried, "each row has a place of its own");
        changes
    }

    /// Returns the first message, carried by the lowest bits of `count` places.
    fn first(&self, places: impl Iterator<Item = u8>, count: usize, rows: usize) -> Vec<u8> {
        let mut message = vec![0; rows];
        let (mut partial, mut last) = (0, 0);
        for ((place, row), column) in places.zip(rows_of(count, rows)).zip(&self.columns) {
            while last < row {
                message[last] = (partial & 1) as u8;
                partial >>= 1;
                last += 1;
            }
            partial ^= column & u16::from(place & LOWEST).wrapping_neg();
        }
        message.iter_mut().skip(last).for_each(|bit| {
            *bit = (partial & 1) as u8;
            partial >>= 1;
        });
        message
    }

    /// Returns the second message, carried by the second lowest bits.
    fn second(&self, places: &[u8], rows: usize) -> Vec<u8> {
        let mut message = vec![0; rows];
        let (mut partial, mut last) = (0_u128, 0);
        for ((place, row), column) in places.iter().zip(rows_of(places.len(), rows)).zip(&self.signs) {
            let start = signs::start(row);
            while last < start {
                message[last] = (partial & 1) as u8;
                partial >>= 1;
                last += 1;
            }
            partial ^= column & u128::from(place >> 1 & 1).wrapping_neg();
        }
        message.iter_mut().skip(last).for_each(|bit| {
            *bit = (partial & 1) as u8;
            partial >>= 1;
        });
        message
    }
}

/// Returns the row of each of `places`: ⌊k · `rows` / `places`⌋ for place k. Empty without rows.
fn rows_of(places: usize, rows: usize) -> impl Iterator<Item = usize> {
    debug_assert!(rows <= places, "a row has a place");
    let (mut row, mut rest) = (0, 0);
    (0..if rows > 0 { places } else { 0 }).map(move |_| {
        let of_place = row;
        rest += rows;
        if rest >= places {
            rest -= places;
            row += 1;
        }
        of_place
    })
}

/// Returns the output of SplitMix64 with this state (Steele, Lea and Flood, *Fast Splittable Pseudorandom
/// Number Generators*, OOPSLA 2014).
fn mixed(state: u64) -> u64 {
    let z = (state.wrapping_add(1)).wrapping_mul(GOLDEN_RATIO);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests;

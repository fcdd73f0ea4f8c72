//! The second layer: a system of linear equations modulo 2 in the second bits of the changed places.
//!
//! The column of a place is 128 random bits from the row `start` on, about half of them before the row that
//! the place belongs to. So the equations have a band of unknowns each, and elimination from the first row to
//! the last stays within the band.

/// Rows of a column before the row of its place.
const LEAD: usize = 64;
/// Rows of a column.
const WINDOW: usize = u128::BITS as usize;
/// Words of an equation. A window of rows has at most [`MAX_UNKNOWNS`] unknowns, which begin anywhere in a
/// word.
const WORDS: usize = MAX_UNKNOWNS / 64 + 1;
const MAX_UNKNOWNS: usize = 512;

/// A changed place whose second bit is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dry {
    pub(super) place: usize,
    /// The first row of the column.
    pub(super) start: usize,
    pub(super) column: u128,
}

/// Returns the first row of the column of a place that belongs to `row`.
pub(super) fn start(row: usize) -> usize {
    row.saturating_sub(LEAD)
}

/// An equation: the unknowns that sum to `sum`, from the unknown 64 · `first` on.
#[derive(Debug, Clone, Copy)]
struct Equation {
    first: usize,
    unknowns: [u64; WORDS],
    sum: bool,
}

/// Calls `set` for the places whose second bit is 1 in a solution of `wanted`, a bit in each byte. `free`
/// decides on those that no equation needs. False without a call of `set` if there is no solution. `dry` is
/// in ascending order.
pub(super) fn solve(
    dry: &[Dry],
    wanted: &[u8],
    mut free: impl FnMut() -> bool,
    mut set: impl FnMut(usize),
) -> bool {
    let unknowns = selected(dry, wanted.len());
    // The places that are no unknowns have their bits before.
    let mut wanted = wanted.to_vec();
    let mut chosen = Vec::new();
    let mut next = unknowns.iter().peekable();
    for dry in dry {
        if next.next_if(|unknown| unknown.place == dry.place).is_none() && free() {
            let rows = wanted.iter_mut().skip(dry.start).take(WINDOW).enumerate();
            rows.for_each(|(row, wanted)| *wanted ^= (dry.column >> row & 1) as u8);
            chosen.push(dry.place);
        }
    }
    let Some(leading) = eliminated(&unknowns, &wanted) else { return false };
    let mut values = vec![0_u64; unknowns.len() / 64 + WORDS];
    for (i, leading) in leading.iter().enumerate().rev() {
        let value = leading.as_ref().map_or_else(&mut free, |equation| {
            // The leading unknown is still 0.
            let later = equation.unknowns.iter().zip(values.iter().skip(equation.first));
            let ones: u32 = later.map(|(unknowns, values)| (unknowns & values).count_ones()).sum();
            equation.sum ^ (ones % 2 == 1)
        });
        values[i / 64] |= u64::from(value) << (i % 64);
    }
    chosen.into_iter().for_each(&mut set);
    let ones = unknowns.iter().enumerate().filter(|(i, _)| values[i / 64] >> (i % 64) & 1 == 1);
    ones.for_each(|(_, unknown)| set(unknown.place));
    true
}

/// Returns unknowns enough for `rows` equations, evenly, and at most [`MAX_UNKNOWNS`] in a window of rows.
fn selected(dry: &[Dry], rows: usize) -> Vec<Dry> {
    let len = dry.len();
    let wanted = (rows + rows / 2 + LEAD).min(len);
    let even = dry.iter().enumerate().filter(|(i, _)| i * wanted / len < (i + 1) * wanted / len);
    let mut unknowns: Vec<Dry> = Vec::with_capacity(wanted);
    let mut window = 0;
    for (_, dry) in even {
        while unknowns.get(window).is_some_and(|first| first.start + WINDOW <= dry.start) {
            window += 1;
        }
        if unknowns.len() - window < MAX_UNKNOWNS {
            unknowns.push(*dry);
        }
    }
    unknowns
}

/// Returns for each unknown the equation that it is the first of, after elimination. `None` if the equations
/// contradict each other.
fn eliminated(unknowns: &[Dry], wanted: &[u8]) -> Option<Vec<Option<Equation>>> {
    let mut leading: Vec<Option<Equation>> = vec![None; unknowns.len()];
    let (mut window, mut end) = (0, 0);
    for (row, wanted) in wanted.iter().enumerate() {
        while unknowns.get(window).is_some_and(|unknown| unknown.start + WINDOW <= row) {
            window += 1;
        }
        while unknowns.get(end).is_some_and(|unknown| unknown.start <= row) {
            end += 1;
        }
        let mut equation = Equation { first: window / 64, unknowns: [0; WORDS], sum: wanted & 1 == 1 };
        for (i, unknown) in unknowns.iter().enumerate().take(end).skip(window) {
            let bit = u64::from(unknown.column >> (row - unknown.start) & 1 == 1);
            equation.unknowns[i / 64 - equation.first] |= bit << (i % 64);
        }
        reduce(equation, &mut leading)?;
    }
    Some(leading)
}

/// Takes the leading unknowns of other equations out of an equation, and keeps it if an unknown is left.
fn reduce(mut equation: Equation, leading: &mut [Option<Equation>]) -> Option<()> {
    for word in 0..WORDS {
        while equation.unknowns[word] != 0 {
            let bit = equation.unknowns[word].trailing_zeros() as usize;
            let slot = &mut leading[64 * (equation.first + word) + bit];
            let Some(other) = slot else {
                *slot = Some(equation);
                return Some(());
            };
            // Words of the other before its leading unknown are 0, and its first word is none after this
            // one's.
            let shift = equation.first - other.first;
            equation
                .unknowns
                .iter_mut()
                .zip(&other.unknowns[shift..])
                .for_each(|(word, other)| *word ^= other);
            equation.sum ^= other.sum;
        }
    }
    (!equation.sum).then_some(())
}

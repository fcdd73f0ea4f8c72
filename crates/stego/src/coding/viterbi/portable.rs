//! The steps in portable code.

use super::{LANES, Step, UNREACHED, decision_bit};

type Vector = [u16; LANES];

/// Searches from the first row to the last, and appends the decisions. True if a path reaches the end.
pub(super) fn forward(height: u32, steps: &[Step], rows: &[u32], decisions: &mut Vec<u32>) -> bool {
    match height {
        7 => Trellis::<4>::forward(steps, rows, decisions),
        8 => Trellis::<8>::forward(steps, rows, decisions),
        9 => Trellis::<16>::forward(steps, rows, decisions),
        10 => Trellis::<32>::forward(steps, rows, decisions),
        11 => Trellis::<64>::forward(steps, rows, decisions),
        _ => Trellis::<128>::forward(steps, rows, decisions),
    }
}

/// Metrics of the states, those with an even and with an odd number apart: a step leads from each state to
/// one of the other kind.
struct Trellis<const GROUPS: usize> {
    even: [Vector; GROUPS],
    odd: [Vector; GROUPS],
}

impl<const GROUPS: usize> Trellis<GROUPS> {
    fn forward(steps: &[Step], rows: &[u32], decisions: &mut Vec<u32>) -> bool {
        let mut trellis = Self { even: [[UNREACHED; LANES]; GROUPS], odd: [[UNREACHED; LANES]; GROUPS] };
        trellis.even[0][0] = 0;
        decisions.reserve(steps.len() * GROUPS);
        let mut start = 0;
        for row in rows {
            let end = (row >> 1) as usize;
            for step in steps.get(start..end).unwrap_or_default() {
                decisions.extend(trellis.step(*step));
            }
            trellis.end_row(row & 1);
            start = end;
        }
        trellis.even[0][0] != UNREACHED
    }

    fn step(&mut self, step: Step) -> [u32; GROUPS] {
        // The state 2 · i meets 2 · (i ^ half) + 1.
        let half = usize::from(step.column / 2);
        let (group, lane) = (half / LANES, half % LANES);
        std::array::from_fn(|g| {
            let (even, odd) = (&mut self.even[g], &mut self.odd[(g ^ group) % GROUPS]);
            let mut word = 0;
            for (l, even) in even.iter_mut().enumerate() {
                let odd = &mut odd[(l ^ lane) % LANES];
                let (by_odd, by_even) = (odd.saturating_add(step.cost), even.saturating_add(step.cost));
                word |= u32::from(*even <= by_odd) << decision_bit(l);
                word |= u32::from(*odd <= by_even) << (decision_bit(l) + 8);
                (*even, *odd) = ((*even).min(by_odd), (*odd).min(by_even));
            }
            word
        })
    }

    /// Keeps the states whose lowest bit is `bit`, with the least metric as 0, and moves on by a row.
    fn end_row(&mut self, bit: u32) {
        let kept = if bit == 0 { self.even } else { self.odd };
        let least = kept.iter().flatten().copied().min().unwrap_or_default();
        (self.even, self.odd) = ([[UNREACHED; LANES]; GROUPS], [[UNREACHED; LANES]; GROUPS]);
        for (state, metric) in kept.into_iter().flatten().enumerate() {
            let states = if state % 2 == 0 { &mut self.even } else { &mut self.odd };
            let metric = if metric == UNREACHED { metric } else { metric - least };
            states[state / 2 / LANES][state / 2 % LANES] = metric;
        }
    }
}

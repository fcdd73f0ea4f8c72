//! PNG's row filters (third edition, section 9), forwards.

/// The filter types of filter method 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    None = 0,
    Sub = 1,
    Up = 2,
    Average = 3,
    Paeth = 4,
}

impl Filter {
    /// Every filter, in the order of the enum.
    pub(super) const ALL: [Self; 5] = [Self::None, Self::Sub, Self::Up, Self::Average, Self::Paeth];

    /// Returns the filter of a filtered row with this first byte.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// Filters rows one after the other, choosing for each the filter with the smallest sum of absolute
/// differences (12.7), close to the smallest file.
pub(super) struct RowFilter {
    pixel_len: usize,
    /// Filters in the order tried: the first of those with the smallest sum is chosen.
    filters: &'static [Filter],
    tried: Vec<u8>,
    best: Vec<u8>,
}

impl RowFilter {
    /// For rows of pixels of `pixel_len` bytes.
    pub(super) fn new(pixel_len: usize, filters: &'static [Filter]) -> Self {
        debug_assert!(!filters.is_empty(), "a row has a filter");
        Self { pixel_len, filters, tried: Vec::new(), best: Vec::new() }
    }

    /// Appends the filter's type and the filtered `row` to `out`; `above` is the previous row, of equal
    /// length, empty for the first.
    pub(super) fn append(&mut self, row: &[u8], above: &[u8], out: &mut Vec<u8>) {
        let (mut chosen, mut least) = (Filter::None, u64::MAX);
        for &filter in self.filters {
            // Nothing is less than nothing, and an equal sum does not count.
            if least == 0 {
                break;
            }
            self.tried.resize(row.len(), 0);
            apply(filter, row, above, self.pixel_len, &mut self.tried);
            let sum = sum_of_differences(&self.tried);
            if sum < least {
                (chosen, least) = (filter, sum);
                std::mem::swap(&mut self.tried, &mut self.best);
            }
        }
        out.push(chosen as u8);
        out.extend_from_slice(&self.best);
    }
}

/// Returns the sum of the bytes as distances from zero: those above 127 count as negative.
fn sum_of_differences(filtered: &[u8]) -> u64 {
    // Sums of 32 bits are vectorized, and do not overflow in a part.
    let of_part =
        |part: &[u8]| part.iter().map(|&byte| u32::from(byte.min(byte.wrapping_neg()))).sum::<u32>();
    filtered.chunks(1 << 16).map(|part| u64::from(of_part(part))).sum()
}

/// Filters `row` into `out`, of equal length; `above` is the previous row, of equal length, empty for the
/// first.
pub(super) fn apply(filter: Filter, row: &[u8], above: &[u8], pixel_len: usize, out: &mut [u8]) {
    debug_assert_eq!(out.len(), row.len(), "filters keep the length of a row");
    debug_assert!(above.is_empty() || above.len() == row.len(), "rows are of equal length");
    let first = pixel_len.min(row.len());
    let left = &row[..row.len() - first];
    match (filter, above.is_empty()) {
        (Filter::None, _) | (Filter::Up, true) => out.copy_from_slice(row),
        (Filter::Sub, _) | (Filter::Paeth, true) => {
            out[..first].copy_from_slice(&row[..first]);
            zip(&mut out[first..], &row[first..], left, u8::wrapping_sub);
        }
        (Filter::Up, false) => zip(out, row, above, u8::wrapping_sub),
        (Filter::Average, true) => {
            out[..first].copy_from_slice(&row[..first]);
            zip(&mut out[first..], &row[first..], left, |byte, left| byte.wrapping_sub(left / 2));
        }
        (Filter::Average, false) => {
            zip(&mut out[..first], &row[..first], &above[..first], |byte, above| {
                byte.wrapping_sub(above / 2)
            });
            let neighbours = left.iter().zip(&above[first..]);
            for ((out, &byte), (&left, &above)) in out[first..].iter_mut().zip(&row[first..]).zip(neighbours)
            {
                *out = byte.wrapping_sub(((u16::from(left) + u16::from(above)) / 2) as u8);
            }
        }
        (Filter::Paeth, false) => {
            zip(&mut out[..first], &row[..first], &above[..first], u8::wrapping_sub);
            let neighbours = left.iter().zip(&above[first..]).zip(above);
            for ((out, &byte), ((&left, &up), &corner)) in
                out[first..].iter_mut().zip(&row[first..]).zip(neighbours)
            {
                *out = byte.wrapping_sub(paeth(left, up, corner));
            }
        }
    }
}

/// Restores a filtered `row`; `above` is the previous row, of equal length, empty for the first.
pub(super) fn undo(filter: Filter, row: &mut [u8], above: &[u8], pixel_len: usize) {
    debug_assert!(above.is_empty() || above.len() == row.len(), "rows are of equal length");
    let first = pixel_len.min(row.len());
    match (filter, above.is_empty()) {
        (Filter::None, _) | (Filter::Up, true) => {}
        (Filter::Up, false) => {
            row.iter_mut().zip(above).for_each(|(byte, &above)| *byte = byte.wrapping_add(above));
        }
        (Filter::Sub, _) | (Filter::Paeth, true) => {
            (first..row.len()).for_each(|x| row[x] = row[x].wrapping_add(row[x - first]));
        }
        (Filter::Average, true) => {
            (first..row.len()).for_each(|x| row[x] = row[x].wrapping_add(row[x - first] / 2));
        }
        (Filter::Average, false) => {
            (0..first).for_each(|x| row[x] = row[x].wrapping_add(above[x] / 2));
            for (x, &up) in above.iter().enumerate().skip(first) {
                let mean = ((u16::from(row[x - first]) + u16::from(up)) / 2) as u8;
                row[x] = row[x].wrapping_add(mean);
            }
        }
        (Filter::Paeth, false) => {
            (0..first).for_each(|x| row[x] = row[x].wrapping_add(above[x]));
            for x in first..row.len() {
                row[x] = row[x].wrapping_add(paeth(row[x - first], above[x], above[x - first]));
            }
        }
    }
}

fn zip(out: &mut [u8], a: &[u8], b: &[u8], f: impl Fn(u8, u8) -> u8) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = f(a, b);
    }
}

/// Selects the neighbour closest to left + up − corner; left before up before corner for equal distances
/// (9.4). The form with distances only needs no branches.
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    let nearer = if to_left <= to_up { a } else { b };
    let least = to_left.min(to_up);
    (if least <= to_corner { nearer } else { c }) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The work of a reader (table 9.1), byte by byte.
    fn undone(filter: u8, filtered: &[u8], above: &[u8], pixel_len: usize) -> Vec<u8> {
        let mut row: Vec<u8> = Vec::new();
        for (x, &byte) in filtered.iter().enumerate() {
            let left = if x >= pixel_len { row[x - pixel_len] } else { 0 };
            let up = above.get(x).copied().unwrap_or(0);
            let corner = if x >= pixel_len { above.get(x - pixel_len).copied().unwrap_or(0) } else { 0 };
            let predicted = match filter {
                0 => 0,
                1 => left,
                2 => up,
                3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
                _ => {
                    let p = i32::from(left) + i32::from(up) - i32::from(corner);
                    let [pa, pb, pc] = [left, up, corner].map(|v| (p - i32::from(v)).abs());
                    if pa <= pb && pa <= pc {
                        left
                    } else if pb <= pc {
                        up
                    } else {
                        corner
                    }
                }
            };
            row.push(byte.wrapping_add(predicted));
        }
        row
    }

    #[test]
    fn every_filter_can_be_undone() {
        let noise = |seed: u32, len: usize| -> Vec<u8> {
            (0..len as u32).map(|i| (i.wrapping_mul(seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
        };
        for pixel_len in [1, 2, 3, 4, 6, 8] {
            for pixels in [1, 2, 7, 100] {
                let (row, above) = (noise(3, pixels * pixel_len), noise(5, pixels * pixel_len));
                for above in [&above[..], &[]] {
                    for filter in Filter::ALL {
                        let mut filtered = vec![0; row.len()];
                        apply(filter, &row, above, pixel_len, &mut filtered);
                        assert_eq!(
                            undone(filter as u8, &filtered, above, pixel_len),
                            row,
                            "{filter:?} {pixel_len}"
                        );
                        undo(filter, &mut filtered, above, pixel_len);
                        assert_eq!(filtered, row, "{filter:?} {pixel_len}");
                    }
                }
            }
        }
    }

    #[test]
    fn flat_rows_cost_nothing_with_the_filter_chosen() {
        let mut out = Vec::new();
        let mut filter = RowFilter::new(3, &Filter::ALL);
        filter.append(&[9; 30], &[], &mut out);
        filter.append(&[9; 30], &[9; 30], &mut out);
        assert_eq!(out[0], Filter::Sub as u8);
        assert_eq!(out[31..], [&[Filter::Up as u8][..], &[0; 30]].concat());
    }
}

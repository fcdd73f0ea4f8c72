//! Costs of changes by HILL, in integers.
//!
//! B. Li, M. Wang, J. Huang, X. Li, *A New Cost Function for Spatial Image Steganography*, IEEE ICIP 2014:
//! the magnitude of the residual of the high-pass filter by Ker and Böhme, its mean over 3 × 3 samples, and
//! the mean of the reciprocals over 15 × 15 samples. Each channel on its own; beyond the edges a channel is
//! mirrored, at each of the three filters. Sums stand for the means.

use super::layout::Layout;
use crate::codec::cover::Cover;
use crate::watch::{Stage, Stopped, Watch};

/// Cost of a change, rounded to 13 bits: 5 bits of a binary exponent and 8 bits of the mantissa.
pub(super) type CostClass = u16;

/// Number of classes.
pub(super) const CLASSES: usize = 1 << (EXPONENT_BITS + MANTISSA_BITS);

const EXPONENT_BITS: u32 = 5;
const MANTISSA_BITS: u32 = 8;
/// Exponent of the least cost: 225 reciprocals of the greatest residual sum to more than 2^13.
const LEAST_EXPONENT: u32 = 13;

/// Half the width of the window of reciprocals.
const REACH: usize = 7;
const WINDOW: usize = 2 * REACH + 1;
/// Rows of reciprocals that are kept: those of a window, and the one that leaves it.
const RING: usize = WINDOW + 1;

/// Reciprocal of 0, where nine residuals are all 0. A window of them is the greatest sum of 32 bits.
const FLAT: u32 = u32::MAX / 225;
/// Doublings of a sum that has a reciprocal of 0 in it. A change beside a flat spot is far more conspicuous
/// than any other, and costs so much in the original as well.
const FLAT_DOUBLINGS: u32 = 8;

/// Returns the middle of the costs in a class.
pub(super) fn cost(class: CostClass) -> f64 {
    let mantissa = f64::from(class & ((1 << MANTISSA_BITS) - 1));
    let exponent = i32::from(class >> MANTISSA_BITS);
    (1.0 + (mantissa + 0.5) / f64::from(1 << MANTISSA_BITS))
        * f64::from(2_u32.pow(exponent.unsigned_abs() / 2))
        * f64::from(2_u32.pow(exponent.unsigned_abs().div_ceil(2)))
}

/// Returns the class of a sum of reciprocals.
pub(super) fn class_of(sum: u32) -> CostClass {
    let sum = u64::from(sum) << if sum >= FLAT { FLAT_DOUBLINGS } else { 0 };
    let sum = sum.max(1 << LEAST_EXPONENT);
    let exponent = sum.ilog2();
    let mantissa = sum >> (exponent - MANTISSA_BITS) & ((1 << MANTISSA_BITS) - 1);
    let class = u64::from(exponent - LEAST_EXPONENT) << MANTISSA_BITS | mantissa;
    debug_assert!(class < CLASSES as u64, "40 bits at most");
    CostClass::try_from(class).unwrap_or(CostClass::MAX)
}

/// Calls `each` with the sums of each row, in the order of the row's carrying samples, from the top.
///
/// # Errors
///
/// [`Stopped`] if `watch` ends the work.
pub(super) fn rows(
    cover: &Cover,
    layout: Layout,
    watch: &Watch,
    mut each: impl FnMut(usize, &[u32]),
) -> Result<(), Stopped> {
    let height = cover.height() as usize;
    let mut filters = Filters::new(cover, layout);
    for y in 0..height {
        watch.check(Stage::Choose, y as u64, height as u64)?;
        each(y, filters.sums(y));
    }
    Ok(())
}

/// The filters, from the top of a cover to the bottom.
struct Filters<'c> {
    cover: &'c Cover,
    layout: Layout,
    /// Samples of a pixel that carry.
    channels: usize,
    height: usize,
    /// Reciprocals by the sum of nine residuals; empty for samples of 16 bits.
    reciprocals: Vec<u32>,
    /// Values of three rows, with a pixel more on each side; row y at y mod 3.
    values: [Vec<i32>; 3],
    /// Horizontal sums of three residuals, of three rows; row y at y mod 3.
    residuals: [Vec<u32>; 3],
    /// Reciprocals of the last rows; row y at y mod [`RING`].
    ring: Vec<Vec<u32>>,
    /// Rows of values, residuals and reciprocals made so far.
    made: [usize; 3],
    /// Vertical sums of the window's reciprocals, with [`REACH`] pixels more on each side.
    columns: Vec<u32>,
    curvature: Vec<i32>,
    magnitudes: Vec<u32>,
    /// Horizontal sums of two and four columns, and of the window.
    boxes: [Vec<u32>; 3],
}

const VALUES: usize = 0;
const RESIDUALS: usize = 1;
const RECIPROCALS: usize = 2;

impl<'c> Filters<'c> {
    fn new(cover: &'c Cover, layout: Layout) -> Self {
        let channels = layout.carrying_len / layout.sample_len;
        let len = cover.width() as usize * channels;
        let (padded, wide) = (len + 2 * channels, len + 2 * REACH * channels);
        let is_shallow = layout.sample_len == 1;
        let reciprocals = if is_shallow { (0..=9 * 8 * 255).map(reciprocal_8).collect() } else { Vec::new() };
        let mut filters = Self {
            cover,
            layout,
            channels,
            height: cover.height() as usize,
            reciprocals,
            values: std::array::from_fn(|_| vec![0; padded]),
            residuals: std::array::from_fn(|_| vec![0; len]),
            ring: vec![vec![0; len]; RING],
            made: [0; 3],
            columns: vec![0; wide],
            curvature: vec![0; padded],
            magnitudes: vec![0; padded],
            boxes: [vec![0; wide], vec![0; wide], vec![0; len]],
        };
        // The window of the row before the first, without the row that leaves it next.
        for row in 0..2 * REACH {
            filters.add_row(row as isize - REACH as isize);
        }
        filters
    }

    /// Returns the sums of row `y`. The rows are asked for in order.
    fn sums(&mut self, y: usize) -> &[u32] {
        let (y, reach) = (y as isize, REACH as isize);
        self.add_row(y + reach);
        let Self { channels, columns, boxes: [two, four, sums], .. } = self;
        mirror_ends(columns, REACH, *channels);
        let ahead = |pixels: usize| pixels * *channels;
        for (sum, (a, b)) in two.iter_mut().zip(columns.iter().zip(&columns[ahead(1)..])) {
            *sum = a + b;
        }
        for (sum, (a, b)) in four.iter_mut().zip(two.iter().zip(&two[ahead(2)..])) {
            *sum = a + b;
        }
        let eight = four.iter().zip(&four[ahead(4)..]).zip(&four[ahead(8)..]);
        let rest = two[ahead(12)..].iter().zip(&columns[ahead(14)..]);
        for (sum, (((a, b), c), (d, e))) in sums.iter_mut().zip(eight.zip(rest)) {
            *sum = a + b + c + d + e;
        }
        let leaving = mirrored(y - reach, self.height);
        let interior = &mut self.columns[REACH * self.channels..];
        interior.iter_mut().zip(&self.ring[leaving % RING]).for_each(|(sum, reciprocal)| *sum -= reciprocal);
        &self.boxes[2]
    }

    /// Adds a row, or the one that it mirrors, to the window.
    fn add_row(&mut self, y: isize) {
        let row = mirrored(y, self.height);
        while self.made[RECIPROCALS] <= row {
            self.make_reciprocals();
        }
        let interior = &mut self.columns[REACH * self.channels..];
        interior.iter_mut().zip(&self.ring[row % RING]).for_each(|(sum, reciprocal)| *sum += reciprocal);
    }

    fn make_reciprocals(&mut self) {
        let y = self.made[RECIPROCALS];
        while self.made[RESIDUALS] <= mirrored(y as isize + 1, self.height) {
            self.make_residuals();
        }
        let [above, at, below] =
            [-1, 0, 1].map(|d| &self.residuals[mirrored(y as isize + d, self.height) % 3]);
        let sums = above.iter().zip(at).zip(below).map(|((a, b), c)| a + b + c);
        let to = self.ring[y % RING].iter_mut().zip(sums);
        if self.reciprocals.is_empty() {
            to.for_each(|(reciprocal, sum)| *reciprocal = reciprocal_16(sum));
        } else {
            let table = &self.reciprocals;
            to.for_each(|(reciprocal, sum)| {
                *reciprocal = table.get(sum as usize).copied().unwrap_or_default()
            });
        }
        self.made[RECIPROCALS] += 1;
    }

    /// The filter is the second difference of second differences.
    fn make_residuals(&mut self) {
        let y = self.made[RESIDUALS];
        while self.made[VALUES] <= mirrored(y as isize + 1, self.height) {
            self.make_values();
        }
        let Self { values, curvature, magnitudes, channels, .. } = self;
        let [above, at, below] = [-1, 0, 1].map(|d| &values[mirrored(y as isize + d, self.height) % 3]);
        for (curvature, ((a, b), c)) in curvature.iter_mut().zip(above.iter().zip(at).zip(below)) {
            *curvature = a - 2 * b + c;
        }
        let ahead = curvature[*channels..].iter().zip(&curvature[2 * *channels..]);
        for (magnitude, (a, (b, c))) in magnitudes[*channels..].iter_mut().zip(curvature.iter().zip(ahead)) {
            *magnitude = (a - 2 * b + c).unsigned_abs();
        }
        mirror_ends(magnitudes, 1, *channels);
        let ahead = magnitudes[*channels..].iter().zip(&magnitudes[2 * *channels..]);
        for (sum, (a, (b, c))) in self.residuals[y % 3].iter_mut().zip(magnitudes.iter().zip(ahead)) {
            *sum = a + b + c;
        }
        self.made[RESIDUALS] += 1;
    }

    fn make_values(&mut self) {
        let y = self.made[VALUES];
        let Layout { pixel_len, carrying_len, sample_len, .. } = self.layout;
        let row_len = self.cover.info().row_len_bytes();
        let row = self.cover.samples().get(y * row_len..(y + 1) * row_len).unwrap_or_default();
        let values = &mut self.values[y % 3];
        let interior = values[self.channels..].iter_mut();
        match (sample_len, pixel_len == carrying_len) {
            (1, true) => interior.zip(row).for_each(|(value, &byte)| *value = byte.into()),
            (1, false) => {
                let samples = row.chunks_exact(pixel_len).flat_map(|pixel| &pixel[..carrying_len]);
                interior.zip(samples).for_each(|(value, &byte)| *value = byte.into());
            }
            _ => {
                let samples =
                    row.chunks_exact(pixel_len).flat_map(|pixel| pixel[..carrying_len].as_chunks().0);
                interior.zip(samples).for_each(|(value, bytes)| *value = u16::from_be_bytes(*bytes).into());
            }
        }
        mirror_ends(values, 1, self.channels);
        self.made[VALUES] += 1;
    }
}

/// Fills `reach` pixels at both ends of a row with those that they mirror.
fn mirror_ends<T: Copy>(row: &mut [T], reach: usize, channels: usize) {
    let pixels = row.len() / channels - 2 * reach;
    let beyond = (1..=reach).flat_map(|i| [-(i as isize), (pixels + i) as isize - 1]);
    for position in beyond {
        let from = (reach + mirrored(position, pixels)) * channels;
        let to = (reach as isize + position).unsigned_abs() * channels;
        row.copy_within(from..from + channels, to);
    }
}

/// Returns the index in 0..`len` that a position beyond the edges mirrors, edges included.
fn mirrored(position: isize, len: usize) -> usize {
    let period = 2 * len as isize;
    let at = position.rem_euclid(period).unsigned_abs();
    at.min(2 * len - 1 - at)
}

/// Returns the reciprocal of a sum of nine residuals of samples of 8 bits.
fn reciprocal_8(sum: u32) -> u32 {
    (1_u32 << 20).checked_div(sum).map_or(FLAT, |reciprocal| reciprocal.min(FLAT))
}

/// Returns the reciprocal of a sum of nine residuals of samples of 16 bits.
fn reciprocal_16(sum: u32) -> u32 {
    (1_u32 << 28).checked_div(sum).map_or(FLAT, |reciprocal| reciprocal.min(FLAT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::format::Channels;

    /// The filters by their definition, with the means of the paper in floating-point numbers.
    fn by_definition(values: &[f64], width: usize, height: usize) -> Vec<f64> {
        let at = |plane: &[f64], x: isize, y: isize| plane[mirrored(y, height) * width + mirrored(x, width)];
        let filtered = |plane: &[f64], reach: isize, weight: &dyn Fn(isize, isize) -> f64| -> Vec<f64> {
            let positions = (0..height as isize).flat_map(|y| (0..width as isize).map(move |x| (x, y)));
            let window = || (-reach..=reach).flat_map(move |dy| (-reach..=reach).map(move |dx| (dx, dy)));
            positions
                .map(|(x, y)| window().map(|(dx, dy)| weight(dx, dy) * at(plane, x + dx, y + dy)).sum())
                .collect()
        };
        let high_pass =
            |dx: isize, dy: isize| [2.0, -1.0][dx.unsigned_abs()] * [2.0, -1.0][dy.unsigned_abs()] / 4.0;
        let residuals: Vec<f64> =
            filtered(values, 1, &high_pass).iter().map(|residual| residual.abs()).collect();
        let means = filtered(&residuals, 1, &|_, _| 1.0 / 9.0);
        let reciprocals: Vec<f64> = means.iter().map(|mean| 1.0 / mean).collect();
        filtered(&reciprocals, 7, &|_, _| 1.0 / 225.0)
    }

    fn sums(cover: &Cover) -> Vec<u32> {
        let mut sums = Vec::new();
        rows(cover, Layout::of(&cover.info()), &Watch::default(), |_, row| sums.extend_from_slice(row))
            .unwrap();
        sums
    }

    #[test]
    fn costs_are_those_of_the_paper() {
        for (width, height, channels) in [
            (40, 30, Channels::Rgb),
            (33, 50, Channels::Grey),
            (3, 90, Channels::Rgba),
            (90, 2, Channels::GreyAlpha),
            (1, 1, Channels::Rgb),
        ] {
            for is_deep in [false, true] {
                let noise =
                    testkit::noise(u64::from(width), (width * height) as usize * channels.count() * 2);
                let deep: Vec<u16> =
                    noise.as_chunks::<2>().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
                let shallow = noise[..deep.len()].to_vec();
                let (cover, values) = if is_deep {
                    let values: Vec<f64> = deep.iter().map(|&value| value.into()).collect();
                    (Cover::from_deep_samples(width, height, channels, &deep), values)
                } else {
                    let values: Vec<f64> = shallow.iter().map(|&value| value.into()).collect();
                    (Cover::from_samples(width, height, channels, shallow), values)
                };
                let found = sums(&cover.unwrap());
                let colours = channels.colour_count();
                for channel in 0..colours {
                    let plane: Vec<f64> =
                        values.iter().skip(channel).step_by(channels.count()).copied().collect();
                    let expected = by_definition(&plane, width as usize, height as usize);
                    // The unit of a sum: 225 reciprocals of sums of 36 times the mean residual.
                    let unit = 36.0 * 225.0 / f64::from(if is_deep { 1_u32 << 28 } else { 1 << 20 });
                    for (expected, &sum) in expected.iter().zip(found.iter().skip(channel).step_by(colours)) {
                        let cost = f64::from(sum) * unit / 225.0 / 225.0 * 225.0;
                        if expected.is_finite() {
                            assert!((cost / 225.0 / expected - 1.0).abs() < 0.02, "{cost} {expected}");
                        }
                    }
                }
            }
        }
    }

    /// Rounding to a class changes a cost by 1/512 at most, and keeps the order.
    #[test]
    fn classes_are_close_to_the_costs() {
        let mut last = 0;
        for i in 0..400_000_u32 {
            let sum = (i * 10_737).max(1 << LEAST_EXPONENT);
            let class = class_of(sum);
            let exact =
                f64::from(sum) * if sum >= FLAT { 256.0 } else { 1.0 } / f64::from(1 << LEAST_EXPONENT);
            assert!((cost(class) / exact - 1.0).abs() <= 1.0 / 512.0, "{sum}");
            assert!(class >= last, "{sum}");
            last = class;
        }
        assert_eq!(class_of(0), 0);
        assert!(usize::from(class_of(u32::MAX)) < CLASSES);
    }

    #[test]
    fn flat_images_cost_the_most() {
        let cover = Cover::from_samples(20, 20, Channels::Grey, vec![7; 400]).unwrap();
        assert!(sums(&cover).iter().all(|&sum| sum == 225 * FLAT));
    }
}

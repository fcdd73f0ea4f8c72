//! Integer hashing and gradient noise, evaluated a line at a time.
//!
//! Everything random in a test cover is a hash of a seed and integer coordinates: there is no generator with
//! a state, so a value does not depend on earlier calls.

use super::curve::mix;

/// A name for one source of randomness.
#[derive(Clone, Copy)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Derives an independent seed for part `key`.
    pub(super) fn part(self, key: u32) -> Self {
        Self(self.hash(key as i32, 0x51ED))
    }

    /// 32 well-mixed bits for a lattice point: coordinates and seed are summed with odd factors, then mixed
    /// like the end of xxHash32 (xxHash fast digest algorithm 0.1.1, step 7).
    pub(super) fn hash(self, x: i32, y: i32) -> u32 {
        const PRIME_1: u32 = 0x9E37_79B1;
        const PRIME_2: u32 = 0x85EB_CA77;
        const PRIME_3: u32 = 0xC2B2_AE3D;
        let lanes = (x as u32).wrapping_mul(PRIME_1).wrapping_add((y as u32).wrapping_mul(PRIME_3));
        let h = lanes.wrapping_add(self.0);
        let h = (h ^ (h >> 15)).wrapping_mul(PRIME_2);
        let h = (h ^ (h >> 13)).wrapping_mul(PRIME_3);
        h ^ (h >> 16)
    }

    /// Returns a number in 0..1 for a lattice point.
    pub(super) fn unit(self, x: i32, y: i32) -> f32 {
        // 24 bits: what an f32 holds exactly.
        (self.hash(x, y) >> 8) as f32 / 16_777_216.0
    }

    /// Returns a number in `low..high` for parameter `key`.
    pub(super) fn range(self, key: i32, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit(key, 0)
    }

    /// Returns the two components of a gradient at a lattice point, each in -1..1.
    fn gradient(self, x: i32, y: i32) -> (f32, f32) {
        const HALF: f32 = 1.0 / 32_768.0;
        let bits = self.hash(x, y);
        ((bits & 0xFFFF) as f32 * HALF - 1.0, (bits >> 16) as f32 * HALF - 1.0)
    }
}

/// Equally spaced sample points on a horizontal line through the noise plane: point `i` lies at `(x + i *
/// step, y)`. `footprint` is the side of the area of a sample; finer detail is left out, as a lens and a
/// pixel would average it away.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) step: f64,
    pub(super) footprint: f64,
}

impl Line {
    /// Returns the same points in a plane whose lattice is `frequency` times finer, shifted so that the
    /// octaves of a sum do not share lattice points.
    fn at_frequency(self, frequency: f64, octave: u32) -> Self {
        let shift = f64::from(octave) * 37.31;
        Self {
            x: self.x * frequency + shift,
            y: self.y * frequency - shift,
            step: self.step * frequency,
            footprint: self.footprint * frequency,
        }
    }
}

/// Sum of octaves of noise. `gain` of 0.5 with `lacunarity` of 2 gives the 1/f amplitude
/// spectrum of natural scenes (Field 1987, J. Opt. Soc. Am. A 4(12)).
#[derive(Clone, Copy)]
pub(super) struct Octaves {
    pub(super) count: u32,
    pub(super) frequency: f64,
    pub(super) lacunarity: f64,
    pub(super) gain: f32,
}

impl Octaves {
    /// `count` octaves of a 1/f spectrum, the coarsest with `frequency` lattice cells per unit.
    pub(super) fn pink(count: u32, frequency: f64) -> Self {
        Self { count, frequency, lacunarity: 2.03, gain: 0.5 }
    }
}

/// Value and slope of the noise at one point.
#[derive(Clone, Copy, Default)]
struct Sample {
    value: f32,
    slope_x: f32,
    slope_y: f32,
}

/// The noise in one lattice cell along a line. With `f` the offset from the left side of the cell and `fade`
/// Perlin's interpolant of `f`, the value is `near[0] + near[1] * f + fade * (far[0] + far[1] * f)`; the
/// derivative across the line has the same form.
#[derive(Clone, Copy)]
struct Cell {
    near: [f32; 2],
    far: [f32; 2],
    near_across: [f32; 2],
    far_across: [f32; 2],
}

/// One octave as it is added: its amplitude, and lattice cells per unit of the line.
#[derive(Clone, Copy)]
struct Layer {
    amplitude: f32,
    frequency: f32,
}

/// Evaluates gradient noise (Perlin 2002, "Improving Noise") along lines; holds the working
/// memory so that a picture allocates it once.
#[derive(Default)]
pub(super) struct Noise {
    cells: Vec<Cell>,
    sparse: Vec<Sample>,
    dense: Vec<Sample>,
}

impl Noise {
    /// Writes the sum of the octaves at every point of the line, roughly in -1..1.
    pub(super) fn sum(&mut self, seed: Seed, octaves: Octaves, line: Line, out: &mut [f32]) {
        self.layers(seed, octaves, line, out.len(), |total, sample, layer| {
            total.value += sample.value * layer.amplitude;
        });
        self.write_values(out);
    }

    /// Like [`Noise::sum`], with every octave weakened where the coarser ones are steep: smooth valley floors
    /// under jagged crests, as erosion leaves them (Quilez 2008, "Elevated"). The octaves are folded at zero
    /// (with a rounded edge), which forms crests.
    pub(super) fn eroded(&mut self, seed: Seed, octaves: Octaves, line: Line, out: &mut [f32]) {
        self.layers(seed, octaves, line, out.len(), |total, sample, layer| {
            let (x, y) = (total.slope_x + sample.slope_x, total.slope_y + sample.slope_y);
            // 0.64 - 1.6 v² / (|v| + 0.05), divided by 1 + 0.4 (x² + y²): one quotient for both.
            let fold = sample.value.abs() + 0.05;
            let crest = 0.64 * fold - 1.6 * sample.value * sample.value;
            let value = total.value + crest * layer.amplitude / (fold * (1.0 + 0.4 * (x * x + y * y)));
            *total = Sample { value, slope_x: x, slope_y: y };
        });
        self.write_values(out);
    }

    /// Writes the slopes (along the line, across it) of the sum of the octaves.
    pub(super) fn slopes(&mut self, seed: Seed, octaves: Octaves, line: Line, out: &mut [(f32, f32)]) {
        self.layers(seed, octaves, line, out.len(), |total, sample, layer| {
            let scale = layer.amplitude * layer.frequency;
            total.slope_x += sample.slope_x * scale;
            total.slope_y += sample.slope_y * scale;
        });
        for (slope, total) in out.iter_mut().zip(&self.dense) {
            *slope = (total.slope_x, total.slope_y);
        }
    }

    fn write_values(&self, out: &mut [f32]) {
        for (value, total) in out.iter_mut().zip(&self.dense) {
            *value = total.value;
        }
    }

    /// Adds up, in `dense`, the octaves that the footprint of the line leaves visible, coarse ones first. The
    /// coarsest change so little from point to point that every fourth point is evaluated and the others are
    /// interpolated linearly.
    fn layers(
        &mut self,
        seed: Seed,
        octaves: Octaves,
        line: Line,
        points: usize,
        add: impl Fn(&mut Sample, Sample, Layer),
    ) {
        const STRIDE: usize = 4;
        /// The longest straight line, in lattice cells.
        const LONGEST: f64 = 0.2;
        let mut sparse = std::mem::take(&mut self.sparse);
        let mut dense = std::mem::take(&mut self.dense);
        sparse.clear();
        sparse.resize(points / STRIDE + 2, Sample::default());
        let strided = Line { step: line.step * STRIDE as f64, ..line };
        let mut is_dense = false;
        let mut layer = Layer { amplitude: 1.0, frequency: octaves.frequency as f32 };
        let mut frequency = octaves.frequency;
        for octave in 0..octaves.count {
            let scaled = line.at_frequency(frequency, octave);
            // Nyquist's limit is half a cell per sample; the octave fades out before it.
            let visible = 1.0 - ((scaled.footprint.max(scaled.step) - 0.22) / 0.34).clamp(0.0, 1.0);
            if visible <= 0.0 {
                break;
            }
            layer.frequency = frequency as f32;
            let weighted = Layer { amplitude: layer.amplitude * visible as f32, ..layer };
            if !is_dense && scaled.step * STRIDE as f64 > LONGEST {
                spread(&sparse, STRIDE, points, &mut dense);
                is_dense = true;
            }
            let (line, totals) = if is_dense { (line, &mut dense) } else { (strided, &mut sparse) };
            let scaled = line.at_frequency(frequency, octave);
            self.octave(seed.part(octave), scaled, totals, |total, sample| add(total, sample, weighted));
            layer.amplitude *= octaves.gain;
            frequency *= octaves.lacunarity;
        }
        if !is_dense {
            spread(&sparse, STRIDE, points, &mut dense);
        }
        debug_assert_eq!(dense.len(), points, "one total for each point");
        self.sparse = sparse;
        self.dense = dense;
    }

    /// Calls `add` with every total and the sample of one octave at the same point.
    fn octave(&mut self, seed: Seed, line: Line, totals: &mut [Sample], add: impl Fn(&mut Sample, Sample)) {
        const FRACTION: f32 = 1.0 / 16_777_216.0;
        // 32.32 fixed point: adding the step is exact, however long the line.
        let first = line.x.floor();
        let start = ((line.x - first) * 4_294_967_296.0) as u64;
        let step = (line.step * 4_294_967_296.0) as u64;
        let count = ((start + step * totals.len() as u64) >> 32) + 1;
        self.fill_cells(seed, first as i32, line.y, count as i32);
        let mut position = start;
        for total in totals {
            let Some(cell) = self.cells.get((position >> 32) as usize) else { return };
            let f = ((position as u32) >> 8) as f32 * FRACTION;
            position += step;
            let (fade, rate) = quintic(f);
            let far = cell.far[0] + cell.far[1] * f;
            let far_across = cell.far_across[0] + cell.far_across[1] * f;
            let sample = Sample {
                value: cell.near[0] + cell.near[1] * f + fade * far,
                slope_x: cell.near[1] + fade * cell.far[1] + rate * far,
                slope_y: cell.near_across[0] + cell.near_across[1] * f + fade * far_across,
            };
            add(total, sample);
        }
    }

    /// Interpolates the gradients at the corners of `count` lattice cells for a line at height `y`.
    fn fill_cells(&mut self, seed: Seed, first: i32, y: f64, count: i32) {
        let row = y.floor();
        let f = (y - row) as f32;
        let row = row as i32;
        let mut left = Corner::new(seed, first, row, f);
        self.cells.clear();
        self.cells.extend((1..=count).map(|offset| {
            let right = Corner::new(seed, first.wrapping_add(offset), row, f);
            let cell = Cell {
                near: [left.base, left.tilt],
                far: [right.base - right.tilt - left.base, right.tilt - left.tilt],
                near_across: [left.across, left.twist],
                far_across: [right.across - right.twist - left.across, right.twist - left.twist],
            };
            left = right;
            cell
        }));
    }
}

/// Contribution of the two lattice points of one column to a line between them: at the distance
/// `f` from the column, the value is `base + tilt * f`, its derivative across the line
/// `across + twist * f`.
#[derive(Clone, Copy)]
struct Corner {
    base: f32,
    tilt: f32,
    across: f32,
    twist: f32,
}

impl Corner {
    fn new(seed: Seed, x: i32, row: i32, f: f32) -> Self {
        /// Brings the values, whose standard deviation is near 0.23, to about -1..1.
        const SCALE: f32 = 1.7;
        let (fade, rate) = quintic(f);
        let (x0, y0) = seed.gradient(x, row);
        let (x1, y1) = seed.gradient(x, row.wrapping_add(1));
        let (lower, upper) = (y0 * f, y1 * (f - 1.0));
        Self {
            base: mix(lower, upper, fade) * SCALE,
            tilt: mix(x0, x1, fade) * SCALE,
            across: (mix(y0, y1, fade) + rate * (upper - lower)) * SCALE,
            twist: rate * (x1 - x0) * SCALE,
        }
    }
}

/// Writes `points` samples by linear interpolation of the samples of `sparse`, `stride` apart.
fn spread(sparse: &[Sample], stride: usize, points: usize, dense: &mut Vec<Sample>) {
    dense.clear();
    for pair in sparse.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        for part in 0..stride {
            let t = part as f32 / stride as f32;
            dense.push(Sample {
                value: mix(a.value, b.value, t),
                slope_x: mix(a.slope_x, b.slope_x, t),
                slope_y: mix(a.slope_y, b.slope_y, t),
            });
        }
    }
    dense.truncate(points);
}

/// Perlin's interpolant `6t⁵ - 15t⁴ + 10t³` and the derivative.
fn quintic(t: f32) -> (f32, f32) {
    let squared = t * t;
    let rest = t - 1.0;
    (squared * t * (t * (t * 6.0 - 15.0) + 10.0), 30.0 * squared * rest * rest)
}

#[cfg(test)]
mod tests {
    use super::{Line, Noise, Octaves, Seed};

    const OCTAVES: Octaves = Octaves { count: 4, frequency: 1.0, lacunarity: 2.0, gain: 0.5 };

    fn value(x: f64, y: f64) -> f64 {
        let mut out = [0.0];
        Noise::default().sum(Seed::new(5), OCTAVES, Line { x, y, step: 0.0, footprint: 0.0 }, &mut out);
        f64::from(out[0])
    }

    #[test]
    fn slopes_are_those_of_the_values() {
        const SMALL: f64 = 1.0 / 512.0;
        for place in 0..200_u32 {
            let (x, y) = (f64::from(place) * 0.137 - 9.0, f64::from(place) * 0.071 - 3.0);
            let mut out = [(0.0, 0.0)];
            let line = Line { x, y, step: 0.0, footprint: 0.0 };
            Noise::default().slopes(Seed::new(5), OCTAVES, line, &mut out);
            let across = (value(x, y + SMALL) - value(x, y - SMALL)) / (2.0 * SMALL);
            let along = (value(x + SMALL, y) - value(x - SMALL, y)) / (2.0 * SMALL);
            assert!((f64::from(out[0].0) - along).abs() < 0.02, "along, at {x}, {y}");
            assert!((f64::from(out[0].1) - across).abs() < 0.02, "across, at {x}, {y}");
        }
    }

    /// Coarse octaves are interpolated between every fourth point of a line: no trace must show.
    #[test]
    fn lines_agree_with_single_points() {
        let line = Line { x: -3.7, y: 1.3, step: 0.011, footprint: 0.0 };
        let mut out = [0.0; 400];
        Noise::default().sum(Seed::new(5), OCTAVES, line, &mut out);
        for (i, &found) in out.iter().enumerate() {
            let expected = value(line.x + line.step * i as f64, line.y);
            assert!((f64::from(found) - expected).abs() < 0.02, "point {i}");
        }
    }

    #[test]
    fn hashes_are_uniform() {
        let (mut ones, mut sum) = ([0_u32; 32], 0.0);
        for place in 0..65_536_i32 {
            let (x, y) = (place % 256 - 128, place / 256 - 128);
            let bits = Seed::new(1).hash(x, y);
            ones.iter_mut().enumerate().for_each(|(bit, count)| *count += bits >> bit & 1);
            sum += f64::from(Seed::new(1).unit(x, y));
        }
        // Five standard deviations of a fair coin, and of a uniform mean.
        assert!(ones.iter().all(|count| count.abs_diff(32_768) < 640), "{ones:?}");
        assert!((sum / 65_536.0 - 0.5).abs() < 0.0057, "{sum}");
    }
}

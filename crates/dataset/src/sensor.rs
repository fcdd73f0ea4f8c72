//! From linear light to the pixels of a camera file.
//!
//! The chain of a real camera, because detectors of hidden data model it: optical blur and
//! vignetting, a Bayer mosaic, noise whose variance is linear in the signal, demosaicing (which
//! makes the noise of neighbours correlate), white balance, tone curve, rounding to 8 bits.

use super::canvas::Canvas;
use super::curve::{mix, smoothstep, srgb_signal};
use super::noise::Seed;

/// Settings of the camera for one picture.
#[derive(Clone, Copy)]
pub(super) struct Camera {
    /// Seed of the noise of this exposure.
    pub(super) seed: Seed,
    /// Factor from scene light to the sensor's scale, where 1.0 is white.
    pub(super) exposure: f32,
    /// Photon noise `a` in variance = a · signal + b (Foi et al. 2008, IEEE TIP 17(10), eq. 3).
    pub(super) photon_noise: f32,
    /// Readout noise, the square root of `b`.
    pub(super) read_noise: f32,
    /// Loss of light in the corners, as a share.
    pub(super) vignetting: f32,
}

/// White balance gains of red and blue against green: the sensor is less sensitive to both by these factors.
const GAIN: [f32; 3] = [1.9, 1.0, 1.6];

/// Matrix by which the camera strengthens colours.
const SATURATION: f32 = 1.2;

/// Light scattered inside the lens: lower bound of shadows.
const FLARE: f32 = 0.0035;

/// Takes the picture: row-major RGB8.
pub(super) fn develop(canvas: &Canvas, camera: &Camera) -> Vec<u8> {
    let (width, height) = (canvas.width(), canvas.height());
    let tone = ToneCurve::new();
    let mut pixels = vec![0; width * height * 3];
    let mut rows = [vec![0.0; width], vec![0.0; width], vec![0.0; width]];
    expose(canvas, camera, 0, &mut rows[0]);
    for (y, out) in pixels.chunks_exact_mut(width * 3).enumerate() {
        // The row past an edge is the one just inside it: the same colours of the mosaic.
        if y + 1 < height {
            expose(canvas, camera, y + 1, &mut rows[(y + 1) % 3]);
        }
        let above = if y == 0 { 1 } else { y - 1 };
        let below = if y + 1 < height { y + 1 } else { y - 1 };
        demosaic([&rows[above % 3], &rows[y % 3], &rows[below % 3]], y, &tone, out);
    }
    pixels
}

/// Reads out one row of the mosaic (red and green on even rows, green and blue on odd ones).
fn expose(canvas: &Canvas, camera: &Camera, y: usize, out: &mut [f32]) {
    let row = y as isize;
    let lines = [canvas.texel_row(row - 1), canvas.texel_row(row), canvas.texel_row(row + 1)];
    let (half_width, half_height) = (canvas.width() as f32 * 0.5, canvas.height() as f32 * 0.5);
    let corner = 1.0 / (half_width * half_width + half_height * half_height);
    let down = y as f32 - half_height;
    let last = out.len() - 1;
    for (x, sample) in out.iter_mut().enumerate() {
        let channel = channel_at(x, y);
        let (left, right) = (x.saturating_sub(1), (x + 1).min(last));
        let cross = u32::from(lines[0][x][channel])
            + u32::from(lines[2][x][channel])
            + u32::from(lines[1][left][channel])
            + u32::from(lines[1][right][channel]);
        let centre = u32::from(lines[1][x][channel]);
        // The spot of the lens: half of the light in the middle, an eighth on each side.
        let light = Canvas::light(((cross + centre * 4) / 8).min(65_535) as u16);
        let across = x as f32 - half_width;
        let falloff = 1.0 - camera.vignetting * (across * across + down * down) * corner;
        let signal = (light * camera.exposure * falloff + FLARE) / GAIN[channel];
        let variance = camera.photon_noise * signal + camera.read_noise * camera.read_noise;
        *sample = signal + variance.sqrt() * normal(camera.seed, x as u32, y as u32);
    }
}

/// Returns the channel (0 red, 1 green, 2 blue) behind the filter at a place of the mosaic.
fn channel_at(x: usize, y: usize) -> usize {
    (x & 1) + (y & 1)
}

/// Returns a sample of a nearly normal distribution, mean 0 and variance 1: the sum of four uniform 16-bit
/// numbers (Irwin–Hall), which ends at 3.46 standard deviations.
fn normal(seed: Seed, x: u32, y: u32) -> f32 {
    /// The standard deviation of the sum, √(4 · (2³² − 1) / 12).
    const DEVIATION: f32 = 37_837.23;
    const MEAN: f32 = 131_070.0;
    let bits = mix64(u64::from(seed.hash(0, 1)) << 32 ^ u64::from(y) << 16 ^ u64::from(x));
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
    (sum as f32 - MEAN) / DEVIATION
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, OOPSLA, section 4).
fn mix64(key: u64) -> u64 {
    let z = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Interpolates the two missing colours of every pixel from the neighbours (bilinear), balances white, and
/// writes 8-bit RGB.
fn demosaic(rows: [&Vec<f32>; 3], y: usize, tone: &ToneCurve, out: &mut [u8]) {
    let [above, row, below] = rows;
    let last = row.len() - 1;
    for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
        let left = if x == 0 { 1 } else { x - 1 };
        let right = if x == last { last - 1 } else { x + 1 };
        let beside = (row[left] + row[right]) * 0.5;
        let upright = (above[x] + below[x]) * 0.5;
        let diagonal = (above[left] + above[right] + below[left] + below[right]) * 0.25;
        let colour = match (x & 1, y & 1) {
            (0, 0) => [row[x], (beside + upright) * 0.5, diagonal],
            (1, 0) => [beside, row[x], upright],
            (0, _) => [upright, row[x], beside],
            _ => [diagonal, (beside + upright) * 0.5, row[x]],
        };
        let balanced = [colour[0] * GAIN[0], colour[1], colour[2] * GAIN[2]];
        let grey = (balanced[0] + balanced[1] + balanced[2]) * (1.0 / 3.0);
        for (value, light) in pixel.iter_mut().zip(balanced) {
            *value = tone.apply(mix(grey, light, SATURATION));
        }
    }
}

/// From linear light to the 8-bit value: a shoulder for highlights, the sRGB curve, some contrast.
struct ToneCurve {
    values: Vec<u8>,
}

impl ToneCurve {
    /// The brightest light that differs from any brighter light.
    const MAX: f32 = 2.5;
    /// Fine enough that even in the shadows, where the curve is steepest, a value spans several
    /// entries: a coarser table would leave gaps in the histogram.
    const ENTRIES: usize = 65_536;

    fn new() -> Self {
        // The curve is nearly straight over the square root of the light: interpolate there.
        const KNOTS: usize = 1024;
        let knots: Vec<f32> = (0..=KNOTS + 1)
            .map(|knot| {
                let root = knot as f64 / KNOTS as f64;
                Self::signal(root * root * f64::from(Self::MAX))
            })
            .collect();
        let value = |entry: usize| {
            let position = ((entry as f32 + 0.5) / Self::ENTRIES as f32).sqrt() * KNOTS as f32;
            let knot = (position as usize).min(KNOTS);
            (mix(knots[knot], knots[knot + 1], position - knot as f32) + 0.5) as u8
        };
        let values: Vec<u8> = (0..Self::ENTRIES).map(value).collect();
        debug_assert!(values.is_sorted(), "more light is never darker");
        Self { values }
    }

    /// Returns the signal, 0..=255, for linear light.
    fn signal(light: f64) -> f32 {
        /// The light that the shoulder maps to white (Reinhard et al. 2002, SIGGRAPH, eq. 4).
        const WHITE: f64 = 3.2;
        /// Share of an S-curve in the tone curve.
        const CONTRAST: f32 = 0.35;
        let scaled = light * 1.4;
        let rolled = scaled * (1.0 + scaled / (WHITE * WHITE)) / (1.0 + scaled);
        let signal = srgb_signal(rolled.min(1.0)) as f32;
        mix(signal, smoothstep(0.0, 1.0, signal), CONTRAST) * 252.0
    }

    fn apply(&self, light: f32) -> u8 {
        // The cast takes negative light to zero.
        let entry = (light * (Self::ENTRIES as f32 / Self::MAX)) as usize;
        self.values[entry.min(Self::ENTRIES - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Camera, FLARE, GAIN, develop, expose};
    use crate::canvas::{Canvas, Rgb};
    use crate::noise::Seed;

    const CAMERA: Camera =
        Camera { seed: Seed::new(3), exposure: 1.0, photon_noise: 4e-4, read_noise: 1e-3, vignetting: 0.0 };

    fn grey(light: f32) -> Canvas {
        let mut canvas = Canvas::new(256, 256);
        for place in 0..256 * 256 {
            canvas.set(place % 256, place / 256, Rgb::new(light, light, light));
        }
        canvas
    }

    fn mean_and_variance(samples: &[f64]) -> (f64, f64) {
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        (mean, samples.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / samples.len() as f64)
    }

    #[test]
    fn the_variance_of_the_noise_is_linear_in_the_signal() {
        for light in [0.0_f32, 0.05, 0.2, 0.5, 1.0, 1.8] {
            let canvas = grey(light);
            let mut row = vec![0.0; 256];
            let mut samples = [const { Vec::new() }; 3];
            for y in 0..256 {
                expose(&canvas, &CAMERA, y, &mut row);
                row.iter().enumerate().for_each(|(x, &s)| samples[(x & 1) + (y & 1)].push(f64::from(s)));
            }
            for (samples, gain) in samples.iter().zip(GAIN) {
                let signal = f64::from((light + FLARE) / gain);
                let expected = 4e-4 * signal + 1e-6;
                let (mean, variance) = mean_and_variance(samples);
                // Five standard errors of a mean and of a variance.
                let tolerance = 5.0 / (samples.len() as f64).sqrt();
                assert!((mean - signal).abs() < tolerance * expected.sqrt() + 1e-4, "{light}: {mean}");
                assert!((variance / expected - 1.0).abs() < tolerance * 1.5, "{light}: {variance}");
            }
        }
    }

    /// Interpolation makes the noise of neighbours correlate: most in red and blue, where three of four
    /// pixels are interpolated. Without interpolation the coefficient would be 0 ± 0.004.
    #[test]
    fn neighbours_share_noise() {
        let pixels = develop(&grey(0.3), &CAMERA);
        for (channel, expected) in [(0, 0.4..0.8), (1, 0.1..0.5), (2, 0.4..0.8)] {
            let samples: Vec<f64> = pixels[channel..].iter().step_by(3).map(|&s| f64::from(s)).collect();
            let (mean, variance) = mean_and_variance(&samples);
            let shared = samples.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>();
            let correlation = shared / samples.len() as f64 / variance;
            assert!(expected.contains(&correlation), "channel {channel}: {correlation}");
        }
    }

    #[test]
    fn grey_stays_grey_and_brighter_light_is_brighter() {
        let mean = |light: f32, channel: usize| {
            let pixels = develop(&grey(light), &CAMERA);
            let samples: Vec<f64> = pixels[channel..].iter().step_by(3).map(|&s| f64::from(s)).collect();
            mean_and_variance(&samples).0
        };
        let mut before = 5.0;
        for light in [0.0_f32, 0.02, 0.18, 0.6, 1.2, 2.0] {
            let [red, green, blue] = [0, 1, 2].map(|channel| mean(light, channel));
            assert!((red - green).abs() < 1.0 && (blue - green).abs() < 1.0, "{light}: {red} {green} {blue}");
            assert!(green > before && green < 253.0, "{light}: {green}");
            before = green;
        }
    }
}

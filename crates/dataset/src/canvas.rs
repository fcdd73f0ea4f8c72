//! The picture before the sensor: linear light, three channels.

use std::ops::{Add, Mul};

/// Linear light of one pixel; 1.0 is a white sheet in full sun, highlights lie above it.
#[derive(Clone, Copy, Default)]
pub(super) struct Rgb {
    pub(super) r: f32,
    pub(super) g: f32,
    pub(super) b: f32,
}

impl Rgb {
    pub(super) const fn new(r: f32, g: f32, b: f32) -> Self {
        Self { r, g, b }
    }

    /// The straight line from this colour (at `t = 0`) to `other` (at `t = 1`).
    pub(super) fn mix(self, other: Self, t: f32) -> Self {
        self * (1.0 - t) + other * t
    }
}

impl Add for Rgb {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.r + other.r, self.g + other.g, self.b + other.b)
    }
}

impl Mul<f32> for Rgb {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        Self::new(self.r * factor, self.g * factor, self.b * factor)
    }
}

impl Mul for Rgb {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self::new(self.r * other.r, self.g * other.g, self.b * other.b)
    }
}

/// A row-major picture of linear light, starting black. 16 bits a channel: finer than the noise
/// that the sensor adds, at half the memory of floats.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    texels: Vec<[u16; 3]>,
}

impl Canvas {
    /// The stored value of 1.0; leaves two stops for highlights.
    const UNIT: f32 = 16_384.0;

    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, texels: vec![[0; 3]; width * height] }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// Returns the stored texels of row `y`; a row past either edge reads as the nearest row inside.
    pub(super) fn texel_row(&self, y: isize) -> &[[u16; 3]] {
        let y = y.clamp(0, self.height as isize - 1) as usize;
        &self.texels[y * self.width..][..self.width]
    }

    /// Converts one stored channel to linear light.
    pub(super) fn light(stored: u16) -> f32 {
        f32::from(stored) * (1.0 / Self::UNIT)
    }

    /// Returns the light at a position; a position past an edge reads as the nearest pixel inside.
    pub(super) fn at(&self, x: isize, y: isize) -> Rgb {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let [r, g, b] = self.texel_row(y)[x].map(Self::light);
        Rgb::new(r, g, b)
    }

    /// Replaces the light at a place inside the picture.
    pub(super) fn set(&mut self, x: usize, y: usize, light: Rgb) {
        debug_assert!(x < self.width, "a place past the edge would be in the next row");
        self.texels[y * self.width + x] = [light.r, light.g, light.b].map(Self::stored);
    }

    /// Adds light at a place inside the picture.
    pub(super) fn add(&mut self, x: usize, y: usize, light: Rgb) {
        debug_assert!(x < self.width, "a place past the edge would be in the next row");
        let texel = &mut self.texels[y * self.width + x];
        for (channel, more) in texel.iter_mut().zip([light.r, light.g, light.b]) {
            *channel = channel.saturating_add(Self::stored(more));
        }
    }

    /// Blurs every row by about `deviation(row)` pixels (the standard deviation of the spot), at
    /// most 12, as a lens does out of focus.
    ///
    /// Sparse three-point kernels with doubling strides add up to nearly a Gaussian (the à trous
    /// scheme, Holschneider et al. 1989): the cost does not grow with the size of the spot.
    pub(super) fn defocus(&mut self, deviation: impl Fn(usize) -> f32) {
        let mut done = vec![0.0; self.height];
        for stride in [1_usize, 2, 4, 8, 16] {
            // A kernel with the weights w, 1 - 2w, w adds the variance 2w · stride².
            let reach = 2.0 * (stride * stride) as f32;
            let weight = |(y, done): (usize, &mut f32)| {
                let wanted = deviation(y);
                let weight = ((wanted * wanted - *done) / reach).clamp(0.0, 0.25);
                *done += weight * reach;
                (weight * 65_536.0) as u32
            };
            let weights: Vec<u32> = done.iter_mut().enumerate().map(weight).collect();
            if weights.iter().any(|&weight| weight > 0) {
                self.blur_along_rows(stride, &weights);
                self.blur_across_rows(stride, &weights);
            }
        }
    }

    fn blur_along_rows(&mut self, stride: usize, weights: &[u32]) {
        let width = self.width;
        let mut source = vec![[0; 3]; width];
        for (row, &weight) in self.texels.chunks_exact_mut(width).zip(weights).filter(|(_, w)| **w > 0) {
            source.copy_from_slice(row);
            for (x, texel) in row.iter_mut().enumerate() {
                let (left, right) = (source[x.saturating_sub(stride)], source[(x + stride).min(width - 1)]);
                *texel = spread(*texel, left, right, weight);
            }
        }
    }

    fn blur_across_rows(&mut self, stride: usize, weights: &[u32]) {
        let (width, height) = (self.width, self.height);
        // The rows above as they were before this pass, by row modulo the stride.
        let mut above: Vec<Vec<[u16; 3]>> = (0..stride).map(|_| self.texels[..width].to_vec()).collect();
        for (y, &weight) in weights.iter().enumerate() {
            let below = (y + stride).min(height - 1);
            let (head, tail) = self.texels.split_at_mut((y + 1) * width);
            let row = &mut head[y * width..];
            let kept = &mut above[y % stride];
            for (x, texel) in row.iter_mut().enumerate() {
                let low = if below > y { tail[(below - y - 1) * width + x] } else { *texel };
                let old = *texel;
                *texel = spread(old, kept[x], low, weight);
                kept[x] = old;
            }
        }
    }

    fn stored(light: f32) -> u16 {
        // The cast saturates at both ends.
        (light * Self::UNIT + 0.5) as u16
    }
}

/// The weighted mean of a texel and its two neighbours; `weight` is the weight of each neighbour, times 2¹⁶.
fn spread(middle: [u16; 3], one: [u16; 3], other: [u16; 3], weight: u32) -> [u16; 3] {
    let rest = 65_536 - 2 * weight;
    let mut mean = [0; 3];
    for (channel, mean) in mean.iter_mut().enumerate() {
        let sides = (u32::from(one[channel]) + u32::from(other[channel])) * weight;
        // At most 65 535 · 65 536 + half: it fits, and so does the quotient.
        *mean = ((u32::from(middle[channel]) * rest + sides + 32_768) >> 16) as u16;
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::{Canvas, Rgb};

    #[test]
    fn a_point_out_of_focus_becomes_a_spot_of_the_wanted_size() {
        for wanted in [0.5_f32, 1.0, 2.5, 6.0, 11.0] {
            let mut canvas = Canvas::new(201, 201);
            canvas.set(100, 100, Rgb::new(3.9, 3.9, 3.9));
            canvas.defocus(|_| wanted);
            let (mut light, mut across, mut down) = (0.0, 0.0, 0.0);
            for y in 0..201_u16 {
                for x in 0..201_u16 {
                    let here = canvas.at(x as isize, y as isize).g;
                    light += here;
                    across += here * (f32::from(x) - 100.0).powi(2);
                    down += here * (f32::from(y) - 100.0).powi(2);
                }
            }
            // The wide spots lose some light to rounding at their rims.
            assert!((light - 3.9).abs() < 0.3, "{wanted}: {light}");
            for variance in [across / light, down / light] {
                assert!((variance.sqrt() / wanted - 1.0).abs() < 0.06, "{wanted}: {variance}");
            }
        }
    }
}

//! A tile of fine structure, laid over surfaces to avoid a look of plastic.

use super::noise::{Line, Noise, Octaves, Seed};

/// The fine structure of surfaces, too small for the height field: a tile of factors around 1,
/// mirrored at its edges.
pub(super) struct Grain {
    factors: Vec<f32>,
}

impl Grain {
    const SIDE: usize = 256;
    /// The part of the side that the second sample uses.
    const SHORT: usize = 181;

    pub(super) fn new(seed: Seed) -> Self {
        let mut noise = Noise::default();
        let octaves = Octaves { count: 4, frequency: 0.07, lacunarity: 2.0, gain: 0.9 };
        let mut factors = vec![0.0; Self::SIDE * Self::SIDE];
        for (y, row) in factors.chunks_exact_mut(Self::SIDE).enumerate() {
            noise.sum(seed, octaves, Line { x: 0.0, y: y as f64, step: 1.0, footprint: 0.0 }, row);
            for (x, factor) in row.iter_mut().enumerate() {
                let speck = seed.unit(x as i32, y as i32) - 0.5;
                *factor = (1.0 + *factor * 0.3 + speck * 0.4).max(0.2);
            }
        }
        Self { factors }
    }

    /// Returns the factor for a pixel: the mean of two samples of the tile with coprime periods, so that no
    /// repetition shows.
    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        let upright = self.factors[mirror(y, Self::SIDE) * Self::SIDE + mirror(x, Self::SIDE)];
        let turned = self.factors[mirror(x, Self::SHORT) * Self::SIDE + mirror(y, Self::SHORT)];
        (upright + turned) * 0.5
    }
}

/// Goes to and fro between 0 and `side`.
fn mirror(place: usize, side: usize) -> usize {
    let place = place % (2 * side);
    if place < side { place } else { 2 * side - 1 - place }
}

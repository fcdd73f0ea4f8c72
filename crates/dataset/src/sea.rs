//! The open sea under clouds, with the sun near the horizon.

use super::canvas::{Canvas, Rgb};
use super::curve::smoothstep;
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::{Air, Clouds, Sky, View};

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let view = View::normal_lens(canvas.width(), canvas.height(), seed.range(1, 0.42, 0.62));
    let air = dusk(seed);
    let clouds = Clouds {
        seed: seed.part(10),
        clear: seed.range(2, 0.30, 0.48),
        width: seed.range(3, 1.3, 2.4),
        stretch: 1.7,
        lit: air.horizon.mix(Rgb::new(1.0, 0.7, 0.5), 0.5),
        shaded: Rgb::new(0.15, 0.16, 0.22),
    };
    let mut sky = Sky::new(view, air, clouds);
    let mut row = vec![Rgb::default(); view.width];
    let mut water = Water::new(seed, view, air);
    for y in 0..view.height {
        let below = (y as f32 + 1.0 - view.horizon).clamp(0.0, 1.0);
        if below < 1.0 {
            sky.row(y, &mut row);
            row.iter().enumerate().for_each(|(x, &light)| canvas.add(x, y, light * (1.0 - below)));
        }
        if below > 0.0 {
            water.row(y, &mut row);
            row.iter().enumerate().for_each(|(x, &light)| canvas.add(x, y, light * below));
        }
    }
}

fn dusk(seed: Seed) -> Air {
    let late = seed.unit(4, 0);
    Air {
        zenith: Rgb::new(0.12, 0.20, 0.36).mix(Rgb::new(0.09, 0.10, 0.22), late),
        horizon: Rgb::new(0.70, 0.56, 0.46).mix(Rgb::new(0.62, 0.34, 0.22), late),
        haze_height: 0.12,
        glow: Rgb::new(0.85, 0.52, 0.22),
        glow_radius: seed.range(5, 0.16, 0.3),
        sun: (seed.range(6, -0.3, 0.3), seed.range(7, 0.03, 0.09)),
    }
}

/// Paints rows of waves: a plane with the normals of noise.
struct Water {
    seed: Seed,
    view: View,
    air: Air,
    camera_height: f32,
    steepness: f32,
    noise: Noise,
    waves: Vec<(f32, f32)>,
    gusts: Vec<f32>,
}

impl Water {
    fn new(seed: Seed, view: View, air: Air) -> Self {
        Self {
            seed: seed.part(20),
            view,
            air,
            camera_height: seed.range(21, 4.0, 12.0),
            steepness: seed.range(22, 0.22, 0.42),
            noise: Noise::default(),
            waves: vec![(0.0, 0.0); view.width],
            gusts: vec![0.0; view.width],
        }
    }

    fn row(&mut self, y: usize, out: &mut [Rgb]) {
        let below = (-self.view.elevation(y as f32 + 0.5)).max(0.0004);
        let depth = f64::from(self.camera_height / below);
        self.sample(depth);
        let far = 1.0 - smoothstep(0.0, 0.035, below);
        for (x, light) in out.iter_mut().enumerate() {
            let azimuth = self.view.azimuth(x as f32 + 0.5);
            let strength = self.steepness * (0.8 + 0.5 * self.gusts[x]);
            let (across, along) = (self.waves[x].0 * strength, self.waves[x].1 * strength);
            // Far off, only the sides of waves that face the camera are seen.
            let facing = (below - along + 0.05 * far).max(0.004);
            let elevation = (below - 2.0 * along + 0.1 * far).abs();
            let mirrored = self.air.light(azimuth - 2.0 * across * below.min(0.4), elevation);
            // Schlick 1994, with the reflectance 0.02 of water at a right angle.
            let grazing = 1.0 - facing.min(1.0);
            let squared = grazing * grazing;
            let mirror = 0.02 + 0.98 * squared * squared * grazing;
            let body = Rgb::new(0.012, 0.035, 0.042) + Rgb::new(0.01, 0.03, 0.025) * along.abs().min(1.0);
            let water = body.mix(mirrored, mirror);
            *light = water.mix(self.air.light(azimuth, 0.0), far * far * 0.55);
        }
    }

    /// Evaluates the slopes of the waves, in metres per metre, along the row at a depth.
    fn sample(&mut self, depth: f64) {
        let step = depth / f64::from(self.view.focal);
        let row_step = depth * step / f64::from(self.camera_height);
        let x = -0.5 * self.view.width as f64 * step;
        // Crests are about twice as long as the waves are apart.
        let line =
            Line { x: x * 0.5, y: depth, step: step * 0.5, footprint: (step * 0.5).max(row_step * 0.5) };
        let octaves = Octaves { count: 9, frequency: 0.07, lacunarity: 1.83, gain: 0.56 };
        self.noise.slopes(self.seed, octaves, line, &mut self.waves);
        let slow = Line { x: x * 0.004, y: depth * 0.012, step: step * 0.004, footprint: row_step * 0.01 };
        self.noise.sum(self.seed.part(1), Octaves::pink(4, 1.0), slow, &mut self.gusts);
        // The amplitude that makes the longest waves slope by about one.
        for wave in &mut self.waves {
            *wave = (wave.0 * 2.2, wave.1 * 2.2);
        }
    }
}

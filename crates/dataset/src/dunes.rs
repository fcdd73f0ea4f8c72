//! Dunes in a low sun.

use super::canvas::{Canvas, Rgb};
use super::curve::smoothstep;
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::{Air, Clouds, Sky, View};
use super::terrain::{self, Ground, Light, Range, Relief};

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let view = View::normal_lens(canvas.width(), canvas.height(), seed.range(1, 0.28, 0.42));
    let light = afternoon(seed);
    let clouds = Clouds {
        seed: seed.part(10),
        clear: seed.range(2, 0.52, 0.7),
        width: 1.8,
        stretch: 3.0,
        lit: Rgb::new(0.95, 0.86, 0.76),
        shaded: Rgb::new(0.48, 0.45, 0.48),
    };
    let range = Range {
        nearest: 0.035,
        farthest: 5.0,
        slices: 900,
        camera_height: 0.085,
        roughness: 0.3,
        tree_height: 0.0,
        lake: false,
    };
    let relief = Dunes { seed: seed.part(11), sand: sand(seed) };
    let sky = Sky::new(view, light.air, clouds);
    terrain::render(canvas, seed.part(12), view, &range, &light, &relief, sky);
}

fn sand(seed: Seed) -> Rgb {
    let yellow = Rgb::new(0.50, 0.36, 0.21);
    yellow.mix(Rgb::new(0.52, 0.28, 0.13), seed.unit(3, 0))
}

fn afternoon(seed: Seed) -> Light {
    let side = if seed.unit(4, 0) < 0.5 { -1.0 } else { 1.0 };
    let late = seed.unit(5, 0);
    let air = Air {
        zenith: Rgb::new(0.09, 0.20, 0.42).mix(Rgb::new(0.16, 0.20, 0.36), late),
        horizon: Rgb::new(0.58, 0.62, 0.68).mix(Rgb::new(0.78, 0.58, 0.44), late),
        haze_height: 0.14,
        glow: Rgb::new(0.55, 0.38, 0.20),
        glow_radius: 0.6,
        sun: (side * 0.8, 0.22),
    };
    Light {
        sun: Rgb::new(2.0, 1.5, 1.02).mix(Rgb::new(2.0, 1.3, 0.75), late),
        sky: Rgb::new(0.13, 0.16, 0.22),
        toward: [side * 0.91, 0.27, seed.range(6, -0.3, 0.3)],
        haze: 0.11,
        haze_height: 0.4,
        air,
    }
}

struct Dunes {
    seed: Seed,
    sand: Rgb,
}

impl Relief for Dunes {
    fn heights(&self, noise: &mut Noise, line: Line, out: &mut [f32]) {
        let broad = Octaves { count: 3, frequency: 2.1, lacunarity: 2.4, gain: 0.28 };
        let folded = Line { x: line.x * 0.8, step: line.step * 0.8, ..line };
        noise.eroded(self.seed, broad, folded, out);
        // Ripples run across the wind: long one way, a few hand's breadths the other.
        let mut ripples = vec![0.0; out.len()];
        let fine = Octaves { count: 5, frequency: 60.0, lacunarity: 2.2, gain: 0.42 };
        let across = Line { x: line.x * 0.4, step: line.step * 0.4, ..line };
        noise.sum(self.seed.part(1), fine, across, &mut ripples);
        // The dune under the camera is low, the next ones rise above it.
        let near = smoothstep(0.12, 1.0, line.y as f32);
        let far = smoothstep(1.0, 5.0, line.y as f32);
        for (height, ripple) in out.iter_mut().zip(&ripples) {
            *height = *height * (0.03 + 0.17 * near + 0.06 * far) - 0.02 + ripple * 0.00035;
        }
    }

    fn albedo(&self, ground: &Ground) -> Rgb {
        self.sand * (1.0 + 0.12 * ground.patch)
    }
}

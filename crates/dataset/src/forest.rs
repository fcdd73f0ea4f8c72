//! Wooded hills in the mist, against the rising sun.

use super::canvas::{Canvas, Rgb};
use super::curve::{mix, smoothstep};
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::{Air, Clouds, Sky, View};
use super::terrain::{self, Ground, Light, Range, Relief};

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let normal = View::normal_lens(canvas.width(), canvas.height(), seed.range(1, 0.30, 0.42));
    // A longer lens stacks the ridges.
    let view = View { focal: normal.focal * 1.7, ..normal };
    let light = sunrise(seed);
    let clouds = Clouds {
        seed: seed.part(10),
        clear: seed.range(2, 0.45, 0.62),
        width: 2.2,
        stretch: 2.5,
        lit: light.air.horizon.mix(Rgb::new(1.0, 0.85, 0.7), 0.5),
        shaded: light.air.zenith.mix(Rgb::new(0.4, 0.38, 0.42), 0.6),
    };
    let range = Range {
        nearest: 0.9,
        farthest: 14.0,
        slices: 750,
        camera_height: 0.47,
        roughness: 0.8,
        tree_height: seed.range(3, 0.020, 0.027),
        lake: false,
    };
    let relief = Hills { seed: seed.part(11), autumn: seed.range(4, 0.0, 0.6) };
    let sky = Sky::new(view, light.air, clouds);
    terrain::render(canvas, seed.part(12), view, &range, &light, &relief, sky);
}

fn sunrise(seed: Seed) -> Light {
    let side = if seed.unit(5, 0) < 0.5 { -1.0 } else { 1.0 };
    // From a cold, early hour to a warm, later one.
    let warmth = seed.unit(6, 0);
    let air = Air {
        zenith: Rgb::new(0.12, 0.23, 0.46).mix(Rgb::new(0.26, 0.29, 0.44), warmth),
        horizon: Rgb::new(0.42, 0.52, 0.66).mix(Rgb::new(0.74, 0.52, 0.40), warmth),
        haze_height: 0.1,
        glow: Rgb::new(0.75, 0.48, 0.22),
        glow_radius: 0.42,
        sun: (side * seed.range(7, 0.1, 0.4), 0.09),
    };
    Light {
        sun: Rgb::new(2.3, 1.6, 1.0),
        sky: Rgb::new(0.15, 0.19, 0.25),
        toward: [side * 0.66, 0.42, -0.62],
        haze: seed.range(8, 0.18, 0.34),
        haze_height: 0.24,
        air,
    }
}

struct Hills {
    seed: Seed,
    autumn: f32,
}

impl Relief for Hills {
    fn heights(&self, noise: &mut Noise, line: Line, out: &mut [f32]) {
        let octaves = Octaves { count: 8, frequency: 0.55, lacunarity: 2.05, gain: 0.42 };
        noise.eroded(self.seed, octaves, line, out);
        let depth = line.y as f32;
        // The first hills stay below the camera; the last ones close the view.
        let rise = mix(0.30, 0.72, smoothstep(1.0, 7.0, depth));
        let last = 0.25 * smoothstep(6.0, 13.0, depth);
        for height in out.iter_mut() {
            *height = *height * rise - 0.02 + last;
        }
    }

    fn albedo(&self, ground: &Ground) -> Rgb {
        let grass = Rgb::new(0.10, 0.11, 0.045);
        grass.mix(Rgb::new(0.14, 0.11, 0.06), (0.5 + ground.patch).clamp(0.0, 1.0)) * 0.8
    }

    fn tree_cover(&self, ground: &Ground) -> f32 {
        smoothstep(-0.75, -0.35, ground.patch + 0.3 * ground.upright)
    }

    fn tree_tint(&self, ground: &Ground, kind: f32) -> Rgb {
        let needles = Rgb::new(0.035, 0.058, 0.026) * mix(0.7, 1.35, kind);
        let turned = self.autumn * smoothstep(-0.2, 0.4, ground.patch);
        if kind < turned { Rgb::new(0.17, 0.10, 0.03).mix(Rgb::new(0.14, 0.13, 0.03), kind) } else { needles }
    }
}

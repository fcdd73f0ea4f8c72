//! A mountain lake in the morning: snow on the summits, forest down to the water.

use super::canvas::{Canvas, Rgb};
use super::curve::{mix, smoothstep};
use super::lake;
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::{Air, Clouds, Sky, View};
use super::terrain::{self, Ground, Light, Range, Relief};

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let view = View::normal_lens(canvas.width(), canvas.height(), seed.range(1, 0.60, 0.66));
    let from_left = seed.unit(2, 0) < 0.6;
    let light = morning(seed, if from_left { -1.0 } else { 1.0 });
    let clouds = Clouds {
        seed: seed.part(10),
        clear: seed.range(3, 0.42, 0.6),
        width: 1.6,
        stretch: 2.2,
        lit: Rgb::new(0.98, 0.93, 0.88),
        shaded: Rgb::new(0.42, 0.47, 0.58),
    };
    let range = Range {
        nearest: 0.62,
        farthest: 12.5,
        slices: 700,
        camera_height: 0.004,
        roughness: 1.0,
        tree_height: 0.02,
        lake: true,
    };
    let relief =
        Alps { seed: seed.part(11), snow_line: seed.range(4, 0.75, 1.05), lean: seed.range(5, -0.5, 0.5) };
    let sky = Sky::new(view, light.air, clouds);
    let shore = terrain::render(canvas, seed.part(12), view, &range, &light, &relief, sky);
    lake::paint(canvas, seed.part(13), view, &shore, Rgb::new(0.012, 0.05, 0.055));
}

fn morning(seed: Seed, side: f32) -> Light {
    let air = Air {
        zenith: Rgb::new(0.07, 0.18, 0.43),
        horizon: Rgb::new(0.50, 0.60, 0.72),
        haze_height: 0.16,
        glow: Rgb::new(0.40, 0.30, 0.17),
        glow_radius: 0.6,
        sun: (side * 0.9, 0.35),
    };
    Light {
        sun: Rgb::new(1.75, 1.40, 1.0),
        sky: Rgb::new(0.13, 0.18, 0.27),
        toward: [side * 0.80, 0.48, 0.36],
        haze: seed.range(6, 0.02, 0.035),
        haze_height: 1.7,
        air,
    }
}

struct Alps {
    seed: Seed,
    snow_line: f32,
    /// Direction of the valley, as a tangent.
    lean: f32,
}

impl Relief for Alps {
    fn heights(&self, noise: &mut Noise, line: Line, out: &mut [f32]) {
        let octaves = Octaves { count: 11, frequency: 0.36, lacunarity: 2.07, gain: 0.5 };
        noise.eroded(self.seed, octaves, line, out);
        let depth = line.y as f32;
        for (i, height) in out.iter_mut().enumerate() {
            let x = line.x as f32 + i as f32 * line.step as f32;
            // A valley runs away from the lake; its walls rise with the distance from its line.
            let aside = (x - self.lean * (depth - 1.0) * 0.2).abs();
            let wall = smoothstep(0.1, 2.2, aside) * smoothstep(0.7, 2.6, depth);
            let back = smoothstep(4.5, 10.0, depth);
            let base = 0.9 * wall * (1.0 - 0.45 * back) + 1.3 * back;
            let rough = 0.06 * smoothstep(0.62, 1.0, depth) + 0.95 * base;
            let bank = smoothstep(0.66, 1.1, depth) * 0.036 - 0.016;
            *height = base * 0.72 + bank + *height * rough * 0.85;
        }
    }

    fn albedo(&self, ground: &Ground) -> Rgb {
        let rock = Rgb::new(0.20, 0.185, 0.175) * (0.9 + 0.35 * ground.patch);
        let grass = Rgb::new(0.062, 0.082, 0.030)
            .mix(Rgb::new(0.125, 0.105, 0.048), smoothstep(-0.5, 0.6, ground.patch));
        let meadow = smoothstep(0.62, 0.82, ground.upright)
            * (1.0 - smoothstep(self.snow_line - 0.35, self.snow_line, ground.height + 0.1 * ground.patch));
        // Pebbles along the water.
        let above_water = smoothstep(0.0006, 0.0022, ground.height + 0.0006 * ground.patch);
        let bare = rock.mix(grass, meadow * above_water);
        let line = ground.height + 0.22 * ground.patch - self.snow_line;
        let snow = smoothstep(-0.12, 0.2, line) * smoothstep(0.45, 0.66, ground.upright + 0.12 * line);
        bare.mix(Rgb::new(0.78, 0.80, 0.83), snow)
    }

    fn tree_cover(&self, ground: &Ground) -> f32 {
        let line = self.snow_line - 0.35 + 0.15 * ground.patch;
        let below = 1.0 - smoothstep(line - 0.2, line, ground.height);
        let dry = smoothstep(0.001, 0.003, ground.height + 0.001 * ground.patch);
        below * dry * smoothstep(0.5, 0.7, ground.upright) * smoothstep(-0.55, -0.1, ground.patch)
    }

    fn tree_tint(&self, ground: &Ground, kind: f32) -> Rgb {
        let spruce = Rgb::new(0.030, 0.060, 0.026) * mix(0.75, 1.3, kind);
        // Larches in their autumn colour stand in groups.
        let larches = 0.02 + 0.22 * smoothstep(-0.05, 0.5, ground.patch);
        if kind < larches { Rgb::new(0.19, 0.135, 0.028) * mix(0.7, 1.1, kind / larches) } else { spruce }
    }
}

//! The sky: a gradient, the glow around the sun, and a layer of clouds.

use super::canvas::Rgb;
use super::curve::{decay, mix, smoothstep};
use super::noise::{Line, Noise, Octaves, Seed};

/// Position and direction of the camera. Pixel coordinates have their origin at the top left.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) width: usize,
    pub(super) height: usize,
    /// The focal length in pixels.
    pub(super) focal: f32,
    /// The row of the horizon, possibly outside the picture.
    pub(super) horizon: f32,
}

impl View {
    /// Returns a lens near the normal one, with the horizon at `horizon` of the height from the top.
    pub(super) fn normal_lens(width: usize, height: usize, horizon: f32) -> Self {
        Self { width, height, focal: (width + height) as f32 * 0.62, horizon: height as f32 * horizon }
    }

    /// Returns the tangent of the angle to the right of the middle.
    pub(super) fn azimuth(&self, x: f32) -> f32 {
        (x - self.width as f32 * 0.5) / self.focal
    }

    /// Returns the tangent of the angle above the horizon.
    pub(super) fn elevation(&self, y: f32) -> f32 {
        (self.horizon - y) / self.focal
    }
}

/// The light of the sky without its clouds.
#[derive(Clone, Copy)]
pub(super) struct Air {
    pub(super) zenith: Rgb,
    pub(super) horizon: Rgb,
    /// Height to which the colour of the horizon reaches.
    pub(super) haze_height: f32,
    /// The colour of the light around the sun.
    pub(super) glow: Rgb,
    /// The angular size of the glow.
    pub(super) glow_radius: f32,
    /// Azimuth and elevation of the sun, as tangents.
    pub(super) sun: (f32, f32),
}

impl Air {
    /// Returns the light from a direction.
    pub(super) fn light(&self, azimuth: f32, elevation: f32) -> Rgb {
        let height = elevation.max(0.0);
        let clear = self.horizon.mix(self.zenith, height / (height + self.haze_height));
        clear + self.glow * self.glow_at(azimuth, height)
    }

    /// Sums a wide and a narrow lobe around the sun; 1 at the centre.
    fn glow_at(&self, azimuth: f32, elevation: f32) -> f32 {
        let (dx, dy) = (azimuth - self.sun.0, elevation - self.sun.1);
        let distance = (dx * dx + dy * dy) / (self.glow_radius * self.glow_radius);
        let wide = 1.0 / (1.0 + distance);
        let narrow = 1.0 / (1.0 + distance * 12.0);
        0.6 * wide * wide + 0.4 * narrow
    }
}

/// A flat layer of clouds.
#[derive(Clone, Copy)]
pub(super) struct Clouds {
    pub(super) seed: Seed,
    /// Share of the sky that is clear: 0 for none of it, 1 for all.
    pub(super) clear: f32,
    /// The width of a cloud against its height above the camera.
    pub(super) width: f32,
    /// Ratio of the length of the clouds to their depth.
    pub(super) stretch: f64,
    pub(super) lit: Rgb,
    pub(super) shaded: Rgb,
}

/// Paints rows of the sky.
pub(super) struct Sky {
    view: View,
    air: Air,
    clouds: Clouds,
    noise: Noise,
    density: Vec<f32>,
    toward_sun: Vec<f32>,
}

impl Sky {
    pub(super) fn new(view: View, air: Air, clouds: Clouds) -> Self {
        let row = vec![0.0; view.width];
        Self { view, air, clouds, noise: Noise::default(), density: row.clone(), toward_sun: row }
    }

    /// Writes the light of row `y` from left to right.
    pub(super) fn row(&mut self, y: usize, out: &mut [Rgb]) {
        let elevation = self.view.elevation(y as f32 + 0.5);
        // Clouds near the horizon drown in haze.
        let visible = smoothstep(0.01, 0.11, elevation);
        if visible > 0.0 {
            self.sample_clouds(elevation);
        }
        for (x, light) in out.iter_mut().enumerate() {
            let azimuth = self.view.azimuth(x as f32 + 0.5);
            let clear = self.air.light(azimuth, elevation);
            *light = clear;
            if visible <= 0.0 {
                continue;
            }
            let density = self.density[x] * 0.5 + 0.5;
            let cover = smoothstep(self.clouds.clear, self.clouds.clear + 0.32, density) * visible;
            // Thick parts and the sides away from the sun are darker.
            let thickness = smoothstep(self.clouds.clear + 0.1, self.clouds.clear + 0.6, density);
            let facing =
                ((self.density[x] - self.toward_sun[x]) * 1.6 + 0.62 - 0.5 * thickness).clamp(0.0, 1.0);
            let near_sun = self.air.glow_at(azimuth, elevation);
            let body = self.clouds.shaded.mix(self.clouds.lit, facing) + self.air.glow * (near_sun * 0.9);
            let body = body.mix(clear, 0.25);
            *light = clear.mix(body, cover * 0.92);
        }
    }

    /// Evaluates the layer at the crossings of the rays of a row, and again a little nearer to the sun.
    fn sample_clouds(&mut self, elevation: f32) {
        // The Earth curves away: the layer is not infinitely far even at the horizon.
        let distance = f64::from(1.0 / (elevation + 0.035) / self.clouds.width);
        let step = distance / f64::from(self.view.focal);
        let row_step = distance * f64::from(self.clouds.width) * step;
        let x = -0.5 * self.view.width as f64 * step / self.clouds.stretch;
        let line = Line {
            x,
            y: distance,
            step: step / self.clouds.stretch,
            footprint: mix(step as f32, row_step as f32, 0.5).into(),
        };
        let octaves = Octaves { count: 8, frequency: 1.0, lacunarity: 2.1, gain: 0.52 };
        self.noise.sum(self.clouds.seed, octaves, line, &mut self.density);
        let (sun_x, _) = self.air.sun;
        let shift = f64::from(sun_x.clamp(-1.0, 1.0)) * 0.12;
        let shifted = Line { x: line.x + shift, y: line.y + 0.04, ..line };
        self.noise.sum(self.clouds.seed, Octaves { count: 5, ..octaves }, shifted, &mut self.toward_sun);
    }
}

/// Fades a colour into the air in front of it; `depth` is the optical depth in between.
pub(super) fn veil(colour: Rgb, air: Rgb, depth: f32) -> Rgb {
    air.mix(colour, decay(depth))
}

//! Fallen leaves, seen from close by with a shallow depth of field.

use super::canvas::{Canvas, Rgb};
use super::curve::{fraction, mix, smoothstep};
use super::grain::Grain;
use super::noise::{Line, Noise, Octaves, Seed};

/// Layers of leaves; with more, no soil would show.
const LAYERS: u32 = 3;

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let season = seed.unit(1, 0);
    let size = seed.range(2, 0.045, 0.07);
    let texels = canvas.width() * canvas.height();
    let mut ground = Ground { canvas, grain: Grain::new(seed.part(10)), gaps: vec![u16::MAX; texels] };
    for layer in 0..LAYERS {
        ground.paint_layer(seed.part(20 + layer), season, size);
    }
    ground.paint_soil(seed.part(11));
    let focus = seed.range(3, 0.5, 0.72);
    let height = canvas.height() as f32;
    let width = canvas.width() as f32;
    canvas.defocus(|y| {
        let away = (y as f32 / height - focus).abs();
        smoothstep(0.08, 0.75, away) * 0.009 * width
    });
    paint_light(seed.part(12), canvas);
}

/// Spots of sunlight between the shadows of branches.
fn paint_light(seed: Seed, canvas: &mut Canvas) {
    let mut noise = Noise::default();
    let width = canvas.width();
    let unit = 1.0 / width as f64;
    let mut row = vec![0.0; width];
    for y in 0..canvas.height() {
        let line = Line { x: 0.0, y: y as f64 * unit * 1.7, step: unit, footprint: unit };
        noise.sum(seed, Octaves { count: 4, frequency: 2.6, lacunarity: 2.0, gain: 0.5 }, line, &mut row);
        for (x, value) in row.iter().enumerate() {
            let sun = smoothstep(-0.25, 0.35, *value);
            let light = Rgb::new(0.34, 0.42, 0.52).mix(Rgb::new(1.55, 1.32, 1.02), sun);
            let old = canvas.at(x as isize, y as isize);
            canvas.set(x, y, old * light);
        }
    }
}

/// The ground, painted from the uppermost leaf down: hidden parts cost little.
struct Ground<'a> {
    canvas: &'a mut Canvas,
    grain: Grain,
    /// For every pixel the share of light left by painted leaves to the layers beneath.
    gaps: Vec<u16>,
}

impl Ground<'_> {
    /// Paints one layer of leaves on a loose grid, nearest first.
    fn paint_layer(&mut self, seed: Seed, season: f32, size: f32) {
        let (width, height) = (self.canvas.width() as f32, self.canvas.height() as f32);
        let mut y = height * 1.12;
        let mut row = 0;
        while y > -0.08 * height {
            let length = perspective(y / height) * size * (width + height) * 0.5;
            let cell = length * 0.95;
            let columns = (width / cell) as i32 + 2;
            for column in -1..columns {
                let key = |part: i32| seed.unit(column, row * 16 + part);
                let x = (column as f32 + key(1)) * cell;
                let leaf_seed = seed.part((row * 4096 + column) as u32);
                Leaf::new(leaf_seed, (x, y + (key(2) - 0.5) * cell), length, season).paint(self);
            }
            y -= cell * 0.62;
            row += 1;
        }
    }

    /// Background between the leaves.
    fn paint_soil(&mut self, seed: Seed) {
        let mut noise = Noise::default();
        let mut row = vec![0.0; self.canvas.width()];
        for y in 0..self.canvas.height() {
            let line = Line { x: 0.0, y: y as f64 * 1.6, step: 1.0, footprint: 1.0 };
            noise.sum(seed, Octaves::pink(7, 0.006), line, &mut row);
            for (x, value) in row.iter().enumerate() {
                let soil = Rgb::new(0.05, 0.04, 0.03) * (1.0 + 0.8 * value).max(0.2);
                self.lay(x, y, soil, 1.0, 0.0);
            }
        }
    }

    /// Adds a cover of a share of a pixel, and shades a share of the rest.
    fn lay(&mut self, x: usize, y: usize, light: Rgb, cover: f32, shade: f32) {
        const FULL: f32 = 65_535.0;
        let gap = &mut self.gaps[y * self.canvas.width() + x];
        let open = f32::from(*gap) / FULL;
        self.canvas.add(x, y, light * (open * cover));
        *gap = (open * (1.0 - cover) * (1.0 - shade) * FULL) as u16;
    }
}

/// Returns the scale of objects at a row, relative to the bottom row.
fn perspective(down: f32) -> f32 {
    mix(0.42, 1.0, down.clamp(0.0, 1.1))
}

struct Leaf {
    x: f32,
    y: f32,
    /// Half the length of the leaf, and half the width at the broadest place.
    length: f32,
    breadth: f32,
    /// The reciprocals of the two, which are needed for every pixel.
    scale: (f32, f32),
    /// Direction of the stalk, a unit vector.
    along: (f32, f32),
    tint: Rgb,
    spots: Rgb,
    /// Attitude of the leaf: the light of its two halves.
    halves: (f32, f32),
    offset: usize,
}

impl Leaf {
    /// Flattening of the leaves by the view from the side.
    const FLAT: f32 = 1.5;

    fn new(seed: Seed, at: (f32, f32), length: f32, season: f32) -> Self {
        let (u, v) = (seed.unit(1, 0) - 0.5, seed.unit(2, 0) - 0.5);
        let norm = 1.0 / (u * u + v * v).sqrt().max(0.01);
        let colours = [
            Rgb::new(0.44, 0.19, 0.090),
            Rgb::new(0.50, 0.34, 0.120),
            Rgb::new(0.31, 0.090, 0.070),
            Rgb::new(0.20, 0.125, 0.085),
            Rgb::new(0.27, 0.27, 0.100),
            Rgb::new(0.37, 0.24, 0.140),
        ];
        let pick = |key| {
            let choice = ((seed.unit(key, 0) * 4.0 + season * 2.0) as usize).min(colours.len() - 1);
            colours[choice]
        };
        let length = length * seed.range(3, 0.62, 1.15);
        let breadth = length * seed.range(4, 0.42, 0.62);
        Self {
            x: at.0,
            y: at.1,
            length,
            breadth,
            scale: (1.0 / length, 1.0 / breadth),
            along: (u * norm, v * norm),
            tint: pick(5) * seed.range(6, 0.7, 1.15),
            spots: pick(7) * 0.6,
            halves: (seed.range(8, 0.72, 1.1), seed.range(9, 0.72, 1.1)),
            offset: (seed.unit(10, 0) * 500.0) as usize,
        }
    }

    fn paint(&self, ground: &mut Ground<'_>) {
        let (width, height) = (ground.canvas.width(), ground.canvas.height());
        let reach = self.length * 1.25;
        let top = (self.y - reach).max(0.0) as usize;
        let bottom = ((self.y + reach).max(0.0) as usize).min(height);
        for y in top..bottom {
            let dy = (y as f32 + 0.5 - self.y) * Self::FLAT;
            let Some((left, right)) = self.span(dy) else { continue };
            let first = (self.x + left).max(0.0) as usize;
            let past = ((self.x + right).max(0.0) as usize + 1).min(width);
            for x in first..past {
                if ground.gaps[y * width + x] > 0 {
                    self.paint_pixel(ground, x, y, dy);
                }
            }
        }
    }

    /// Returns the columns, relative to the middle, that the leaf and the shadow may cover.
    fn span(&self, dy: f32) -> Option<(f32, f32)> {
        let (c, s) = self.along;
        let limits = [(c, s * dy, self.length * 1.2), (s, -c * dy, self.breadth * 1.5)];
        let (mut low, mut high) = (-self.length * 1.6, self.length * 1.6);
        for (factor, constant, limit) in limits {
            // -limit <= factor * dx + constant <= limit
            if factor.abs() > 0.01 {
                let (a, b) = ((-limit - constant) / factor, (limit - constant) / factor);
                low = low.max(a.min(b));
                high = high.min(a.max(b));
            } else if constant.abs() > limit {
                return None;
            }
        }
        (low < high).then_some((low, high))
    }

    fn paint_pixel(&self, ground: &mut Ground<'_>, x: usize, y: usize, dy: f32) {
        let dx = x as f32 + 0.5 - self.x;
        let (t, v) = self.leaf_place(dx, dy);
        let edge = self.outline(t) - v.abs();
        // Beyond the reach of the shadow, too.
        if edge < -0.55 {
            return;
        }
        // Over two pixels.
        let cover = smoothstep(-1.0, 1.0, edge * self.breadth);
        let light = if cover > 0.0 { self.surface(&ground.grain, x, y, t, v) } else { Rgb::default() };
        // The shadow falls a little to the right and toward the camera.
        let shift = self.breadth * 0.14;
        let (t, v) = self.leaf_place(dx - shift, dy - shift * 1.4);
        let shade = smoothstep(-0.25, 0.25, self.outline(t) - v.abs());
        ground.lay(x, y, light, cover, 0.62 * shade);
    }

    /// Returns the position of a pixel on the leaf: along the midrib (-1 at the stalk, 1 at the tip), and
    /// across it in half widths.
    fn leaf_place(&self, dx: f32, dy: f32) -> (f32, f32) {
        let (c, s) = self.along;
        let (per_length, per_breadth) = self.scale;
        ((c * dx + s * dy) * per_length, (s * dx - c * dy) * per_breadth)
    }

    /// Returns the half width of the leaf at a position along the midrib, with a toothed edge.
    fn outline(&self, t: f32) -> f32 {
        let body = (1.0 - t * t).max(0.0);
        let tooth = fraction(t * 11.0 + 20.0);
        body * (1.0 - 0.32 * t) * (0.93 + 0.12 * tooth) - 0.02
    }

    fn surface(&self, grain: &Grain, x: usize, y: usize, t: f32, v: f32) -> Rgb {
        let side = if v < 0.0 { self.halves.0 } else { self.halves.1 };
        let texture = grain.at(x + self.offset, y + self.offset / 2);
        let wilt = smoothstep(0.95, 1.45, texture + 0.35 * v.abs());
        let colour = self.tint.mix(self.spots, wilt);
        // Side veins leave the midrib at an angle and bend toward the tip.
        let off = (fraction((t - 0.55 * v.abs() + 3.0) * 6.5) - 0.5).abs();
        let ridge = smoothstep(0.4375, 0.5, off) * 0.22 + (1.0 - smoothstep(0.0, 0.0625, v.abs())) * 0.45;
        let bulge = 0.88 + 0.24 * (0.5 - off);
        let curl = 1.0 - 0.22 * v * v;
        (colour * (side * bulge * curl * mix(1.0, texture, 0.6))).mix(Rgb::new(0.5, 0.36, 0.16), ridge * 0.55)
    }
}

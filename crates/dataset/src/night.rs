//! City lights at night, out of focus behind a window with raindrops.

use super::canvas::{Canvas, Rgb};
use super::curve::{fraction, mix, smoothstep};
use super::noise::{Line, Noise, Octaves, Seed};

/// Paints the whole picture.
pub(super) fn paint(seed: Seed, canvas: &mut Canvas) {
    let street = seed.range(1, 0.52, 0.68);
    paint_haze(seed.part(10), canvas, street);
    let lights = seed.range(2, 110.0, 190.0) as i32;
    for index in 0..lights {
        let lamp = Lamp::new(seed.part(11), index, canvas, street);
        lamp.paint_mirror(canvas, street * canvas.height() as f32);
        lamp.paint_disc(canvas);
    }
    let behind = Thumbnail::new(canvas);
    let drops = seed.range(3, 350.0, 900.0) as i32;
    for index in 0..drops {
        Drop::new(seed.part(12), index, canvas).paint(canvas, &behind);
    }
}

/// Skyglow above, facades in the middle, wet asphalt below; all far out of focus.
fn paint_haze(seed: Seed, canvas: &mut Canvas, street: f32) {
    let (width, height) = (canvas.width(), canvas.height());
    let (top, middle) = (Rgb::new(0.020, 0.026, 0.050), Rgb::new(0.085, 0.058, 0.050));
    let bottom = Rgb::new(0.026, 0.022, 0.028);
    let mut noise = Noise::default();
    let mut facades = vec![0.0; width];
    let unit = 1.0 / width as f64;
    for y in 0..height {
        let line = Line { x: 0.0, y: y as f64 * unit * 0.6, step: unit, footprint: unit };
        noise.sum(seed, Octaves { count: 4, frequency: 4.0, lacunarity: 2.0, gain: 0.6 }, line, &mut facades);
        let down = y as f32 / height as f32;
        let base = if down < street {
            top.mix(middle, smoothstep(0.0, street, down))
        } else {
            middle.mix(bottom, smoothstep(street, 1.0, down))
        };
        for (x, facade) in facades.iter().enumerate() {
            canvas.set(x, y, base * (1.0 + 0.75 * facade).max(0.25));
        }
    }
}

/// A lamp, which the lens spreads into a disc.
struct Lamp {
    x: f32,
    y: f32,
    radius: f32,
    light: Rgb,
}

impl Lamp {
    fn new(seed: Seed, index: i32, canvas: &Canvas, street: f32) -> Self {
        let (width, height) = (canvas.width() as f32, canvas.height() as f32);
        let at = |key| seed.unit(index, key);
        // Near lamps are few, large and high above the street.
        let near = at(1) * at(1);
        let rise = (at(2) + at(3) - 0.45) * mix(0.18, 0.55, near);
        let colours = [
            Rgb::new(1.0, 0.55, 0.20),
            Rgb::new(1.0, 0.72, 0.42),
            Rgb::new(0.85, 0.88, 1.0),
            Rgb::new(1.0, 0.16, 0.09),
            Rgb::new(0.20, 0.85, 0.50),
            Rgb::new(0.25, 0.50, 1.0),
        ];
        // Most lamps are warm.
        let choice = (at(4) * at(4) * colours.len() as f32) as usize;
        let colour = colours.get(choice).copied().unwrap_or(colours[0]);
        Self {
            x: at(5) * width,
            y: (street - rise).clamp(0.03, 0.95) * height,
            radius: mix(0.010, 0.030, near) * (width + height) * mix(0.75, 1.2, at(6)),
            light: colour * (mix(0.10, 0.42, at(7)) * mix(1.0, 0.55, near)),
        }
    }

    fn paint_disc(&self, canvas: &mut Canvas) {
        let reach = self.radius + 2.0;
        for_box(canvas, (self.x, self.y), (reach, reach), |canvas, x, y, dx, dy| {
            let distance = (dx * dx + dy * dy).sqrt();
            let inside = 1.0 - smoothstep(self.radius - 2.0, self.radius + 2.0, distance);
            if inside > 0.0 {
                // The rim is brighter, and the grinding of the lens leaves faint rings.
                let out = distance / self.radius;
                let ring = (fraction(out * 7.0) - 0.5).abs();
                let profile = 0.78 + 0.3 * out * out * out * out + 0.05 * ring;
                canvas.add(x, y, self.light * (inside * profile));
            }
        });
    }

    /// The long, soft reflection on the wet street.
    fn paint_mirror(&self, canvas: &mut Canvas, street: f32) {
        let centre = street + (street - self.y).abs() * 0.8 + self.radius * 2.0;
        let (wide, high) = (self.radius * 1.1, self.radius * 4.5);
        for_box(canvas, (self.x, centre), (wide * 1.8, high * 1.8), |canvas, x, y, dx, dy| {
            let (u, v) = (dx / wide, dy / high);
            let fade = (1.0 - (u * u + v * v) * 0.31).max(0.0);
            canvas.add(x, y, self.light * (0.30 * fade * fade * fade));
        });
    }
}

/// Calls `visit(canvas, x, y, dx, dy)` for the pixels of a box around a centre.
fn for_box(
    canvas: &mut Canvas,
    centre: (f32, f32),
    reach: (f32, f32),
    mut visit: impl FnMut(&mut Canvas, usize, usize, f32, f32),
) {
    let left = (centre.0 - reach.0).max(0.0) as usize;
    let right = ((centre.0 + reach.0).max(0.0) as usize + 1).min(canvas.width());
    let top = (centre.1 - reach.1).max(0.0) as usize;
    let bottom = ((centre.1 + reach.1).max(0.0) as usize + 1).min(canvas.height());
    for y in top..bottom {
        for x in left..right {
            visit(canvas, x, y, x as f32 + 0.5 - centre.0, y as f32 + 0.5 - centre.1);
        }
    }
}

/// The scene at a sixteenth of the size: drops show only small details.
struct Thumbnail {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Thumbnail {
    const SCALE: usize = 16;

    fn new(canvas: &Canvas) -> Self {
        let (width, height) = (canvas.width() / Self::SCALE, canvas.height() / Self::SCALE);
        let pixel = |place: usize| {
            let (x, y) = (place % width * Self::SCALE, place / width * Self::SCALE);
            let corner = |dx: usize, dy: usize| canvas.at((x + dx) as isize, (y + dy) as isize);
            (corner(4, 4) + corner(12, 4) + corner(4, 12) + corner(12, 12)) * 0.25
        };
        Self { width, height, pixels: (0..width * height).map(pixel).collect() }
    }

    /// Returns the light at a place given in pixels of the picture, between the four nearest samples.
    fn at(&self, x: f32, y: f32) -> Rgb {
        let column = (x / Self::SCALE as f32).clamp(0.0, self.width as f32 - 1.01);
        let row = (y / Self::SCALE as f32).clamp(0.0, self.height as f32 - 1.01);
        let (left, top) = (column as usize, row as usize);
        let (across, down) = (column - left as f32, row - top as f32);
        let pixel =
            |x: usize, y: usize| self.pixels[y.min(self.height - 1) * self.width + x.min(self.width - 1)];
        let upper = pixel(left, top).mix(pixel(left + 1, top), across);
        upper.mix(pixel(left, top + 1).mix(pixel(left + 1, top + 1), across), down)
    }
}

/// A raindrop on the pane: a lens that shows the scene upside down.
struct Drop {
    x: f32,
    y: f32,
    radius: f32,
    /// Unevenness of the outline.
    bulge: (f32, f32),
}

impl Drop {
    fn new(seed: Seed, index: i32, canvas: &Canvas) -> Self {
        let (width, height) = (canvas.width() as f32, canvas.height() as f32);
        let at = |key| seed.unit(index, key);
        let size = at(3) * at(3) * at(3);
        Self {
            x: at(1) * width,
            y: at(2) * height,
            radius: mix(0.0009, 0.0075, size) * (width + height),
            bulge: (at(4) - 0.5, at(5) - 0.5),
        }
    }

    fn paint(&self, canvas: &mut Canvas, behind: &Thumbnail) {
        let reach = self.radius * 1.4 + 1.0;
        let soft = 1.0 / self.radius;
        for_box(canvas, (self.x, self.y), (reach, reach), |canvas, x, y, dx, dy| {
            let (u, v) = (dx / self.radius, dy / self.radius);
            let uneven = 1.0 + 0.25 * self.bulge.0 * u * v + 0.2 * self.bulge.1 * (u * u - v * v);
            let out = (u * u + v * v * 0.85).sqrt() * uneven;
            let inside = 1.0 - smoothstep(1.0 - soft, 1.0 + soft, out);
            if inside <= 0.0 {
                return;
            }
            let bend = self.radius * (8.0 + 22.0 * out * out);
            let seen = behind.at(self.x - u * bend, self.y - v * bend);
            // Steep near the rim, the drop sends light elsewhere; below, it collects the sky.
            let rim = 1.0 - 0.75 * smoothstep(0.6, 1.0, out);
            let collected = 1.0 + 0.5 * smoothstep(0.1, 0.9, v);
            let old = canvas.at(x as isize, y as isize);
            canvas.set(x, y, old.mix(seen * (rim * collected * 1.15), inside));
        });
    }
}

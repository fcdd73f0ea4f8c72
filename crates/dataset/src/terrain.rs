//! Landscapes: a height field drawn slice by slice from the camera to the distance.
//!
//! A slice is the line of ground at one depth. The points of a slice project to the columns of the picture,
//! and parts above nearer slices are visible; a column records the extent already painted. Edges cover pixels
//! by the exact share. Lengths are kilometres.

use super::canvas::{Canvas, Rgb};
use super::curve::{decay, mix, smoothstep};
use super::grain::Grain;
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::{Air, Sky, View, veil};

/// The ground of one landscape: its shape and what covers it.
pub(super) trait Relief {
    /// The height above the camera's datum for every point of the line; `line.y` is the depth.
    fn heights(&self, noise: &mut Noise, line: Line, out: &mut [f32]);

    /// Returns the share of light reflected by the ground.
    fn albedo(&self, ground: &Ground) -> Rgb;

    /// Returns the density of trees, 0..=1; 0 unless a relief overrides it.
    fn tree_cover(&self, _: &Ground) -> f32 {
        0.0
    }

    /// Returns the colour of a tree, for a number in 0..1 that distinguishes trees.
    fn tree_tint(&self, _: &Ground, _: f32) -> Rgb {
        Rgb::default()
    }
}

/// A place on the ground.
pub(super) struct Ground {
    pub(super) height: f32,
    /// The vertical component of the normal: 1 where level, 0 where sheer.
    pub(super) upright: f32,
    /// Noise in about -1..1 with features of some hundred metres, for irregular borders.
    pub(super) patch: f32,
}

/// Light and air of a landscape. Shadows fall as if the sun stood in the plane of a slice.
pub(super) struct Light {
    pub(super) sun: Rgb,
    pub(super) sky: Rgb,
    /// Direction to the sun: right, up, toward the camera; a unit vector.
    pub(super) toward: [f32; 3],
    /// Optical depth of a kilometre of air at the datum.
    pub(super) haze: f32,
    /// The height in kilometres at which a quarter of the haze is left.
    pub(super) haze_height: f32,
    pub(super) air: Air,
}

/// The slices of a landscape.
pub(super) struct Range {
    pub(super) nearest: f32,
    pub(super) farthest: f32,
    pub(super) slices: usize,
    pub(super) camera_height: f32,
    /// Roughness of the ground, 0..=1.
    pub(super) roughness: f32,
    /// The height of a grown tree; 0 where none grow.
    pub(super) tree_height: f32,
    /// True if water covers the foreground where the ground lies below the datum.
    pub(super) lake: bool,
}

/// Paints the landscape and the sky above it. Returns, for every column, the row at which the ground begins
/// when seen from below: rows below are untouched and black.
pub(super) fn render<R: Relief>(
    canvas: &mut Canvas,
    seed: Seed,
    view: View,
    range: &Range,
    light: &Light,
    relief: &R,
    mut sky: Sky,
) -> Vec<f32> {
    let mut painter = Painter::new(canvas, seed, view, range, light, relief);
    // The slices stand closer where they look larger.
    let ratio = ratio_of(range.farthest / range.nearest, range.slices);
    let mut depth = f64::from(range.nearest);
    painter.survey(depth);
    for _ in 0..range.slices {
        let gap = depth * (ratio - 1.0);
        depth += gap;
        painter.slice(depth, gap);
    }
    let Painter { tops, shore, canvas, .. } = painter;
    let lowest = tops.iter().fold(0.0, |low: f32, &top| low.max(top));
    let mut row = vec![Rgb::default(); view.width];
    for y in 0..(lowest as usize + 1).min(view.height) {
        sky.row(y, &mut row);
        for (x, (&light, &top)) in row.iter().zip(&tops).enumerate() {
            let cover = (top - y as f32).clamp(0.0, 1.0);
            if cover > 0.0 {
                canvas.add(x, y, light * cover);
            }
        }
    }
    shore
}

/// Returns the factor between neighbouring slices: the `slices`-th root of `total`, by bisection.
fn ratio_of(total: f32, slices: usize) -> f64 {
    let (mut low, mut high) = (1.0_f64, 2.0_f64);
    for _ in 0..40 {
        let middle = (low + high) * 0.5;
        let mut power = 1.0;
        for _ in 0..slices {
            power = (power * middle).min(1e9);
        }
        if power < f64::from(total) { low = middle } else { high = middle }
    }
    low
}

struct Painter<'a, R> {
    canvas: &'a mut Canvas,
    seed: Seed,
    view: View,
    range: &'a Range,
    light: &'a Light,
    relief: &'a R,
    noise: Noise,
    /// Points of a slice left of the picture; shadows reach in from the side of the sun.
    margin: usize,
    heights: Vec<f32>,
    previous: Vec<f32>,
    /// The height of the shadow's edge above each point.
    shade: Vec<f32>,
    patches: Vec<f32>,
    canopy: Vec<Option<Tree>>,
    tops: Vec<f32>,
    shore: Vec<f32>,
    /// The colour of each column's last painted ground.
    last: Vec<Rgb>,
    /// The colour of endlessly deep air behind each column.
    air: Vec<Rgb>,
    grain: Grain,
}

/// A tree as one column of the picture sees it.
#[derive(Clone, Copy)]
struct Tree {
    /// Height above the datum.
    top: f32,
    /// -1 at the left edge, 1 at the right edge.
    side: f32,
    tint: Rgb,
}

impl<'a, R: Relief> Painter<'a, R> {
    fn new(
        canvas: &'a mut Canvas,
        seed: Seed,
        view: View,
        range: &'a Range,
        light: &'a Light,
        relief: &'a R,
    ) -> Self {
        let shadowing = view.width / 12;
        let margin = if light.toward[0] < 0.0 { shadowing } else { 0 };
        let points = view.width + shadowing;
        Self {
            canvas,
            seed,
            view,
            range,
            light,
            relief,
            noise: Noise::default(),
            margin,
            heights: vec![0.0; points],
            previous: vec![0.0; points],
            shade: vec![0.0; points],
            patches: vec![0.0; points],
            canopy: vec![None; view.width],
            tops: vec![view.height as f32; view.width],
            shore: vec![view.height as f32; view.width],
            last: vec![Rgb::default(); view.width],
            air: (0..view.width).map(|x| light.air.light(view.azimuth(x as f32), 0.01)).collect(),
            grain: Grain::new(seed.part(2)),
        }
    }

    /// Evaluates the heights of the slice at `depth`, and keeps the heights of the previous slice.
    fn survey(&mut self, depth: f64) -> Line {
        let step = depth / f64::from(self.view.focal);
        let x = -(0.5 * self.view.width as f64 + self.margin as f64) * step;
        let line = Line { x, y: depth, step, footprint: step };
        std::mem::swap(&mut self.heights, &mut self.previous);
        self.relief.heights(&mut self.noise, line, &mut self.heights);
        line
    }

    /// Paints the visible part of the slice at `depth`, `gap` behind the previous slice.
    fn slice(&mut self, depth: f64, gap: f64) {
        let line = self.survey(depth);
        if !self.rises_into_view(depth as f32) {
            return;
        }
        let octaves = Octaves { count: 6, frequency: 2.5, lacunarity: 2.1, gain: 0.6 };
        self.noise.sum(self.seed.part(1), octaves, line, &mut self.patches);
        self.cast_shadows(line.step as f32);
        self.plant(line, gap as f32);
        for column in 0..self.view.width {
            self.paint(column, line, gap as f32);
        }
    }

    fn rises_into_view(&self, depth: f32) -> bool {
        let tallest = self.range.tree_height * 1.5;
        let visible = &self.heights[self.margin..][..self.view.width];
        visible.iter().zip(&self.tops).any(|(&height, &top)| self.project(height + tallest, depth) < top)
    }

    /// Returns the row at which a point appears.
    fn project(&self, height: f32, depth: f32) -> f32 {
        self.view.horizon - (height - self.range.camera_height) * self.view.focal / depth
    }

    /// Follows the sun's rays along the slice: the edge of the shadow sinks from every crest.
    fn cast_shadows(&mut self, step: f32) {
        let [right, up, _] = self.light.toward;
        let sink = step * up / right.abs().max(0.05);
        let mut edge = f32::MIN;
        let mut follow = |(shade, &height): (&mut f32, &f32)| {
            edge = (edge - sink).max(height);
            *shade = edge;
        };
        let pairs = self.shade.iter_mut().zip(&self.heights);
        if right < 0.0 { pairs.for_each(&mut follow) } else { pairs.rev().for_each(&mut follow) }
    }

    fn ground(&self, point: usize, line: Line, gap: f32) -> (Ground, [f32; 3]) {
        let (step, depth) = (line.step as f32, line.y as f32);
        let before = point.saturating_sub(1);
        let after = (point + 1).min(self.heights.len() - 1);
        let slope_x = (self.heights[after] - self.heights[before]) / (step * (after - before) as f32);
        let x = line.x as f32 + point as f32 * step;
        // The same point of the slice before lies a little nearer to the middle.
        let drift = x * gap / depth;
        let slope_z = (self.heights[point] - self.previous[point] - slope_x * drift) / gap;
        let upright = 1.0 / (1.0 + slope_x * slope_x + slope_z * slope_z).sqrt();
        let ground = Ground { height: self.heights[point], upright, patch: self.patches[point] };
        (ground, [-slope_x * upright, upright, slope_z * upright])
    }

    /// Chooses the trees of the slice: at most one in each cell, of equal area of ground per tree.
    fn plant(&mut self, line: Line, gap: f32) {
        /// Ground for one tree, in square kilometres.
        const PLOT: f32 = 30e-6;
        self.canopy.fill(None);
        if self.range.tree_height <= 0.0 {
            return;
        }
        let step = line.step as f32;
        let cell = (PLOT / gap).max(0.35 * self.range.tree_height);
        let left = line.x as f32 + self.margin as f32 * step;
        let seed = self.seed.part((line.y * 65_536.0) as u32);
        let cells = (self.view.width as f32 * step / cell) as i32 + 1;
        for index in 0..=cells {
            let middle = left + (index as f32 + seed.unit(index, 2) - 0.5) * cell;
            let column = ((middle - left) / step) as usize;
            if middle < left || column >= self.view.width {
                continue;
            }
            let (ground, _) = self.ground(column + self.margin, line, gap);
            if seed.unit(index, 3) < self.relief.tree_cover(&ground) {
                self.grow(seed, index, &ground, (middle - left) / step, step);
            }
        }
    }

    /// Marks the columns hidden by a tree.
    fn grow(&mut self, seed: Seed, index: i32, ground: &Ground, centre: f32, step: f32) {
        let size = mix(0.45, 1.25, seed.unit(index, 4));
        let height = self.range.tree_height * size;
        let radius = (height * 0.17 / step).max(0.6);
        let tint = self.relief.tree_tint(ground, seed.unit(index, 5));
        let first = (centre - radius).max(0.0) as usize;
        let past = ((centre + radius) as usize + 1).min(self.view.width);
        for column in first..past {
            let side = (column as f32 + 0.5 - centre) / radius;
            let reach = 1.0 - side.abs();
            if reach <= 0.0 {
                continue;
            }
            let ragged = seed.part(index as u32).unit(column as i32, 6) - 0.5;
            let top = ground.height + height * (reach + ragged * 0.3 * (1.0 - reach)).clamp(0.0, 1.0);
            if self.canopy[column].is_none_or(|tree| tree.top < top) {
                self.canopy[column] = Some(Tree { top, side, tint });
            }
        }
    }

    fn paint(&mut self, column: usize, line: Line, gap: f32) {
        let point = column + self.margin;
        let depth = line.y as f32;
        let top = self.project(self.heights[point], depth);
        let tree = self.canopy[column];
        let tree_top = tree.map_or(top, |tree| self.project(tree.top, depth));
        let is_offshore = self.range.lake && self.shore[column] >= self.view.height as f32;
        if (is_offshore && self.heights[point] <= 0.0) || tree_top.min(top) >= self.tops[column] {
            return;
        }
        let (ground, normal) = self.ground(point, line, gap);
        if is_offshore {
            self.shore[column] = self.project(0.0, depth).min(self.tops[column]);
            self.tops[column] = self.shore[column];
        }
        let shadow = smoothstep(0.0, 0.004 + 0.0012 * depth, self.shade[point] - ground.height);
        let horizon = self.air[column];
        let thinning = self.light.haze_height / (self.light.haze_height + ground.height.max(0.0));
        // A tenth of the haze reaches any height.
        let haze = self.light.haze * depth * (0.1 + 0.9 * thinning * thinning);
        if top < self.tops[column] {
            let lit = self.relief.albedo(&ground) * self.falling_light(normal, 1.0 - shadow);
            let colour = veil(lit, horizon, haze);
            let start = if self.tops[column] >= self.shore[column] { colour } else { self.last[column] };
            self.fill(column, top, start, colour, self.range.roughness * decay(haze));
            self.last[column] = colour;
        }
        if let Some(tree) = tree.filter(|_| tree_top < self.tops[column]) {
            self.paint_tree(column, tree, tree_top, (1.0 - shadow, horizon, haze));
        }
    }

    fn falling_light(&self, normal: [f32; 3], sunlit: f32) -> Rgb {
        let [x, y, z] = self.light.toward;
        let facing = (normal[0] * x + normal[1] * y + normal[2] * z).max(0.0);
        self.light.sun * (facing * sunlit) + self.light.sky * (0.45 + 0.55 * normal[1])
    }

    fn paint_tree(&mut self, column: usize, tree: Tree, top: f32, air: (f32, Rgb, f32)) {
        let (sunlit, horizon, haze) = air;
        let facing = (tree.side * self.light.toward[0]).clamp(-1.0, 1.0) * 0.45 + 0.5;
        let light = self.light.sun * (facing * sunlit) + self.light.sky * 0.75;
        let lit = tree.tint * light;
        let (foot, crown) = (veil(lit * 0.3, horizon, haze), veil(lit, horizon, haze));
        self.fill(column, top, foot, crown, decay(haze));
        self.last[column] = crown;
    }

    /// Paints a column from the painted part up to `top`, from the colour `low` at the bottom to `high`, with
    /// the fine grain of leaves and stones as far as the air lets it through.
    fn fill(&mut self, column: usize, top: f32, low: Rgb, high: Rgb, contrast: f32) {
        let bottom = self.tops[column];
        let top = top.max(0.0);
        if top >= bottom {
            return;
        }
        let scale = 1.0 / (bottom - top).max(1.0);
        for y in top as usize..(bottom.max(0.0) as usize + 1).min(self.view.height) {
            let cover = bottom.min(y as f32 + 1.0) - top.max(y as f32);
            if cover > 0.0 {
                let rise = ((bottom - y as f32 - 0.5) * scale).clamp(0.0, 1.0);
                let grain = mix(1.0, self.grain.at(column, y), contrast);
                self.canvas.add(column, y, low.mix(high, rise) * (grain * cover));
            }
        }
        self.tops[column] = top;
    }
}

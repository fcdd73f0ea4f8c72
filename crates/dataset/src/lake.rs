//! Still water that mirrors the picture above its shore.

use super::canvas::{Canvas, Rgb};
use super::curve::{mix, smoothstep};
use super::noise::{Line, Noise, Octaves, Seed};
use super::sky::View;

/// Paints the rows below the shore, given as one row for every column.
pub(super) fn paint(canvas: &mut Canvas, seed: Seed, view: View, shore: &[f32], body: Rgb) {
    let first = shore.iter().fold(view.height as f32, |low, &row| low.min(row)).max(0.0) as usize;
    let mut noise = Noise::default();
    let mut ripples = vec![(0.0, 0.0); view.width];
    let mut breeze = vec![0.0; view.width];
    for y in first..view.height {
        // Water is a plane: its depth follows from the row. The unit is the camera's height.
        let below = (y as f32 + 0.5 - view.horizon).max(0.8);
        let depth = f64::from(view.focal / below);
        let step = depth / f64::from(view.focal);
        let row_step = depth * step;
        let x = -0.5 * view.width as f64 * step;
        let line = Line { x: x * 0.45, y: depth, step: step * 0.45, footprint: (step + row_step) * 0.3 };
        noise.slopes(
            seed,
            Octaves { count: 6, frequency: 0.8, lacunarity: 1.9, gain: 0.42 },
            line,
            &mut ripples,
        );
        let wide = Line { x: x * 0.02, y: depth * 0.1, step: step * 0.02, footprint: row_step * 0.05 };
        noise.sum(seed.part(1), Octaves::pink(4, 1.0), wide, &mut breeze);
        for x in 0..view.width {
            if (y as f32) + 1.0 > shore[x] {
                let light = reflected(canvas, (x, y), shore[x], ripples[x], breeze[x], view);
                let facing = (below / view.focal).min(1.0);
                // After Schlick 1994, with the reflectance 0.02 of water at a right angle; the angle is
                // exaggerated, so that the colour of the water shows in the foreground.
                let grazing = 1.0 - facing * 1.5;
                let mirror = 0.02 + 0.98 * grazing * grazing * grazing * grazing;
                let cover = (y as f32 + 1.0 - shore[x]).min(1.0);
                canvas.add(x, y, body.mix(light, mirror.clamp(0.1, 0.9)) * cover);
            }
        }
    }
}

/// Returns the light that a place of the water mirrors.
fn reflected(
    canvas: &Canvas,
    at: (usize, usize),
    shore: f32,
    slope: (f32, f32),
    breeze: f32,
    view: View,
) -> Rgb {
    let (x, y) = at;
    let below = (y as f32 + 0.5 - shore).max(0.0);
    let rough = mix(0.25, 1.0, smoothstep(-0.1, 0.35, breeze));
    // A slope turns the mirrored ray by twice its angle; far off, the ripples are foreshortened.
    let reach = view.focal * 0.012 * rough * smoothstep(0.0, 0.12, below / view.height as f32 + 0.01);
    let source = shore - 1.0 - (below * 1.02 + slope.1 * reach).max(0.0);
    let aside = x as f32 + slope.0 * reach * 0.35;
    let row = source.max(0.0);
    let (column, line) = (aside as isize, row as isize);
    let part = row - line as f32;
    canvas.at(column, line).mix(canvas.at(column, line + 1), part)
}

//! Curves of one variable, built only from operations that IEEE 754 rounds exactly.
//!
//! The mathematical library differs from system to system in the last bit of `exp`, `pow` and similar
//! functions; the test covers promise the same bytes everywhere, so products, quotients and square roots
//! replace them here.

/// The straight line from `a` (at `t = 0`) to `b` (at `t = 1`).
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Returns the fractional part of a non-negative number.
pub(super) fn fraction(x: f32) -> f32 {
    // By a cast, because without SSE4.1 `trunc` is a call.
    x - x as u32 as f32
}

/// The cubic that rises from 0 at `low` to 1 at `high`, and is flat outside.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Stands for `exp(-t)`, `t >= 0`: `(1 + t/8 + t²/128)⁻⁸`, which agrees within 0.003.
pub(super) fn decay(t: f32) -> f32 {
    let eighth = t * 0.125;
    let base = 1.0 / (1.0 + eighth + eighth * eighth * 0.5);
    let squared = base * base;
    let fourth = squared * squared;
    fourth * fourth
}

/// The transfer function of sRGB (IEC 61966-2-1, 5.2): linear light 0..=1 to signal 0..=1.
pub(super) fn srgb_signal(linear: f64) -> f64 {
    if linear <= 0.003_130_8 {
        return linear * 12.92;
    }
    // x^(1/2.4) = x^(5/12): the twelfth root by one cube root and two square roots.
    let root = cube_root(linear).sqrt().sqrt();
    let squared = root * root;
    1.055 * squared * squared * root - 0.055
}

/// Newton's iteration for the cube root of a number in 0.001..=1.
fn cube_root(x: f64) -> f64 {
    const STEPS: usize = 24;
    debug_assert!((0.001..=1.0).contains(&x), "the iteration converges from 1 in 24 steps");
    let mut root = 1.0;
    for _ in 0..STEPS {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::{decay, srgb_signal};

    #[test]
    fn curves_agree_with_the_functions_they_stand_for() {
        for step in 0..=1000_u32 {
            let x = f64::from(step) / 1000.0;
            let expected = if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
            assert!((srgb_signal(x) - expected).abs() < 1e-12, "srgb at {x}");
            let t = step as f32 / 100.0;
            assert!((decay(t) - (-t).exp()).abs() < 3e-3, "decay at {t}");
        }
    }
}

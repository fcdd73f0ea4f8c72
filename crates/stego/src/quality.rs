//! How much an image changed: MSE, PSNR and SSIM.

use std::collections::VecDeque;

/// The largest value of a sample.
const PEAK: f64 = 255.0;
/// The window of SSIM: 11 × 11, Gaussian with σ = 1.5 (Wang et al. 2004, section III-C).
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// The constants of SSIM, (K₁ L)² and (K₂ L)² with K₁ = 0.01 and K₂ = 0.03.
const C1: f64 = (0.01 * PEAK) * (0.01 * PEAK);
const C2: f64 = (0.03 * PEAK) * (0.03 * PEAK);

/// Mean squared error of two equally long sequences of 8-bit samples; `None` if their lengths differ or they are
/// empty.
pub fn mse(a: &[u8], b: &[u8]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let squares: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    Some(squares as f64 / a.len() as f64)
}

/// Peak signal-to-noise ratio in decibels, 10 log₁₀(255² / MSE), of two equally long sequences of 8-bit samples;
/// infinite if they are the same, `None` if their lengths differ or they are empty.
pub fn psnr_db(a: &[u8], b: &[u8]) -> Option<f64> {
    mse(a, b).map(psnr_db_of_mse)
}

/// The PSNR in decibels that belongs to a mean squared error; infinite for 0.
pub(crate) fn psnr_db_of_mse(mse: f64) -> f64 {
    10.0 * (PEAK * PEAK / mse).log10()
}

/// Structural similarity of two images of the same size: row-major, 8 bits a sample, `channels` samples a pixel,
/// each channel on its own, averaged over channels and pixels. 1 for the same image.
///
/// Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
/// similarity", IEEE Transactions on Image Processing 13(4), 2004, with the authors' constants and window. Windows
/// lie wholly within the image, so a border of five pixels only takes part as their neighbourhood.
///
/// `None` if the lengths do not fit the size, or if the image is smaller than one window (11 × 11).
pub fn ssim(a: &[u8], b: &[u8], width: usize, height: usize, channels: usize) -> Option<f64> {
    let len = width.checked_mul(height)?.checked_mul(channels)?;
    if a.len() != len || b.len() != len || width < WINDOW || height < WINDOW || channels == 0 {
        return None;
    }
    let kernel = gaussian();
    let mut sum = 0.0;
    for channel in 0..channels {
        let mut rows = VecDeque::with_capacity(WINDOW);
        for (row_a, row_b) in a.chunks_exact(width * channels).zip(b.chunks_exact(width * channels)) {
            let samples_a = row_a.iter().skip(channel).step_by(channels);
            let samples_b = row_b.iter().skip(channel).step_by(channels);
            let pairs: Vec<_> =
                samples_a.zip(samples_b).map(|(&a, &b)| (f64::from(a), f64::from(b))).collect();
            if rows.len() == WINDOW {
                rows.pop_front();
            }
            rows.push_back(row_moments(&pairs, &kernel));
            if rows.len() == WINDOW {
                sum += (0..=width - WINDOW).map(|x| similarity(moments_at(&rows, x, &kernel))).sum::<f64>();
            }
        }
    }
    let windows = (width - WINDOW + 1) * (height - WINDOW + 1) * channels;
    Some(sum / windows as f64)
}

/// Weighted sums over a window, of a, b, a², b² and ab.
type Moments = [f64; 5];

fn gaussian() -> [f64; WINDOW] {
    let weight = |i: usize| {
        let distance = i as f64 - (WINDOW / 2) as f64;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    };
    let kernel: [f64; WINDOW] = std::array::from_fn(weight);
    let sum: f64 = kernel.iter().sum();
    kernel.map(|weight| weight / sum)
}

/// The sums along a row, for each window that lies within it.
fn row_moments(pairs: &[(f64, f64)], kernel: &[f64; WINDOW]) -> Vec<Moments> {
    pairs
        .windows(WINDOW)
        .map(|window| {
            let mut sums = [0.0; 5];
            for (&(a, b), weight) in window.iter().zip(kernel) {
                for (sum, value) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                    *sum += weight * value;
                }
            }
            sums
        })
        .collect()
}

/// The sums of a whole window from those of its rows.
fn moments_at(rows: &VecDeque<Vec<Moments>>, x: usize, kernel: &[f64; WINDOW]) -> Moments {
    let mut sums = [0.0; 5];
    for (row, weight) in rows.iter().zip(kernel) {
        for (sum, value) in sums.iter_mut().zip(row[x]) {
            *sum += weight * value;
        }
    }
    sums
}

/// Wang et al. 2004, equation 13.
fn similarity([mean_a, mean_b, squares_a, squares_b, products]: Moments) -> f64 {
    let (variance_a, variance_b) = (squares_a - mean_a * mean_a, squares_b - mean_b * mean_b);
    let covariance = products - mean_a * mean_b;
    (2.0 * mean_a * mean_b + C1) * (2.0 * covariance + C2)
        / ((mean_a * mean_a + mean_b * mean_b + C1) * (variance_a + variance_b + C2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that is easy to make elsewhere as well, and the same picture disturbed.
    fn pictures(width: usize, height: usize, channels: usize) -> (Vec<u8>, Vec<u8>) {
        let before: Vec<u8> = (0..width * height * channels)
            .map(|i| {
                let (x, y, c) = (i / channels % width, i / channels / width, i % channels);
                ((x * x + 3 * y * x + 7 * y + 50 * c) % 251) as u8
            })
            .collect();
        let after = before.iter().enumerate().map(|(i, &s)| s.saturating_add((i * i % 11) as u8)).collect();
        (before, after)
    }

    /// The figures are those of scikit-image 0.26: `peak_signal_noise_ratio(data_range=255)`, and
    /// `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)` with
    /// `channel_axis=2` for three channels.
    #[test]
    fn figures_are_those_of_an_independent_implementation() {
        let check = |(width, height, channels): (usize, usize, usize), want_psnr: f64, want_ssim: f64| {
            let (before, after) = pictures(width, height, channels);
            let psnr = psnr_db(&before, &after).unwrap();
            let ssim = ssim(&before, &after, width, height, channels).unwrap();
            assert!((psnr - want_psnr).abs() < 1e-9, "{psnr}");
            assert!((ssim - want_ssim).abs() < 1e-9, "{ssim}");
        };
        check((64, 48, 1), 34.338_598_516_613_45, 0.998_732_790_697_093_3);
        check((11, 11, 1), 34.413_257_462_195_42, 0.998_572_187_156_969_6);
        check((40, 33, 3), 34.349_670_535_680_19, 0.998_740_665_556_596_8);
    }

    #[test]
    fn the_same_picture_is_the_same() {
        let (before, _) = pictures(30, 20, 3);
        assert_eq!(psnr_db(&before, &before), Some(f64::INFINITY));
        assert!((ssim(&before, &before, 30, 20, 3).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_compared_has_no_figure() {
        assert_eq!(psnr_db(&[1], &[1, 2]), None);
        assert_eq!(mse(&[], &[]), None);
        assert_eq!(ssim(&[0; 100], &[0; 100], 10, 10, 1), None);
        assert_eq!(ssim(&[0; 100], &[0; 99], 10, 10, 1), None);
        assert_eq!(ssim(&[], &[], usize::MAX, 2, 1), None);
    }
}

//! Measures of a change to an image: MSE, PSNR and SSIM of samples, and all differences of two images.

use std::collections::VecDeque;
use std::ops::Range;

use crate::codec::cover::Cover;
use crate::codec::format::{Channels, SampleDepth};
use crate::watch::{Stage, Stopped, Watch};

/// The window of SSIM: 11 × 11, Gaussian with σ = 1.5 (Wang et al. 2004, section III-C).
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// Adjacent windows processed together.
const STRIP: usize = 4096;
/// K₁ and K₂ of SSIM's constants (K₁ L)² and (K₂ L)², where L is the largest value of a sample (the same
/// source).
const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Differences between two images of the same size and kind. The figures are of the colour samples (R, G, B
/// or Y), of visible and invisible pixels alike; alpha is counted separately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Mean squared error, in units of a sample of the images' depth.
    pub mse: f64,
    /// Peak signal-to-noise ratio in decibels, 10 log₁₀(L² / MSE) with L = 255 or 65535; infinite if no
    /// sample differs.
    pub psnr_db: f64,
    /// Structural similarity by [`ssim`]; `None` for images smaller than a window.
    pub ssim: Option<f64>,
    /// Colour samples of each image.
    pub samples: u64,
    /// Colour samples that differ.
    pub differing_samples: u64,
    /// Pixels of each image.
    pub pixels: u64,
    /// Pixels of which a colour sample is not the same.
    pub differing_pixels: u64,
    /// The largest difference between two colour samples.
    pub largest_difference: u16,
    /// Pixels whose alpha is not the same; 0 where there is no alpha.
    pub differing_alpha: u64,
}

/// Reasons for which two images cannot be compared sample by sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// The sizes differ.
    #[error("one image has {} × {} pixels, the other {} × {}", a.0, a.1, b.0, b.1)]
    Size {
        /// Width and height of the first.
        a: (u32, u32),
        /// Width and height of the second.
        b: (u32, u32),
    },
    /// The channels differ.
    #[error("one image is {}, the other {}", in_words(*a), in_words(*b))]
    Channels {
        /// Channels of the first image.
        a: Channels,
        /// Channels of the second image.
        b: Channels,
    },
    /// The sample depths differ.
    #[error("one image has a bit depth of {}, the other of {}", a.bits(), b.bits())]
    Depth {
        /// Depth of the first image.
        a: SampleDepth,
        /// Depth of the second image.
        b: SampleDepth,
    },
    /// Ended by the watch.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Incomparable {
    /// Returns a stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stopped(_) => Stopped::CODE,
            _ => "not_comparable",
        }
    }
}

fn in_words(channels: Channels) -> &'static str {
    match channels {
        Channels::Grey => "grey",
        Channels::GreyAlpha => "grey with alpha",
        Channels::Rgb => "RGB",
        Channels::Rgba => "RGB with alpha",
    }
}

impl Quality {
    /// Compares two images. Equal rows cost little.
    ///
    /// # Errors
    ///
    /// [`Incomparable`] if the images differ in size or kind, or if `watch` ends the work.
    pub fn between(a: &Cover, b: &Cover, watch: &Watch) -> Result<Self, Incomparable> {
        let layout = Layout::shared(a, b)?;
        let mut quality = Self {
            mse: 0.0,
            psnr_db: f64::INFINITY,
            ssim: ssim_of(a.samples(), b.samples(), &layout, watch)?,
            samples: (layout.width * layout.height * layout.colours) as u64,
            differing_samples: 0,
            pixels: (layout.width * layout.height) as u64,
            differing_pixels: 0,
            largest_difference: 0,
            differing_alpha: 0,
        };
        let mut squares = 0_u64;
        for (row, (row_a, row_b)) in layout.rows(a.samples()).zip(layout.rows(b.samples())).enumerate() {
            watch.check(Stage::Compare, row as u64, layout.height as u64)?;
            if row_a != row_b {
                squares += quality.count_row(row_a, row_b, &layout);
            }
        }
        debug_assert!(quality.differing_samples <= quality.samples, "each sample counts once");
        quality.mse = squares as f64 / quality.samples as f64;
        quality.psnr_db = psnr_db_at(quality.mse, layout.depth);
        Ok(quality)
    }

    /// Counts the differences in a row. Returns the sum of the squares.
    fn count_row(&mut self, row_a: &[u8], row_b: &[u8], layout: &Layout) -> u64 {
        let mut squares = 0;
        for (pixel_a, pixel_b) in layout.pixels(row_a).zip(layout.pixels(row_b)) {
            let (colours_a, alpha_a) = layout.split(pixel_a);
            let (colours_b, alpha_b) = layout.split(pixel_b);
            for difference in differences(colours_a, colours_b, layout.depth).filter(|&by| by > 0) {
                squares += u64::from(difference).pow(2);
                self.differing_samples += 1;
                self.largest_difference = self.largest_difference.max(difference);
            }
            self.differing_pixels += u64::from(colours_a != colours_b);
            self.differing_alpha += u64::from(alpha_a != alpha_b);
        }
        squares
    }

    /// Returns the largest factor for the differences of images of this depth by which the largest difference
    /// still is not brighter than white, for [`difference_image`].
    pub fn amplification(&self, depth: SampleDepth) -> u32 {
        peak(depth) as u32 / u32::from(self.largest_difference.max(1))
    }
}

/// Returns the picture of the differences of two images: the difference of each colour sample times
/// `amplify`, capped at the brightest value; 8 bits per sample and without alpha, whatever the images have.
///
/// # Errors
///
/// [`Incomparable`] if the images differ in size or kind.
pub fn difference_image(a: &Cover, b: &Cover, amplify: u32) -> Result<Cover, Incomparable> {
    let layout = Layout::shared(a, b)?;
    let brightest = peak(layout.depth) as u64;
    let to_a_byte = 8 * (layout.depth.bytes() - 1);
    let mut samples = Vec::with_capacity(layout.width * layout.height * layout.colours);
    for (pixel_a, pixel_b) in layout.pixels(a.samples()).zip(layout.pixels(b.samples())) {
        let (colours_a, colours_b) = (layout.split(pixel_a).0, layout.split(pixel_b).0);
        let bright = |by| (u64::from(by) * u64::from(amplify)).min(brightest) >> to_a_byte;
        samples.extend(differences(colours_a, colours_b, layout.depth).map(|by: u16| bright(by) as u8));
    }
    let channels = if layout.colours == 1 { Channels::Grey } else { Channels::Rgb };
    Ok(Cover::from_samples(a.width(), a.height(), channels, samples)
        .expect("there is a sample for each of the cover's, which is not empty"))
}

/// Returns the mean squared error of two equally long sequences of 8-bit samples; `None` for unequal lengths
/// or empty sequences.
pub fn mse(a: &[u8], b: &[u8]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let squares: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    Some(squares as f64 / a.len() as f64)
}

/// Returns the peak signal-to-noise ratio in decibels, 10 log₁₀(255² / MSE), of two equally long sequences of
/// 8-bit samples; infinite for equal sequences, `None` for unequal lengths or empty sequences.
pub fn psnr_db(a: &[u8], b: &[u8]) -> Option<f64> {
    mse(a, b).map(psnr_db_of_mse)
}

/// Returns the PSNR in decibels for a mean squared error of 8-bit samples; infinite for 0.
pub(crate) fn psnr_db_of_mse(mse: f64) -> f64 {
    psnr_db_at(mse, SampleDepth::Eight)
}

/// Returns the PSNR in decibels for a mean squared error of samples of this depth; infinite for 0.
pub(crate) fn psnr_db_at(mse: f64, depth: SampleDepth) -> f64 {
    10.0 * (peak(depth) * peak(depth) / mse).log10()
}

/// Returns the largest value of a sample.
fn peak(depth: SampleDepth) -> f64 {
    match depth {
        SampleDepth::Eight => 255.0,
        SampleDepth::Sixteen => 65535.0,
    }
}

/// Returns the structural similarity of two images of the same size: row-major, 8 bits a sample, `channels`
/// samples a pixel, each channel separately, averaged over channels and pixels. 1 for the same image.
///
/// Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
/// similarity", IEEE Transactions on Image Processing 13(4), 2004, with the authors' constants and window.
/// Windows lie wholly within the image, so a border of five pixels takes part only as neighbourhood.
///
/// `None` if the lengths do not match the size, or if the image is smaller than a window (11 × 11).
pub fn ssim(a: &[u8], b: &[u8], width: usize, height: usize, channels: usize) -> Option<f64> {
    let len = width.checked_mul(height)?.checked_mul(channels)?;
    if a.len() != len || b.len() != len || channels == 0 {
        return None;
    }
    let depth = SampleDepth::Eight;
    ssim_of(a, b, &Layout { width, height, colours: channels, channels, depth }, &Watch::default())
        .expect("nobody stops it")
}

/// Layout of the samples of an image in memory.
struct Layout {
    width: usize,
    height: usize,
    /// Compared samples of a pixel, which come first.
    colours: usize,
    /// Samples of a pixel.
    channels: usize,
    depth: SampleDepth,
}

impl Layout {
    /// Returns the common layout of two images.
    fn shared(a: &Cover, b: &Cover) -> Result<Self, Incomparable> {
        let size = |cover: &Cover| (cover.width(), cover.height());
        if size(a) != size(b) {
            return Err(Incomparable::Size { a: size(a), b: size(b) });
        }
        if a.channels() != b.channels() {
            return Err(Incomparable::Channels { a: a.channels(), b: b.channels() });
        }
        if a.depth() != b.depth() {
            return Err(Incomparable::Depth { a: a.depth(), b: b.depth() });
        }
        Ok(Self {
            width: a.width() as usize,
            height: a.height() as usize,
            colours: a.channels().colour_count(),
            channels: a.channels().count(),
            depth: a.depth(),
        })
    }

    fn rows<'a>(&self, samples: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        samples.chunks_exact(self.width * self.channels * self.depth.bytes())
    }

    fn pixels<'a>(&self, samples: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        samples.chunks_exact(self.channels * self.depth.bytes())
    }

    /// Returns the colours of a pixel, and the rest of the pixel.
    fn split<'a>(&self, pixel: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        pixel.split_at(self.colours * self.depth.bytes())
    }
}

fn differences(a: &[u8], b: &[u8], depth: SampleDepth) -> impl Iterator<Item = u16> {
    let samples = a.chunks_exact(depth.bytes()).zip(b.chunks_exact(depth.bytes()));
    samples.map(|(a, b)| value(a).abs_diff(value(b)))
}

/// Returns the value of a sample of either depth.
fn value(sample: &[u8]) -> u16 {
    sample.iter().fold(0, |value, &byte| value << 8 | u16::from(byte))
}

/// [`ssim`] over the colours of images with samples in `layout`; `None` if smaller than a window. Proceeds in
/// upright strips, so that the sums of a few rows need little memory for any width.
fn ssim_of(a: &[u8], b: &[u8], layout: &Layout, watch: &Watch) -> Result<Option<f64>, Stopped> {
    let &Layout { width, height, colours, .. } = layout;
    if width < WINDOW || height < WINDOW {
        return Ok(None);
    }
    let (tops, lefts) = (height - WINDOW + 1, width - WINDOW + 1);
    let total = colours * lefts.div_ceil(STRIP) * tops;
    let (mut sum, mut done) = (0.0, 0);
    for (channel, left) in
        (0..colours).flat_map(|channel| (0..lefts).step_by(STRIP).map(move |left| (channel, left)))
    {
        let columns = left..(left + STRIP).min(lefts) + WINDOW - 1;
        let mut strip = Strip::new(a, b, layout, channel, columns);
        for top in 0..tops {
            watch.check(Stage::Compare, done as u64, total as u64)?;
            sum += strip.similarity_of_windows(top);
            done += 1;
        }
    }
    Ok(Some(sum / (tops * lefts * colours) as f64))
}

/// Columns of one channel of two images, processed from the top down.
struct Strip<'a> {
    a: &'a [u8],
    b: &'a [u8],
    layout: &'a Layout,
    channel: usize,
    columns: Range<usize>,
    kernel: [f64; WINDOW],
    constants: [f64; 2],
    /// Sums of the rows of the window, or none for equal rows.
    rows: VecDeque<Vec<Moments>>,
    /// The lowest row seen in which something differs.
    last_differing: Option<usize>,
}

impl<'a> Strip<'a> {
    fn new(a: &'a [u8], b: &'a [u8], layout: &'a Layout, channel: usize, columns: Range<usize>) -> Self {
        let constants = [K1, K2].map(|k| (k * peak(layout.depth)).powi(2));
        let rows = VecDeque::with_capacity(WINDOW);
        Self { a, b, layout, channel, columns, kernel: gaussian(), constants, rows, last_differing: None }
    }

    /// Returns the sum over the windows with `top` as the uppermost row, which follows the previous call's
    /// row. Windows without differences have a similarity of 1, which needs no sums.
    fn similarity_of_windows(&mut self, top: usize) -> f64 {
        let windows = self.columns.len() - WINDOW + 1;
        let new = if top == 0 { 0..WINDOW } else { top + WINDOW - 1..top + WINDOW };
        self.last_differing =
            new.rev().find(|&row| self.row(self.a, row) != self.row(self.b, row)).or(self.last_differing);
        if self.last_differing.is_none_or(|row| row < top) {
            self.rows.clear();
            return windows as f64;
        }
        self.rows.pop_front();
        for row in top + self.rows.len()..top + WINDOW {
            self.rows.push_back(self.moments(row));
        }
        (0..windows).map(|x| similarity(moments_at(&self.rows, x, &self.kernel), self.constants)).sum()
    }

    fn moments(&self, row: usize) -> Vec<Moments> {
        let &Layout { channels, depth, .. } = self.layout;
        let of_channel = |samples| samples_of(self.row(samples, row), self.channel, channels, depth);
        let pairs: Vec<_> = of_channel(self.a).zip(of_channel(self.b)).collect();
        row_moments(&pairs, &self.kernel)
    }

    /// Returns the strip's pixels in a row.
    fn row<'s>(&self, samples: &'s [u8], row: usize) -> &'s [u8] {
        let pixel_len_bytes = self.layout.channels * self.layout.depth.bytes();
        let begin = (row * self.layout.width + self.columns.start) * pixel_len_bytes;
        &samples[begin..begin + self.columns.len() * pixel_len_bytes]
    }
}

/// One channel of a row.
fn samples_of(row: &[u8], channel: usize, channels: usize, depth: SampleDepth) -> impl Iterator<Item = f64> {
    row.chunks_exact(depth.bytes()).skip(channel).step_by(channels).map(|sample| f64::from(value(sample)))
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

/// Returns the sums along a row, for each window within the row.
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

/// Returns the sums of a whole window from the sums of the rows.
fn moments_at(rows: &VecDeque<Vec<Moments>>, x: usize, kernel: &[f64; WINDOW]) -> Moments {
    let mut sums = [0.0; 5];
    for (row, weight) in rows.iter().zip(kernel) {
        for (sum, value) in sums.iter_mut().zip(row[x]) {
            *sum += weight * value;
        }
    }
    sums
}

/// Wang et al. 2004, equation 13, with the constants C₁ and C₂.
fn similarity([mean_a, mean_b, squares_a, squares_b, products]: Moments, [c1, c2]: [f64; 2]) -> f64 {
    let (variance_a, variance_b) = (squares_a - mean_a * mean_a, squares_b - mean_b * mean_b);
    let covariance = products - mean_a * mean_b;
    (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
        / ((mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that is easy to reproduce elsewhere, and a disturbed copy.
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

    /// Reference figures by scikit-image 0.26: `peak_signal_noise_ratio(data_range=255)`, and
    /// `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)`
    /// with `channel_axis=2` for three channels.
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

    /// Windows without differences are counted without sums, and wide images are processed in strips:
    /// pictures with some differing rows, against the formula window by window.
    #[test]
    fn rows_that_are_the_same_and_strips_change_nothing_in_the_figure() {
        let check = |width: usize, height: usize, channels: usize, differing: &[usize]| {
            let (before, disturbed) = pictures(width, height, channels);
            let mut after = before.clone();
            for row in differing {
                let samples = row * width * channels..(row + 1) * width * channels;
                after[samples.clone()].copy_from_slice(&disturbed[samples]);
            }
            let want = by_definition(&before, &after, (width, height, channels));
            let found = ssim(&before, &after, width, height, channels).unwrap();
            assert!((found - want).abs() < 1e-12, "{found} {want}");
            assert!(found < 0.999_999);
        };
        check(23, 70, 3, &[0, 30, 31, 44, 69]);
        check(23, 70, 3, &[12]);
        check(STRIP + 25, 13, 1, &[0, 12]);
    }

    /// The mean over all windows, each summed up separately.
    fn by_definition(a: &[u8], b: &[u8], (width, height, channels): (usize, usize, usize)) -> f64 {
        let (kernel, constants) = (gaussian(), [K1, K2].map(|k| (k * 255.0).powi(2)));
        let (mut sum, mut windows) = (0.0, 0);
        for at in 0..(height - WINDOW + 1) * (width - WINDOW + 1) * channels {
            let (pixel, channel) = (at / channels, at % channels);
            let (left, top) = (pixel % (width - WINDOW + 1), pixel / (width - WINDOW + 1));
            let mut sums = [0.0; 5];
            for (y, x) in (0..WINDOW).flat_map(|y| (0..WINDOW).map(move |x| (y, x))) {
                let sample = ((top + y) * width + left + x) * channels + channel;
                let (a, b) = (f64::from(a[sample]), f64::from(b[sample]));
                for (sum, value) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                    *sum += kernel[y] * kernel[x] * value;
                }
            }
            sum += similarity(sums, constants);
            windows += 1;
        }
        sum / f64::from(windows)
    }

    #[test]
    fn a_comparison_can_be_stopped() {
        let image = Cover::from_samples(20, 20, Channels::Grey, vec![7; 400]).unwrap();
        let stop = Watch::new(|_| std::ops::ControlFlow::Break(()));
        assert_eq!(Quality::between(&image, &image, &stop), Err(Incomparable::Stopped(Stopped)));
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

    /// Every sample times 257 is the same picture in 16 bits: both PSNR and SSIM are made not to change with
    /// the scale.
    #[test]
    fn sixteen_bits_are_measured_on_their_own_scale() {
        let (before, after) = pictures(40, 33, 3);
        let wide = |samples: &[u8]| samples.iter().flat_map(|&sample| [sample, sample]).collect::<Vec<u8>>();
        let depth = SampleDepth::Sixteen;
        let layout = Layout { width: 40, height: 33, colours: 3, channels: 3, depth };
        let ssim_16 = ssim_of(&wide(&before), &wide(&after), &layout, &Watch::default()).unwrap().unwrap();
        assert!((ssim_16 - ssim(&before, &after, 40, 33, 3).unwrap()).abs() < 1e-12, "{ssim_16}");
        let mse_16 = mse(&before, &after).unwrap() * 257.0 * 257.0;
        assert!((psnr_db_at(mse_16, depth) - psnr_db(&before, &after).unwrap()).abs() < 1e-9);
        assert_eq!(differences(&[1, 0, 9, 9], &[0, 255, 9, 8], depth).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn alpha_is_counted_apart() {
        let (mut a, _) = pictures(20, 20, 4);
        a.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 200);
        let mut b = a.clone();
        // Red of one pixel, red and blue of another, and alpha of a third one.
        for (at, by) in [(0, 1), (40, 3), (42, 2), (83, 50)] {
            b[at] = if b[at] < 128 { b[at] + by } else { b[at] - by };
        }
        let cover = |samples: &[u8]| Cover::from_samples(20, 20, Channels::Rgba, samples.to_vec()).unwrap();
        let (a, b) = (cover(&a), cover(&b));
        let quality = Quality::between(&a, &b, &Watch::default()).unwrap();
        assert_eq!((quality.samples, quality.differing_samples), (1200, 3));
        assert_eq!((quality.pixels, quality.differing_pixels), (400, 2));
        assert_eq!((quality.largest_difference, quality.differing_alpha), (3, 1));
        assert!((quality.mse - 14.0 / 1200.0).abs() < 1e-12, "{}", quality.mse);
        assert!(quality.ssim.unwrap() < 1.0 && quality.ssim.unwrap() > 0.999);

        let picture = difference_image(&a, &b, 100).unwrap();
        assert_eq!(picture.channels(), Channels::Rgb);
        assert_eq!(picture.samples()[..3], [100, 0, 0]);
        assert_eq!(picture.samples()[30..33], [255, 0, 200]);
        assert!(picture.samples()[33..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn only_images_of_the_same_kind_are_compared() {
        let cover = |width, channels: Channels| {
            let samples = vec![7; width as usize * 12 * channels.count()];
            Cover::from_samples(width, 12, channels, samples).unwrap()
        };
        let of = |a: &Cover, b: &Cover| {
            Quality::between(a, b, &Watch::default()).map_err(|error| error.to_string())
        };
        let grey = cover(12, Channels::Grey);
        assert_eq!(of(&grey, &grey).unwrap().psnr_db, f64::INFINITY);
        let sizes = "one image has 12 × 12 pixels, the other 13 × 12";
        assert_eq!(of(&grey, &cover(13, Channels::Grey)), Err(sizes.to_owned()));
        let kinds = "one image is grey, the other RGB with alpha";
        assert_eq!(of(&grey, &cover(12, Channels::Rgba)), Err(kinds.to_owned()));
        assert_eq!(of(&cover(10, Channels::Grey), &cover(10, Channels::Grey)).unwrap().ssim, None);
    }
}

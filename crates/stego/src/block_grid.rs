//! Traces of an earlier JPEG in an image: 8 × 8 blocks leave steps at their borders that outlast a conversion
//! to PNG.
//!
//! For each place between two neighbouring pixels the step is the deviation from a cubic through the two
//! pixels on either side, as in deblocking filters and blind quality measures (Wang, Bovik and Evans, "Blind
//! measurement of blocking artifacts in images", ICIP 2000, look at the same differences in the frequency
//! domain). The mean step at every eighth place stands out against the other places in a JPEG, and does not
//! in a photograph that never was a JPEG or was resized since.

use std::collections::VecDeque;

use crate::codec::format::SampleDepth;
use crate::codec::info::ImageInfo;

/// Fewest pixels of a judged image: in smaller images chance makes as much of a difference.
const MIN_PIXELS: u64 = 250_000;
/// By how much the strongest of the eight phases must stand out from the mean of the other seven. Of 24
/// photographs, scaled down, the strongest reaches 1.03, and 1.08 in parts of half a megapixel by a half;
/// JPEGs of quality 75 reach 1.1 to 2.2.
const STANDS_OUT: f64 = 1.12;
/// Upper bound of a counted step: edges of objects are larger and say nothing of blocks.
const MAX_STEP: u16 = 60;

/// Collects steps row by row.
pub(crate) struct BlockGrid {
    pixel_len: usize,
    /// Index of the evaluated sample in a pixel: green, or grey.
    sample: usize,
    /// The last rows of the evaluated sample.
    rows: VecDeque<Vec<u8>>,
    seen: usize,
    across: Phases,
    down: Phases,
}

/// Sums and numbers of steps by position modulo 8.
#[derive(Default)]
struct Phases {
    sums: [u64; 8],
    counts: [u64; 8],
}

impl BlockGrid {
    /// Starts the measurement for a large enough image of 8 bits a sample; `None` otherwise.
    pub(crate) fn new(info: &ImageInfo) -> Option<Self> {
        (info.depth == SampleDepth::Eight && info.pixels() >= MIN_PIXELS).then(|| Self {
            pixel_len: info.channels.count(),
            sample: usize::from(info.channels.colour_count() == 3),
            rows: VecDeque::with_capacity(4),
            seen: 0,
            across: Phases::default(),
            down: Phases::default(),
        })
    }

    /// Takes the next row of the image.
    pub(crate) fn add(&mut self, row: &[u8]) {
        let mut levels = if self.rows.len() == 4 { self.rows.pop_front() } else { None }.unwrap_or_default();
        levels.clear();
        levels.extend(row.iter().skip(self.sample).step_by(self.pixel_len));
        for (x, four) in levels.windows(4).enumerate() {
            self.across.add(x, 1, u64::from(step(four[0], four[1], four[2], four[3])));
        }
        self.rows.push_back(levels);
        if let [a, b, c, d] = self.rows.make_contiguous() {
            let steps = a.iter().zip(b.iter()).zip(c.iter().zip(d.iter()));
            let sum = steps.map(|((&a, &b), (&c, &d))| u64::from(step(a, b, c, d))).sum();
            self.down.add(self.seen, d.len() as u64, sum);
        }
        self.seen += 1;
    }

    /// True if the blocks can be seen.
    pub(crate) fn stands_out(&self) -> bool {
        self.across.prominence().max(self.down.prominence()) > STANDS_OUT
    }
}

impl Phases {
    fn add(&mut self, place: usize, count: u64, sum: u64) {
        self.sums[place % 8] += sum;
        self.counts[place % 8] += count;
    }

    /// Returns the largest mean over the mean of the seven others.
    fn prominence(&self) -> f64 {
        let means: Vec<f64> =
            self.sums.iter().zip(self.counts).map(|(&sum, count)| sum as f64 / count.max(1) as f64).collect();
        let largest = means.iter().copied().fold(0.0, f64::max);
        let others = (means.iter().sum::<f64>() - largest) / 7.0;
        if others > 0.0 { largest / others } else { 0.0 }
    }
}

/// Returns the step between the middle two of four neighbours.
fn step(a: u8, b: u8, c: u8, d: u8) -> u16 {
    let [a, b, c, d] = [a, b, c, d].map(i16::from);
    (3 * (b - c) - (a - d)).unsigned_abs().min(MAX_STEP)
}

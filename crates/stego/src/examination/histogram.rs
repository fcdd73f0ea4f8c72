//! Histograms of a channel, and the structures that editing leaves in them.

/// Least number of samples that two neighbours of an empty value have: with as many to be expected, a value
/// that a smooth histogram leaves empty has a probability below 10⁻¹³.
const NEIGHBOURS_OF_GAP: u32 = 32;
/// A gap has fewer samples than its neighbours by this factor.
const GAP_FACTOR: u32 = 20;
/// Gaps that make a comb. Photographs have none.
const MIN_GAPS: usize = 3;
/// Least number of samples of a peak.
const SAMPLES_OF_PEAK: u32 = 200;
/// Peaks that make a comb. Photographs have up to two.
const MIN_PEAKS: usize = 8;

/// Numbers of samples of each value of 8 bits.
#[derive(Debug, Clone)]
pub(super) struct Histogram([u32; 256]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Histogram {
    pub(super) fn add(&mut self, value: u8) {
        let count = &mut self.0[usize::from(value)];
        *count = count.saturating_add(1);
    }

    /// True if values are left out, or doubled, between others. The ends of the range, where clipped samples
    /// gather, do not count.
    pub(super) fn is_comb(&self) -> bool {
        let (mut gaps, mut peaks) = (0, 0);
        for window in self.0[1..255].windows(5) {
            let &[far_below, below, here, above, far_above] = window else { continue };
            let around = below.max(far_below).min(above.max(far_above));
            gaps += usize::from(
                around >= NEIGHBOURS_OF_GAP && u64::from(here) * u64::from(GAP_FACTOR) <= around.into(),
            );
            // Two values in one: more than 1.4 times either neighbour.
            let is_high = u64::from(here) * 5 > u64::from(below.max(above)) * 7;
            peaks += usize::from(here >= SAMPLES_OF_PEAK && below.min(above) > 0 && is_high);
        }
        gaps >= MIN_GAPS || peaks >= MIN_PEAKS
    }
}

/// Samples with the same high byte, from which on each low byte is to be expected: of 256 values e⁻⁴ are
/// missing.
const FULL_HIGH_BYTE: u32 = 1024;
/// Least number of such high bytes.
const MIN_FULL_HIGH_BYTES: u32 = 8;
/// Exceptions to a rule, in 1/1000 of the samples.
const EXCEPTIONS: u64 = 1000;
/// Least number of samples that are judged.
const MIN_SAMPLES: u64 = 256;

/// The values of samples of 16 bits.
#[derive(Debug, Clone)]
pub(super) struct DeepHistogram {
    samples: u64,
    /// Samples with a lowest bit of 1.
    odd: u64,
    /// Samples whose low 16 − d bits repeat their high ones, for d = 8 to 15.
    repeated: [u64; 8],
    of_high_byte: Vec<u32>,
    /// A bit for each value.
    present: Vec<u64>,
}

impl Default for DeepHistogram {
    fn default() -> Self {
        Self { samples: 0, odd: 0, repeated: [0; 8], of_high_byte: vec![0; 256], present: vec![0; 1 << 10] }
    }
}

impl DeepHistogram {
    pub(super) fn add(&mut self, value: u16) {
        self.samples += 1;
        self.odd += u64::from(value & 1);
        for (count, d) in self.repeated.iter_mut().zip(8..) {
            *count += u64::from((value >> d ^ value) & (u16::MAX >> d) == 0);
        }
        let high = &mut self.of_high_byte[usize::from(value >> 8)];
        *high = high.saturating_add(1);
        self.present[usize::from(value >> 6)] |= 1 << (value & 63);
    }

    /// True if the values follow a rule that leaves out some of 16 bits.
    pub(super) fn is_structured(&self) -> bool {
        if self.samples < MIN_SAMPLES {
            return false;
        }
        let all_but_few = |count: u64| (self.samples - count) * EXCEPTIONS <= self.samples;
        let is_shifted = all_but_few(self.odd) || all_but_few(self.samples - self.odd);
        is_shifted || self.repeated.into_iter().any(all_but_few) || self.is_sparse()
    }

    /// True if less than three quarters of the values occur, below high bytes that are frequent.
    fn is_sparse(&self) -> bool {
        let (mut full, mut present) = (0, 0);
        // Clipped samples gather at the ends.
        for (high, words) in self.present.chunks_exact(4).enumerate().skip(1).take(254) {
            if self.of_high_byte[high] >= FULL_HIGH_BYTE {
                full += 1;
                present += words.iter().map(|word| word.count_ones()).sum::<u32>();
            }
        }
        full >= MIN_FULL_HIGH_BYTES && present < full * 192
    }
}

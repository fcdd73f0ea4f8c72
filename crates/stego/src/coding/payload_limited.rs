//! The optimal sender of a payload of given length: change probabilities of least expected distortion.
//!
//! T. Filler, J. Fridrich, *Gibbs Construction in Steganography*, IEEE Transactions on Information Forensics
//! and Security 5 (2010), section III: a sample with cost ρ of either change goes up, and down, with
//! probability e^(−λρ) / (1 + 2e^(−λρ)), where λ is such that the entropies sum to the payload. A sample that
//! can go one way only changes with probability e^(−λρ) / (1 + e^(−λρ)).
//!
//! All numbers are the same on every machine: of the operations on floating-point numbers there are only
//! those that IEEE 754 rounds correctly, and exponential and logarithm are made of them.

/// Samples of the same cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Class {
    pub(crate) cost: f64,
    /// Samples that can go up and down.
    pub(crate) both_ways: u64,
    /// Samples that can go one way only.
    pub(crate) one_way: u64,
}

/// Changes by the optimal sender.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sending {
    /// Weight of the costs.
    pub(crate) lambda: f64,
    /// Entropy of all changes in bits.
    pub(crate) payload_bits: f64,
    /// Expected sum of the costs of the changes.
    pub(crate) distortion: f64,
    /// Expected changes.
    pub(crate) changes: f64,
    /// Expected changes of samples that can go up and down.
    pub(crate) free_changes: f64,
}

/// Steps of the search for λ: more than the bits of a result.
const STEPS: usize = 64;

/// Returns the optimal sender of a payload, or of the most that the samples can carry.
pub(crate) fn send(classes: &[Class], payload_bits: f64) -> Sending {
    let greatest = classes.iter().map(|class| class.cost).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    // Entropy falls with λ. The bounds are those of λ times the greatest cost.
    let (mut low, mut high) = (0.0, 2.0_f64.powi(40));
    let mut best = sending(classes, 0.0);
    for _ in 0..STEPS {
        // The geometric mean once the lower bound is known, as λ may be of any order.
        let middle = if low == 0.0 { high / 16.0 } else { (low * high).sqrt() };
        let tried = sending(classes, middle / greatest);
        if tried.payload_bits >= payload_bits {
            (low, best) = (middle, tried);
        } else {
            high = middle;
        }
        if low == 0.0 && high < 2.0_f64.powi(-20) {
            break;
        }
    }
    best
}

/// Returns the changes by the sender with this λ.
pub(crate) fn sending(classes: &[Class], lambda: f64) -> Sending {
    let mut sum = Sending { lambda, ..Sending::default() };
    for class in classes {
        let weight = lambda * class.cost;
        let [both, one] = [2.0, 1.0].map(|ways| ways * exp_neg(weight));
        for (e, count, is_free) in [(both, class.both_ways, true), (one, class.one_way, false)] {
            let (count, changed) = (count as f64, e / (1.0 + e));
            sum.payload_bits += count * (ln(1.0 + e) + changed * weight) / LN_2;
            sum.distortion += count * changed * class.cost;
            sum.changes += count * changed;
            sum.free_changes += if is_free { count * changed } else { 0.0 };
        }
    }
    sum
}

const LN_2: f64 = std::f64::consts::LN_2;

/// Returns e^(−x) for x ≥ 0.
#[expect(clippy::cast_possible_truncation, reason = "a whole number, 1010 at most")]
pub(crate) fn exp_neg(x: f64) -> f64 {
    if x > 700.0 {
        return 0.0;
    }
    let halvings = (x / LN_2).floor();
    let rest = -(x - halvings * LN_2);
    // e^rest for rest in (−ln 2, 0] by its series; the last term is below 2^−60.
    let series = (1..=18).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    let exponent = 1023 - halvings as u64;
    series * f64::from_bits(exponent << 52)
}

/// Returns the natural logarithm of x, which is normal and above 0.
pub(crate) fn ln(x: f64) -> f64 {
    let exponent = (x.to_bits() >> 52) as i32 - 1023;
    let mantissa = f64::from_bits(x.to_bits() & !(0x7FF << 52) | 1023 << 52);
    // From [1, 2) to [0.75, 1.5).
    let (exponent, mantissa) =
        if mantissa >= 1.5 { (exponent + 1, mantissa / 2.0) } else { (exponent, mantissa) };
    // ln m = 2 artanh((m − 1) / (m + 1)); the argument is at most 1/5.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..=13).rev().fold(0.0, |sum, n| sum * t * t + 1.0 / f64::from(2 * n + 1));
    f64::from(exponent) * LN_2 + 2.0 * t * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_and_logarithm_are_right() {
        for i in 0..20_000 {
            let x = f64::from(i) * 0.01;
            let relative = (exp_neg(x) / (-x).exp() - 1.0).abs();
            assert!(relative < 1e-13, "exp(-{x}): {relative}");
            let x = 1.0 + f64::from(i) * 1e-4;
            assert!((ln(x) - x.ln()).abs() < 1e-14, "ln {x}");
        }
        assert_eq!(exp_neg(0.0), 1.0);
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(exp_neg(1e9), 0.0);
    }

    /// The bits of numbers that another machine must give too.
    #[test]
    fn results_are_pinned() {
        let classes: Vec<Class> = (1..100_u32)
            .map(|i| Class {
                cost: f64::from(i * i),
                both_ways: 1000 + u64::from(i),
                one_way: u64::from(i % 7),
            })
            .collect();
        let sending = send(&classes, 10_000.0);
        let numbers = [sending.lambda, sending.payload_bits, sending.distortion, sending.free_changes];
        assert!((sending.payload_bits - 10_000.0).abs() < 1e-6, "{sending:?}");
        assert_eq!(numbers.map(f64::to_bits), PINNED, "{sending:?}");
    }

    const PINNED: [u64; 4] =
        [4587711981083239944, 4666723172467343360, 4676788489499782736, 4659096581239163336];

    #[test]
    fn bounds_are_reached() {
        let classes = [Class { cost: 3.0, both_ways: 1000, one_way: 10 }];
        let most = send(&classes, 1e9);
        assert!((most.payload_bits - (1000.0 * 3.0_f64.log2() + 10.0)).abs() < 1e-9);
        assert!(send(&classes, 1e-3).distortion < 1.0);
        assert_eq!(send(&[], 5.0), Sending::default());
        let free = [Class { cost: 0.0, both_ways: 10, one_way: 0 }];
        assert!(send(&free, 5.0).payload_bits > 5.0);
    }
}

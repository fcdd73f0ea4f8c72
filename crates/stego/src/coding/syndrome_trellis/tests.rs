//! The code against its definition, against exhaustive search, and against the bound of rate and distortion.

use super::*;
use proptest::prelude::*;

fn bits(seed: u64, len: usize) -> Vec<u8> {
    testkit::noise(seed, len).iter().map(|byte| byte & 1).collect()
}

fn changed(cover: &[u8], changes: &[usize]) -> Vec<u8> {
    let mut stego = cover.to_vec();
    changes.iter().for_each(|&sample| stego[sample] ^= 1);
    stego
}

fn cost(costs: &[f32], changes: &[usize]) -> f32 {
    changes.iter().map(|&sample| costs[sample]).sum()
}

/// The sums of `docs/format.md`, one row at a time.
fn syndrome_by_definition(cover: &[u8], len_bytes: usize) -> Vec<u8> {
    let (n, m) = (cover.len(), len_bytes * 8);
    let mut message = vec![0; len_bytes];
    for i in 0..m {
        let first = i * n / m;
        for (j, &bit) in cover[first..(i + 1) * n / m].iter().enumerate() {
            let column = 2 * (j % 64) + 1;
            for k in (0..7).filter(|k| column >> k & 1 == 1 && i + k < m) {
                message[(i + k) / 8] ^= bit << (7 - (i + k) % 8);
            }
        }
    }
    message
}

proptest! {
    #[test]
    fn what_is_carried_is_the_message(
        len_bytes in 1..12_usize,
        in_block in 1..150_usize,
        more in 0..50_usize,
        seed in any::<u64>(),
    ) {
        let samples = len_bytes * 8 * in_block + more;
        let (cover, message) = (bits(seed, samples), testkit::noise(seed ^ 1, len_bytes));
        let costs: Vec<f32> = testkit::noise(seed ^ 2, samples).iter().map(|&cost| f32::from(cost)).collect();
        let changes = changes(&cover, &costs, &message).unwrap();
        prop_assert!(changes.is_sorted_by(|a, b| a < b));
        let stego = changed(&cover, &changes);
        prop_assert_eq!(&syndrome(&stego, len_bytes), &message);
        prop_assert_eq!(syndrome_by_definition(&stego, len_bytes), message);
    }

    /// Over all patterns of changes.
    #[test]
    fn no_pattern_of_changes_is_cheaper(samples in 8..16_usize, seed in any::<u64>()) {
        let (cover, message) = (bits(seed, samples), testkit::noise(seed ^ 1, 1));
        let costs: Vec<f32> = testkit::noise(seed ^ 2, samples)
            .iter()
            .map(|&cost| if cost % 8 == 0 { f32::INFINITY } else { f32::from(cost / 16) })
            .collect();
        let least = (0..1_u32 << samples)
            .map(|pattern| (0..samples).filter(|sample| pattern >> sample & 1 == 1).collect::<Vec<_>>())
            .filter(|changes| syndrome_by_definition(&changed(&cover, changes), 1) == message)
            .map(|changes| cost(&costs, &changes))
            .fold(f32::INFINITY, f32::min);
        match changes(&cover, &costs, &message) {
            Some(changes) => {
                prop_assert_eq!(cost(&costs, &changes), least);
                prop_assert_eq!(&syndrome(&changed(&cover, &changes), 1), &message);
            }
            None => prop_assert!(least.is_infinite()),
        }
    }
}

#[test]
fn a_message_without_samples_cannot_be_carried() {
    assert_eq!(changes(&[0; 4], &[f32::INFINITY; 4], &[1]), None);
    assert_eq!(changes(&[], &[], &[1]), None);
    assert_eq!(changes(&[], &[], &[0]), Some(vec![]));
    assert_eq!(changes(&[1; 4], &[1.0; 4], &[]), Some(vec![]));
    assert_eq!(syndrome(&[], 2), [0, 0]);
}

/// Fewest changes of `samples` that can carry `bits` on average: D · samples with H(D) = bits / samples, for
/// the binary entropy H (Filler et al., section II).
fn bound(bits: f64, samples: f64) -> f64 {
    let entropy = |p: f64| -p * p.log2() - (1.0 - p) * (1.0 - p).log2();
    let (mut low, mut high) = (1e-12, 0.5);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if entropy(middle) * samples < bits { low = middle } else { high = middle }
    }
    low * samples
}

/// The figures of `docs/format.md`: about a change for eight bits. With seven rows to a column a change
/// cannot do more, however many samples there are, so the distance to the bound grows where the rate falls.
#[test]
fn changes_are_near_the_bound() {
    let check = |len_bytes: usize, samples: usize, times_bound: f64| {
        let changed: usize = (0..40)
            .map(|seed| {
                let costs = vec![1.0; samples];
                changes(&bits(seed, samples), &costs, &testkit::noise(seed + 1000, len_bytes)).unwrap().len()
            })
            .sum();
        let (changed, bits) = (changed as f64 / 40.0, len_bytes as f64 * 8.0);
        let bound = bound(bits, samples as f64);
        eprintln!("{bits} bits in {samples} samples: {changed} changes, bound {bound:.1}");
        assert!(changed < times_bound * bound, "{bits} bits, {samples} samples: {changed} > {bound}");
        assert!(changed * 7.5 < bits, "{bits} bits, {samples} samples: {changed}");
        assert!(changed > bound, "{bits} bits, {samples} samples: {changed} < {bound}");
    };
    check(16, 12_800, 1.6);
    check(16, 65_536, 1.9);
    check(40, 32_000, 1.6);
    check(40, 65_536, 1.8);
}

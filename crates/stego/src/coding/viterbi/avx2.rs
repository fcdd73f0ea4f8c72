//! The steps in AVX2: sixteen metrics at a time.

use std::arch::x86_64::{
    __m256i, _mm_extract_epi16, _mm_min_epu16, _mm_minpos_epu16, _mm256_adds_epu16, _mm256_and_si256,
    _mm256_broadcastw_epi16, _mm256_castsi256_si128, _mm256_cmpeq_epi16, _mm256_extracti128_si256,
    _mm256_min_epu16, _mm256_movemask_epi8, _mm256_or_si256, _mm256_packs_epi16, _mm256_packus_epi32,
    _mm256_permute4x64_epi64, _mm256_set_epi64x, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi16,
    _mm256_shuffle_epi8, _mm256_srli_epi32, _mm256_sub_epi16, _mm256_xor_si256,
};

use super::{Step, UNREACHED};

/// Searches from the first row to the last, and appends the decisions. True if a path reaches the end.
#[target_feature(enable = "avx2")]
pub(super) fn forward(height: u32, steps: &[Step], rows: &[u32], decisions: &mut Vec<u32>) -> bool {
    match height {
        7 => search::<4>(steps, rows, decisions),
        8 => search::<8>(steps, rows, decisions),
        9 => search::<16>(steps, rows, decisions),
        10 => search::<32>(steps, rows, decisions),
        11 => search::<64>(steps, rows, decisions),
        _ => search::<128>(steps, rows, decisions),
    }
}

/// Metrics of the states with an even and with an odd number.
struct Trellis<const GROUPS: usize> {
    even: [__m256i; GROUPS],
    odd: [__m256i; GROUPS],
}

#[target_feature(enable = "avx2")]
fn search<const GROUPS: usize>(steps: &[Step], rows: &[u32], decisions: &mut Vec<u32>) -> bool {
    let unreached = _mm256_set1_epi16(UNREACHED.cast_signed());
    let mut trellis = Trellis { even: [unreached; GROUPS], odd: [unreached; GROUPS] };
    trellis.even[0] = _mm256_setr_epi16(0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    decisions.resize(steps.len() * GROUPS, 0);
    let mut words = decisions.as_chunks_mut::<GROUPS>().0.iter_mut();
    let mut start = 0;
    for row in rows {
        let end = (row >> 1) as usize;
        for (step, words) in steps.get(start..end).unwrap_or_default().iter().zip(&mut words) {
            if step.column & 16 == 0 {
                take_step::<GROUPS, false>(&mut trellis, *step, words);
            } else {
                take_step::<GROUPS, true>(&mut trellis, *step, words);
            }
        }
        end_row(&mut trellis, row & 1);
        start = end;
    }
    _mm_extract_epi16::<0>(_mm256_castsi256_si128(trellis.even[0])) != i32::from(UNREACHED)
}

/// Takes a step. `SWAPS` is true if the halves of a vector of odd states change places.
#[target_feature(enable = "avx2")]
fn take_step<const GROUPS: usize, const SWAPS: bool>(
    trellis: &mut Trellis<GROUPS>,
    step: Step,
    words: &mut [u32; GROUPS],
) {
    // The state 2 · i meets 2 · (i ^ half) + 1: another vector by the high bits, another lane by the low.
    let half = usize::from(step.column / 2);
    let group = half / super::LANES;
    let cost = _mm256_set1_epi16(step.cost.cast_signed());
    let lanes = shuffle_by(half % 8);
    for (g, word) in words.iter_mut().enumerate() {
        let even = trellis.even[g];
        let met = &mut trellis.odd[(g ^ group) % GROUPS];
        let odd = exchanged::<SWAPS>(*met, lanes);
        let new_even = _mm256_min_epu16(even, _mm256_adds_epu16(odd, cost));
        let new_odd = _mm256_min_epu16(odd, _mm256_adds_epu16(even, cost));
        let (keeps_even, keeps_odd) = (_mm256_cmpeq_epi16(new_even, even), _mm256_cmpeq_epi16(new_odd, odd));
        *word = _mm256_movemask_epi8(_mm256_packs_epi16(keeps_even, keeps_odd)).cast_unsigned();
        trellis.even[g] = new_even;
        *met = exchanged::<SWAPS>(new_odd, lanes);
    }
}

/// Returns the shuffle that brings lane l of each half to l ^ `lane`.
#[target_feature(enable = "avx2")]
fn shuffle_by(lane: usize) -> __m256i {
    const HIGH: i64 = 0x0F0E_0D0C_0B0A_0908;
    const LOW: i64 = 0x0706_0504_0302_0100;
    // An exclusive or of the numbers of bytes; a lane has two.
    let pattern = lane as i64 * 0x0202_0202_0202_0202;
    _mm256_xor_si256(
        _mm256_set_epi64x(HIGH, LOW, HIGH, LOW),
        _mm256_set_epi64x(pattern, pattern, pattern, pattern),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn exchanged<const SWAPS: bool>(vector: __m256i, lanes: __m256i) -> __m256i {
    let vector = _mm256_shuffle_epi8(vector, lanes);
    if SWAPS { _mm256_permute4x64_epi64::<0b01_00_11_10>(vector) } else { vector }
}

/// Keeps the states whose lowest bit is `bit`, with the least metric as 0, and moves on by a row.
#[target_feature(enable = "avx2")]
fn end_row<const GROUPS: usize>(trellis: &mut Trellis<GROUPS>, bit: u32) {
    let kept = if bit == 0 { trellis.even } else { trellis.odd };
    let unreached = _mm256_set1_epi16(UNREACHED.cast_signed());
    let least = kept.iter().fold(unreached, |least, vector| _mm256_min_epu16(least, *vector));
    let least = _mm_min_epu16(_mm256_castsi256_si128(least), _mm256_extracti128_si256::<1>(least));
    let least = _mm256_broadcastw_epi16(_mm_minpos_epu16(least));
    let low = _mm256_set1_epi32(0xFFFF);
    trellis.even = [unreached; GROUPS];
    trellis.odd = [unreached; GROUPS];
    for (g, pair) in kept.as_chunks::<2>().0.iter().enumerate() {
        let [first, second] = pair.map(|vector| {
            _mm256_or_si256(_mm256_sub_epi16(vector, least), _mm256_cmpeq_epi16(vector, unreached))
        });
        let even = _mm256_packus_epi32(_mm256_and_si256(first, low), _mm256_and_si256(second, low));
        let odd = _mm256_packus_epi32(_mm256_srli_epi32::<16>(first), _mm256_srli_epi32::<16>(second));
        trellis.even[g] = _mm256_permute4x64_epi64::<0b11_01_10_00>(even);
        trellis.odd[g] = _mm256_permute4x64_epi64::<0b11_01_10_00>(odd);
    }
}

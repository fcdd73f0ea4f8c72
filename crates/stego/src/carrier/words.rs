//! Bits into samples and back, eight samples at a time.
//!
//! `W` bytes, as one number with the first byte on top, fill `W` low bits of each of eight samples, the first
//! sample taking the topmost bits: the order of `docs/format.md`. [`crate::carrier`] does the same sample by
//! sample and is the reference in the tests.

/// Samples processed at once.
pub(crate) const SAMPLES: usize = 8;

/// Writes as many whole groups as there are bytes and samples for. Returns the number of groups and the sum
/// of the squared changes.
pub(crate) fn write(width: usize, bytes: &[u8], samples: &mut [u8]) -> (usize, u64) {
    match width {
        1 => write_groups::<1>(bytes, samples),
        2 => write_groups::<2>(bytes, samples),
        3 => write_groups::<3>(bytes, samples),
        _ => write_groups::<4>(bytes, samples),
    }
}

/// Reads as many whole groups as there are samples and places for bytes. Returns the number of groups.
pub(crate) fn read(width: usize, samples: &[u8], bytes: &mut [u8]) -> usize {
    match width {
        1 => read_groups::<1>(samples, bytes),
        2 => read_groups::<2>(samples, bytes),
        3 => read_groups::<3>(samples, bytes),
        _ => read_groups::<4>(samples, bytes),
    }
}

fn write_groups<const W: usize>(bytes: &[u8], samples: &mut [u8]) -> (usize, u64) {
    let mask = u64::from_le_bytes([(1 << W) - 1; SAMPLES]);
    let groups = (bytes.len() / W).min(samples.len() / SAMPLES);
    let (bytes, samples) = (&bytes[..groups * W], &mut samples[..groups * SAMPLES]);
    debug_assert_eq!(bytes.len() * SAMPLES, samples.len() * W, "a group of W bytes fills eight samples");
    let mut squares = 0;
    for (group, samples) in bytes.chunks_exact(W).zip(samples.as_chunks_mut::<SAMPLES>().0) {
        let before = u64::from_le_bytes(*samples);
        let after = before & !mask | spread::<W>(group);
        squares += sum_of_squares::<W>(before, after);
        *samples = after.to_le_bytes();
    }
    (groups, squares)
}

fn read_groups<const W: usize>(samples: &[u8], bytes: &mut [u8]) -> usize {
    let groups = (bytes.len() / W).min(samples.len() / SAMPLES);
    let samples = samples[..groups * SAMPLES].as_chunks::<SAMPLES>().0;
    for (group, samples) in bytes[..groups * W].chunks_exact_mut(W).zip(samples) {
        gather::<W>(u64::from_le_bytes(*samples), group);
    }
    groups
}

/// The bits of `group` in the low `W` bits of eight bytes, the first sample in the lowest byte.
#[inline(always)]
fn spread<const W: usize>(group: &[u8]) -> u64 {
    if W == 1 {
        // The byte eight times; of each copy one bit stays, the topmost in the lowest copy; a carry moves it
        // to the top of its copy, from where it goes to the bottom.
        let bits = u64::from(group[0]).wrapping_mul(ONES) & DIAGONAL;
        return (bits + ONES * 0x7F) >> 7 & ONES;
    }
    let number = group.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let mask = (1_u64 << W) - 1;
    (0..SAMPLES).fold(0, |word, i| word | (number >> (W * (SAMPLES - 1 - i)) & mask) << (8 * i))
}

/// The reverse of [`spread`].
#[inline(always)]
fn gather<const W: usize>(word: u64, group: &mut [u8]) {
    if W == 1 {
        // Each byte's lowest bit moves to its place in the topmost byte, and no two meet anywhere else.
        group[0] = ((word & ONES).wrapping_mul(0x8040_2010_0804_0201) >> 56) as u8;
        return;
    }
    let mask = (1_u64 << W) - 1;
    let number = (0..SAMPLES).fold(0, |number, i| number << W | word >> (8 * i) & mask);
    for (i, byte) in group.iter_mut().enumerate() {
        *byte = (number >> (8 * (W - 1 - i)) & 0xFF) as u8;
    }
}

/// Returns the sum of the squared differences of eight bytes that differ in the low `W` bits at most.
#[inline(always)]
fn sum_of_squares<const W: usize>(before: u64, after: u64) -> u64 {
    if W == 1 {
        return u64::from((before ^ after).count_ones());
    }
    let squares = before.to_le_bytes().into_iter().zip(after.to_le_bytes());
    squares.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>().into()
}

/// The value 1 in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The topmost bit in the lowest byte, and the next lower bit in each byte above.
const DIAGONAL: u64 = 0x0102_0408_1020_4080;

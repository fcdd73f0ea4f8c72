//! How inputs are changed where libFuzzer's own way alone would break every checksum.

use fuzz_targets::mutator;
use libfuzzer_sys::fuzzer_mutate;

/// Changes a PNG: its structure, its bytes with checksums made to hold, or its bytes alone. Other inputs are
/// changed as libFuzzer does.
pub fn mutate_png(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let changed = match seed % 4 {
        0 => return fuzzer_mutate(data, size, max_size),
        1 => {
            let size = fuzzer_mutate(data, size, max_size);
            return put(data, max_size, mutator::with_checksums(&data[..size])).unwrap_or(size);
        }
        _ => mutator::structured(&data[..size], u64::from(seed)),
    };
    put(data, max_size, changed).unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
}

/// Puts a changed input in its place, if there is one and it is not too long.
fn put(data: &mut [u8], max_size: usize, changed: Option<Vec<u8>>) -> Option<usize> {
    let changed = changed.filter(|changed| changed.len() <= max_size)?;
    data[..changed.len()].copy_from_slice(&changed);
    Some(changed.len())
}

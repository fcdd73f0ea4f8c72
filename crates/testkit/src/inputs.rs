//! Secrets and covers.

use std::path::PathBuf;

/// Environment variable with the folder of photographs; required where `CI` is set, elsewhere synthetic
/// covers are the fallback.
const PHOTOS_VARIABLE: &str = "STEG_PHOTOS";

/// Returns the photographs in the folder `STEG_PHOTOS`, sorted by name; empty where the variable is not set.
///
/// # Panics
///
/// If the folder is set and holds no photograph, or if `CI` is set and the folder is not.
pub fn photographs() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os(PHOTOS_VARIABLE) else {
        assert!(std::env::var_os("CI").is_none(), "{PHOTOS_VARIABLE} must be set where CI is");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&folder).expect("the folder in STEG_PHOTOS can be read");
    let mut photographs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder in STEG_PHOTOS can be read").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "png" || kind == "jpg"))
        .collect();
    photographs.sort();
    assert!(!photographs.is_empty(), "there is no photograph in {}", folder.display());
    photographs
}

/// Covers as files with a name for messages: the photographs, or else some of the synthetic images.
pub fn covers() -> Vec<(String, Vec<u8>)> {
    let photographs = photographs();
    if photographs.is_empty() {
        return (0..dataset::LEN)
            .step_by(12)
            .map(|index| {
                let cover = dataset::cover(index).expect("the index is in the dataset");
                (format!("dataset/{index}"), cover.to_png())
            })
            .collect();
    }
    photographs
        .into_iter()
        .map(|path| {
            let file = std::fs::read(&path).expect("a photograph can be read");
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), file)
        })
        .collect()
}

/// Generates `len` incompressible bytes, determined by `seed` (SplitMix64; Steele, Lea and Flood 2014).
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Generates `len` bytes of text, compressible but without repeated lines.
pub fn text(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut line = 0;
    while bytes.len() < len {
        bytes.extend(format!("line {line}: the tide comes in, the tide goes out\n").bytes());
        line += 1;
    }
    bytes.truncate(len);
    bytes
}

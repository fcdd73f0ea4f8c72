//! Runs every seed, and every input from a fixed defect, through its target: on any compiler, without a
//! fuzzer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use fuzz_targets::{TARGETS, mutator};
use testkit::noise;

/// Changes to each seed, so that a target sees malformed input, too.
const CHANGES: u64 = 40;

fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_target_has_a_binary_and_seeds() {
    let binaries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets")).unwrap();
    let mut binaries: Vec<String> = binaries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    binaries.sort();
    assert_eq!(binaries, TARGETS.map(|target| target.name));
    for target in TARGETS {
        assert!(!inputs("corpus", target.name).is_empty(), "{} has no seeds", target.name);
    }
}

#[test]
fn seeds_hold() {
    for target in TARGETS {
        for path in inputs("corpus", target.name) {
            (target.run)(&std::fs::read(path).unwrap());
        }
    }
}

/// Runs the small images of every format in the library's fixtures, which are seeds as well.
#[test]
fn images_of_every_format_hold() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/stego/tests/fixtures");
    let files = [fixtures.clone(), fixtures.join("cases")].into_iter().flat_map(|folder| {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    });
    for path in files {
        let file = std::fs::read(path).unwrap();
        fuzz_targets::cover_decode(&file);
        fuzz_targets::differential(&file);
        for n in 0..CHANGES {
            fuzz_targets::cover_decode(&with_changed_bytes(&file, n));
        }
    }
}

#[test]
fn what_once_failed_holds() {
    for target in TARGETS {
        for path in inputs("regressions", target.name) {
            (target.run)(&std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn changed_seeds_hold() {
    for target in TARGETS {
        for path in inputs("corpus", target.name) {
            let seed = std::fs::read(path).unwrap();
            for n in 0..CHANGES {
                let changed = mutator::structured(&seed, n).filter(|_| n % 2 == 0);
                (target.run)(&changed.unwrap_or_else(|| with_changed_bytes(&seed, n)));
            }
        }
    }
}

/// Replaces one to three bytes.
fn with_changed_bytes(seed: &[u8], n: u64) -> Vec<u8> {
    let mut changed = seed.to_vec();
    for pair in noise(n, 24).chunks_exact(8).take(1 + n as usize % 3) {
        let at = u32::from_le_bytes([pair[0], pair[1], pair[2], pair[3]]) as usize;
        let at = at % changed.len().max(1);
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= pair[4];
        }
    }
    changed
}

//! Whatever happens to a stego image, extraction gives exactly the embedded secret, or an error.
//!
//! A few thousand of the million changes of `cargo xtask mutate`.

use std::collections::BTreeMap;

use stego::{Limits, extract};
use testkit::mutation::{Mutator, judge};

fn limits() -> Limits {
    Limits {
        max_pixels: 16_000_000,
        max_image_memory_bytes: 64 << 20,
        max_secret_bytes: 16 << 20,
        ..Limits::default()
    }
}

#[test]
fn changed_images_give_what_was_embedded_or_an_error() {
    const SEEDS: u64 = 3000;
    let mutator = Mutator::new();
    for image in mutator.images() {
        let found = extract(&image.file, &limits()).unwrap();
        assert!(image.carried.is(&found), "{} by {}: {found:?}", image.raster.width, image.raster.height);
    }
    let mut outcomes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mutation = mutator.mutate(seed);
        let outcome = judge(&mutation, &limits());
        let outcome = outcome.unwrap_or_else(|wrong| panic!("seed {seed}, {}: {wrong}", mutation.kind));
        *outcomes.entry((mutation.kind, outcome)).or_default() += 1;
    }
    // The changes are not so coarse that nothing gets past the first check, nor so fine that nothing happens.
    let of = |outcome: &str| outcomes.iter().filter(|(key, _)| key.1 == outcome).map(|(_, n)| n).sum::<u64>();
    for outcome in ["secret", "forged", "no_payload", "damaged_payload", "damaged_image", "truncated_image"] {
        assert!(of(outcome) >= SEEDS / 100, "{outcome}: {outcomes:#?}");
    }
}

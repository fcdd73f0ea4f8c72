//! Costs of the mode `scattered` without the derivation of the key and without PNG: `cargo bench -p stego
//! --bench sealed`.
//!
//! Covers of 1 and 12 megapixels; an incompressible secret of 10 KiB, and one for half and one for all of the
//! room. Half is the most that is ever drawn.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use stego::{
    BitsPerSample, Channels, Cover, DerivedKey, EmbedOptions, Limits, Mode, Salt, Seal, SealedReading,
    SealedSamples, SealingKey, Secret,
};

fn costs(criterion: &mut Criterion) {
    let key = DerivedKey::from_prk(Salt([1; 16]), &[2; 32]);
    let options = EmbedOptions::default().with_seal(Seal::Derived(key.clone())).with_compress(false);
    let limits = Limits::default();
    for (name, width, height) in [("1mp", 1000, 1000), ("12mp", 4000, 3000)] {
        let mut group = criterion.benchmark_group(format!("scattered {name}"));
        group
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3))
            .sample_size(15);
        let samples = testkit::noise(1, width as usize * height as usize * 3);
        let cover = Cover::from_samples(width, height, Channels::Rgb, samples).unwrap();
        let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
        for (fill, len) in [("10 KiB", 10 << 10), ("half", room / 2), ("full", room)] {
            let secret = testkit::noise(2, len);
            let secret = Secret::new(&secret);
            let embed = |mut samples: Vec<u8>| {
                SealedSamples::embed(&cover, &mut samples, &secret, (&key, &options), &limits).unwrap();
                samples
            };
            group.bench_function(format!("embed {fill}"), |b| {
                b.iter_batched(|| cover.samples().to_vec(), embed, BatchSize::LargeInput);
            });
            let stego = embed(cover.samples().to_vec());
            let stego = Cover::from_samples(width, height, Channels::Rgb, stego).unwrap();
            group.bench_function(format!("extract {fill}"), |b| {
                b.iter(|| SealedReading::of_cover(&stego).unwrap().open(&key, &limits).unwrap());
            });
        }
        group.finish();
    }
    criterion.bench_function("derive a key", |b| {
        let key = SealingKey::new(Some("correct horse"), None).unwrap();
        b.iter(|| key.derive(Salt([3; 16])));
    });
}

criterion_group!(benches, costs);
criterion_main!(benches);

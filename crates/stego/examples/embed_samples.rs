//! Embeds random secrets into PNG files, for measurements: no key is derived, and nothing is read back.
//!
//! Each line of the standard input is a job: mode, cover, stego image, secret's length in bytes, seed. The
//! seed stands for the key and the secret.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::io::{BufRead, stdin};

use stego::{
    Channels, Cover, DerivedKey, EmbedOptions, Limits, Mode, Salt, Seal, SealedSamples, Secret, embed,
};

fn main() {
    for job in stdin().lock().lines() {
        let job = job.unwrap();
        let [mode, cover, to, len, seed] = job.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let cover = Cover::decode(&std::fs::read(cover).unwrap(), &Limits::default()).unwrap();
        let stego = embedded(Mode::named(mode).unwrap(), &cover, len.parse().unwrap(), seed.parse().unwrap());
        std::fs::write(to, stego.to_png()).unwrap();
    }
}

fn embedded(mode: Mode, cover: &Cover, len: usize, seed: u64) -> Cover {
    let (limits, bytes) = (Limits::default(), testkit::noise(seed, 48 + len));
    let (salt, rest) = bytes.split_first_chunk().unwrap();
    let (prk, secret) = rest.split_first_chunk().unwrap();
    let options = EmbedOptions::default().with_mode(mode).with_compress(false);
    if !mode.is_keyed() {
        let png = embed(cover, &Secret::new(secret), &options, &limits).unwrap().into_vec();
        return Cover::decode(&png, &limits).unwrap();
    }
    assert_eq!((cover.channels(), cover.depth().bytes()), (Channels::Rgb, 1), "crops are RGB of 8 bits");
    let key = DerivedKey::from_prk(Salt(*salt), prk);
    let options = options.with_seal(Seal::Derived(key.clone()));
    let mut samples = cover.samples().to_vec();
    SealedSamples::embed(cover, &mut samples, &Secret::new(secret), (&key, &options), &limits).unwrap();
    Cover::from_samples(cover.width(), cover.height(), cover.channels(), samples).unwrap()
}

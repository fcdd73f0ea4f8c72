//! Sealed containers after the salt, against the properties of random bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::process::{Command, Stdio};

use stego::{
    BitsPerSample, Channels, Cover, DerivedKey, EmbedOptions, Limits, Mode, Salt, Seal, SealedSamples, Secret,
};

fn key(seed: u64) -> DerivedKey {
    let bytes = testkit::noise(seed, 48);
    DerivedKey::from_prk(Salt(bytes[..16].try_into().unwrap()), &bytes[16..].try_into().unwrap())
}

fn cover(width: u32, height: u32) -> Cover {
    let samples = testkit::noise(1, width as usize * height as usize);
    Cover::from_samples(width, height, Channels::Grey, samples).unwrap()
}

fn stream(cover: &Cover, secret: &[u8], seed: u64) -> Vec<u8> {
    let key = key(seed);
    let options = EmbedOptions::default().with_seal(Seal::Derived(key.clone()));
    SealedSamples::stream(cover, &Secret::new(secret), (&key, &options), &Limits::default()).unwrap()
}

/// FIPS 140-2 as `rngtest` has it: 100 MB are 40,000 blocks of 20,000 bits, of which a true source fails 32
/// in the mean. The secrets are zeros, text and nothing.
#[test]
fn streams_pass_the_tests_of_fips_140_2() {
    const BLOCKS: usize = 40_000;
    const LEN_BYTES: usize = BLOCKS * 2500;
    if Command::new("rngtest").arg("--version").output().is_err() {
        eprintln!("passed over: no rngtest (rng-tools)");
        assert!(std::env::var_os("CI").is_none(), "rng-tools must be installed where CI is set");
        return;
    }
    let cover = cover(1500, 1000);
    let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
    let secrets = [vec![0; room], testkit::text(room), testkit::noise(1, room / 2), Vec::new()];
    let mut rngtest = Command::new("rngtest").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = rngtest.stdin.take().unwrap();
    let mut left = LEN_BYTES + 4;
    for seed in 0.. {
        let bytes = stream(&cover, &secrets[seed as usize % secrets.len()], seed);
        let len = bytes.len().min(left);
        input.write_all(&bytes[..len]).unwrap();
        left -= len;
        if left == 0 {
            break;
        }
    }
    drop(input);
    let told = String::from_utf8(rngtest.wait_with_output().unwrap().stderr).unwrap();
    let count = |name: &str| -> usize {
        let line = told.lines().find(|line| line.contains(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (passed, failed) = (count("FIPS 140-2 successes"), count("FIPS 140-2 failures"));
    eprintln!("{failed} of {} blocks fail", passed + failed);
    assert_eq!(passed + failed, BLOCKS, "{told}");
    assert!(failed <= 55, "{told}");
}

/// The header and the beginning of the body, over many keys.
#[test]
fn no_bit_of_the_beginning_is_biased() {
    const MESSAGES: usize = 100_000;
    const LEN: usize = 64;
    let cover = cover(301, 151);
    let mut ones = [0_u32; 8 * LEN];
    for seed in 0..MESSAGES as u64 {
        let bytes = stream(&cover, b"the same secret, again and again", seed);
        for (count, i) in ones.iter_mut().zip(0..) {
            *count += u32::from(bytes[i / 8] >> (7 - i % 8) & 1);
        }
    }
    let half = MESSAGES as f64 / 2.0;
    let sigma = (MESSAGES as f64).sqrt() / 2.0;
    let worst = ones.iter().map(|&count| (f64::from(count) - half).abs() / sigma).fold(0.0, f64::max);
    eprintln!("{MESSAGES} messages, worst of {} bits: {worst:.2} sigma", ones.len());
    assert!(worst <= 4.5, "{worst}");
}

//! Keyed modes: the output equals the input on covers of every kind, and only under the key.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use stego::{
    BitsPerSample, Channels, ContainerError, ContainerVersion, Cover, DerivedKey, EmbedError, EmbedOptions,
    ExtractError, Extracted, FileName, ImageFile, Limits, MarkId, MediaType, Mode, PreparedCover, Salt, Seal,
    SealedReading, SealingKey, Secret, Watch, embed, extract, extract_sealed,
};

const CHANNELS: [Channels; 4] = [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba];
/// The least number of eligible samples, by `docs/format.md`.
const LEAST_SAMPLES: u32 = 45_024;

fn limits() -> Limits {
    Limits::default()
}

fn derived(seed: u8) -> DerivedKey {
    DerivedKey::from_prk(Salt([seed; 16]), &[seed ^ 0x5A; 32])
}

fn options(key: &DerivedKey) -> EmbedOptions {
    EmbedOptions::default().with_seal(Seal::Derived(key.clone()))
}

/// A cover of noise, with some transparent pixels if it has alpha.
fn cover(width: u32, height: u32, channels: Channels, is_deep: bool, seed: u64) -> Cover {
    let len = width as usize * height as usize * channels.count();
    let noise = testkit::noise(seed, len);
    let is_alpha = |i: usize| channels.has_alpha() && i % channels.count() == channels.count() - 1;
    let value = |(i, &byte): (usize, &u8)| if is_alpha(i) { byte.saturating_sub(64) } else { byte };
    if is_deep {
        let low = testkit::noise(!seed, len);
        let values: Vec<u16> = noise
            .iter()
            .enumerate()
            .map(|(i, byte)| {
                u16::from(value((i, byte))) << 8 | if is_alpha(i) { 0 } else { u16::from(low[i]) }
            })
            .collect();
        return Cover::from_deep_samples(width, height, channels, &values).unwrap();
    }
    Cover::from_samples(width, height, channels, noise.iter().enumerate().map(value).collect()).unwrap()
}

fn open(png: &[u8], key: &DerivedKey) -> Result<Extracted, ExtractError> {
    SealedReading::of_file(&ImageFile::open(png, &limits()).unwrap(), &limits())?.open(key, &limits())
}

/// Embeds in both modes, extracts, and compares cover and stego image sample by sample. Returns the image of
/// the default mode.
fn check(cover: &Cover, secret: &Secret<'_>, key: &DerivedKey) -> Vec<u8> {
    check_in(Mode::Scattered, cover, secret, key);
    check_in(Mode::Adaptive, cover, secret, key)
}

fn check_in(mode: Mode, cover: &Cover, secret: &Secret<'_>, key: &DerivedKey) -> Vec<u8> {
    let image = embed(cover, secret, &options(key).with_mode(mode), &limits()).unwrap();
    let report = image.report.clone();
    let png = image.into_vec();
    let found = open(&png, key).unwrap();
    assert_eq!(found.secret, secret.bytes);
    assert_eq!(found.mark, secret.mark);
    assert_eq!(found.container, ContainerVersion::SealedV1);
    assert_eq!(found.payload_bytes, report.payload_bytes);
    assert_eq!(report.bits, BitsPerSample::ONE);
    check_changes(cover, &Cover::decode(&png, &limits()).unwrap(), report.psnr_db);
    png
}

/// Colour samples of visible pixels moved by one at most, and nothing else changed.
fn check_changes(cover: &Cover, stego: &Cover, psnr_db: f64) {
    let values = |cover: &Cover| -> Vec<i32> {
        let samples = cover.samples().chunks_exact(cover.depth().bytes());
        samples.map(|sample| sample.iter().fold(0, |value, &byte| value << 8 | i32::from(byte))).collect()
    };
    let (before, after, channels) = (values(cover), values(stego), cover.channels());
    for (before, after) in before.chunks_exact(channels.count()).zip(after.chunks_exact(channels.count())) {
        let is_visible = !channels.has_alpha() || before.last() != Some(&0);
        let colours = channels.colour_count();
        assert_eq!(before[colours..], after[colours..]);
        let steps = before.iter().zip(after).map(|(before, after)| (before - after).abs()).max();
        assert!(steps.unwrap() <= i32::from(is_visible));
    }
    assert!(psnr_db > 51.0, "{psnr_db}");
}

#[test]
fn every_kind_of_image_carries_a_sealed_secret() {
    let mark = MarkId([0xC3; 16]);
    for (i, channels) in CHANNELS.into_iter().enumerate() {
        for is_deep in [false, true] {
            let cover = cover(331, 229, channels, is_deep, i as u64);
            let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
            for (j, len) in [0, 1, 100, room / 3, room / 2, room - 40, room].into_iter().enumerate() {
                let bytes = testkit::noise(j as u64, len);
                let mut secret = Secret::new(&bytes);
                if len < room - 39 {
                    secret.name = FileName::from_path("plan.pdf");
                    secret.media_type = MediaType::parse("application/pdf");
                    secret.mark = Some(mark);
                }
                let key = derived(j as u8);
                let png = check(&cover, &secret, &key);
                let found = open(&png, &key).unwrap();
                assert_eq!((found.name, found.media_type), (secret.name, secret.media_type));
                assert!(matches!(open(&png, &derived(99)), Err(ExtractError::NoPayloadOrWrongKey)));
                assert_eq!(extract(&png, &limits()).unwrap_err().code(), "no_payload");
            }
        }
    }
}

#[test]
fn the_capacity_is_exact() {
    for (width, height, channels) in [(LEAST_SAMPLES, 1, Channels::Grey), (331, 229, Channels::Rgb)] {
        let cover = cover(width, height, channels, false, 1);
        let capacity = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE);
        let key = derived(1);
        check(&cover, &Secret::new(&testkit::noise(1, capacity as usize)), &key);
        let one_more = testkit::noise(1, capacity as usize + 1);
        match embed(&cover, &Secret::new(&one_more), &options(&key), &limits()).unwrap_err() {
            EmbedError::CapacityExceeded { needed_bytes, available_bytes } => {
                assert_eq!((needed_bytes, available_bytes), (capacity + 1, capacity));
            }
            error => panic!("{error}"),
        }
    }
    assert_eq!(
        cover(LEAST_SAMPLES, 1, Channels::Grey, false, 1)
            .capacity(Mode::Scattered)
            .secret_bytes(BitsPerSample::MAX),
        0
    );
}

#[test]
fn an_image_too_small_is_told_so_before_a_key_is_derived() {
    let cover = cover(LEAST_SAMPLES - 1, 1, Channels::Grey, false, 1);
    assert!(!cover.capacity(Mode::Scattered).holds_a_header());
    let key = SealingKey::new(Some("a"), None).unwrap();
    let options = EmbedOptions::default().with_seal(Seal::Key(key.clone(), Salt([0; 16])));
    let error = embed(&cover, &Secret::new(b""), &options, &limits()).unwrap_err();
    assert_eq!(error.code(), "cover_too_small");
    assert!(error.to_string().contains("45023") && error.to_string().contains("45024"), "{error}");
    let error = extract_sealed(&cover.to_png(), &key, &limits()).unwrap_err();
    assert!(matches!(
        error,
        ExtractError::TooFewSamples { needed_samples: 45_024, available_samples: 45_023 }
    ));
}

#[test]
fn every_form_of_cover_gives_the_same_samples() {
    let cover = cover(331, 229, Channels::Rgb, false, 3);
    let (key, secret) = (derived(3), Secret::new(b"three forms"));
    let file = cover.to_png();
    let prepared = PreparedCover::new(cover.clone(), stego::MetadataPolicy::Keep, &Watch::default()).unwrap();
    let decoded = embed(&cover, &secret, &options(&key), &limits()).unwrap().into_vec();
    let from_file = ImageFile::open(&file, &limits()).unwrap();
    assert_eq!(embed(from_file, &secret, &options(&key), &limits()).unwrap().into_vec(), decoded);
    assert_eq!(embed(&prepared, &secret, &options(&key), &limits()).unwrap().into_vec(), decoded);
}

/// Neither the processor nor the number of threads shows in an image: digests of samples on every machine.
#[test]
fn images_are_the_same_with_any_number_of_threads() {
    use sha2::{Digest, Sha256};

    let mut digests = Vec::new();
    for (channels, is_deep, len) in [(Channels::Rgb, false, 9000), (Channels::GreyAlpha, true, 1000)] {
        let cover = cover(331, 229, channels, is_deep, 12);
        let secret = testkit::noise(12, len);
        let embedded = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let image = pool.install(|| {
                embed(&cover, &Secret::new(&secret), &options(&derived(12)), &limits()).unwrap().into_vec()
            });
            Cover::decode(&image, &limits()).unwrap().samples().to_vec()
        };
        let one = embedded(1);
        assert!(embedded(3) == one, "{channels:?}");
        let digest: [u8; 32] = Sha256::digest(&one).into();
        digests.push(u64::from_be_bytes(digest[..8].try_into().unwrap()));
    }
    assert_eq!(digests, DIGESTS, "{digests:#x?}");
}

const DIGESTS: [u64; 2] = [0x0988_2620_1063_5e4c, 0xcd02_c362_99c2_64de];

/// A grey image saved in colour, and a colour image of grey pixels saved in grey.
#[test]
fn grey_and_grey_in_colour_are_one_sequence() {
    let samples = testkit::noise(4, 331 * 229);
    let grey = Cover::from_samples(331, 229, Channels::Grey, samples.clone()).unwrap();
    let in_colour = |samples: &[u8]| {
        let samples = samples.iter().flat_map(|&sample| [sample; 3]).collect();
        Cover::from_samples(331, 229, Channels::Rgb, samples).unwrap()
    };
    let (key, secret) = (derived(4), Secret::new(b"grey"));
    let stego_grey = Cover::decode(&check(&grey, &secret, &key), &limits()).unwrap();
    let stego_colour = Cover::decode(&check(&in_colour(&samples), &secret, &key), &limits()).unwrap();
    assert_eq!(stego_colour.samples(), in_colour(stego_grey.samples()).samples());
    assert_eq!(open(&in_colour(stego_grey.samples()).to_png(), &key).unwrap().secret, secret.bytes);
}

#[test]
fn saturated_samples_move_inwards() {
    for is_deep in [false, true] {
        let extremes =
            testkit::noise(5, 60_000).into_iter().map(|byte| if byte < 128 { 0 } else { u16::MAX });
        let extremes: Vec<u16> = extremes.collect();
        let cover = if is_deep {
            Cover::from_deep_samples(300, 200, Channels::Grey, &extremes)
        } else {
            let samples = extremes.iter().map(|value| (value >> 8) as u8).collect();
            Cover::from_samples(300, 200, Channels::Grey, samples)
        };
        check(&cover.unwrap(), &Secret::new(&testkit::noise(6, 1000)), &derived(5));
    }
}

#[test]
fn a_key_and_its_salt_are_found_in_the_image() {
    let cover = cover(331, 229, Channels::Rgb, false, 7);
    let key = SealingKey::new(Some("Correct horse"), Some(&[9; 64])).unwrap();
    let options = EmbedOptions::default().with_seal(Seal::Key(key.clone(), Salt(*b"sixteen bytes !!")));
    let png = embed(&cover, &Secret::new(b"noon"), &options, &limits()).unwrap().into_vec();
    assert_eq!(extract_sealed(&png, &key, &limits()).unwrap().secret, b"noon");
    let reading = SealedReading::of_file(&ImageFile::open(&png, &limits()).unwrap(), &limits()).unwrap();
    assert_eq!(reading.salt(), Salt(*b"sixteen bytes !!"));
    let wrong: [(Option<&str>, Option<&[u8]>); 4] = [
        (Some("correct horse"), Some(&[9; 64])),
        (Some("Correct horse "), Some(&[9; 64])),
        (Some("Correct horse"), None),
        (None, Some(&[9; 64])),
    ];
    for (passphrase, key_file) in wrong {
        let key = SealingKey::new(passphrase, key_file).unwrap();
        let error = extract_sealed(&png, &key, &limits()).unwrap_err();
        assert!(matches!(error, ExtractError::NoPayloadOrWrongKey), "{passphrase:?}: {error}");
        assert_eq!(error.code(), "no_payload_or_wrong_key");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let cover = cover(331, 229, Channels::Rgb, false, 8);
    let sealed = || options(&derived(8));
    let two = BitsPerSample::new(2).unwrap();
    for options in [
        EmbedOptions::default().with_mode(Mode::Scattered),
        sealed().with_mode(Mode::Sequential),
        sealed().with_bits(two),
    ] {
        let error = embed(&cover, &Secret::new(b""), &options, &limits()).unwrap_err();
        assert!(matches!(error, EmbedError::Options(_)), "{error}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_told_so_before_a_key_is_derived() {
    let cover = cover(331, 229, Channels::Rgb, false, 9);
    let png = check(&cover, &Secret::new(b"whole"), &derived(9));
    let key = SealingKey::new(Some("a"), None).unwrap();
    for len in [png.len() / 2, png.len() - 13, png.len() - 1] {
        let error = extract_sealed(&png[..len], &key, &limits()).unwrap_err();
        assert_eq!(error.code(), "truncated_image", "{len}: {error}");
    }
}

#[test]
fn limits_hold_with_the_right_key() {
    let cover = cover(331, 229, Channels::Rgb, false, 10);
    let png = check(&cover, &Secret::new(&[b'a'; 50_000]), &derived(10));
    let file = ImageFile::open(&png, &limits()).unwrap();
    let small = Limits { max_secret_bytes: 49_999, ..limits() };
    let error = SealedReading::of_file(&file, &small).unwrap().open(&derived(10), &small).unwrap_err();
    assert!(matches!(error, ExtractError::Container(ContainerError::SecretTooLarge { .. })), "{error}");
    let needed = file.sealed_extract_memory_bytes();
    for (max_image_memory_bytes, is_enough) in [(needed, true), (needed - 1, false)] {
        let limits = Limits { max_image_memory_bytes, ..limits() };
        assert_eq!(SealedReading::of_file(&file, &limits).is_ok(), is_enough);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_output_is_the_input(
        channels in prop::sample::select(CHANNELS.to_vec()),
        is_deep in any::<bool>(),
        width in 220..400_u32,
        height in 290..400_u32,
        fill in 0.0..1.0_f64,
        seed in any::<u64>(),
    ) {
        let cover = cover(width, height, channels, is_deep, seed);
        let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE);
        let bytes = testkit::noise(seed, (room as f64 * fill) as usize);
        check(&cover, &Secret::new(&bytes), &derived(seed as u8));
    }
}

/// A stego image in which each sample carries, and its key.
fn full_image(mode: Mode, seed: u8) -> (Cover, DerivedKey) {
    let cover = cover(250, 200, Channels::Rgb, false, u64::from(seed));
    let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
    let key = derived(seed);
    let png = check_in(mode, &cover, &Secret::new(&testkit::noise(1, room)), &key);
    (Cover::decode(&png, &limits()).unwrap(), key)
}

/// Wrong keys with the salt of the image, and single flipped bits, in turns.
fn check_refusals(mode: Mode, count: usize) {
    let (stego, key) = full_image(mode, 21);
    let reading = SealedReading::of_cover(&stego).unwrap();
    assert!(reading.open(&key, &limits()).is_ok());
    for (i, word) in testkit::noise(22, 4 * count).as_chunks::<4>().0.iter().enumerate() {
        let prk: Vec<u8> = testkit::noise(1000 + i as u64, 32);
        let wrong = DerivedKey::from_prk(key.salt(), &prk.try_into().unwrap());
        let refused = reading.open(&wrong, &limits());
        assert!(matches!(refused, Err(ExtractError::NoPayloadOrWrongKey)), "key {i}: {refused:?}");

        let mut samples = stego.samples().to_vec();
        let at = u32::from_le_bytes(*word) as usize % samples.len();
        samples[at] ^= 1;
        let flipped = Cover::from_samples(250, 200, Channels::Rgb, samples).unwrap();
        let flipped = SealedReading::of_cover(&flipped).unwrap();
        // Who derives the key from a salt with a flipped bit has another key.
        let key = if flipped.salt() == key.salt() { key.clone() } else { wrong };
        match flipped.open(&key, &limits()) {
            Err(ExtractError::NoPayloadOrWrongKey) => {}
            Err(ExtractError::Container(ContainerError::Damaged { what: "its tag differs" })) => {}
            opened => panic!("sample {at}: {opened:?}"),
        }
    }
}

#[test]
fn wrong_keys_and_flipped_bits_are_refused() {
    check_refusals(Mode::Scattered, 200);
    check_refusals(Mode::Adaptive, 200);
}

#[test]
#[ignore = "takes minutes: 10,000 wrong keys and 10,000 flipped bits, and 200 of each with the derivation"]
fn many_wrong_keys_and_flipped_bits_are_refused() {
    check_refusals(Mode::Scattered, 10_000);
    check_refusals(Mode::Adaptive, 10_000);
    let cover = cover(250, 200, Channels::Rgb, false, 23);
    let key = SealingKey::new(Some("right"), None).unwrap();
    let options = EmbedOptions::default().with_seal(Seal::Key(key.clone(), Salt([23; 16])));
    let room = cover.capacity(Mode::Scattered).secret_bytes(BitsPerSample::ONE) as usize;
    let secret = testkit::noise(2, room);
    let png = embed(&cover, &Secret::new(&secret), &options, &limits()).unwrap().into_vec();
    let stego = Cover::decode(&png, &limits()).unwrap();
    for i in 0..200 {
        let wrong = SealingKey::new(Some(&format!("wrong {i}")), None).unwrap();
        assert!(matches!(extract_sealed(&png, &wrong, &limits()), Err(ExtractError::NoPayloadOrWrongKey)));
        let mut samples = stego.samples().to_vec();
        samples[i * 749] ^= 1;
        let flipped = Cover::from_samples(250, 200, Channels::Rgb, samples).unwrap().to_png();
        assert!(extract_sealed(&flipped, &key, &limits()).is_err(), "sample {}", i * 749);
    }
}

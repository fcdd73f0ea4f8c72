//! The output equals the input, on covers of every kind, and nothing but the carried bits changes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use stego::{
    BitsPerSample, Channels, Cover, EmbedError, EmbedOptions, FileName, HEADER_LEN_BYTES, Limits, MarkId,
    MediaType, Mode, Note, Secret, embed, extract,
};

const CHANNELS: [Channels; 4] = [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba];

fn limits() -> Limits {
    Limits::default()
}

fn bits(bits: u8) -> BitsPerSample {
    BitsPerSample::new(bits).unwrap()
}

/// A cover of noise, with some transparent pixels if it has alpha.
fn cover(width: u32, height: u32, channels: Channels, seed: u64) -> Cover {
    let len = width as usize * height as usize * channels.count();
    let mut samples = testkit::noise(seed, len);
    if channels.has_alpha() {
        for pixel in samples.chunks_exact_mut(channels.count()) {
            let alpha = pixel.len() - 1;
            pixel[alpha] = pixel[alpha].saturating_sub(64);
        }
    }
    Cover::from_samples(width, height, channels, samples).unwrap()
}

/// Embeds, extracts, and compares everything that must be the same.
fn check(cover: &Cover, secret: &Secret<'_>, options: &EmbedOptions) {
    let embedded = embed(cover, secret, options, &limits()).unwrap();
    let found = extract(&embedded.to_vec(), &limits()).unwrap();
    assert_eq!(found.secret, secret.bytes);
    assert_eq!(found.mark, secret.mark);
    assert_eq!(found.payload_bytes, embedded.report.payload_bytes);
    if !embedded.report.notes.contains(&Note::NameLeftOut) {
        assert_eq!((found.name, found.media_type), (secret.name.clone(), secret.media_type.clone()));
    }
    check_untouched(cover, &embedded.to_vec(), options.bits, embedded.report.payload_bytes);
}

/// Only the low bits of the first samples of the sequence may differ, and never samples of alpha or of
/// transparent pixels. The sequence is derived here independently from `docs/format.md`.
fn check_untouched(cover: &Cover, png: &[u8], bits: BitsPerSample, payload_bytes: u64) {
    let stego = Cover::decode(png, &limits()).unwrap();
    assert_eq!(
        (stego.width(), stego.height(), stego.channels()),
        (cover.width(), cover.height(), cover.channels())
    );
    let rest_bits = (payload_bytes - HEADER_LEN_BYTES as u64) * 8;
    let carrying = 224 + rest_bits.div_ceil(u64::from(bits.as_u8()));
    let channels = cover.channels();
    let mut place = 0;
    let pixels =
        cover.samples().chunks_exact(channels.count()).zip(stego.samples().chunks_exact(channels.count()));
    for (before, after) in pixels {
        let transparent = channels.has_alpha() && before[channels.count() - 1] == 0;
        for (i, (&a, &b)) in before.iter().zip(after).enumerate() {
            if transparent || i >= channels.colour_count() {
                assert_eq!(a, b);
                continue;
            }
            let may_change = match place {
                0..224 => 1,
                _ if place < carrying => (1 << bits.as_u8()) - 1,
                _ => 0,
            };
            assert_eq!(a & !may_change, b & !may_change);
            place += 1;
        }
    }
}

fn channels() -> impl Strategy<Value = Channels> {
    prop::sample::select(CHANNELS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// `fill` chooses a secret from empty to exactly full.
    #[test]
    fn every_length_from_empty_to_full_comes_back(
        (width, height) in (1_u32..200, 1_u32..60),
        channels in channels(),
        width_bits in 1_u8..=4,
        fill in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0],
        seed in any::<u64>(),
        compress in any::<bool>(),
    ) {
        let cover = cover(width, height, channels, seed);
        let capacity = cover.capacity(Mode::Sequential);
        prop_assume!(capacity.holds_a_header());
        let full = capacity.secret_bytes(bits(width_bits));
        let len = (full as f64 * fill) as usize;
        let secret = testkit::noise(seed ^ 1, len);
        let options = EmbedOptions::default().with_bits(bits(width_bits)).with_compress(compress);
        check(&cover, &Secret::new(&secret), &options);
    }

    #[test]
    fn what_describes_a_secret_comes_back(
        name in "[a-zA-Zäöü0-9 ._-]{1,80}",
        media_type in "[a-z]{1,20}/[a-z0-9.+-]{0,20}[a-z]",
        mark in proptest::option::of(any::<[u8; 16]>()),
        text_len in 0_usize..5000,
    ) {
        let text = testkit::text(text_len);
        let secret = Secret {
            bytes: &text,
            name: FileName::from_path(&name),
            media_type: MediaType::parse(&media_type),
            mark: mark.map(MarkId),
        };
        check(&cover(300, 200, Channels::Rgb, 5), &secret, &EmbedOptions::default());
    }
}

#[test]
fn the_smallest_image_that_carries_holds_an_empty_secret() {
    let options = EmbedOptions::default();
    check(&cover(224, 1, Channels::Grey, 1), &Secret::new(b""), &options);
    let cover = cover(223, 1, Channels::Grey, 1);
    let too_small = embed(&cover, &Secret::new(b""), &options, &limits());
    assert!(matches!(too_small, Err(EmbedError::CoverTooSmall)), "{too_small:?}");
}

#[test]
fn one_byte_over_capacity_is_refused_with_both_figures() {
    let cover = cover(100, 100, Channels::Rgb, 3);
    for width in 1..=4 {
        let options = EmbedOptions::default().with_bits(bits(width));
        let full = cover.capacity(Mode::Sequential).secret_bytes(bits(width));
        let secret = testkit::noise(9, full as usize + 1);
        check(&cover, &Secret::new(&secret[1..]), &options);
        match embed(&cover, &Secret::new(&secret), &options, &limits()) {
            Err(EmbedError::CapacityExceeded { needed_bytes, available_bytes }) => {
                assert_eq!((needed_bytes, available_bytes), (full + 1, full));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_secret_that_just_fits_goes_without_its_name() {
    let cover = cover(100, 100, Channels::Rgb, 3);
    let bytes = testkit::noise(9, cover.capacity(Mode::Sequential).secret_bytes(bits(1)) as usize);
    let secret = Secret { name: FileName::from_path("secret.bin"), ..Secret::new(&bytes) };
    let embedded = embed(&cover, &secret, &EmbedOptions::default(), &limits()).unwrap();
    assert!(embedded.report.notes.contains(&Note::NameLeftOut));
    let found = extract(&embedded.to_vec(), &limits()).unwrap();
    assert_eq!((found.secret, found.name), (bytes, None));
}

#[test]
fn a_secret_of_several_megabytes_comes_back() {
    let cover = cover(3000, 2000, Channels::Rgb, 4);
    let secret = testkit::noise(1, 2_200_000);
    check(&cover, &Secret::new(&secret), &EmbedOptions::default());
}

#[test]
fn the_same_input_gives_the_same_image() {
    let cover = cover(200, 100, Channels::Rgba, 8);
    let secret = testkit::text(1000);
    let make =
        || embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap().into_vec();
    assert_eq!(make(), make());
}

/// Bounds for one bit per sample: if all samples changed, MSE = 1 and PSNR = 10 log10(255²) = 48.13 dB; a
/// random full load changes half of the samples, 51.14 dB.
#[test]
fn psnr_is_what_theory_says() {
    for (name, file) in testkit::covers() {
        let cover = Cover::decode(&file, &limits()).unwrap();
        let capacity = cover.capacity(Mode::Sequential).secret_bytes(BitsPerSample::ONE);
        let secret = testkit::noise(6, capacity as usize);
        let embedded = embed(&cover, &Secret::new(&secret), &EmbedOptions::default(), &limits()).unwrap();
        let stego = Cover::decode(&embedded.to_vec(), &limits()).unwrap();
        let measured = stego::psnr_db(cover.samples(), stego.samples()).unwrap();
        assert!(
            (measured - embedded.report.psnr_db).abs() < 1e-9,
            "{name}: {measured} {}",
            embedded.report.psnr_db
        );
        assert!(measured >= 51.0, "{name}: {measured}");
        assert_eq!(extract(&embedded.to_vec(), &limits()).unwrap().secret, secret, "{name}");
    }

    let inverted: Vec<u8> = vec![0; 100 * 100 * 3];
    let worst_cover = Cover::from_samples(100, 100, Channels::Rgb, inverted).unwrap();
    let all_ones =
        vec![0xFF; worst_cover.capacity(Mode::Sequential).secret_bytes(BitsPerSample::ONE) as usize];
    let options = EmbedOptions::default().with_compress(false);
    let embedded = embed(&worst_cover, &Secret::new(&all_ones), &options, &limits()).unwrap();
    assert!(embedded.report.psnr_db >= 48.13, "{}", embedded.report.psnr_db);
}

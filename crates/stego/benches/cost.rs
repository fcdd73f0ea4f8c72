//! Costs of an embed and of an extraction, beside other programs: `cargo bench -p stego`. `cargo xtask bench`
//! prints ratios.
//!
//! A photograph, scaled to 1920 × 1080 and 4000 × 3000, and an incompressible secret of 10 KiB. `STEG_PHOTOS`
//! names the folder with the photograph; without it a built-in picture stands for it.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "figures are for people")]

use std::hint::black_box;
use std::io::Cursor;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use image::{DynamicImage, ImageFormat, RgbImage, imageops::FilterType};
use stego::{
    Channels, Cover, EmbedOptions, ImageFile, Limits, MetadataPolicy, PreparedCover, PreparedPayload, Secret,
    Verify, Watch, embed, extract,
};

const SECRET_LEN_BYTES: usize = 10 << 10;

/// A picture in one size, and the measured objects derived from it.
struct Subject {
    name: &'static str,
    picture: RgbImage,
    prepared: PreparedCover,
    secret: Vec<u8>,
}

impl Subject {
    fn all() -> Vec<Self> {
        let photograph = photograph();
        [("1080p", 1920, 1080), ("12mp", 4000, 3000)]
            .map(|(name, width, height)| {
                let picture = photograph.resize_exact(width, height, FilterType::Triangle).to_rgb8();
                let cover =
                    Cover::from_samples(width, height, Channels::Rgb, picture.as_raw().clone()).unwrap();
                let prepared = PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default()).unwrap();
                Self { name, picture, prepared, secret: testkit::noise(1, SECRET_LEN_BYTES) }
            })
            .into()
    }

    /// The work of other services: changes the samples, writes the whole image.
    fn encoded_with_image(&self) -> Vec<u8> {
        let mut changed = self.picture.clone();
        for (sample, i) in changed.iter_mut().zip(0..SECRET_LEN_BYTES * 8) {
            *sample = *sample & !1 | self.secret[i / 8] >> (7 - i % 8) & 1;
        }
        let mut file = Vec::new();
        DynamicImage::ImageRgb8(changed).write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
        file
    }

    fn encoded_with_png_fastest(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.picture.width(), self.picture.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fastest);
        encoder.write_header().unwrap().write_image_data(&self.picture).unwrap();
        file
    }
}

fn photograph() -> DynamicImage {
    let large =
        testkit::photographs().into_iter().find(|path| path.extension().is_some_and(|kind| kind == "jpg"));
    match large {
        Some(path) => image::open(path).unwrap(),
        None => image::load_from_memory(&dataset::cover(0).unwrap().to_png()).unwrap(),
    }
}

fn costs(criterion: &mut Criterion) {
    for subject in Subject::all() {
        let mut group = criterion.benchmark_group(subject.name);
        group
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3))
            .sample_size(20);
        embeds(&mut group, &subject);
        extractions(&mut group, &subject);
        user_cover(&mut group, &subject);
        group.finish();
    }
}

fn embeds(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) {
    let (limits, options) = (Limits::default(), EmbedOptions::default());
    let Subject { prepared, secret, .. } = subject;
    let secret = Secret::new(secret);
    let payload = PreparedPayload::pack(prepared, &secret, &options, &limits).unwrap().unwrap();
    let spliced_len = payload.splice(&limits).unwrap().len_bytes();
    let others = subject.encoded_with_image();
    println!("size {}: spliced {spliced_len}, image {}", subject.name, others.len());

    group.bench_function("splice", |b| b.iter(|| payload.splice(&limits).unwrap()));
    group.bench_function("embed prepared", |b| {
        b.iter(|| embed(prepared, &secret, &options, &limits).unwrap());
    });
    group.bench_function("embed whole", |b| {
        b.iter(|| embed(prepared.cover(), &secret, &options, &limits).unwrap());
    });
    group.bench_function("image encode", |b| b.iter(|| subject.encoded_with_image()));
    group.bench_function("png fastest", |b| b.iter(|| subject.encoded_with_png_fastest()));
    group.bench_function("copy of the file", |b| b.iter(|| black_box(&others).clone()));
}

fn extractions(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) {
    let (limits, options) = (Limits::default(), EmbedOptions::default());
    let secret = Secret::new(&subject.secret);
    let spliced = embed(&subject.prepared, &secret, &options, &limits).unwrap().into_vec();
    let whole = embed(subject.prepared.cover(), &secret, &options, &limits).unwrap().into_vec();
    group.bench_function("extract spliced", |b| b.iter(|| extract(&spliced, &limits).unwrap()));
    group.bench_function("extract whole", |b| b.iter(|| extract(&whole, &limits).unwrap()));
    group.bench_function("image decode", |b| b.iter(|| image::load_from_memory(&spliced).unwrap()));
}

/// Measures a cover as a file, as sent by a user.
fn user_cover(group: &mut BenchmarkGroup<'_, WallTime>, subject: &Subject) {
    let limits = Limits::default();
    let secret = Secret::new(&subject.secret);
    let mut cover = Vec::new();
    let picture = DynamicImage::ImageRgb8(subject.picture.clone());
    picture.write_to(&mut Cursor::new(&mut cover), ImageFormat::Png).unwrap();
    for (name, verify) in [("user cover, file", Verify::File), ("user cover, payload", Verify::Payload)] {
        let options = EmbedOptions::default().with_verify(verify);
        group.bench_function(name, |b| {
            b.iter(|| {
                let cover = ImageFile::open(&cover, &limits).unwrap();
                embed(cover, &secret, &options, &limits).unwrap().into_vec()
            });
        });
    }
    group.bench_function("user cover, image", |b| {
        b.iter(|| {
            let mut file = Vec::new();
            image::load_from_memory(&cover)
                .unwrap()
                .write_to(&mut Cursor::new(&mut file), ImageFormat::Png)
                .unwrap();
            file
        });
    });
}

criterion_group!(benches, costs);
criterion_main!(benches);

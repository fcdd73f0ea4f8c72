//! `POST /api/compare`, checked against numpy on the same files.

use reqwest::multipart::Form;
use serde_json::{Value, json};
use stego::{BitsPerSample, Channels, Cover, EmbedOptions, ImageFile, Limits, Secret};
use testkit::{Node, run_pillow};

use crate::request::{add_file, file, post, problem};

/// Prints PSNR, differing samples and the largest difference of two images, and True if the third image shows
/// the differences.
const FIGURES: &str = r#"
import sys, numpy
from PIL import Image
a, b, shown = (numpy.asarray(Image.open(name)).astype(int) for name in sys.argv[1:4])
difference = abs(a - b)
mse = (difference ** 2).mean()
print(10 * numpy.log10(255 ** 2 / mse), (difference > 0).sum(), difference.max(),
      (numpy.minimum(difference * int(sys.argv[4]), 255) == shown).all())
"#;

fn form(a: &[u8], b: &[u8]) -> Form {
    add_file(file("a", "a.png", a.to_vec()), "b", "b.png", b.to_vec())
}

fn stego_image(cover: &[u8], len: usize) -> Vec<u8> {
    let bytes = testkit::noise(5, len);
    let secret = Secret { bytes: &bytes, name: None, media_type: None, mark: None };
    let options = EmbedOptions::default().with_bits(BitsPerSample::new(2).unwrap());
    stego::embed(ImageFile::open(cover, &Limits::default()).unwrap(), &secret, &options, &Limits::default())
        .unwrap()
        .into_vec()
}

async fn figures(node: &Node, a: &[u8], b: &[u8]) -> Value {
    let answer = post(node, "/api/compare").multipart(form(a, b)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn figures_and_picture_are_what_numpy_makes_of_the_files() {
    let node = Node::start();
    let (name, cover) = testkit::covers().swap_remove(0);
    let stego = stego_image(&cover, 20_000);
    let told = figures(&node, &cover, &stego).await;
    assert_eq!(told["identical"], false, "{name}");
    let ssim = told["ssim"].as_f64().unwrap();
    assert!((0.9..1.0).contains(&ssim), "{ssim}");

    let request = post(&node, "/api/compare").header("accept", "image/png");
    let answer = request.multipart(form(&cover, &stego)).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-stego-differing-samples"), told["differing_samples"].to_string());
    assert_eq!(header("x-stego-samples"), told["samples"].to_string());
    let amplify = header("x-stego-amplify");
    assert_eq!(amplify, "85", "255 in two bits' largest difference, 3");
    let psnr_db: f64 = header("x-stego-psnr-db").parse().unwrap();
    assert!((psnr_db - told["psnr_db"].as_f64().unwrap()).abs() < 1e-6);
    assert!((header("x-stego-ssim").parse::<f64>().unwrap() - ssim).abs() < 1e-7);

    let folder = tempfile::tempdir().unwrap();
    let picture = answer.bytes().await.unwrap();
    let paths = [("a.png", &cover[..]), ("b.png", &stego), ("shown.png", &picture)].map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let arguments = paths.iter().map(String::as_str).chain([amplify.as_str()]);
    let Some(printed) = run_pillow(FIGURES, arguments) else { return };
    let printed: Vec<&str> = printed.split_whitespace().collect();
    assert!((printed[0].parse::<f64>().unwrap() - psnr_db).abs() < 1e-6, "{printed:?}");
    assert_eq!(printed[1..], [&told["differing_samples"].to_string(), "3", "True"]);
}

#[tokio::test]
async fn the_same_image_is_identical_and_16_bits_stay_16() {
    let node = Node::start();
    let samples: Vec<u16> = (0..40 * 30 * 3).map(|i| (i * i * 31 % 65_521) as u16).collect();
    let cover = Cover::from_deep_samples(40, 30, Channels::Rgb, &samples).unwrap().to_png();
    let same = figures(&node, &cover, &cover).await;
    assert_eq!(
        (&same["identical"], &same["psnr_db"], &same["ssim"]),
        (&json!(true), &json!(null), &json!(1.0))
    );
    let stego = figures(&node, &cover, &stego_image(&cover, 100)).await;
    assert_eq!((&stego["bit_depth"], &stego["largest_difference"]), (&json!(16), &json!(3)));
    assert!(stego["psnr_db"].as_f64().unwrap() > 80.0, "{stego}");
}

#[tokio::test]
async fn what_cannot_be_compared_is_told() {
    let node = Node::start();
    let of_size = |width, height| {
        let samples = testkit::noise(1, (width * height * 3) as usize);
        Cover::from_samples(width, height, Channels::Rgb, samples).unwrap().to_png()
    };
    let refuse = async |form: Form, status, code| {
        let answer = post(&node, "/api/compare").multipart(form).send().await.unwrap();
        problem(answer, status, code).await
    };
    let (image, other) = (of_size(20, 20), of_size(20, 21));
    let told = refuse(form(&image, &other), 422, "not_comparable").await;
    assert!(told["detail"].as_str().unwrap().contains("20 × 21"), "{told}");
    refuse(form(&image, b"no image at all, only words"), 415, "not_an_image").await;
    refuse(form(&image, b""), 400, "file_empty").await;
    refuse(file("a", "a.png", image.clone()), 400, "file_missing").await;
    for amplify in ["0", "65536", "much"] {
        refuse(form(&image, &image).text("amplify", amplify), 400, "amplify_out_of_range").await;
    }
}

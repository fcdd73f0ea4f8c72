//! Stego images in the eyes of independent readers: pngcheck, ImageMagick, and Pillow (libpng).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use stego::{BitsPerSample, Channels, Cover, EmbedOptions, ImageFile, Limits, Mode, Secret, embed};
use testkit::{run_outside, run_pillow};

/// Compares two images in Pillow: the same size and mode, a difference of samples within the given low bits,
/// and equal alpha. Prints the number of samples that differ.
const COMPARE: &str = r"
import sys
import numpy
from PIL import Image
before, after = (Image.open(path) for path in sys.argv[1:3])
assert before.size == after.size, (before.size, after.size)
assert before.mode == after.mode, (before.mode, after.mode)
low = (1 << int(sys.argv[3])) - 1
before, after = (numpy.asarray(image) for image in (before, after))
changed = before ^ after
assert not (changed & ~numpy.uint8(low)).any(), 'more than the carried bits changed'
if before.ndim == 3 and before.shape[2] in (2, 4):
    assert not changed[:, :, -1].any(), 'alpha changed'
print(numpy.count_nonzero(changed))
";

fn check_readers(name: &str, cover: &Path, stego: &Path, bits: BitsPerSample) {
    if let Some(said) = run_outside(Command::new("pngcheck").arg("-q").arg(stego)) {
        assert_eq!(said, "", "{name}: pngcheck has something to say");
    }
    // %# is a hash of the pixels: ImageMagick has to decode them all.
    run_outside(Command::new("identify").args(["-regard-warnings", "-format", "%#"]).arg(stego));
    let [cover, stego] = [cover, stego].map(|path| path.to_str().unwrap());
    if let Some(changed) = run_pillow(COMPARE, [cover, stego, &bits.as_u8().to_string()]) {
        let changed: usize = changed.trim().parse().unwrap();
        assert!(changed > 0, "{name}: nothing was embedded");
    }
}

fn check(name: &str, cover: &Cover, bits: BitsPerSample, fill: f64, folder: &Path) {
    let len = (cover.capacity(Mode::Sequential).secret_bytes(bits) as f64 * fill) as usize;
    let secret = testkit::noise(11, len);
    let options = EmbedOptions::default().with_bits(bits);
    let stego_png = embed(cover, &Secret::new(&secret), &options, &Limits::default()).unwrap().into_vec();
    let (cover_path, stego_path) = (folder.join("cover.png"), folder.join("stego.png"));
    std::fs::write(&cover_path, cover.to_png()).unwrap();
    std::fs::write(&stego_path, &stego_png).unwrap();
    check_readers(name, &cover_path, &stego_path, bits);
    assert_eq!(stego::extract(&stego_png, &Limits::default()).unwrap().secret, secret, "{name}");
}

#[test]
fn photographs_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (name, file)) in testkit::covers().into_iter().enumerate() {
        let cover = Cover::decode(&file, &Limits::default()).unwrap();
        let bits = BitsPerSample::new(1 + (i % 4) as u8).unwrap();
        check(&name, &cover, bits, [1.0, 0.02, 0.5][i % 3], folder.path());
    }
}

/// The photographs unchanged and as written by this library.
#[test]
fn files_put_together_from_parts_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (cover_path, stego_path) = (folder.path().join("cover.png"), folder.path().join("stego.png"));
    let limits = Limits::default();
    for (i, (name, file)) in testkit::covers().into_iter().step_by(3).enumerate() {
        let rewritten = Cover::decode(&file, &limits).unwrap().to_png();
        let is_png = file.starts_with(b"\x89PNG");
        let file = if i % 2 == 0 || !is_png { rewritten } else { file };
        let bits = BitsPerSample::new(1 + (i % 4) as u8).unwrap();
        let secret = testkit::noise(13, 100 + 1000 * i);
        let options = EmbedOptions::default().with_bits(bits);
        let cover = ImageFile::open(&file, &limits).unwrap();
        let spliced = embed(cover, &Secret::new(&secret), &options, &limits).unwrap();
        assert!(spliced.is_spliced(), "{name}: most of it stays as it is");
        std::fs::write(&cover_path, &file).unwrap();
        std::fs::write(&stego_path, spliced.to_vec()).unwrap();
        check_readers(&name, &cover_path, &stego_path, bits);
    }
}

#[test]
fn every_kind_of_image_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    for channels in [Channels::Grey, Channels::GreyAlpha, Channels::Rgb, Channels::Rgba] {
        for (width, height) in [(224, 1), (1, 400), (97, 61)] {
            let samples = testkit::noise(12, width as usize * height as usize * channels.count());
            let cover = Cover::from_samples(width, height, channels, samples).unwrap();
            let name = format!("{width} × {height} {channels:?}");
            check(&name, &cover, BitsPerSample::MAX, 1.0, folder.path());
        }
    }
}

//! Batches of image files read by external programs, each started once.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use stego::{Channels, SampleDepth};
use tempfile::TempDir;

use super::{run_outside, run_pillow};
use crate::pixels::Pixels;

/// PNG files with the samples expected from every reader.
pub struct OutsideReaders {
    folder: TempDir,
    files: Vec<(String, Pixels)>,
}

impl OutsideReaders {
    /// Creates an empty batch.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the files can be made");
        Self { folder, files: Vec::new() }
    }

    /// Adds a file. `name` is for messages and becomes a file name, in letters without a meaning in patterns.
    pub fn add(&mut self, name: &str, file: &[u8], pixels: Pixels) {
        let name =
            format!("{}-{}.png", self.files.len(), name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        std::fs::write(self.path(&name), file).expect("a file can be written");
        std::fs::write(self.path(&format!("{name}.samples")), &pixels.samples)
            .expect("a file can be written");
        self.files.push((name, pixels));
    }

    /// Reads the files with Pillow, ImageMagick and pngcheck.
    ///
    /// # Panics
    ///
    /// If a program reads other samples, or complains.
    pub fn check(&self) {
        self.check_with_pngcheck();
        self.check_with_imagemagick();
        self.check_with_pillow();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().map(|(name, _)| self.path(name))
    }

    fn check_with_pngcheck(&self) {
        if let Some(said) = run_outside(Command::new("pngcheck").arg("-q").args(self.paths())) {
            assert_eq!(said, "", "pngcheck has something to say");
        }
    }

    fn check_with_pillow(&self) {
        let list: String = self
            .files
            .iter()
            .map(|(name, pixels)| {
                let (channels, bits) = (pixels.channels.count(), pixels.depth.bits());
                format!("{name} {} {} {channels} {bits}\n", pixels.width, pixels.height)
            })
            .collect();
        std::fs::write(self.path("list"), list).expect("a file can be written");
        let folder = self.folder.path().to_str().expect("folders for tests have names in UTF-8");
        if let Some(compared) = run_pillow(include_str!("compare.py"), [folder]) {
            let compared: usize = compared.trim().parse().expect("the script prints a number");
            assert!(compared * 4 >= self.files.len() * 3, "Pillow could be asked of {compared} files only");
        }
    }

    /// Compares with ImageMagick, which writes the pixels of all files as one stream, R, G, B and alpha in 16
    /// bits each.
    fn check_with_imagemagick(&self) {
        let stream = self.path("stream");
        let mut convert = Command::new("convert");
        convert.args(self.paths()).args(["-depth", "16", "-endian", "MSB"]);
        convert.arg(format!("rgba:{}", stream.display()));
        if run_outside(convert.stdin(Stdio::null())).is_none() {
            return;
        }
        let mut stream = std::fs::File::open(stream).expect("ImageMagick wrote its stream");
        for (name, pixels) in &self.files {
            let want = rgba16(pixels);
            let mut seen = want.clone();
            stream.read_exact(&mut seen.samples).expect("the stream holds all images");
            seen.assert_same(&format!("{name} in ImageMagick"), &want);
        }
        assert_eq!(stream.read(&mut [0]).expect("the stream can be read"), 0, "ImageMagick saw more pixels");
    }
}

impl Default for OutsideReaders {
    fn default() -> Self {
        Self::new()
    }
}

fn rgba16(pixels: &Pixels) -> Pixels {
    let scale = if pixels.depth == SampleDepth::Eight { 257 } else { 1 };
    let values: Vec<u16> = pixels.values().into_iter().map(|value| value * scale).collect();
    let rgba = values.chunks(pixels.channels.count()).flat_map(|pixel| match *pixel {
        [y] => [y, y, y, u16::MAX],
        [y, alpha] => [y, y, y, alpha],
        [r, g, b] => [r, g, b, u16::MAX],
        [r, g, b, alpha] => [r, g, b, alpha],
        _ => unreachable!("a pixel has one to four samples"),
    });
    Pixels {
        channels: Channels::Rgba,
        depth: SampleDepth::Sixteen,
        samples: rgba.flat_map(u16::to_be_bytes).collect(),
        ..*pixels
    }
}

//! `cargo xtask memory`: peak memory of embedding into large images and of extraction, measured on `stegctl`.
//!
//! The images are made once and stay in target/memory. Peak memory is the kernel's high-water mark of
//! resident memory, including the input file, the output PNG and the program, compared with the size of the
//! decoded samples.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

/// Pause between two polls of a process. The high-water mark disappears with the process, so that memory
/// taken after the last poll is missed.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// Highest permitted peak memory of an embed, as a multiple of the decoded size.
const MAX_RATIO: f64 = 2.5;
/// Length of the secret, limited to half of the capacity of a small image.
const SECRET_LEN_BYTES: u64 = 1 << 20;

/// Script that saves an image as a baseline JPEG and as a progressive JPEG.
const MAKE_JPEGS: &str = r"
import sys
from PIL import Image
Image.MAX_IMAGE_PIXELS = None
source, baseline, progressive = sys.argv[1:]
with Image.open(source) as image:
    image.load()
    image.save(baseline, quality=95)
    image.save(progressive, quality=95, progressive=True)
";

/// Size of the images, and location of the program.
#[derive(Debug, Args)]
pub(crate) struct MemoryOptions {
    /// Size of the images
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=400))]
    megapixels: u32,

    /// Folder with `stegctl` [default: target/release, after building]
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
}

/// Makes missing images, embeds into each, extracts, and prints a table.
///
/// # Errors
/// If a build, an image or a measurement fails, or a bound is missed.
pub(crate) fn run(options: MemoryOptions) -> anyhow::Result<()> {
    let bin_dir = match options.bin_dir {
        Some(folder) => folder,
        None => {
            xtask::cargo(&["build", "--release", "--bin", "stegctl"])?;
            xtask::target().join("release")
        }
    };
    let size = Size::of(options.megapixels);
    let folder = xtask::target().join("memory");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let covers = covers(&folder, size)?;
    let secret = testkit::noise(1, SECRET_LEN_BYTES.min(size.decoded_bytes() / 16) as usize);
    let secret_path = folder.join("secret.bin");
    std::fs::write(&secret_path, &secret).context("cannot write the secret")?;

    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>6} {:>8}  at most {MAX_RATIO} times",
        "case", "file MB", "decoded MB", "peak MB", "ratio", "seconds"
    );
    for (name, cover) in covers {
        let [stego, found] = ["stego.png", "found.bin"].map(|file| folder.join(file));
        let stegctl = || {
            let mut command = Command::new(bin_dir.join("stegctl"));
            command.args(["--max-pixels", &size.pixels().to_string()]);
            command
        };
        let embed = peak(stegctl().arg("embed").arg(&secret_path).args(["--open", "--force"]).args([
            "--output".as_ref(),
            stego.as_os_str(),
            "--cover".as_ref(),
            cover.as_os_str(),
        ]))?;
        print_row(&format!("embed, {name}"), &cover, size, embed)?;
        let extract = peak(stegctl().arg("extract").arg(&stego).arg("--force").arg("--output").arg(&found))?;
        print_row(&format!("extract, {name}"), &stego, size, extract)?;
        ensure!(std::fs::read(&found)? == secret, "{name}: the stego image gave another secret");
    }
    Ok(())
}

/// Size of an image, with an aspect ratio of about 25 to 16.
#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
}

impl Size {
    fn of(megapixels: u32) -> Self {
        let width = (f64::from(megapixels) * 1e6 * 1.5625).sqrt().ceil() as u32;
        Self { width, height: megapixels * 1_000_000 / width }
    }

    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn decoded_bytes(self) -> u64 {
        3 * self.pixels()
    }
}

/// Returns a PNG, a JPEG and a progressive JPEG of the same picture, each with a name.
fn covers(folder: &Path, size: Size) -> anyhow::Result<[(&'static str, PathBuf); 3]> {
    let Size { width, height } = size;
    let path = |kind: &str| folder.join(format!("{width}x{height}{kind}"));
    let (png, baseline, progressive) = (path(".png"), path(".jpg"), path("-progressive.jpg"));
    if !png.exists() {
        eprintln!("making {}", png.display());
        make_once(&png, |part| write_picture(part, size))?;
    }
    if !baseline.exists() || !progressive.exists() {
        eprintln!("making {} and {}", baseline.display(), progressive.display());
        make_once(&baseline, |part| {
            make_once(&progressive, |progressive_part| {
                let paths = [&png, part, progressive_part].map(|path| path.to_str().unwrap_or_default());
                testkit::run_pillow(MAKE_JPEGS, paths)
                    .context("Pillow makes the JPEGs; STEG_PYTHON names a Python that has it")?;
                Ok(())
            })
        })?;
    }
    Ok([("PNG", png), ("JPEG", baseline), ("progressive JPEG", progressive)])
}

/// Makes a file under a temporary name first, so that a file under its final name is complete.
fn make_once(path: &Path, make: impl FnOnce(&PathBuf) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let part = path.with_file_name(format!("part-{}", path.file_name().unwrap_or_default().display()));
    make(&part)?;
    std::fs::rename(&part, path).with_context(|| format!("cannot make {}", path.display()))
}

/// Writes slow waves with noise in the low bits, like sensor noise, row by row: the picture compresses about
/// as badly as a photograph.
fn write_picture(path: &Path, size: Size) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    let across: Vec<f32> = (0..size.width).map(|x| (x as f32 / 400.0).sin() * 50.0).collect();
    for y in 0..size.height {
        let noise = testkit::noise(u64::from(y), 3 * size.width as usize);
        let down = (y as f32 / 300.0).cos() * 50.0 + 120.0;
        let row: Vec<u8> = noise
            .chunks(3)
            .zip(&across)
            .flat_map(|(noise, across)| {
                let light = down + across;
                [
                    light as u8 + (noise[0] & 31),
                    light as u8 + (noise[1] & 31),
                    light as u8 / 2 + (noise[2] & 31),
                ]
            })
            .collect();
        rows.write_all(&row)?;
    }
    rows.finish()?;
    writer.finish()?;
    Ok(())
}

/// Resources taken by a process.
#[derive(Clone, Copy)]
struct Taken {
    peak_bytes: u64,
    time: Duration,
}

/// Runs a program to its end and polls its memory.
fn peak(command: &mut Command) -> anyhow::Result<Taken> {
    let started = Instant::now();
    // The output is small and fits into the pipe until the end.
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_bytes.max(local_cluster::peak_resident_bytes(process.id()).unwrap_or(0));
        if let Some(status) = process.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_PAUSE);
    };
    let time = started.elapsed();
    let said = process.wait_with_output()?.stderr;
    ensure!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&said));
    ensure!(peak_bytes > 0, "no VmHWM under /proc: peak memory is measured on Linux only");
    Ok(Taken { peak_bytes, time })
}

fn print_row(case: &str, file: &Path, size: Size, taken: Taken) -> anyhow::Result<()> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let ratio = taken.peak_bytes as f64 / size.decoded_bytes() as f64;
    println!(
        "{case:<28} {:>10.1} {:>10.1} {:>10.1} {ratio:>6.2} {:>8.1}  {}",
        megabytes(std::fs::metadata(file)?.len()),
        megabytes(size.decoded_bytes()),
        megabytes(taken.peak_bytes),
        taken.time.as_secs_f64(),
        if ratio <= MAX_RATIO { "yes" } else { "NO" }
    );
    Ok(())
}

//! `stegctl compare`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use stego::{Cover, Limits, Quality, difference_image};

use super::{Findings, channel_names, check_is_png, exit_code, read_image, table, write};
use crate::cli::Compare;
use crate::failure::Failure;
use crate::files::{self, is_standard_stream};
use crate::progress::{Meter, Work};

pub(super) fn run(command: &Compare, limits: &Limits) -> ExitCode {
    if let Err(failure) = check_usage(command) {
        return exit_code(Err(failure));
    }
    let mut findings = Findings::default();
    findings.add(json!({ "a": command.a.to_string_lossy(), "b": command.b.to_string_lossy() }));
    let outcome = compare(command, limits, &mut findings);
    exit_code(findings.tell(command.report, outcome))
}

fn check_usage(command: &Compare) -> Result<(), Failure> {
    if is_standard_stream(&command.a) && is_standard_stream(&command.b) {
        return Err(Failure::usage("both images cannot be standard input (-): name a file for one of them"));
    }
    if command.diff.as_deref().is_some_and(is_standard_stream) {
        return Err(Failure::usage(
            "the figures go to standard output: write the picture to a file with --diff FILE",
        ));
    }
    command.diff.as_deref().map_or(Ok(()), |diff| check_is_png(diff, "--diff"))
}

fn compare(command: &Compare, limits: &Limits, findings: &mut Findings) -> Result<(), Failure> {
    if let Some(diff) = &command.diff {
        files::refuse_existing(diff, command.force).map_err(|error| Failure::file(&error))?;
    }
    let meter = Meter::start(Work::Look, command.report.only_errors());
    let limits = Limits { watch: meter.watch(), ..limits.clone() };
    let (a, b) = (decode(&command.a, &limits)?, decode(&command.b, &limits)?);
    let quality = Quality::between(&a, &b, &limits.watch)?;
    drop(meter);
    findings.add(facts(&a, &quality));
    findings.text = text(&a, &quality);
    if let Some(diff) = &command.diff {
        let amplify = command.amplify.unwrap_or_else(|| quality.amplification(a.depth()));
        write(diff, &difference_image(&a, &b, amplify)?.to_png(), command.force)?;
        findings.add(json!({ "diff": diff.to_string_lossy(), "amplify": amplify }));
        findings.remarks.push(format!("wrote the differences, times {amplify}, to {}", diff.display()));
    }
    Ok(())
}

fn decode(path: &Path, limits: &Limits) -> Result<Cover, Failure> {
    let file = read_image(path)?;
    Cover::decode(&file, limits).map_err(|error| Failure::from(error).of(path))
}

fn facts(image: &Cover, quality: &Quality) -> Value {
    json!({
        "width": image.width(),
        "height": image.height(),
        "channels": image.channels().count(),
        "bit_depth": image.depth().bits(),
        "identical": quality.differing_samples == 0 && quality.differing_alpha == 0,
        "psnr_db": quality.psnr_db.is_finite().then_some(quality.psnr_db),
        "ssim": quality.ssim,
        "mse": quality.mse,
        "samples": quality.samples,
        "differing_samples": quality.differing_samples,
        "pixels": quality.pixels,
        "differing_pixels": quality.differing_pixels,
        "largest_difference": quality.largest_difference,
        "differing_alpha": quality.differing_alpha,
        "diff": Value::Null,
        "amplify": Value::Null,
    })
}

fn text(image: &Cover, quality: &Quality) -> String {
    let of = |differing: u64, all: u64| {
        format!("{differing} of {all} differ ({:.2} %)", 100.0 * differing as f64 / all as f64)
    };
    let (width, height) = (image.width(), image.height());
    let kind = format!("{}, bit depth {}", channel_names(image.channels()), image.depth().bits());
    let psnr = match quality.psnr_db {
        finite if finite.is_finite() => format!("{finite:.2} dB"),
        _ => "infinite: no colour differs".to_owned(),
    };
    let too_small = || "not defined for images smaller than 11 × 11".to_owned();
    let mut lines = vec![
        ("images", format!("{width} × {height}, {kind}")),
        ("PSNR", psnr),
        ("SSIM", quality.ssim.map_or_else(too_small, |ssim| format!("{ssim:.8}"))),
        ("MSE", format!("{:.8}", quality.mse)),
        ("samples", of(quality.differing_samples, quality.samples)),
        ("pixels", of(quality.differing_pixels, quality.pixels)),
        ("largest", format!("a difference of {}", quality.largest_difference)),
    ];
    if image.channels().has_alpha() {
        lines.push(("alpha", of(quality.differing_alpha, quality.pixels)));
    }
    table(lines)
}

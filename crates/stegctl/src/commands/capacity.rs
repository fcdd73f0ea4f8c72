//! `stegctl capacity`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use stego::{BitsPerSample, ImageFile, Limits, Mode};

use super::{Findings, each_image, read_image};
use crate::cli::Look;
use crate::failure::Failure;

pub(super) fn run(command: &Look, limits: &Limits) -> ExitCode {
    each_image(&command.images, command.report, limits, capacity)
}

fn capacity(image: &Path, limits: &Limits, findings: &mut Findings) -> Result<(), Failure> {
    let file = read_image(image)?;
    let file = ImageFile::open(&file, limits)?;
    let cover = file.cover(limits)?;
    let mode = Mode::default();
    let capacity = cover.capacity(mode);
    let modes: Vec<Value> = BitsPerSample::all()
        .map(|bits| {
            json!({
                "mode": mode.as_str(),
                "bits": bits.as_u8(),
                "capacity_bytes": capacity.secret_bytes(bits),
            })
        })
        .collect();
    findings.add(json!({
        "format": file.info().format.to_string(),
        "width": cover.width(),
        "height": cover.height(),
        "channels": cover.channels().count(),
        "bit_depth": cover.depth().bits(),
        "modes": modes,
    }));
    findings.text = format!("{:>15} {:>15}\n", "bits per sample", "bytes that fit");
    for bits in BitsPerSample::all() {
        findings.text += &format!("{:>15} {:>15}\n", bits.as_u8(), capacity.secret_bytes(bits));
    }
    Ok(())
}

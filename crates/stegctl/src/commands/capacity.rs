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
    let open = cover.capacity(Mode::default());
    let keyed = cover.capacity(Mode::DEFAULT_KEYED).secret_bytes(BitsPerSample::ONE);
    let of = |mode: Mode, bits: BitsPerSample, capacity_bytes: u64| json!({ "mode": mode.as_str(), "bits": bits.as_u8(), "capacity_bytes": capacity_bytes });
    let modes: Vec<Value> = BitsPerSample::all()
        .map(|bits| of(Mode::default(), bits, open.secret_bytes(bits)))
        .chain([of(Mode::DEFAULT_KEYED, BitsPerSample::ONE, keyed)])
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
    findings.text += &format!("{:>15} {keyed:>15}\n", "1, with a key");
    for bits in BitsPerSample::all() {
        findings.text +=
            &format!("{:>15} {:>15}\n", format!("{}, open", bits.as_u8()), open.secret_bytes(bits));
    }
    Ok(())
}

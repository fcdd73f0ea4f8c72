//! `stegctl inspect`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use stego::{Cover, Extracted, FileName, ImageError, ImageFile, ImageInfo, Limits, MediaType};

use super::{Findings, channel_names, count, each_image, read_image, table};
use crate::archive::{self, Contents};
use crate::cli::Look;
use crate::failure::Failure;

/// Maximum number of archive members listed in text; JSON lists all.
const MAX_LISTED: usize = 20;

pub(super) fn run(command: &Look, limits: &Limits) -> ExitCode {
    each_image(&command.images, command.report, limits, inspect)
}

fn inspect(image: &Path, limits: &Limits, findings: &mut Findings) -> Result<(), Failure> {
    let file = read_image(image)?;
    findings.add(json!({ "file_size_bytes": file.len(), "payload": Value::Null }));
    let mut lines = vec![("file", format!("{} bytes", file.len()))];
    let found = look(&file, limits, findings, &mut lines);
    if let Err(failure) = &found {
        lines.push(("payload", format!("none: {} ({})", failure.message(), failure.code())));
    }
    findings.text = table(lines);
    found
}

type Lines = Vec<(&'static str, String)>;

fn look(file: &[u8], limits: &Limits, findings: &mut Findings, lines: &mut Lines) -> Result<(), Failure> {
    let file = ImageFile::open(file, limits).inspect_err(|error| tell_unread(error, findings, lines))?;
    tell_image(file.info(), findings, lines);
    tell_metadata(file.cover(limits).ok().as_ref(), findings, lines);
    let found = file.examine(limits)?;
    tell_payload(&found, findings, lines);
    Ok(())
}

/// Reports the known facts of a file with an unreadable header.
fn tell_unread(error: &ImageError, findings: &mut Findings, lines: &mut Lines) {
    let (format, size) = match error {
        ImageError::Truncated { format } | ImageError::Damaged { format, .. } => {
            (Some(format.to_string()), None)
        }
        ImageError::Unsupported { what } => (Some(what.clone()), None),
        ImageError::TooManyPixels { width, height, .. } => (None, Some((*width, *height))),
        _ => (None, None),
    };
    findings.add(json!({
        "format": format,
        "width": size.map(|(width, _)| width),
        "height": size.map(|(_, height)| height),
    }));
    let known = match (format, size) {
        (Some(format), _) => format,
        (None, Some((width, height))) => format!("{width} × {height}"),
        (None, None) => "not one that is read here".to_owned(),
    };
    lines.push(("image", known));
}

fn tell_image(info: &ImageInfo, findings: &mut Findings, lines: &mut Lines) {
    findings.add(json!({
        "format": info.format.to_string(),
        "width": info.width,
        "height": info.height,
        "channels": info.channels.count(),
        "bit_depth": info.depth.bits(),
        "interlaced": info.interlaced,
        "animated": info.animated,
    }));
    let mut kind = format!(
        "{}, {} × {}, {}, bit depth {}",
        info.format,
        info.width,
        info.height,
        channel_names(info.channels),
        info.depth.bits()
    );
    for (is_so, what) in
        [(info.interlaced, ", interlaced"), (info.animated, ", animated: its first frame counts")]
    {
        kind += if is_so { what } else { "" };
    }
    lines.push(("image", kind));
}

/// Reports the metadata. `None` means an image that cannot be decoded, a problem reported with the payload.
fn tell_metadata(cover: Option<&Cover>, findings: &mut Findings, lines: &mut Lines) {
    let Some(cover) = cover else {
        return findings.add(json!({ "metadata": Value::Null }));
    };
    let (kept, left_out) = (cover.kept_metadata(), cover.dropped_metadata());
    findings.add(json!({
        "metadata": { "kept": kept, "left_out": left_out, "tells_location": cover.tells_location() },
    }));
    let listed = |names: &[String]| plain(&names.join(", "));
    lines.push((
        "metadata",
        match (kept.as_slice(), left_out) {
            ([], []) => "none".to_owned(),
            (kept, []) => listed(kept),
            ([], left_out) => format!("{} (embed leaves this out)", listed(left_out)),
            (kept, left_out) => format!("{}; {} (embed leaves this out)", listed(kept), listed(left_out)),
        },
    ));
    if cover.tells_location() {
        lines.push(("location", "the metadata tells where the picture was taken (GPS)".to_owned()));
    }
}

fn tell_payload(found: &Extracted, findings: &mut Findings, lines: &mut Lines) {
    let is_archive = found.media_type.as_ref().is_some_and(|kind| kind.as_str() == archive::MEDIA_TYPE);
    let contents = is_archive.then(|| Contents::read(&found.secret));
    findings.add(json!({ "payload": payload(found, contents.as_ref().and_then(|read| read.as_ref().ok())) }));
    findings.remarks.extend(found.notes.iter().map(|note| format!("note: {note}")));

    let unknown = || "not given".to_owned();
    let compressed = if found.deflated { ", compressed" } else { "" };
    let bits = found.bits.as_u8();
    lines.push(("container", found.container.to_string()));
    lines.push(("payload", format!("{} bytes at {bits} bit(s) per sample{compressed}", found.payload_bytes)));
    lines.push(("secret", format!("{} bytes", found.secret.len())));
    lines.push(("name", found.name.as_ref().map_or_else(unknown, ToString::to_string)));
    lines.push(("media type", found.media_type.as_ref().map_or_else(unknown, ToString::to_string)));
    lines.extend(found.mark.map(|mark| ("mark", mark.to_string())));
    match contents {
        Some(Ok(contents)) => list(&contents, lines),
        Some(Err(error)) => lines.push(("files", format!("not to be unpacked: {error}"))),
        None => {}
    }
}

fn payload(found: &Extracted, contents: Option<&Contents<'_>>) -> Value {
    let files = contents.map(|contents| {
        let file =
            |member: &archive::Member<'_>| json!({ "name": member.name, "size_bytes": member.len_bytes() });
        contents.files().map(file).collect::<Vec<_>>()
    });
    json!({
        "container": found.container.to_string(),
        "bits": found.bits.as_u8(),
        "payload_size_bytes": found.payload_bytes,
        "compressed": found.deflated,
        "secret_size_bytes": found.secret.len(),
        "name": found.name.as_ref().map(FileName::as_str),
        "media_type": found.media_type.as_ref().map(MediaType::as_str),
        "mark": found.mark.map(|mark| mark.to_string()),
        "files": files,
        "notes": found.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn list(contents: &Contents<'_>, lines: &mut Lines) {
    let files = contents.files().count();
    for (place, file) in contents.files().take(MAX_LISTED).enumerate() {
        let name = archive::shown(file.name.as_bytes());
        let title = if place == 0 { "files" } else { "" };
        lines.push((title, format!("{name} ({} bytes)", file.len_bytes())));
    }
    if files > MAX_LISTED {
        lines.push(("", format!("and {} more", count(files - MAX_LISTED, "file"))));
    }
}

/// Removes characters that could steer a terminal from a file's text.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

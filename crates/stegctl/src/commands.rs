//! The commands on images; those on clusters are in `cluster`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};
use stego::{
    BitsPerSample, Capacity, Cover, EmbedOptions, Extracted, FileName, ImageInfo, Limits, MediaType, Secret,
    probe,
};

use crate::cli::{Cli, Command, Embed, Extract, Look};
use crate::cluster;
use crate::failure::Failure;
use crate::files::{self, MAX_IMAGE_FILE_BYTES};

/// The built-in image that is used where no cover is given.
const DEFAULT_COVER: u32 = 0;

pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let limits = cli.limits.limits();
    match cli.command {
        Command::Embed(command) => embed(&command, &limits),
        Command::Extract(command) => extract(&command, &limits),
        Command::Capacity(command) => capacity(&command, &limits),
        Command::Inspect(command) => inspect(&command, &limits),
        Command::Status(command) => cluster::status(&command),
        Command::Leader(command) => cluster::leader(&command),
        Command::Member(command) => cluster::member(&command),
        Command::Settings(command) => cluster::settings(&command),
    }
}

fn embed(command: &Embed, limits: &Limits) -> Result<(), Failure> {
    files::refuse_existing(&command.output, command.force).map_err(|error| Failure::file(&error))?;
    if files::is_standard_stream(&command.secret)
        && command.cover.as_deref().is_some_and(files::is_standard_stream)
    {
        let error = anyhow::anyhow!("secret and cover cannot both be standard input");
        return Err(Failure::file(&error));
    }
    let bytes = read(&command.secret, limits.max_secret_bytes)?;
    let cover = match &command.cover {
        Some(path) => {
            let file = read(path, MAX_IMAGE_FILE_BYTES)?;
            Cover::decode(&file, limits).map_err(|error| Failure::from(error).of(path))?
        }
        None => Cover::dataset(command.dataset.unwrap_or(DEFAULT_COVER)).expect("clap checked the index"),
    };
    let name = name_of(command);
    let secret =
        Secret { bytes: &bytes, media_type: media_type_of(command, name.as_ref()), name, mark: None };
    let options =
        EmbedOptions { bits: command.bits, compress: !command.no_compress, ..EmbedOptions::default() };
    let embedded = stego::embed(&cover, &secret, &options, limits)?;
    write(&command.output, &embedded.png, command.force)?;

    eprintln!(
        "embedded {} bytes as {} of {} bytes that fit at {} bit(s) per sample, PSNR {:.2} dB",
        bytes.len(),
        embedded.payload_bytes,
        embedded.capacity_bytes + stego::HEADER_LEN_BYTES as u64,
        options.bits.as_u8(),
        embedded.psnr_db,
    );
    for note in &embedded.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}

fn name_of(command: &Embed) -> Option<FileName> {
    match &command.name {
        Some(name) => Some(name.clone()),
        None if files::is_standard_stream(&command.secret) => None,
        None => command.secret.to_str().and_then(FileName::from_path),
    }
}

fn media_type_of(command: &Embed, name: Option<&FileName>) -> Option<MediaType> {
    match &command.media_type {
        Some(given) => Some(given.clone()),
        None => mime_guess::from_path(name?.as_str()).first_raw().and_then(MediaType::parse),
    }
}

fn extract(command: &Extract, limits: &Limits) -> Result<(), Failure> {
    let file = read(&command.image, MAX_IMAGE_FILE_BYTES)?;
    let found = stego::extract(&file, limits).map_err(|error| Failure::from(error).of(&command.image))?;
    let output = command
        .output
        .clone()
        .unwrap_or_else(|| Path::new(".").join(found.name.as_ref().map_or("secret.bin", FileName::as_str)));
    write(&output, &found.secret, command.force)?;
    if !files::is_standard_stream(&output) {
        eprintln!("extracted {} bytes to {}", found.secret.len(), output.display());
    }
    Ok(())
}

fn capacity(command: &Look, limits: &Limits) -> Result<(), Failure> {
    let file = read(&command.image, MAX_IMAGE_FILE_BYTES)?;
    let of_image = |error| Failure::from(error).of(&command.image);
    let info = probe(&file, limits).map_err(of_image)?;
    let cover = Cover::decode(&file, limits).map_err(of_image)?;
    let capacity = Capacity::of(&cover);
    let text = if command.json {
        let modes: Vec<Value> = BitsPerSample::all()
            .map(|bits| {
                json!({
                    "mode": "sequential",
                    "lsb_per_channel": bits.as_u8(),
                    "capacity_bytes": capacity.secret_bytes(bits),
                })
            })
            .collect();
        let image = json!({
            "format": info.format.to_string(),
            "width": cover.width(),
            "height": cover.height(),
            "channels": cover.channels().count(),
            "modes": modes,
        });
        format!("{image:#}\n")
    } else {
        let lines = BitsPerSample::all()
            .map(|bits| format!("{:>15} {:>15}\n", bits.as_u8(), capacity.secret_bytes(bits)));
        format!("{:>15} {:>15}\n", "bits per sample", "bytes that fit") + &lines.collect::<String>()
    };
    print(&text)
}

fn inspect(command: &Look, limits: &Limits) -> Result<(), Failure> {
    let file = read(&command.image, MAX_IMAGE_FILE_BYTES)?;
    let info = probe(&file, limits).map_err(|error| Failure::from(error).of(&command.image))?;
    let found = stego::extract(&file, limits).map_err(Failure::from);
    print(&if command.json { inspection_json(&info, &found) } else { inspection_text(&info, &found) })?;
    found.map(|_| ()).map_err(|failure| failure.of(&command.image))
}

fn inspection_json(info: &ImageInfo, found: &Result<Extracted, Failure>) -> String {
    let payload = found.as_ref().ok().map(|found| {
        json!({
            "container": found.container.to_string(),
            "lsb_per_channel": found.bits.as_u8(),
            "payload_size_bytes": found.payload_bytes,
            "compressed": found.deflated,
            "secret_size_bytes": found.secret.len(),
            "name": found.name.as_ref().map(FileName::as_str),
            "media_type": found.media_type.as_ref().map(MediaType::as_str),
            "mark": found.mark.map(|mark| mark.to_string()),
        })
    });
    let problem =
        found.as_ref().err().map(|failure| json!({ "code": failure.code(), "detail": failure.message() }));
    let image = json!({
        "format": info.format.to_string(),
        "width": info.width,
        "height": info.height,
        "channels": info.channels.count(),
        "interlaced": info.interlaced,
        "payload": payload,
        "problem": problem,
    });
    format!("{image:#}\n")
}

fn inspection_text(info: &ImageInfo, found: &Result<Extracted, Failure>) -> String {
    let mut lines = vec![(
        "image",
        format!("{}, {} × {}, {} channel(s)", info.format, info.width, info.height, info.channels.count()),
    )];
    match found {
        Ok(found) => {
            let compressed = if found.deflated { ", compressed" } else { "" };
            let unknown = || "not given".to_owned();
            lines.push(("container", found.container.to_string()));
            lines.push((
                "payload",
                format!(
                    "{} bytes at {} bit(s) per sample{compressed}",
                    found.payload_bytes,
                    found.bits.as_u8()
                ),
            ));
            lines.push(("secret", format!("{} bytes", found.secret.len())));
            lines.push(("name", found.name.as_ref().map_or_else(unknown, ToString::to_string)));
            lines.push(("media type", found.media_type.as_ref().map_or_else(unknown, ToString::to_string)));
            lines.extend(found.mark.map(|mark| ("mark", mark.to_string())));
        }
        Err(failure) => lines.push(("payload", format!("none that can be read ({})", failure.code()))),
    }
    lines.into_iter().map(|(what, value)| format!("{what:<10}  {value}\n")).collect()
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    files::read(path, max_bytes).map_err(|error| Failure::file(&error))
}

fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Failure> {
    files::write(path, bytes, force).map_err(|error| Failure::file(&error))
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
        .map_err(|error| Failure::file(&error))
}

//! `stegctl embed`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use stego::{Cover, EmbedOptions, Embedded, FileName, Limits, MediaType, Note, PngEmbedError, Secret};

use super::{Findings, count, exit_code, read_image, write};
use crate::archive::{self, PackOptions};
use crate::cli::Embed;
use crate::failure::Failure;
use crate::files::{self, is_standard_stream};
use crate::progress::{Meter, Work};

/// The built-in image that is used where no cover is given.
const DEFAULT_COVER: u32 = 0;
/// The name of files that have no folder in common.
const ARCHIVE_NAME: &str = "files.tar";

pub(super) fn run(command: &Embed, limits: &Limits) -> ExitCode {
    if let Err(failure) = check_usage(command) {
        return exit_code(Err(failure));
    }
    let mut findings = Findings::default();
    findings.add(json!({ "output": command.output.to_string_lossy() }));
    let outcome = embed(command, limits, &mut findings);
    exit_code(findings.tell(command.report, outcome))
}

fn check_usage(command: &Embed) -> Result<(), Failure> {
    let reads_secret = command.secrets.iter().any(|path| is_standard_stream(path));
    if reads_secret && command.secrets.len() > 1 {
        return Err(Failure::usage(
            "standard input (-) is hidden alone: a file with the name - is written as ./-",
        ));
    }
    if reads_secret && command.cover.as_deref().is_some_and(is_standard_stream) {
        return Err(Failure::usage(
            "secret and cover cannot both be standard input (-): name a file for one of them",
        ));
    }
    if command.report.json && is_standard_stream(&command.output) {
        return Err(Failure::usage(
            "the image and --json cannot both go to standard output: write the image to a file with -o FILE",
        ));
    }
    Ok(())
}

fn embed(command: &Embed, limits: &Limits, findings: &mut Findings) -> Result<(), Failure> {
    files::refuse_existing(&command.output, command.force).map_err(|error| Failure::file(&error))?;
    let hidden = Hidden::read(command, limits)?;
    let meter = Meter::start(Work::Embed, command.report.only_errors());
    let limits = Limits { watch: meter.watch(), ..limits.clone() };
    let options = EmbedOptions {
        bits: command.bits,
        compress: !command.no_compress,
        metadata: command.metadata.policy(),
    };
    let embedded = match &command.cover {
        Some(path) => {
            let file = read_image(path)?;
            let of_cover = |error| match error {
                PngEmbedError::Image(error) => Failure::from(error).of(path),
                PngEmbedError::Embed(error) => error.into(),
            };
            stego::embed_into_file(&file, &hidden.secret(), &options, &limits).map_err(of_cover)?
        }
        None => {
            let index = command.dataset.unwrap_or(DEFAULT_COVER);
            let cover = Cover::dataset(index).expect("clap checked the index");
            stego::embed(&cover, &hidden.secret(), &options, &limits)?
        }
    };
    drop(meter);
    write(&command.output, &embedded.png, command.force)?;
    hidden.tell(&embedded, options, findings);
    Ok(())
}

/// What is hidden, and what is told of it.
struct Hidden {
    bytes: Vec<u8>,
    name: Option<FileName>,
    media_type: Option<MediaType>,
    /// Files in it, where it is an archive.
    files: Option<usize>,
    /// What the user should know.
    notes: Vec<String>,
}

impl Hidden {
    fn read(command: &Embed, limits: &Limits) -> Result<Self, Failure> {
        match command.secrets.as_slice() {
            [path] if is_standard_stream(path) || !path.is_dir() => Self::file(path, command, limits),
            _ => Self::archive(command, limits),
        }
    }

    fn file(path: &Path, command: &Embed, limits: &Limits) -> Result<Self, Failure> {
        let bytes =
            files::read_secret(path, limits.max_secret_bytes).map_err(|error| Failure::file(&error))?;
        let own_name = || path.to_str().filter(|_| !is_standard_stream(path)).and_then(FileName::from_path);
        let name = command.name.clone().or_else(own_name);
        let by_extension = || name.as_ref().and_then(MediaType::of_name);
        let media_type = command.media_type.clone().or_else(by_extension);
        Ok(Self { bytes, name, media_type, files: None, notes: Vec::new() })
    }

    fn archive(command: &Embed, limits: &Limits) -> Result<Self, Failure> {
        let options = PackOptions {
            max_bytes: limits.max_secret_bytes,
            skip_special: command.skip_special,
            output: &command.output,
        };
        let packed = archive::pack(&command.secrets, &options)?;
        let own_name = match command.secrets.as_slice() {
            [folder] => format!("{}.tar", archive::name_of(folder)?),
            _ => ARCHIVE_NAME.to_owned(),
        };
        let left_out = |path: &std::path::PathBuf| {
            let path = archive::shown(path.as_os_str().as_encoded_bytes());
            format!("left out: {path} is neither a file nor a folder")
        };
        Ok(Self {
            bytes: packed.bytes,
            name: command.name.clone().or_else(|| FileName::from_path(&own_name)),
            media_type: command.media_type.clone().or_else(|| MediaType::parse(archive::MEDIA_TYPE)),
            files: Some(packed.files),
            notes: packed.skipped.iter().map(left_out).collect(),
        })
    }

    fn secret(&self) -> Secret<'_> {
        Secret {
            bytes: &self.bytes,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            mark: None,
        }
    }

    fn tell(mut self, embedded: &Embedded, options: EmbedOptions, findings: &mut Findings) {
        self.notes.extend(embedded.notes.iter().map(ToString::to_string));
        if self.files.is_some() && embedded.notes.contains(&Note::NameLeftOut) {
            self.notes
                .push("the files are an archive whose type was left out: extract them with --unpack".into());
        }
        let payload_bytes = embedded.payload_bytes;
        let room_bytes = embedded.capacity_bytes + stego::HEADER_LEN_BYTES as u64;
        let bytes = self.bytes.len();
        let what = match self.files {
            Some(files) => format!("{} (an archive of {bytes} bytes)", count(files, "file")),
            None => format!("{bytes} bytes"),
        };
        findings.remarks.push(format!(
            "embedded {what} as {payload_bytes} of {room_bytes} bytes that fit at {} bit(s) per sample, PSNR {:.2} dB",
            options.bits.as_u8(),
            embedded.psnr_db,
        ));
        findings.remarks.extend(self.notes.iter().map(|note| format!("note: {note}")));
        findings.add(json!({
            "name": self.name.as_ref().map(FileName::as_str),
            "media_type": self.media_type.as_ref().map(MediaType::as_str),
            "files": self.files,
            "secret_size_bytes": self.bytes.len(),
            "payload_size_bytes": payload_bytes,
            "capacity_bytes": embedded.capacity_bytes,
            "bits": options.bits.as_u8(),
            "psnr_db": embedded.psnr_db.is_finite().then_some(embedded.psnr_db),
            "notes": self.notes,
        }));
    }
}

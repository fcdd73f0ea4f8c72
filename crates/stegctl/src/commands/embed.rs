//! `stegctl embed`.

use std::borrow::Cow;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use stego::{
    BitsPerSample, CoverInput, EmbedError, EmbedOptions, EmbedReport, FileName, ImageFile, Limits, MediaType,
    Note, Seal, Secret,
};

use super::{Findings, check_is_png, count, exit_code, read_image, write};
use crate::archive::{self, PackOptions};
use crate::cli::{Embed, Metadata};
use crate::failure::Failure;
use crate::files::{self, is_standard_stream};
use crate::key;
use crate::progress::{Meter, Work};

/// The built-in image used without a cover.
const DEFAULT_COVER: u32 = 0;
/// Bytes of a sealed payload besides body and padding: salt, header, fields and tag.
const SEALED_OVERHEAD_BYTES: u64 = 84;
/// Note printed with every embed with a key.
const KEEP_THE_KEY: &str = "note: without the key nobody can extract the secret, its maker included";
/// Archive name for files without a common folder.
const ARCHIVE_NAME: &str = "files.tar";

pub(super) fn run(command: &Embed, limits: &Limits) -> ExitCode {
    let chosen = match check_usage(command).and_then(|()| with_chosen_cover(command)) {
        Ok(chosen) => chosen,
        Err(failure) => return exit_code(Err(failure)),
    };
    let command = &*chosen;
    let mut findings = Findings::default();
    findings.add(json!({ "output": command.output.to_string_lossy() }));
    let outcome = embed(command, limits, &mut findings);
    exit_code(findings.tell(command.secret.report, outcome))
}

fn check_usage(command: &Embed) -> Result<(), Failure> {
    check_is_png(&command.output, "-o")?;
    if command.secret.keys.is_given() && command.bits.is_some_and(|bits| bits != BitsPerSample::ONE) {
        return Err(Failure::usage("with a key --bits is 1"));
    }
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
    if command.secret.keys.reads_stdin()
        && (reads_secret || command.cover.as_deref().is_some_and(is_standard_stream))
    {
        return Err(Failure::usage(
            "the key and a file cannot both be standard input (-): name a file for one of them",
        ));
    }
    if command.secret.report.json && is_standard_stream(&command.output) {
        return Err(Failure::usage(
            "the image and --json cannot both go to standard output: write the image to a file with -o FILE",
        ));
    }
    Ok(())
}

/// Chooses the cover for a command without one: the only image among the secrets, after confirmation on the
/// terminal. Without a terminal such a command is refused.
fn with_chosen_cover(command: &Embed) -> Result<Cow<'_, Embed>, Failure> {
    let has_cover = command.cover.is_some() || command.dataset.is_some();
    let images: Vec<usize> = match command.secrets.len() {
        0 | 1 => Vec::new(),
        _ if has_cover => Vec::new(),
        count => (0..count).filter(|&i| files::is_image(&command.secrets[i])).collect(),
    };
    let &[image] = images.as_slice() else { return Ok(Cow::Borrowed(command)) };
    let mut chosen = command.clone();
    let image = chosen.secrets.remove(image);
    let name = |path: &PathBuf| quoted(&path.display().to_string());
    let others = chosen.secrets.iter().map(name).collect::<Vec<_>>().join(" ");
    let (image_name, output) = (name(&image), name(&command.output));
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(Failure::usage(format!(
            "{image_name} is the only image among the files to hide, and there is no --cover: write `stegctl embed \
             {others} --cover {image_name} -o {output}` to hide the others in it, or add --dataset 0 to hide all of them in a \
             built-in image"
        )));
    }
    let is_cover =
        ask(&format!("Hide {others} in {image_name}? Otherwise all are hidden in a built-in image."))?;
    chosen.cover = Some(image);
    Ok(if is_cover { Cow::Owned(chosen) } else { Cow::Borrowed(command) })
}

/// Quotes a word for a shell (POSIX, section 2.2.2).
fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|c| c.is_alphanumeric() || "._-/+=@,".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Asks a question on the terminal; true for yes, the default answer.
fn ask(question: &str) -> Result<bool, Failure> {
    let cannot = |error| Failure::file(&anyhow::Error::new(error).context("cannot ask on the terminal"));
    write!(stderr(), "{question} [Y/n] ").map_err(cannot)?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(cannot)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "" | "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err(Failure::usage("the answer is neither y nor n")),
    }
}

fn embed(command: &Embed, limits: &Limits, findings: &mut Findings) -> Result<(), Failure> {
    files::refuse_existing(&command.output, command.force).map_err(|error| Failure::file(&error))?;
    let hidden = Hidden::read(command, limits)?;
    let key = key::for_embed(&command.secret.keys, command.open)?;
    if key.is_some() && command.bits.is_some_and(|bits| bits != BitsPerSample::ONE) {
        return Err(Failure::usage("with a key --bits is 1"));
    }
    let meter = Meter::start(Work::Embed, command.secret.report.only_errors());
    let limits = Limits { watch: meter.watch(), ..limits.clone() };
    let metadata = command.metadata.unwrap_or(if key.is_some() { Metadata::Strip } else { Metadata::Keep });
    let options = EmbedOptions::default()
        .with_bits(command.bits.unwrap_or(BitsPerSample::ONE))
        .with_compress(!command.no_compress)
        .with_metadata(metadata.policy())
        .with_verify(command.verify.extent());
    let options = match key {
        Some(key) => options.with_seal(Seal::Key(key, key::salt()?)).with_metadata(metadata.policy()),
        None => options,
    };
    let (file, built_in);
    let cover: CoverInput<'_> = match &command.cover {
        Some(path) => {
            file = read_image(path)?;
            ImageFile::open(&file, &limits).map_err(|error| Failure::from(error).of(path))?.into()
        }
        None => {
            let index = command.dataset.unwrap_or(DEFAULT_COVER);
            built_in = dataset::cover(index).expect("clap checked the index");
            (&built_in).into()
        }
    };
    let mut image = stego::embed(cover, &hidden.secret(), &options, &limits).map_err(|error| {
        let of_file = command.cover.as_deref().filter(|_| matches!(error, EmbedError::Image(_)));
        let failure = Failure::from(error);
        match of_file {
            Some(path) => failure.of(path),
            None => failure,
        }
    })?;
    drop(meter);
    if command.cover.is_none() && options.seal.is_some() {
        // Everybody has the built-in images.
        image.report.notes.push(Note::CoverIsKnown);
    }
    write(&command.output, &image.to_vec(), command.force)?;
    let cover = match &command.cover {
        Some(path) => files::shown(path).into_owned(),
        None => format!("the built-in image {}", command.dataset.unwrap_or(DEFAULT_COVER)),
    };
    hidden.tell(&image.report, (&cover, options), findings);
    Ok(())
}

/// The secret to embed, with notes for the user.
struct Hidden {
    bytes: Vec<u8>,
    name: Option<FileName>,
    media_type: Option<MediaType>,
    /// Number of files, for an archive.
    files: Option<usize>,
    /// Notes for the user.
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
        let left_out = |path: &PathBuf| {
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

    fn tell(mut self, report: &EmbedReport, (cover, options): (&str, EmbedOptions), findings: &mut Findings) {
        self.notes.extend(report.notes.iter().map(ToString::to_string));
        if self.files.is_some() && report.notes.contains(&Note::NameLeftOut) {
            self.notes
                .push("the files are an archive whose type was left out: extract them with --unpack".into());
        }
        // The capacity counts the bytes after the container's header.
        let is_keyed = options.seal.is_some();
        let overhead_bytes = if is_keyed { SEALED_OVERHEAD_BYTES } else { stego::HEADER_LEN_BYTES as u64 };
        let carried_bytes = report.payload_bytes.saturating_sub(overhead_bytes);
        let bytes = self.bytes.len();
        let what = match self.files {
            Some(files) => format!("{} (an archive of {bytes} bytes)", count(files, "file")),
            None => format!("{bytes} bytes"),
        };
        findings.remarks.push(format!(
            "embedded {what} as {carried_bytes} of {} bytes that fit into {cover} (mode {}, {} per sample), PSNR {:.2} dB",
            report.capacity_bytes,
            options.mode.as_str(),
            count(options.bits.as_u8().into(), "bit"),
            report.psnr_db,
        ));
        findings.remarks.extend(is_keyed.then(|| KEEP_THE_KEY.to_owned()));
        findings.remarks.extend(self.notes.iter().map(|note| format!("note: {note}")));
        findings.add(json!({
            "name": self.name.as_ref().map(FileName::as_str),
            "media_type": self.media_type.as_ref().map(MediaType::as_str),
            "files": self.files,
            "secret_size_bytes": self.bytes.len(),
            "payload_size_bytes": report.payload_bytes,
            "capacity_bytes": report.capacity_bytes,
            "mode": options.mode.as_str(),
            "bits": options.bits.as_u8(),
            "psnr_db": report.psnr_db.is_finite().then_some(report.psnr_db),
            "notes": self.notes,
        }));
    }
}

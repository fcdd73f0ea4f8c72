//! `stegctl extract`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};
use stego::{Extracted, FileName, Limits, MediaType};

use super::{Findings, count, each_image, exit_code, read_image, write};
use crate::archive::{self, Contents};
use crate::cli::Extract;
use crate::failure::Failure;
use crate::files::is_standard_stream;
use crate::key;
use crate::safe_names::safe;

/// File name for a secret without a name.
const NAMELESS: &str = "secret.bin";

pub(super) fn run(command: &Extract, limits: &Limits) -> ExitCode {
    if let Err(failure) = check_usage(command) {
        return exit_code(Err(failure));
    }
    let key = match key::for_extract(&command.secret.keys) {
        Ok(key) => key,
        Err(failure) => return exit_code(Err(failure)),
    };
    let mut written = HashSet::new();
    each_image(&command.images, command.secret.report, limits, |image, limits, findings| {
        let file = read_image(image)?;
        let found = match &key {
            Some(key) => stego::extract_sealed(&file, key, limits)?,
            None => stego::extract(&file, limits)?,
        };
        drop(file);
        findings.add(facts(&found));
        findings.remarks.extend(found.notes.iter().map(|note| format!("note: {note}")));
        if is_to_be_unpacked(command, &found) {
            unpack(command, &found, &mut written, findings)
        } else {
            save(command, &found, &mut written, findings)
        }
    })
}

fn check_usage(command: &Extract) -> Result<(), Failure> {
    if command.secret.keys.reads_stdin() && command.images.iter().any(|image| is_standard_stream(image)) {
        return Err(Failure::usage(
            "the key and the image cannot both be standard input (-): name a file for one of them",
        ));
    }
    if !command.output.as_deref().is_some_and(is_standard_stream) {
        return Ok(());
    }
    let conflict = match command {
        _ if command.images.len() > 1 => "several secrets in one stream could not be told apart",
        _ if command.secret.report.json => "the secret and --json cannot both go to standard output",
        _ if command.unpack => "--unpack writes files, which cannot go to standard output",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{conflict}: name a folder with -o DIR")))
}

fn facts(found: &Extracted) -> Value {
    json!({
        "name": found.name.as_ref().map(FileName::as_str),
        "media_type": found.media_type.as_ref().map(MediaType::as_str),
        "mark": found.mark.map(|mark| mark.to_string()),
        "secret_size_bytes": found.secret.len(),
        "notes": found.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "output": Value::Null,
        "files": Value::Null,
    })
}

fn is_of_type(found: &Extracted, media_type: &str) -> bool {
    found.media_type.as_ref().is_some_and(|kind| kind.as_str() == media_type)
}

fn is_to_be_unpacked(command: &Extract, found: &Extracted) -> bool {
    let to_stdout = command.output.as_deref().is_some_and(is_standard_stream);
    command.unpack || !command.no_unpack && !to_stdout && is_of_type(found, archive::MEDIA_TYPE)
}

/// Writes the secret as one file.
fn save(
    command: &Extract,
    found: &Extracted,
    written: &mut HashSet<PathBuf>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let own_name = found.name.as_ref().map_or(NAMELESS, FileName::as_str);
    let output = match &command.output {
        None => Path::new(".").join(&*in_current_folder(own_name, findings)),
        Some(folder) if command.images.len() > 1 => {
            make_folder(folder)?;
            folder.join(own_name)
        }
        Some(folder) if !is_standard_stream(folder) && folder.is_dir() => folder.join(own_name),
        Some(file) => file.clone(),
    };
    once(&output, written)?;
    write(&output, &found.secret, command.force)?;
    written.insert(output.clone());
    if !is_standard_stream(&output) {
        let size = found.secret.len();
        findings.remarks.push(format!("extracted {size} bytes to {}", output.display()));
        if is_of_type(found, archive::PLAIN_TAR_MEDIA_TYPE) {
            findings
                .remarks
                .push("note: this is a tar archive; extract --unpack restores what is in it".into());
        }
    }
    findings.add(json!({ "output": output.to_string_lossy() }));
    Ok(())
}

/// Returns a safe name in the current folder for a name chosen by the image alone.
fn in_current_folder<'a>(name: &'a str, findings: &mut Findings) -> Cow<'a, str> {
    let safe = safe(name);
    if *safe != *name {
        let (name, safe) = (archive::shown(name.as_bytes()), archive::shown(safe.as_bytes()));
        findings.remarks.push(format!(
            "note: the image names the file {name}, which means more than a name; it is written as {safe}, and -o decides \
             otherwise"
        ));
    }
    safe
}

/// Restores the files in the secret.
fn unpack(
    command: &Extract,
    found: &Extracted,
    written: &mut HashSet<PathBuf>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut contents = Contents::read(&found.secret)?;
    if command.output.is_none() {
        contents.rename_tops(|top| in_current_folder(top, findings).into_owned())?;
    }
    let folder = command.output.as_deref().unwrap_or(Path::new("."));
    for top in contents.tops() {
        once(&folder.join(top), written)?;
    }
    archive::restore(&contents, folder, command.force)?;
    written.extend(contents.tops().iter().map(|top| folder.join(top)));
    let files: Vec<&str> = contents.files().map(|file| file.name.as_str()).collect();
    let bytes: usize = contents.files().map(archive::Member::len_bytes).sum();
    let tops = named(&contents.tops());
    let tops = if tops.is_empty() { tops } else { format!(": {tops}") };
    findings.remarks.push(format!(
        "extracted {} with {bytes} bytes to {}{tops}",
        count(files.len(), "file"),
        folder.display()
    ));
    findings.add(json!({ "output": folder.to_string_lossy(), "files": files }));
    Ok(())
}

/// Lists names for a message, abridged if there are many.
fn named(tops: &[&str]) -> String {
    const MAX_NAMED: usize = 8;
    let mut names: Vec<String> =
        tops.iter().take(MAX_NAMED).map(|top| archive::shown(top.as_bytes())).collect();
    if tops.len() > MAX_NAMED {
        names.push(format!("and {} more", tops.len() - MAX_NAMED));
    }
    names.join(", ")
}

/// Refuses to replace the output of an earlier image by the next image's, even with --force.
fn once(output: &Path, written: &HashSet<PathBuf>) -> Result<(), Failure> {
    if is_standard_stream(output) || !written.contains(output) {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{} was written from another of these images; extract this one on its own, with -o",
        output.display()
    );
    Err(Failure::file(&error))
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
        .map_err(|error| Failure::file(&error))
}

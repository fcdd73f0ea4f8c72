//! Reading and writing files, with `-` for standard input and output.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use stego::{ImageError, Limits};
use tempfile::NamedTempFile;

use crate::interrupt::Leftover;

/// Maximum length of an image file, read into memory: room for 100 megapixels stored without compression.
const MAX_IMAGE_FILE_BYTES: u64 = 1 << 30;

/// A file that is longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("{} {}; at most {max_bytes} bytes are allowed here", shown(path), in_words(*len_bytes))]
pub(crate) struct TooLong {
    path: PathBuf,
    /// Length of the file; unknown for a stream.
    len_bytes: Option<u64>,
    max_bytes: u64,
    /// The next step.
    pub(crate) help: Option<&'static str>,
}

fn in_words(len_bytes: Option<u64>) -> String {
    len_bytes.map_or_else(|| "is longer than allowed".to_owned(), |len| format!("has {len} bytes"))
}

/// True if `path` stands for standard input or output.
pub(crate) fn is_standard_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Formats a path for a message.
pub(crate) fn shown(path: &Path) -> Cow<'_, str> {
    if is_standard_stream(path) { "standard input".into() } else { path.to_string_lossy() }
}

/// True if the file begins as an image that can be a cover.
pub(crate) fn is_image(path: &Path) -> bool {
    /// Length that covers an image's header behind its metadata.
    const BEGINNING_BYTES: u64 = 1 << 20;
    if is_standard_stream(path) || !path.is_file() {
        return false;
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING_BYTES).read_to_end(&mut beginning));
    read.is_ok()
        && match stego::probe(&beginning, &Limits::default()) {
            Ok(_) => true,
            Err(error) => !matches!(error, ImageError::NotAnImage | ImageError::Unsupported { .. }),
        }
}

/// Reads a whole secret of at most `max_bytes`.
///
/// # Errors
/// If the file cannot be read, or is longer.
pub(crate) fn read_secret(path: &Path, max_bytes: u64) -> anyhow::Result<Vec<u8>> {
    read(path, max_bytes, Some("--max-secret-bytes raises the limit"))
}

/// Reads a whole image file.
///
/// # Errors
/// If the file cannot be read, or is longer than any image.
pub(crate) fn read_image(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path, MAX_IMAGE_FILE_BYTES, Some("save the image as a PNG, which takes less room"))
}

fn read(path: &Path, max_bytes: u64, help: Option<&'static str>) -> anyhow::Result<Vec<u8>> {
    let mut source: Box<dyn Read> = if is_standard_stream(path) {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot open {}", shown(path)))?)
    };
    let mut bytes = Vec::new();
    source
        .by_ref()
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", shown(path)))?;
    if bytes.len() as u64 > max_bytes {
        let len_bytes = path.metadata().ok().filter(|file| file.is_file()).map(|file| file.len());
        return Err(TooLong { path: path.to_owned(), len_bytes, max_bytes, help }.into());
    }
    Ok(bytes)
}

/// Writes `bytes` to `path`, all or nothing: a partial file is never visible under the path. An existing file
/// is replaced only with `force`.
///
/// # Errors
/// If the file exists without `force`, or cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    if is_standard_stream(path) {
        return write_to_stdout(bytes);
    }
    refuse_existing(path, force)?;
    if path.metadata().is_ok_and(|target| !target.is_file()) {
        // A device or a pipe is written to, not replaced.
        let mut target = File::options()
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        return target.write_all(bytes).with_context(|| format!("cannot write {}", path.display()));
    }
    let folder = folder_of(path);
    let cannot = || format!("cannot write {}", path.display());
    let (mut file, _leftover) =
        Leftover::make(|| temporary_file(folder), NamedTempFile::path).with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)?;
    if force {
        file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    } else {
        file.persist_noclobber(path).map_err(|error| error.error).with_context(cannot)?;
    }
    Ok(())
}

/// Writes to standard output. A closed pipe ends the process silently, with the status of a process ended by
/// SIGPIPE: no temporary files exist when a result is written.
///
/// # Errors
/// If standard output cannot be written.
pub(crate) fn write_to_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    /// A shell's status for a process ended by SIGPIPE.
    const ENDED_BY_SIGPIPE: i32 = 128 + 13;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(ENDED_BY_SIGPIPE),
        written => written.context("cannot write to standard output"),
    }
}

/// Fails if `path` exists and may not be replaced, or if its folder does not exist; called before long work
/// as well.
///
/// # Errors
/// That condition.
pub(crate) fn refuse_existing(path: &Path, force: bool) -> anyhow::Result<()> {
    if is_standard_stream(path) {
        return Ok(());
    }
    // A dangling link exists as well; a device or a pipe is written to.
    let is_there = match path.metadata() {
        Ok(target) => target.is_file() || target.is_dir(),
        Err(_) => path.symlink_metadata().is_ok(),
    };
    if !force && is_there {
        bail!("{} exists; --force replaces it", path.display());
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}; make it first", path.display(), folder.display());
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a temporary file. Temporary files are private by default; a result gets permissions by the user's
/// umask, like any new file.
fn temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

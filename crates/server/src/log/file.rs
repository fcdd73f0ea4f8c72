//! The log file: opened such that no other user's file is written, and rotated by size.
//!
//! A log often lies in a directory where everybody may create files (`/tmp`). So links are never followed,
//! and only a regular file that belongs to this user and has no other name is written; rotation renames only
//! such files, and replaces or removes anything else under the names it needs.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::sink::{LineWriter, Sink};

/// Mode of log files. A log may contain addresses and file names of clients, so only the node's user may read
/// it.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Reason for not writing to a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogFileError {
    /// A symbolic link.
    #[error("the log file {} is a symbolic link, which is not followed; remove it or set another log.file", path.display())]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// A device, a FIFO, a directory or a socket.
    #[error("the log file {} is not a regular file; set another log.file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// A file of another user.
    #[error("the log file {} belongs to user {owner}; remove it or set another log.file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Owner of the file.
        owner: u32,
    },
    /// A file with further names (hard links).
    #[error("the log file {} has {names} names (hard links); remove it or set another log.file", path.display())]
    ManyNames {
        /// The file.
        path: PathBuf,
        /// Number of names of the file.
        names: u64,
    },
    /// A file that the system does not open.
    #[error("cannot open the log file {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl LogFileError {
    /// True if another user's file would be written: a node does not start with such a log. Other errors are
    /// retried while the node runs.
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unusable { .. })
    }
}

impl From<LogFileError> for io::Error {
    fn from(error: LogFileError) -> Self {
        match error {
            LogFileError::Unusable { source, .. } => source,
            refusal => Self::other(refusal.to_string()),
        }
    }
}

/// Bounds of a log on disk: the current file and the rotated ones.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    /// Maximum length of each file.
    pub(super) max_bytes: u64,
    /// Number of rotated files kept: `FILE.1` is the latest.
    pub(super) keep: u32,
}

/// A log file, open or to be opened.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
    /// Error of the latest rotation.
    complaint: Option<String>,
}

#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
    lines: LineWriter,
}

impl LogFile {
    /// A log file that is not opened yet.
    pub(super) fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self { path, rotation, open: None, complaint: None }
    }

    /// Opens the file, and creates a missing one. On failure a file opened before stays in use.
    ///
    /// # Errors
    /// If the file is refused as a log, or the system does not open it.
    pub(super) fn open(&mut self) -> Result<(), LogFileError> {
        let file = open(&self.path)?;
        let len = file.metadata().map_or(0, |found| found.len());
        self.open = Some(Open { file, len, lines: LineWriter::default() });
        Ok(())
    }

    /// Rotates the current file away and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        // Another program may have moved the file without a signal (logrotate).
        if self.is_where_it_was()? {
            for number in (1..self.rotation.keep).rev() {
                shift(&self.numbered(number), &self.numbered(number + 1))?;
            }
            if self.rotation.keep == 0 {
                remove(&self.path)?;
            } else {
                shift(&self.path, &self.numbered(1))?;
            }
        }
        self.open().map_err(io::Error::from)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn is_where_it_was(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        let written = open.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (written.dev(), written.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rotate_or_empty(&mut self) -> io::Result<()> {
        let rotated = self.rotate();
        self.complaint = rotated.err().map(|error| format!("rotation failed: {error}"));
        if self.complaint.is_some()
            && let Some(open) = &mut self.open
        {
            // The bound holds even if rotation fails.
            open.file.set_len(0)?;
            open.len = 0;
        }
        Ok(())
    }
}

impl Sink for LogFile {
    const IS_FILE: bool = true;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.is_none() {
            self.open()?;
        }
        let is_full = |open: &Open| open.len > 0 && open.len + line.len() as u64 > self.rotation.max_bytes;
        if self.open.as_ref().is_some_and(is_full) {
            self.rotate_or_empty()?;
        }
        let Some(Open { file, len, lines }) = &mut self.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        lines.write(line, |bytes| {
            let count = file.write(bytes)?;
            *len += count as u64;
            Ok(count)
        })
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open().map_err(io::Error::from)
    }

    fn complaint(&self) -> Option<String> {
        self.complaint.clone()
    }
}

/// Opens a file for a log.
///
/// # Errors
/// If the file is refused as a log, or the system does not open it.
pub(crate) fn open(path: &Path) -> Result<File, LogFileError> {
    // O_NONBLOCK: opening a FIFO without a reader fails instead of blocking.
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, MODE) {
        Ok(descriptor) => File::from(descriptor),
        Err(error) => {
            // Systems refuse some kinds by themselves, each with an error of its own (fs.protected_regular,
            // ELOOP, ENXIO).
            let found = fs::symlink_metadata(path);
            let refusal = found.ok().and_then(|found| check(path, &found).err());
            return Err(
                refusal.unwrap_or(LogFileError::Unusable { path: path.to_owned(), source: error.into() })
            );
        }
    };
    let found = file.metadata().map_err(|source| LogFileError::Unusable { path: path.to_owned(), source })?;
    check(path, &found)?;
    Ok(file)
}

/// Accepts only a regular file of this user, without links.
fn check(path: &Path, found: &Metadata) -> Result<(), LogFileError> {
    let path = path.to_owned();
    if found.is_symlink() {
        Err(LogFileError::Link { path })
    } else if !found.is_file() {
        Err(LogFileError::NotRegular { path })
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        Err(LogFileError::Foreign { path, owner: found.uid() })
    } else if found.nlink() > 1 {
        Err(LogFileError::ManyNames { path, names: found.nlink() })
    } else {
        Ok(())
    }
}

/// Renames a log file; removes anything else under that name.
fn shift(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(named(from, error)),
        // A rename replaces a link and does not follow it.
        Ok(found) if check(from, &found).is_ok() => fs::rename(from, to).map_err(|error| named(to, error)),
        Ok(_) => remove(from),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(path, error)),
        _ => Ok(()),
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const MAX_BYTES: u64 = 100;

    fn log_in(folder: &Path, keep: u32) -> LogFile {
        LogFile::new(folder.join("log"), Rotation { max_bytes: MAX_BYTES, keep })
    }

    fn write(log: &mut LogFile, lines: std::ops::Range<u32>) {
        for i in lines {
            log.write_line(format!("line {i:04}\n").as_bytes()).unwrap();
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_files_are_bounded_and_hold_the_latest_lines() {
        let check = |keep: u32, expected: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let mut log = log_in(folder.path(), keep);
            write(&mut log, 0..1005);
            assert_eq!(names(folder.path()), expected);
            for name in expected {
                let found = fs::metadata(folder.path().join(name)).unwrap();
                assert!(found.len() <= MAX_BYTES, "{name}: {} bytes", found.len());
                assert_eq!(found.mode() & 0o777, 0o600, "{name}");
            }
            let text = fs::read_to_string(folder.path().join("log")).unwrap();
            assert_eq!(text.lines().last(), Some("line 1004"));
            if keep > 0 {
                let before = fs::read_to_string(folder.path().join("log.1")).unwrap();
                assert_eq!(before.lines().last(), Some("line 0999"), "nothing is lost in between");
            }
            assert_eq!(log.complaint(), None);
        };
        check(0, &["log"]);
        check(1, &["log", "log.1"]);
        check(3, &["log", "log.1", "log.2", "log.3"]);
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut log_in(folder.path(), 1), 0..3);
        write(&mut log_in(folder.path(), 1), 3..5);
        let text = fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(text.lines().count(), 5);
    }

    #[test]
    fn somebody_elses_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        let check = |what: &str, make: &dyn Fn(&Path), expected: &str| {
            fs::write(&victim, "precious").unwrap();
            let path = folder.path().join(what);
            make(&path);
            let error = open(&path).expect_err(what);
            assert!(error.is_refusal(), "{what}: {error}");
            let error = error.to_string();
            assert!(error.contains(expected) && error.contains(path.to_str().unwrap()), "{error}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        };
        check("link", &|path| symlink(&victim, path).unwrap(), "is a symbolic link");
        check("dangling", &|path| symlink(folder.path().join("new"), path).unwrap(), "is a symbolic link");
        check("hard link", &|path| fs::hard_link(&victim, path).unwrap(), "has 2 names");
        check("directory", &|path| fs::create_dir(path).unwrap(), "is not a regular file");
        let fifo =
            |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        check("fifo", &fifo, "is not a regular file");
        assert!(!folder.path().join("new").exists());
        assert!(open(Path::new("/dev/full")).unwrap_err().to_string().contains("is not a regular file"));
        if rustix::process::geteuid().is_root() {
            let give = |path: &Path| {
                fs::write(path, "").unwrap();
                std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
            };
            check("foreign", &give, "belongs to user 65534");
        }
    }

    #[test]
    fn hostile_names_of_earlier_files_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join("log.1")).unwrap();
        symlink(&victim, folder.path().join("log.2")).unwrap();
        let mut log = log_in(folder.path(), 2);
        write(&mut log, 0..25);
        assert_eq!(log.complaint(), None);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!fs::symlink_metadata(folder.path().join("log.1")).unwrap().is_symlink());
        assert!(fs::read_to_string(folder.path().join("log.1")).unwrap().ends_with("line 0019\n"));
    }

    #[test]
    fn a_log_that_cannot_be_rotated_stays_bounded_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        // Renaming never replaces a directory that is not empty.
        fs::create_dir_all(folder.path().join("log.1/in the way")).unwrap();
        let mut log = log_in(folder.path(), 1);
        write(&mut log, 0..205);
        let path = folder.path().join("log");
        assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES);
        assert!(fs::read_to_string(&path).unwrap().ends_with("line 0204\n"));
        assert!(log.complaint().unwrap().contains("log.1"));
        fs::remove_dir_all(folder.path().join("log.1")).unwrap();
        write(&mut log, 205..225);
        assert_eq!(log.complaint(), None);
    }

    #[test]
    fn a_file_that_was_moved_is_left_to_whoever_moved_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log_in(folder.path(), 2);
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        write(&mut log, 0..3);
        fs::rename(&path, &moved).unwrap();
        write(&mut log, 3..5);
        assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 5);
        log.reopen().unwrap();
        write(&mut log, 5..6);
        assert_eq!(fs::read_to_string(&path).unwrap(), "line 0005\n");
        // Without a signal, at the next rotation.
        fs::rename(&path, &moved).unwrap();
        write(&mut log, 6..16);
        assert_eq!(names(folder.path()), ["log", "moved"]);
        // A link at the path is refused, and the previous file stays in use.
        fs::rename(&path, &moved).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(log.reopen().unwrap_err().to_string().contains("symbolic link"));
        write(&mut log, 16..17);
        assert!(fs::read_to_string(&moved).unwrap().ends_with("line 0016\n"));
    }
}

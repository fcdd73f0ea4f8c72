//! `admin.token` in the data directory: the derived admin token, for programs on the node's own machine.
//!
//! The file is a copy: every node can write it again, and none needs it. So a separate thread writes the file
//! and checks it for as long as the node runs; a directory that cannot be written costs a warning.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tracing::{info, warn};

use crate::auth::AdminToken;

/// Name of the file; `stegctl` and `loadgen` look for the same name.
const NAME: &str = "admin.token";
/// Interval of checks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Maximum number of bytes read; a longer file is not a token file.
const MAX_FILE_BYTES: u64 = 4096;
const MODE: u32 = 0o600;

/// Returns the path of the token in the data directory `dir`.
pub(crate) fn path_in(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Keeps the file in `dir` up to date: with the derived token, or removed if another token is configured.
///
/// # Errors
/// If the thread cannot be started.
pub(crate) fn keep(dir: &Path, token: &AdminToken) -> io::Result<()> {
    let (path, token) = (path_in(dir), token.clone());
    let look_after = move || {
        let mut failed = false;
        loop {
            match set(&path, &token) {
                Ok(None) => failed = false,
                Ok(Some(done)) => {
                    failed = false;
                    info!(path = %path.display(), "{done}");
                }
                Err(error) if !failed => {
                    failed = true;
                    warn!(path = %path.display(), %error, "admin token not written; retried every {LOOK_EVERY:?}");
                }
                Err(_) => {}
            }
            std::thread::sleep(LOOK_EVERY);
        }
    };
    std::thread::Builder::new().name("admin-token".to_owned()).spawn(look_after).map(drop)
}

/// Brings the file into its intended state. Returns a description of the change, if any.
fn set(path: &Path, token: &AdminToken) -> io::Result<Option<&'static str>> {
    match token.file() {
        None if is_in_place(path, token.text())? => Ok(None),
        None => write(path, token.text()).map(|()| Some("admin token written")),
        Some(configured) if is_same_file(path, configured) => Ok(None),
        Some(_) => match fs::remove_file(path) {
            Ok(()) => Ok(Some("derived admin token removed; another token is configured")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        },
    }
}

/// True for a private file of this user with the token. Links are not followed, and pipes not waited for.
fn is_in_place(path: &Path, token: &str) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path) {
        Ok(file) => file,
        // The caller replaces the file. An unusable directory makes that fail with the reason.
        Err(_) => return Ok(false),
    };
    let about = file.metadata()?;
    let is_own = about.uid() == rustix::process::geteuid().as_raw();
    if !about.is_file() || !is_own || about.mode() & 0o777 != MODE {
        return Ok(false);
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut text)?;
    Ok(text.trim_ascii() == token.as_bytes())
}

/// Writes a temporary file and renames it: readers never see a partial file, and a link in its place is
/// replaced, not followed.
fn write(path: &Path, token: &str) -> io::Result<()> {
    let aside = path.with_extension(format!("token-{}", std::process::id()));
    let written = write_new(&aside, token).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written?;
    // Makes the name durable too, if the file system supports it; the file can be written again in any case.
    let _ = path.parent().map(|dir| File::open(dir).and_then(|dir| dir.sync_all()));
    Ok(())
}

fn write_new(path: &Path, token: &str) -> io::Result<()> {
    // Left by an earlier process of the same id that was killed half-way.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    file.sync_all()
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use control_plane::ClusterSecret;

    use super::*;

    fn derived() -> AdminToken {
        AdminToken::derived(&ClusterSecret::from_bytes([7; 32]))
    }

    fn assert_in_place(path: &Path) {
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{}\n", derived().text()));
        let about = fs::symlink_metadata(path).unwrap();
        assert!(about.is_file());
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert_eq!(set(path, &derived()).unwrap(), None, "a second look changes nothing");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_file_is_made_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        let target = elsewhere.path().join("somebody-elses");
        fs::write(&target, "untouched").unwrap();
        let closed = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let states: [&dyn Fn(); 6] = [
            &|| {},
            &|| closed("another\n", 0o600),
            &|| closed(derived().text(), 0o644),
            &|| closed(&"x".repeat(10_000), 0o600),
            &|| symlink(&target, &path).unwrap(),
            &|| {
                let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(status.success());
            },
        ];
        for state in states {
            state();
            assert_eq!(set(&path, &derived()).unwrap(), Some("admin token written"));
            assert_in_place(&path);
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    }

    #[test]
    fn a_configured_token_leaves_no_other_one_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        set(&path, &derived()).unwrap();
        let file = dir.path().join("configured");
        fs::copy(&path, &file).unwrap();
        let configured = AdminToken::configured(&file).unwrap();
        assert!(set(&path, &configured).unwrap().is_some());
        assert!(!path.exists() && file.exists());
        assert_eq!(set(&path, &configured).unwrap(), None);
        // The configured file may be the one in the data directory.
        fs::copy(&file, &path).unwrap();
        let configured = AdminToken::configured(&path).unwrap();
        assert_eq!(set(&path, &configured).unwrap(), None);
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set(&path_in(&dir.path().join("gone")), &derived()).is_err());
        fs::create_dir(path_in(dir.path())).unwrap();
        assert!(set(&path_in(dir.path()), &derived()).is_err());
    }
}

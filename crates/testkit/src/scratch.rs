//! Small file systems for one test, which can be filled, frozen and made read-only.
//!
//! Requires Linux, root, `mount` and `umount`; frozen file systems also `mkfs.ext4` and `fsfreeze`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::left_out::leave_out;

/// A file system, removed when dropped.
#[derive(Debug)]
pub struct ScratchFs {
    folder: TempDir,
    mounted: PathBuf,
}

impl ScratchFs {
    /// True if this machine can mount, create and freeze file systems. A test that needs a file system
    /// returns early where unsupported; the reason is printed.
    ///
    /// # Panics
    ///
    /// If unsupported and `CI` is `true`: no test may be skipped in CI.
    pub fn available() -> bool {
        static MISSING: OnceLock<Option<String>> = OnceLock::new();
        let Some(missing) = MISSING.get_or_init(|| try_out().err()) else { return true };
        leave_out("file systems of its own", missing);
        false
    }

    /// Creates a file system in memory of `bytes` bytes.
    ///
    /// # Panics
    ///
    /// If creation fails; see [`ScratchFs::available`].
    pub fn in_memory(bytes: u64) -> Self {
        let size = format!("size={bytes}");
        Self::mount(|path, _| run("mount", &["-t", "tmpfs", "-o", &size, "testkit", &path.to_string_lossy()]))
            .expect("a file system in memory")
    }

    /// Creates a file system of `bytes` bytes on a block device, which can be frozen.
    ///
    /// # Panics
    ///
    /// If creation fails; see [`ScratchFs::available`].
    pub fn on_device(bytes: u64) -> Self {
        Self::mount(|path, folder| mount_image(path, folder, bytes)).expect("a file system on a device")
    }

    /// Returns the root directory.
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// Fills the file system to the last byte.
    ///
    /// # Panics
    ///
    /// On any error except a full disk.
    pub fn fill(&self) {
        let filler = OpenOptions::new().create(true).append(true).open(self.filler());
        let mut filler = filler.expect("a file that fills");
        let mut piece = vec![0; 64 << 10];
        loop {
            match filler.write(&piece) {
                Ok(_) => {}
                Err(_) if piece.len() > 1 => piece.truncate(piece.len() / 2),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
                    return;
                }
            }
        }
    }

    /// Frees the space taken by [`ScratchFs::fill`].
    ///
    /// # Panics
    ///
    /// If the file system was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("what fills can be removed");
    }

    /// Makes the file system read-only, or writable again.
    ///
    /// # Panics
    ///
    /// If a process has a file open for writing, or the remount fails.
    pub fn set_read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        run("mount", &["-o", options, &self.mounted.to_string_lossy()]).expect("it can be mounted anew");
    }

    /// Blocks every write to the file system until the guard is dropped. A process blocked on a write cannot
    /// even be killed: a value that waits for such a process is dropped after the guard.
    ///
    /// # Panics
    ///
    /// If the file system cannot be frozen.
    pub fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["--freeze", &self.mounted.to_string_lossy()]).expect("a file system freezes");
        Frozen(self)
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    fn mount(make: impl FnOnce(&Path, &Path) -> Result<(), String>) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).map_err(|error| error.to_string())?;
        make(&mounted, folder.path())?;
        Ok(Self { folder, mounted })
    }
}

/// Thaws a file system when dropped.
#[derive(Debug)]
pub struct Frozen<'a>(&'a ScratchFs);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(error) = run("fsfreeze", &["--unfreeze", &self.0.mounted.to_string_lossy()]) {
            eprintln!("{error}");
        }
    }
}

impl Drop for ScratchFs {
    fn drop(&mut self) {
        let path = self.mounted.to_string_lossy();
        // Lazily: a process with a file still open there is about to end.
        if let Err(error) = run("umount", &["--lazy", &path]) {
            eprintln!("{} stays: {error}", self.folder.path().display());
        }
    }
}

fn mount_image(path: &Path, folder: &Path, bytes: u64) -> Result<(), String> {
    let image = folder.join("image");
    let file = fs::File::create(&image).and_then(|file| file.set_len(bytes));
    file.map_err(|error| error.to_string())?;
    run("mkfs.ext4", &["-q", &image.to_string_lossy()])?;
    run("mount", &["-o", "loop", &image.to_string_lossy(), &path.to_string_lossy()])
}

fn try_out() -> Result<(), String> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        return Err("it takes Linux and root".to_owned());
    }
    let made = ScratchFs::mount(|path, folder| mount_image(path, folder, 4 << 20))?;
    let path = made.mounted.to_string_lossy();
    run("fsfreeze", &["--freeze", &path])?;
    run("fsfreeze", &["--unfreeze", &path])
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_one_takes_nothing_until_there_is_room() {
        if !ScratchFs::available() {
            return;
        }
        let scratch = ScratchFs::in_memory(256 << 10);
        scratch.fill();
        let path = scratch.path().join("file");
        let error = fs::write(&path, "x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        scratch.make_room();
        fs::write(&path, "x").unwrap();
        scratch.set_read_only(true);
        assert_eq!(fs::write(&path, "y").unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        scratch.set_read_only(false);
        fs::write(&path, "y").unwrap();
        let mounted = scratch.path().to_owned();
        drop(scratch);
        assert!(!mounted.exists());
    }
}

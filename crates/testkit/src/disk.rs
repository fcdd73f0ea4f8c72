//! Small file systems that a test may fill, freeze, or make read-only.
//!
//! It takes Linux, root, `mount`; for those in a file also `mkfs.ext4` and `fsfreeze`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Beginning of the names of the folders that they are mounted at, followed by the id of the test's process and a number.
const PREFIX: &str = "testkit-disk-";
/// The file that fills one up.
const FILLER: &str = "filler";
/// Bytes of it that are written at a time, at first.
const FILLER_PIECE_BYTES: usize = 1 << 20;

/// A file system of its own, unmounted and removed when dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// True if this machine can mount. A test that needs it returns early where it cannot; the reason is printed.
    ///
    /// # Panics
    ///
    /// If it cannot and `CI` is `true`: there, nothing may be left out.
    pub fn available() -> bool {
        static MISSING: OnceLock<Option<String>> = OnceLock::new();
        let Some(missing) = MISSING.get_or_init(|| try_out().err()) else { return true };
        assert!(std::env::var("CI").as_deref() != Ok("true"), "required in CI: {missing}");
        eprintln!("left out, for it takes mounts: {missing}");
        false
    }

    /// One in memory (tmpfs).
    ///
    /// # Panics
    ///
    /// If it cannot be mounted; ask [`Disk::available`] first.
    pub fn in_memory(bytes: u64) -> Self {
        Self::tmpfs(bytes).expect("a tmpfs can be mounted")
    }

    /// One in a file (ext4 on a loop device), which can be frozen.
    ///
    /// # Panics
    ///
    /// If it cannot be made; ask [`Disk::available`] first.
    pub fn in_file(bytes: u64) -> Self {
        Self::ext4(bytes).expect("an ext4 can be mounted")
    }

    fn tmpfs(bytes: u64) -> Result<Self, String> {
        let disk = Self { path: new_folder(), image: None };
        run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", &text(&disk.path)])?;
        Ok(disk)
    }

    fn ext4(bytes: u64) -> Result<Self, String> {
        let path = new_folder();
        let image = path.with_extension("img");
        let made = File::create(&image).and_then(|file| file.set_len(bytes));
        made.map_err(|error| format!("{}: {error}", image.display()))?;
        let disk = Self { path, image: Some(image.clone()) };
        run("mkfs.ext4", &["-q", "-m", "0", &text(&image)])?;
        run("mount", &["-o", "loop", &text(&image), &text(&disk.path)])?;
        Ok(disk)
    }

    /// The folder that it is mounted at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it up to the last byte. Gives how many bytes that took.
    ///
    /// # Panics
    ///
    /// If it fails for another reason than that there is no room.
    pub fn fill(&self) -> u64 {
        let path = self.path.join(FILLER);
        let mut file = File::options().create(true).append(true).open(path).expect("a file can be made");
        let mut piece = FILLER_PIECE_BYTES;
        while piece > 0 {
            match file.write(&vec![0x5a; piece]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
                Err(error) => panic!("cannot fill {}: {error}", self.path.display()),
            }
        }
        // Blocks that were only promised so far.
        let _ = file.sync_all();
        file.metadata().expect("it is open").len()
    }

    /// Fills it but for so many bytes.
    ///
    /// # Panics
    ///
    /// As [`Disk::fill`].
    pub fn fill_but(&self, bytes: u64) {
        let all = self.fill();
        let file = File::options().write(true).open(self.path.join(FILLER)).expect("it was filled");
        file.set_len(all.saturating_sub(bytes))
            .and_then(|()| file.sync_all())
            .expect("a file can be made shorter");
    }

    /// Takes away what [`Disk::fill`] wrote.
    ///
    /// # Panics
    ///
    /// If it cannot be removed.
    pub fn empty(&self) {
        fs::remove_file(self.path.join(FILLER)).expect("it was filled");
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Panics
    ///
    /// If a process has a file open for writing, or it cannot be mounted anew.
    pub fn set_read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        run("mount", &["-o", options, &text(&self.path)]).expect("it can be mounted anew");
    }

    /// Has every write wait until [`Disk::thaw`]. Only of one in a file.
    ///
    /// # Panics
    ///
    /// If it cannot be frozen.
    pub fn freeze(&self) {
        run("fsfreeze", &["-f", &text(&self.path)]).expect("it can be frozen");
    }

    /// Ends [`Disk::freeze`].
    ///
    /// # Panics
    ///
    /// If it was not frozen.
    pub fn thaw(&self) {
        run("fsfreeze", &["-u", &text(&self.path)]).expect("it was frozen");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.image.is_some() {
            // Frozen by a test that failed.
            let _ = run("fsfreeze", &["-u", &text(&self.path)]);
        }
        let _ = run("umount", &["-l", &text(&self.path)]);
        let _ = fs::remove_dir(&self.path);
        if let Some(image) = &self.image {
            let _ = fs::remove_file(image);
        }
    }
}

fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
    fs::create_dir_all(&path).expect("a folder can be made");
    path
}

fn try_out() -> Result<(), String> {
    let id = Command::new("id").arg("-u").output().map_err(|error| format!("id: {error}"))?;
    if id.stdout.trim_ascii() != b"0" {
        return Err("not root".to_owned());
    }
    remove_abandoned();
    drop(Disk::tmpfs(1 << 20)?);
    let disk = Disk::ext4(4 << 20)?;
    run("fsfreeze", &["-f", &text(&disk.path)])
}

/// Unmounts those whose test is gone (it was killed).
fn remove_abandoned() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for path in mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            let image = path.with_extension("img");
            drop(Disk { path, image: image.exists().then_some(image) });
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_can_be_filled_and_emptied() {
        if !Disk::available() {
            return;
        }
        for disk in [Disk::in_memory(4 << 20), Disk::in_file(8 << 20)] {
            assert!(disk.fill() > 3 << 20);
            let other = disk.path().join("other");
            let full = fs::write(&other, [1; 8192]).unwrap_err();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            disk.empty();
            disk.fill_but(1 << 20);
            fs::write(&other, [1; 512 << 10]).unwrap();
            disk.empty();
            disk.set_read_only(true);
            assert!(fs::write(&other, "").is_err());
            disk.set_read_only(false);
            let path = disk.path().to_owned();
            drop(disk);
            assert!(!path.exists());
        }
    }
}

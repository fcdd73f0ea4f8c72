//! Wall clocks of nodes that a test sets, by libfaketime in front of the C library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::left_out::leave_out;

/// Folder of the libraries, by the system's architecture.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// File with the deviation of a node's wall clock.
#[derive(Debug)]
pub(crate) struct WallClock {
    path: PathBuf,
}

/// True if this machine has libfaketime. A test that sets wall clocks returns early without it; the reason is
/// printed.
///
/// # Panics
///
/// If it is missing and `CI` is `true`: no test may be skipped in CI.
pub fn can_set_wall_clocks() -> bool {
    if library().is_some() {
        return true;
    }
    leave_out("wall clocks that a test sets", "libfaketime (Debian package libfaketime) is not installed");
    false
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir(LIBRARIES).ok()?;
    folders.map_while(Result::ok).map(|folder| folder.path().join(LIBRARY)).find(|path| path.is_file())
}

impl WallClock {
    /// Creates the file, for a clock that is right.
    pub(crate) fn new(path: &Path) -> Self {
        let clock = Self { path: path.to_owned() };
        clock.set("+0");
        clock
    }

    /// Sets the deviation, in the words of libfaketime: `+2d`, `-1y`.
    pub(crate) fn set(&self, deviation: &str) {
        // Put in place as a whole: the node may be reading.
        let new = self.path.with_extension("new");
        fs::write(&new, deviation)
            .and_then(|()| fs::rename(&new, &self.path))
            .expect("the file of a wall clock");
    }

    /// Returns the words in front of a program that follows the clock. The monotonic clocks stay right.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let library = library().expect("libfaketime; see `can_set_wall_clocks`");
        let variables = [
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.path.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        std::iter::once("env".to_owned()).chain(variables).collect()
    }
}

//! Removal of temporary files on Ctrl-C. Files are written under a temporary name and then renamed; temporary
//! files are removed when the process receives a signal to end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static LEFTOVERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A temporary file or folder, while present.
pub(crate) struct Leftover(PathBuf);

impl Leftover {
    /// Makes a temporary file or folder at `path`, to be removed if the process receives a signal to end.
    ///
    /// # Errors
    /// The error of `make`.
    pub(crate) fn make<T>(
        make: impl FnOnce() -> io::Result<T>,
        path: impl FnOnce(&T) -> &Path,
    ) -> io::Result<(T, Self)> {
        #[cfg(unix)]
        listen();
        with_leftovers(|all| {
            let made = make()?;
            let path = path(&made).to_owned();
            all.insert(path.clone());
            Ok((made, Self(path)))
        })
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        with_leftovers(|all| all.remove(&self.0));
    }
}

fn with_leftovers<T>(change: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    change(&mut LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits for SIGINT and SIGTERM on a thread of its own, from the first temporary file on; earlier there is
/// nothing to remove, and the signals end the process by default. If the setup fails, the default stays in
/// force.
#[cfg(unix)]
fn listen() {
    use std::sync::Once;

    use tokio::signal::unix::{SignalKind, signal};

    /// A shell's status for a process ended by a signal: 128 and the signal's number.
    const ENDED_BY_SIGNAL: i32 = 128;
    static LISTENING: Once = Once::new();

    LISTENING.call_once(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        let signals = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        };
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
        std::thread::spawn(move || {
            let kind = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                }
            });
            // The lock is never released: the working thread fails on the removed files, and must wait here
            // instead of ending the process with an error of its own.
            with_leftovers(|all| {
                all.iter().for_each(|path| remove(path));
                std::process::exit(ENDED_BY_SIGNAL + kind.as_raw_value())
            })
        });
    });
}

/// Removes a file or folder. The working thread may still be writing into a folder; after a rename its later
/// writes fail, and a write in progress during the rename is covered by the next attempt.
#[cfg(unix)]
fn remove(path: &Path) {
    const ATTEMPTS: usize = 100;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(1);
    if std::fs::remove_file(path).is_ok() {
        return;
    }
    let aside = path.with_extension("gone");
    let path = if std::fs::rename(path, &aside).is_ok() { &aside } else { path };
    for _ in 0..ATTEMPTS {
        if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

//! A node of the demo does not outlive it.

use anyhow::{Context as _, ensure};
use rustix::process::Pid;
#[cfg(target_os = "linux")]
use rustix::process::Signal;

/// Tells a node which process it must not outlive.
pub(super) const STOP_WITH_PARENT: &str = "STEG_STOP_WITH_PARENT";

/// Binds the life of this process to that of the demo that started it, if one did: when the demo ends in whatever way,
/// the system kills this process. Called at the very start of a node.
///
/// # Errors
/// When the demo is gone already, or the system refuses.
pub(crate) fn stop_with_parent() -> anyhow::Result<()> {
    let Ok(text) = std::env::var(STOP_WITH_PARENT) else { return Ok(()) };
    let parent = text.parse().ok().and_then(Pid::from_raw);
    let parent =
        parent.with_context(|| format!("{STOP_WITH_PARENT} is not the id of a process: `{text}`"))?;
    let has_parent = move || rustix::process::getppid() == Some(parent);
    follow(has_parent).context("cannot bind this node to the demo that started it")?;
    // It may have ended before that.
    ensure!(has_parent(), "the demo that started this node is gone");
    Ok(())
}

#[cfg(target_os = "linux")]
fn follow(_has_parent: impl Fn() -> bool + Send + 'static) -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere nobody tells: a thread looks.
#[cfg(not(target_os = "linux"))]
fn follow(has_parent: impl Fn() -> bool + Send + 'static) -> std::io::Result<()> {
    let watch = move || {
        while has_parent() {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        std::process::exit(1)
    };
    std::thread::Builder::new().name("parent-watch".into()).spawn(watch).map(drop)
}

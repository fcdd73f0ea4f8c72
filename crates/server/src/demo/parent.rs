//! Ties the life of a demo's node to the demo.

use anyhow::{Context as _, ensure};
use rustix::process::Pid;
#[cfg(target_os = "linux")]
use rustix::process::Signal;

/// Environment variable with the process id that a node must not outlive.
pub(super) const STOP_WITH_PARENT: &str = "STEG_STOP_WITH_PARENT";

/// Binds this process to the demo that started it, if any: when the demo ends in any way, the system kills
/// this process. Called at the very start of a node.
///
/// # Errors
/// If the demo is gone already, or the system refuses.
pub(crate) fn stop_with_parent() -> anyhow::Result<()> {
    let Ok(text) = std::env::var(STOP_WITH_PARENT) else { return Ok(()) };
    let parent = text.parse().ok().and_then(Pid::from_raw);
    let parent =
        parent.with_context(|| format!("{STOP_WITH_PARENT} is not the id of a process: `{text}`"))?;
    let has_parent = move || rustix::process::getppid() == Some(parent);
    follow(has_parent).context("cannot bind this node to the demo that started it")?;
    // The demo may have ended before the call above.
    ensure!(has_parent(), "the demo that started this node is gone");
    Ok(())
}

#[cfg(target_os = "linux")]
fn follow(_has_parent: impl Fn() -> bool + Send + 'static) -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Other systems send no signal on the parent's death: a thread polls.
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

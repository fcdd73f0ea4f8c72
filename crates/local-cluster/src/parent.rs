//! Ties the life of a node to the process that started it.

use rustix::process::Pid;
#[cfg(target_os = "linux")]
use rustix::process::Signal;

use crate::error::LocalClusterError;

/// Environment variable with the process id that a node must not outlive.
pub const VARIABLE: &str = "STEG_STOP_WITH_PARENT";

/// Binds this process to the process that started it, if the environment names one: when that process ends in
/// any way, the system kills this process. Called at the very start of a node.
///
/// # Errors
/// If the parent is gone already, or the system refuses.
pub fn stop_with_parent() -> Result<(), LocalClusterError> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let Some(parent) = text.parse().ok().and_then(Pid::from_raw) else {
        return Err(LocalClusterError::ParentName { text });
    };
    let has_parent = move || rustix::process::getppid() == Some(parent);
    follow(has_parent).map_err(LocalClusterError::Bind)?;
    // The parent may have ended before the call above.
    if has_parent() { Ok(()) } else { Err(LocalClusterError::ParentGone) }
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

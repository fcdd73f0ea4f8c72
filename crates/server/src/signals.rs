//! Signals: some stop the node gracefully, SIGHUP reopens its log, the others are ignored.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};
use tracing::{info, warn};

use crate::lifecycle::{AfterStop, Lifecycle};
use crate::log::Log;

/// Signals that stop a node, with their names.
const STOPPING: [(&str, Signal); 3] =
    [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGQUIT", Signal::QUIT)];
/// Signals that end a process by default without any such intention: user signals, timers, limits. With
/// SIGXFSZ ignored, the write fails instead.
const IGNORED: [(&str, Signal); 9] = [
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGALRM", Signal::ALARM),
    ("SIGVTALRM", Signal::VTALARM),
    ("SIGPROF", Signal::PROF),
    ("SIGXCPU", Signal::XCPU),
    ("SIGXFSZ", Signal::XFSZ),
    ("SIGIO", Signal::IO),
    ("SIGPIPE", Signal::PIPE),
];
/// Further ignored signals, by number, where the system has them: power failure and real-time (signal(7)).
#[cfg(target_os = "linux")]
const IGNORED_BY_NUMBER: [std::ops::RangeInclusive<i32>; 2] =
    [Signal::POWER.as_raw()..=Signal::POWER.as_raw(), 34..=64];
#[cfg(not(target_os = "linux"))]
const IGNORED_BY_NUMBER: [std::ops::RangeInclusive<i32>; 0] = [];
/// Exit status of a process that was stopped at once.
const STOPPED_AT_ONCE: i32 = 1;

/// The signals of a node, watched from its start.
pub(crate) struct Signals(Arc<Stopping>);

struct Stopping {
    log: Log,
    lifecycle: OnceLock<Arc<Lifecycle>>,
    /// Set by the first stop signal.
    begun: AtomicBool,
}

impl Signals {
    /// Watches signals on the current runtime. Before the node has a [`Lifecycle`], a stop signal ends the
    /// process at once.
    ///
    /// # Errors
    /// If the system refuses to register a handler.
    pub(crate) fn watch(log: &Log) -> anyhow::Result<Self> {
        let stopping = Arc::new(Stopping {
            log: log.clone(),
            lifecycle: OnceLock::new(),
            begun: AtomicBool::new(false),
        });
        for (name, signal) in STOPPING {
            let stopping = Arc::clone(&stopping);
            each(signal, move || stopping.stop(name)).with_context(|| format!("cannot watch for {name}"))?;
        }
        let reopened = log.clone();
        let reopen = move || {
            reopened.reopen();
            info!(signal = "SIGHUP", "log reopen requested");
        };
        each(Signal::HUP, reopen).context("cannot watch for SIGHUP")?;
        ignore_others()?;
        Ok(Self(stopping))
    }

    /// Makes stop signals graceful from now on.
    pub(crate) fn stop_in_order(&self, lifecycle: &Arc<Lifecycle>) {
        // Called once in the life of a process; a second one would change nothing.
        let _ = self.0.lifecycle.set(Arc::clone(lifecycle));
    }
}

/// Ignores the signals that end a process by default and have no meaning here.
///
/// # Errors
/// If the system refuses to register a handler.
pub(crate) fn ignore_others() -> anyhow::Result<()> {
    for (name, signal) in IGNORED {
        each(signal, move || info!(signal = name, "signal ignored"))
            .with_context(|| format!("cannot ignore {name}"))?;
    }
    for number in IGNORED_BY_NUMBER.into_iter().flatten() {
        // The handler stays registered after the drop.
        drop(
            unix::signal(SignalKind::from_raw(number))
                .with_context(|| format!("cannot ignore signal {number}"))?,
        );
    }
    Ok(())
}

/// Calls `act` on each signal.
fn each(signal: Signal, act: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = unix::signal(SignalKind::from_raw(signal.as_raw()))?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            act();
        }
    });
    Ok(())
}

impl Stopping {
    /// Starts the graceful stop on the first signal, and ends the process on the second.
    fn stop(&self, name: &str) {
        let is_first = !self.begun.swap(true, Ordering::Relaxed);
        if let Some(lifecycle) = self.lifecycle.get().filter(|_| is_first) {
            info!(signal = name, "stopping");
            lifecycle.begin_stop(AfterStop::End);
            return;
        }
        warn!(signal = name, "stopping at once");
        self.log.finish();
        std::process::exit(STOPPED_AT_ONCE);
    }
}

//! Signals: some stop the node in order, one opens its log anew, the others do nothing.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};
use tracing::{info, warn};

use crate::app::{AfterStop, App};
use crate::log::Log;

/// Signals that stop a node, with their names.
const STOPPING: [(&str, Signal); 3] =
    [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGQUIT", Signal::QUIT)];
/// Signals that would end a process though nobody means that with a node: users' own, timers, limits. Instead of SIGXFSZ
/// the write fails.
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
/// The same, where the system has them: more for faults and power, and those for real-time (signal(7)).
#[cfg(target_os = "linux")]
const IGNORED_BY_NUMBER: [std::ops::RangeInclusive<i32>; 2] =
    [Signal::POWER.as_raw()..=Signal::POWER.as_raw(), 34..=64];
#[cfg(not(target_os = "linux"))]
const IGNORED_BY_NUMBER: [std::ops::RangeInclusive<i32>; 0] = [];
/// Status of a process that was stopped at once.
const STOPPED_AT_ONCE: i32 = 1;

/// A node's signals, watched from its start on.
pub(crate) struct Signals(Arc<Stopping>);

struct Stopping {
    log: Log,
    app: OnceLock<Arc<App>>,
    /// Set by the first signal that stops.
    begun: AtomicBool,
}

impl Signals {
    /// Watches for signals on the runtime that this is called in. Until there is an [`App`], one that stops ends the process
    /// at once.
    ///
    /// # Errors
    /// If the system does not tell of signals.
    pub(crate) fn watch(log: &Log) -> anyhow::Result<Self> {
        let stopping =
            Arc::new(Stopping { log: log.clone(), app: OnceLock::new(), begun: AtomicBool::new(false) });
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

    /// From now on a signal that stops does so in order.
    pub(crate) fn stop_in_order(&self, app: &Arc<App>) {
        // Called once in the life of a process; a second app would change nothing.
        let _ = self.0.app.set(Arc::clone(app));
    }
}

/// Ignores the signals that end a process by default and mean nothing here.
///
/// # Errors
/// If the system does not tell of signals.
pub(crate) fn ignore_others() -> anyhow::Result<()> {
    for (name, signal) in IGNORED {
        each(signal, move || info!(signal = name, "signal ignored"))
            .with_context(|| format!("cannot ignore {name}"))?;
    }
    for number in IGNORED_BY_NUMBER.into_iter().flatten() {
        // The handler stays once this is dropped.
        drop(
            unix::signal(SignalKind::from_raw(number))
                .with_context(|| format!("cannot ignore signal {number}"))?,
        );
    }
    Ok(())
}

/// Calls `act` each time the signal comes.
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
    /// The first signal starts the graceful stop, the second ends the process.
    fn stop(&self, name: &str) {
        let is_first = !self.begun.swap(true, Ordering::Relaxed);
        if let Some(app) = self.app.get().filter(|_| is_first) {
            info!(signal = name, "stopping");
            app.begin_stop(AfterStop::End);
            return;
        }
        warn!(signal = name, "stopping at once");
        self.log.finish();
        std::process::exit(STOPPED_AT_ONCE);
    }
}

//! `server demo`: three real nodes on this machine from one command, stopped together.
//!
//! Each node is a process of this same binary with a data directory and a log of its own, so that these nodes
//! can be handled like nodes on other machines. A dead node is reported, and started again on a typed command
//! or after a drill killed the process; a node started by hand is adopted. No node outlives the demo: the
//! demo stops its nodes, and the system kills the children of a killed demo ([`stop_with_parent`]). Processes
//! are the part of `local-cluster`; here are the plan, the terminal and the messages.

mod keyboard;
mod nodes;
mod options;
mod plan;
mod welcome;

use std::io::Write as _;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::signals;
use nodes::Demo;
pub(crate) use options::DemoOptions;
use plan::{Plan, check_ports};

/// Threads for the load of a drill; few, to leave the machine to the nodes.
const WORKERS: usize = 2;

/// Outcome of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Ended by a signal, or after a successful drill.
    Ended,
    /// Ended after a failed or interrupted drill.
    DrillFailed,
}

/// Binds this process to the demo that started it, if any. Called at the very start of a node.
///
/// # Errors
/// If the demo is gone already, or the system refuses.
pub(crate) fn stop_with_parent() -> anyhow::Result<()> {
    Ok(local_cluster::parent::stop_with_parent()?)
}

/// Runs the demo until Ctrl-C or SIGTERM, or until its drill is over. Must be called on the main thread: the
/// system treats the end of the thread that started a process as the end of the parent.
///
/// # Errors
/// If the nodes cannot be started, do not form a cluster in time, or have all ended, or if the drill cannot
/// be run.
pub(crate) fn run(options: DemoOptions) -> anyhow::Result<Outcome> {
    let plan = Plan::new(&options)?;
    let _lock = plan.prepare(options.fresh)?;
    check_ports(&plan.nodes)?;
    plan.write_config()?;
    // This thread starts the nodes and blocks on the future; a drill's load runs on the worker threads.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        let mut stop = stop_signals()?;
        let mut demo = Demo::start(&plan)?;
        let outcome = tokio::select! {
            outcome = serve(&mut demo, &options) => outcome,
            _ = stop.recv() => Ok(options.drill.map_or(Outcome::Ended, |_| Outcome::DrillFailed)),
        };
        demo.stop(&mut stop).await;
        outcome
    });
    plan.messages.finish();
    // Interrupted requests may have left work on blocking threads, which is not awaited.
    runtime.shutdown_background();
    outcome
}

async fn serve(demo: &mut Demo<'_>, options: &DemoOptions) -> anyhow::Result<Outcome> {
    let Some(kind) = options.drill else { return demo.serve().await.map(|()| Outcome::Ended) };
    let report = demo.drill(kind).await?;
    let text = report.render(options.output)?;
    // The reader of the report may take any time; a signal still ends the demo.
    let written = tokio::task::spawn_blocking(move || std::io::stdout().lock().write_all(text.as_bytes()));
    written.await.context("cannot write the report")?.context("cannot write the report")?;
    Ok(if report.is_success() { Outcome::Ended } else { Outcome::DrillFailed })
}

/// Returns a channel with a message for each stop signal.
fn stop_signals() -> anyhow::Result<mpsc::Receiver<()>> {
    signals::ignore_others()?;
    let (sender, receiver) = mpsc::channel(1);
    let stopping =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()];
    for kind in stopping {
        let mut signals = signal(kind).context("cannot watch for signals")?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A message that is still queued says the same.
                let _ = sender.try_send(());
            }
        });
    }
    Ok(receiver)
}

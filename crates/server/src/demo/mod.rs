//! `server demo`: three real nodes on this machine from one command, stopped together.
//!
//! Each node is a process of this same binary with a data directory and a log of its own, so that whatever can be done
//! to a node on another machine can be done to these. A node that dies is reported and not restarted. None outlives
//! the demo: they are stopped with it, and the system kills them when it is killed ([`stop_with_parent`]).

mod nodes;
mod parent;
mod plan;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use nodes::Demo;
use plan::{Plan, check_ports};

pub(crate) use parent::stop_with_parent;

/// Three nodes on this machine, stopped together by Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoOptions {
    /// Where the demo keeps its configuration and the nodes their data
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    data_dir: PathBuf,
    /// Begin anew: remove what an earlier demo left in the data directory
    #[arg(long)]
    fresh: bool,
    /// Where the logs go: phase1-n1.log and so on, appended
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    log_dir: PathBuf,
    /// HTTP port of n1; n2 and n3 take the next two
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    http_port: u16,
    /// Port of n1 for the other nodes; n2 and n3 take the next two
    #[arg(long, value_name = "PORT", default_value_t = 5001)]
    raft_port: u16,
}

/// Runs the demo until Ctrl-C or SIGTERM. To be called on the main thread: the system takes the end of the thread that
/// starts a process for the end of the parent.
///
/// # Errors
/// When the nodes cannot be started, do not become a cluster in time, or have all ended.
pub(crate) fn run(options: DemoOptions) -> anyhow::Result<()> {
    let plan = Plan::new(&options)?;
    let _lock = plan.prepare(options.fresh)?;
    check_ports(&plan.nodes)?;
    plan.write_config()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut stop = stop_signals()?;
        let mut demo = Demo::start(&plan)?;
        let outcome = tokio::select! {
            outcome = demo.serve() => outcome,
            _ = stop.recv() => Ok(()),
        };
        demo.stop(&mut stop).await;
        outcome
    })
}

/// A signal each time somebody wants the demo to end.
fn stop_signals() -> anyhow::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).context("cannot watch for signals")?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // One that waits already says the same.
                let _ = sender.try_send(());
            }
        });
    }
    Ok(receiver)
}

/// Says something on standard output. Nobody may be listening any more: the demo goes on.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

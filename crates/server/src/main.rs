//! The `server` binary: one node of the cluster.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`], [`cli`] | flags over environment over file over defaults |
//! | [`http`] | the API: handlers translate, they decide nothing about stego |
//! | [`pool`], [`budget`] | where pixel work runs, and how much of everything there may be |
//! | [`listener`] | connections, and the stop with a deadline |
//! | [`app`], [`metrics`] | what the handlers share |

mod app;
mod budget;
mod cli;
mod config;
mod http;
mod listener;
mod metrics;
mod pool;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use app::App;
use cli::{Cli, Command};
use config::{Config, LogConfig, LogFormat, NodeConfig};

/// Decoded images come and go by the hundred megabytes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Variables that are not text cannot be ours.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let env = env.collect();
    let outcome = match cli.command {
        Some(Command::CheckConfig) => cli.options.check(env).map_err(Into::into).and_then(print_config),
        None => cli.options.resolve(env).map_err(Into::into).and_then(|(config, node)| start(config, node)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_config(config: Config) -> anyhow::Result<()> {
    use std::io::Write;
    let text = serde_saphyr::to_string(&config).context("cannot write the configuration as YAML")?;
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn start(config: Config, node: NodeConfig) -> anyhow::Result<()> {
    start_logging(&config.log);
    log_panics();
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the HTTP threads")?;
    runtime.block_on(run(config, node))
}

fn start_logging(log: &LogConfig) {
    let filter: tracing_subscriber::EnvFilter = log.filter.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Panics go into the log, with the id of the request that they end.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic, which is a defect")));
}

/// Every connection takes a file descriptor, and many systems start with room for fewer than `limits.max_connections`.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit on open files stays as it is");
    }
}

async fn run(config: Config, node: NodeConfig) -> anyhow::Result<()> {
    let address = SocketAddr::new(node.bind_ip.unwrap_or(node.ip), node.http_port);
    let listener = listener::bind(address).with_context(|| {
        format!("cannot listen on {address}; is another node running? --http-port takes another port")
    })?;
    let address = listener.local_addr().context("cannot tell the address listened on")?;
    let app = App::new(config, node.id)?;

    let stop = CancellationToken::new();
    watch_signals(Arc::clone(&app), stop.clone())?;
    let warm_up = Arc::clone(&app);
    tokio::spawn(async move {
        let job_app = Arc::clone(&warm_up);
        if let Err(error) = warm_up.pool.run(warm_up.start_by(), move || drop(job_app.default_cover())).await
        {
            warn!(%error, "the default cover will be made by the first request that needs it");
        }
    });
    info!(node = app.node_id, version = env!("CARGO_PKG_VERSION"), "listening on http://{address}");

    let router = http::router(Arc::clone(&app));
    let cut_off = listener::serve(listener, router, &app.config.limits, stop).await;
    if cut_off > 0 {
        warn!(cut_off, "stopped; some connections did not end in time");
    } else {
        info!("stopped");
    }
    Ok(())
}

/// The first SIGTERM or Ctrl-C starts the graceful stop, the second ends the process.
fn watch_signals(app: Arc<App>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                app.start_draining();
                stop.cancel();
            } else {
                warn!("second signal: stopping at once");
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

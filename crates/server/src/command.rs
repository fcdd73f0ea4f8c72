//! The `server` binary: reads the command line, starts a node or a demo, and ends it in order.

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use control_plane::status::NodeAddress;
use control_plane::{Bootstrap, ControlPlane, Descriptors, Options};

use crate::app::{App, Parts};
use crate::auth::{AdminToken, Auth};
use crate::check_health;
use crate::cli::{Cli, Command, Start};
use crate::config::{BootstrapConfig, Config, LoopbackConfig, NodeConfig, PlaintextConfig};
use crate::covers::CoverKey;
use crate::data_plane::DEFAULT_COVER;
use crate::demo::{self, Outcome};
use crate::descriptors::{self, Plan, TooFew};
use crate::figures::Figures;
use crate::http;
use crate::lifecycle::AfterStop;
use crate::listener::{self, Certificate, ConnectionFigures, TlsTransport};
use crate::log::{self, Log};
use crate::origins::{self, Scheme};
use crate::pace::Pacing;
use crate::signals::Signals;
use crate::token_file;

/// Runs the program with the arguments and the environment of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Variables that are not text cannot be the server's.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let env = env.collect();
    if let Err(error) = demo::stop_with_parent() {
        log::last_words(&format!("error: {error:#}"));
        return ExitCode::FAILURE;
    }
    let outcome = match cli.command {
        Some(Command::CheckConfig) => cli.options.check(env).map_err(Into::into).and_then(print_config),
        Some(Command::CheckHealth) => {
            let is_single = cli.options.is_single();
            let start = cli.options.resolve(env).map_err(Into::into);
            match start.and_then(|start| check_health::run(&start, is_single)) {
                Ok(status) => return status,
                Err(error) => Err(error),
            }
        }
        Some(Command::Demo(options)) => match demo::run(options) {
            // The drill's report on standard output has the reason.
            Ok(Outcome::DrillFailed) => return ExitCode::FAILURE,
            outcome => outcome.map(|_| ()),
        },
        None => cli.options.resolve(env).map_err(Into::into).and_then(run_node),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::last_words(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn print_config(config: Config) -> anyhow::Result<()> {
    let text = serde_saphyr::to_string(&config).context("cannot write the configuration as YAML")?;
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn run_node(start: Start) -> anyhow::Result<()> {
    // Determined at the start: later another release may replace the file, and a restart should run the
    // replacement.
    let program = std::env::current_exe().context("cannot determine the path of this program")?;
    let log = log::start(&start.config.log)?;
    log::log_panics(log.clone());
    let has_file = !start.config.log.file.is_empty();
    let outcome = run(start, &log);
    if has_file && let Err(error) = &outcome {
        // Without a log file the log is standard error, where the error is printed anyway.
        error!("{error:#}");
    }
    let outcome = outcome.map(|then| match then {
        AfterStop::End => Ok(()),
        AfterStop::Restart => {
            info!("restarting");
            log.finish();
            Err(execute_anew(&program))
        }
    });
    log.finish();
    outcome?
}

fn run(start: Start, log: &Log) -> anyhow::Result<AfterStop> {
    let plan = share_descriptors(&start.config)?;
    let configured = match start.config.security.admin_token_file.as_str() {
        "" => None,
        path => Some(AdminToken::configured(Path::new(path))?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the HTTP threads")?;
    let certificate = match start.config.security.tls_cert.as_str() {
        "" => None,
        cert => {
            let key = Path::new(&start.config.security.tls_key);
            Some(Certificate::watch(Path::new(cert), key).context("cannot serve TLS (security.tls_cert)")?)
        }
    };
    // Bound before any data is touched, so that a taken port has no side effects.
    let (signals, listener) = {
        let _entered = runtime.enter();
        (Signals::watch(log)?, bind(&start.node)?)
    };
    let figures = Figures::start()?;
    let control = ControlPlane::start(control_options(&start, &figures, log, plan.control))?;
    let token = configured.unwrap_or_else(|| AdminToken::derived(control.secret()));
    let address = listener.local_addr().context("cannot determine the listening address")?;
    announce(&start, address, &token)?;
    let auth = Auth::new(&start.config.security, &start.node, &start.config.nodes, token);
    let connections = ConnectionFigures::new(plan.connections);
    let log = log.clone();
    let parts = Parts { figures, control, auth, log, connections, fault_injection: start.fault_injection };
    let app = {
        let _entered = runtime.enter();
        App::new(start.config, start.node.id, parts)?
    };
    signals.stop_in_order(&app.lifecycle);
    runtime.block_on(serve(listener, certificate, app))
}

/// Replaces this process with a new one of the same id, name, arguments and environment. Returns only on
/// failure.
fn execute_anew(program: &Path) -> anyhow::Error {
    let mut words = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    let error = command.args(words).exec();
    anyhow::Error::new(error).context(format!("cannot restart {}", program.display()))
}

fn bind(node: &NodeConfig) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(node.listen_ip(), node.http_port);
    listener::bind(address).map_err(|error| {
        let help = help_with_listening(address.ip(), error.kind());
        anyhow::Error::new(error).context(format!("cannot listen on {address}; {help}"))
    })
}

/// Returns the next step after a failed bind.
fn help_with_listening(ip: IpAddr, error: ErrorKind) -> String {
    match error {
        ErrorKind::AddrInUse => {
            "another program uses the port; select another port with --http-port".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            let there = own_address_towards(ip)
                .map_or_else(String::new, |own| format!(" (its address towards {ip} is {own})"));
            format!(
                "{ip} is not an address of this machine{there}: correct this node's `ip` in the configuration of every node, or \
                 listen on all addresses with `bind_ip: 0.0.0.0` (--bind-ip) if {ip} is forwarded to this machine"
            )
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; select another port with --http-port".to_owned()
        }
        _ => "check `ip`, `bind_ip` and `http_port` of this node in the configuration".to_owned(),
    }
}

/// Returns this machine's source address for packets to `ip`; sends nothing.
fn own_address_towards(ip: IpAddr) -> Option<IpAddr> {
    /// Any port works: connecting a datagram socket only selects a route (connect(2)).
    const DISCARD: u16 = 9;
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, DISCARD)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Logs the console's address and the place of the admin token. The token goes to a terminal and into its
/// file, never into the log.
fn announce(start: &Start, address: SocketAddr, token: &AdminToken) -> anyhow::Result<()> {
    token_file::keep(&start.data_dir, token)
        .context("cannot start the thread that writes the admin token")?;
    if start.config.security.loopback == LoopbackConfig::Trusted {
        warn!(
            "loopback trusted: programs on this machine, and all clients of a proxy on this machine, may change the \
             cluster (security.loopback)"
        );
    }
    if start.config.security.passphrases_in_plaintext == PlaintextConfig::Allowed {
        warn!(
            "passphrases in plaintext allowed: every machine between a client and this node can read them \
             (security.passphrases_in_plaintext)"
        );
    }
    let console = origins::console_address(&start.node, address.port(), Scheme::of(&start.config.security));
    let own_file = token_file::path_in(&start.data_dir);
    let file = token.file().unwrap_or(&own_file).display();
    info!(token = %file, "console at {console}; `stegctl console` prints its address with the admin token");
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        let line = format!("console, with the admin token: {console}#token={}", token.text());
        // On a separate thread: a stopped terminal blocks the write, and the start must not wait.
        let print = move || drop(writeln!(std::io::stdout(), "{line}"));
        std::thread::Builder::new()
            .name("console-address".to_owned())
            .spawn(print)
            .context("cannot start a thread")?;
    }
    Ok(())
}

/// Options of the control plane for this node.
fn control_options(start: &Start, figures: &Arc<Figures>, log: &Log, descriptors: Descriptors) -> Options {
    let Start { config, node, .. } = start;
    let address = |node: &NodeConfig| NodeAddress {
        name: node.id.clone(),
        ip: node.ip.clone(),
        http_port: node.http_port,
        raft_port: node.raft_port,
    };
    let (figures, log, me) = (Arc::clone(figures), log.clone(), node.id.clone());
    Options {
        cluster_name: config.cluster_name.clone(),
        me: node.id.clone(),
        nodes: config.nodes.iter().map(address).collect(),
        listen: SocketAddr::new(node.listen_ip(), node.raft_port),
        data_dir: start.data_dir.clone(),
        cluster_key_file: start.cluster_key_file.clone(),
        bootstrap: match config.election.bootstrap {
            BootstrapConfig::Auto => Bootstrap::Auto,
            BootstrapConfig::Never => Bootstrap::Never,
        },
        timing: config.election.timing(),
        snapshot_every: config.storage.snapshot_every,
        max_log_bytes: config.storage.max_log_bytes,
        idempotency_bytes: config.limits.idempotency_bytes,
        config_hash: config.fingerprint(),
        version: env!("CARGO_PKG_VERSION"),
        descriptors,
        figures: Arc::new(move || figures.now()),
        clock_ms: control_plane::unix_ms,
        conditions: Arc::new(move || log.condition(&me).into_iter().collect()),
    }
}

/// Divides file descriptors among control plane and connections: every connection takes one, and many systems
/// allow fewer than `limits.max_connections`.
fn share_descriptors(config: &Config) -> Result<Plan, TooFew> {
    let limit = descriptors::raise_limit();
    let configured = config.limits.max_connections;
    let plan = Plan::new(limit, config.nodes.len(), configured)?;
    let places = plan.connections.places;
    if places < configured {
        warn!(
            places,
            configured,
            open_files = limit,
            "limits.max_connections reduced by the limit on open files"
        );
    }
    Ok(plan)
}

async fn serve(
    listener: TcpListener,
    certificate: Option<Certificate>,
    app: App,
) -> anyhow::Result<AfterStop> {
    let address = listener.local_addr().context("cannot determine the listening address")?;
    let data = Arc::clone(&app.data);
    tokio::spawn(async move {
        if let Err(error) = data.cover(CoverKey::Dataset(DEFAULT_COVER), data.start_by()).await {
            warn!(%error, "default cover not prepared; retried by the first request for it");
        }
    });
    let scheme = Scheme::of(&app.setup.config.security).as_str();
    info!(node = app.setup.node_id, version = env!("CARGO_PKG_VERSION"), "listening on {scheme}://{address}");

    let router = http::router(app.clone());
    let pacing = Pacing::new(&app.data.config, &app.data.transfer_memory);
    let (limits, connections) = (&app.data.config, Arc::clone(&app.telemetry.connections));
    let stop = app.lifecycle.draining();
    let cut_off = match certificate {
        None => listener::serve(listener, router, limits, &pacing, connections, stop).await,
        Some(certificate) => {
            let transport = TlsTransport::new(listener, certificate);
            listener::serve(transport, router, limits, &pacing, connections, stop).await
        }
    };
    app.control.plane.stop().await;
    if cut_off > 0 {
        warn!(cut_off, "stopped; connections cut off at the drain deadline");
    } else {
        info!("stopped");
    }
    Ok(app.lifecycle.after_stop())
}

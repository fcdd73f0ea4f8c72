//! `server demo`: three real nodes on this machine from one command, stopped together.
//!
//! Each node is a process of this same binary with a data directory and a log of its own, so that whatever can be done
//! to a node on another machine can be done to these. A node that dies is reported and not restarted. None outlives
//! the demo: they are stopped with it, and the system kills them when it is killed ([`stop_with_parent`]).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::{Client, ClusterStatus, Endpoint};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// The nodes of a demo.
const NODE_IDS: [&str; 3] = ["n1", "n2", "n3"];
/// Tells a node which process it must not outlive.
const STOP_WITH_PARENT: &str = "STEG_STOP_WITH_PARENT";
/// By which a demo knows its configuration.
const CONFIG_HEAD: &str = "# Written by `server demo` at every start.";
/// What the environment may say to a node started by hand, and must not say to these.
const NOT_FOR_NODES: [&str; 7] = [
    "CONFIG_PATH",
    "NODE_ID",
    "STEG_BIND_IP",
    "STEG_HTTP_PORT",
    "STEG_DATA_DIR",
    "STEG_FAULT_INJECTION",
    STOP_WITH_PARENT,
];
/// How long three nodes may take to become a cluster.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long nodes may take to stop before they are killed: longer than they drain.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How often processes are looked at, and nodes while they start.
const POLL: Duration = Duration::from_millis(100);
/// How long a node may take to tell its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
/// What is shown of the log of a node that does not start.
const LOG_TAIL_LINES: usize = 15;
/// What is read of a log for that.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

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
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(1)
    };
    std::thread::Builder::new().name("parent-watch".into()).spawn(watch).map(drop)
}

/// What is to be started, and where it keeps its things.
#[derive(Debug, Clone)]
struct Plan {
    program: PathBuf,
    data_dir: PathBuf,
    nodes: Vec<NodePlan>,
}

#[derive(Debug, Clone)]
struct NodePlan {
    id: &'static str,
    http_port: u16,
    raft_port: u16,
    endpoint: Endpoint,
    data_dir: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Plan {
    /// All paths are absolute, so that the commands shown work from any folder.
    fn new(options: &DemoOptions) -> anyhow::Result<Self> {
        let absolute =
            |path: &Path| std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()));
        let (data_dir, log_dir) = (absolute(&options.data_dir)?, absolute(&options.log_dir)?);
        let nodes = NODE_IDS.iter().zip(0_u16..).map(|(&id, offset)| {
            let port = |base: u16, flag: &str| {
                let port = base.checked_add(offset).filter(|_| base > 0);
                port.with_context(|| format!("{flag} {base} leaves no room for three ports"))
            };
            let http_port = port(options.http_port, "--http-port")?;
            Ok(NodePlan {
                id,
                http_port,
                raft_port: port(options.raft_port, "--raft-port")?,
                endpoint: format!("http://{}:{http_port}", Ipv4Addr::LOCALHOST).parse()?,
                data_dir: data_dir.join(id),
                log: log_dir.join(format!("phase1-{id}.log")),
                pid_file: data_dir.join(format!("{id}.pid")),
            })
        });
        let nodes: Vec<NodePlan> = nodes.collect::<anyhow::Result<_>>()?;
        let apart = options.http_port.abs_diff(options.raft_port);
        ensure!(usize::from(apart) >= nodes.len(), "--http-port and --raft-port must be three or more apart");
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        Ok(Self { program, data_dir, nodes })
    }

    fn config_file(&self) -> PathBuf {
        self.data_dir.join("cluster.yaml")
    }

    /// Makes the data directory, empty of what the demo leaves there if it is to begin anew. The lock holds off a
    /// second demo.
    fn prepare(&self, fresh: bool) -> anyhow::Result<File> {
        let cannot = |path: &Path| format!("cannot use the data directory: {}", path.display());
        std::fs::create_dir_all(&self.data_dir).with_context(|| cannot(&self.data_dir))?;
        let path = self.data_dir.join("demo.lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.with_context(|| cannot(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "a demo is running in {}; stop it with Ctrl-C, or choose another place with --data-dir",
                self.data_dir.display()
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| cannot(&path)),
        }
        if fresh {
            self.remove_earlier()?;
        }
        Ok(lock)
    }

    /// Removes what an earlier demo left, and nothing where there was none: a node's own directory may be given here
    /// by mistake.
    fn remove_earlier(&self) -> anyhow::Result<()> {
        let node_dirs = self.nodes.iter().map(|node| node.data_dir.clone());
        let left: Vec<_> =
            node_dirs.chain([self.data_dir.join("cluster.key")]).filter(|path| path.exists()).collect();
        let config = std::fs::read_to_string(self.config_file()).unwrap_or_default();
        ensure!(
            left.is_empty() || config.starts_with(CONFIG_HEAD),
            "{} is not there to be removed: no demo made it, or its cluster.yaml was changed",
            self.data_dir.display()
        );
        for path in left {
            remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn write_config(&self) -> anyhow::Result<()> {
        let path = self.config_file();
        std::fs::write(&path, self.config()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn config(&self) -> String {
        let mut text = format!("{CONFIG_HEAD}\ncluster_name: phase1\nnodes:\n");
        for NodePlan { id, http_port, raft_port, .. } in &self.nodes {
            let ip = Ipv4Addr::LOCALHOST;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  - {{ id: {id}, ip: {ip}, http_port: {http_port}, raft_port: {raft_port} }}"
            );
        }
        text
    }

    /// The arguments of a node.
    fn arguments(&self, node: &NodePlan) -> [std::ffi::OsString; 7] {
        let config = self.config_file();
        [
            "--config".into(),
            config.into(),
            "--node-id".into(),
            node.id.into(),
            "--data-dir".into(),
            node.data_dir.clone().into(),
            "--enable-fault-injection".into(),
        ]
    }

    /// What starts a node by hand.
    fn command_line(&self, node: &NodePlan) -> String {
        let words = std::iter::once(self.program.clone().into()).chain(self.arguments(node));
        let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let (log, pid_file) = (node.log.to_string_lossy(), node.pid_file.to_string_lossy());
        format!("{} >> {} 2>&1 & echo $! > {}", words.join(" "), quoted(&log), quoted(&pid_file))
    }
}

/// Removes a file or a directory; one that is not there is as good.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn check_ports(nodes: &[NodePlan]) -> anyhow::Result<()> {
    let mut problems = String::new();
    for node in nodes {
        for (port, what) in [(node.http_port, "HTTP"), (node.raft_port, "the other nodes")] {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                // Writing to a string does not fail.
                let _ = write!(problems, "\n  port {port} ({} for {what}): {error}", node.id);
            }
        }
    }
    ensure!(
        problems.is_empty(),
        "ports of the demo cannot be used:{problems}\nStop what listens there (`ss -ltnp` shows it; perhaps an \
         earlier demo or a node), or choose other ports with --http-port and --raft-port."
    );
    Ok(())
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

/// The nodes that run. Whatever is left of them is killed when this is dropped.
struct Demo<'a> {
    plan: &'a Plan,
    client: Client,
    running: Vec<Running<'a>>,
}

struct Running<'a> {
    plan: &'a NodePlan,
    process: Child,
    /// Where the log of this start begins.
    log_start: u64,
}

/// A node that is no more.
struct Ended<'a> {
    node: &'a NodePlan,
    status: ExitStatus,
    log_start: u64,
}

impl<'a> Demo<'a> {
    fn start(plan: &'a Plan) -> anyhow::Result<Self> {
        let endpoints = plan.nodes.iter().map(|node| node.endpoint.clone());
        let client = Client::builder(endpoints).request_timeout(STATUS_TIMEOUT).build()?;
        let mut demo = Self { plan, client, running: Vec::new() };
        for node in &plan.nodes {
            let running = Running::start(plan, node).with_context(|| format!("cannot start {}", node.id))?;
            demo.running.push(running);
        }
        Ok(demo)
    }

    /// Waits until the nodes are a cluster, says so, and then watches them until none is left.
    async fn serve(&mut self) -> anyhow::Result<()> {
        say("starting three nodes …");
        let leader = self.wait_for_cluster().await?;
        say(&self.welcome(&leader));
        loop {
            for Ended { node, status, .. } in self.ended()? {
                say(&format!(
                    "{} ended ({status}); the others go on. To start it again:\n  {}\nStarted by hand, it does not \
                     stop with the demo.",
                    node.id,
                    self.plan.command_line(node)
                ));
            }
            ensure!(!self.running.is_empty(), "all nodes of the demo have ended");
            sleep(POLL).await;
        }
    }

    /// Waits until all nodes name the same leader, and gives its name.
    async fn wait_for_cluster(&mut self) -> anyhow::Result<String> {
        let deadline = Instant::now() + START_DEADLINE;
        let mut said = String::new();
        loop {
            if let Some(Ended { node, status, log_start }) = self.ended()?.into_iter().next() {
                let tail = read_tail(&node.log, log_start).unwrap_or_default();
                let log = node.log.display();
                bail!("{} ended before the cluster was there ({status}); its log, {log}:\n{tail}", node.id);
            }
            let waits_for = match self.leader().await {
                Ok(leader) => return Ok(leader),
                Err(waits_for) => waits_for,
            };
            ensure!(
                Instant::now() < deadline,
                "no cluster after {} s: {waits_for}\nthe logs tell more: {}",
                START_DEADLINE.as_secs(),
                self.plan.nodes[0].log.with_file_name("phase1-*.log").display()
            );
            if waits_for != said {
                say(&format!("waiting: {waits_for}"));
                said = waits_for;
            }
            sleep(POLL).await;
        }
    }

    /// The leader that all nodes agree on, or what is still missing.
    async fn leader(&self) -> Result<String, String> {
        let mut statuses = Vec::new();
        for node in &self.plan.nodes {
            match self.client.status_of(&node.endpoint).await {
                Ok(status) => statuses.push(status),
                Err(error) => {
                    return Err(format!("{} does not tell its status yet ({})", node.id, error.kind()));
                }
            }
        }
        common_leader(&statuses)
    }

    /// The nodes that have ended since this was last asked.
    fn ended(&mut self) -> anyhow::Result<Vec<Ended<'a>>> {
        let mut ended = Vec::new();
        for node in &mut self.running {
            if let Some(status) = node.process.try_wait().context("cannot look at a node's process")? {
                ended.push(Ended { node: node.plan, status, log_start: node.log_start });
                // A process id without a process may become another's.
                let _ = std::fs::remove_file(&node.plan.pid_file);
            }
        }
        self.running.retain(|node| !ended.iter().any(|ended| ended.node.id == node.plan.id));
        Ok(ended)
    }

    /// Stops all nodes at once and waits for them; kills what is left at the deadline, or at another signal.
    async fn stop(&mut self, signals: &mut mpsc::Receiver<()>) {
        if self.running.is_empty() {
            return;
        }
        say("stopping the nodes …");
        for node in &self.running {
            node.signal(Signal::TERM);
        }
        let all_ended = async {
            while self.ended().is_ok() && !self.running.is_empty() {
                sleep(POLL).await;
            }
        };
        let in_time = tokio::select! {
            () = all_ended => true,
            () = sleep(STOP_DEADLINE) => false,
            _ = signals.recv() => false,
        };
        if in_time && self.running.is_empty() {
            say("stopped");
        } else {
            let ids: Vec<_> = self.running.iter().map(|node| node.plan.id).collect();
            say(&format!("killing {}", ids.join(", ")));
        }
    }

    fn welcome(&self, leader: &str) -> String {
        let plan = self.plan;
        let mut text = format!("\nThe cluster is up; {leader} leads.\n\n");
        for node in &plan.nodes {
            let pid = std::fs::read_to_string(&node.pid_file).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  {}  {}  pid {}  log {}",
                node.id,
                node.endpoint,
                pid.trim(),
                node.log.display()
            );
        }
        let first = &plan.nodes[0].endpoint;
        let servers: Vec<_> = plan.nodes.iter().map(|node| node.endpoint.as_str()).collect();
        let servers = servers.join(",");
        let victim = plan.nodes.iter().find(|node| node.id == leader).unwrap_or(&plan.nodes[0]);
        let other = plan.nodes.iter().find(|node| node.id != leader).unwrap_or(&plan.nodes[1]);
        let pid_file = quoted(&victim.pid_file.to_string_lossy());
        let _ = write!(
            text,
            "  API    {first}/docs\n  data   {}\n\n\
             Try, in another terminal:\n  \
             curl -s {first}/cluster/status\n  \
             curl -s -H 'Accept: image/png' -F file=@README.md {first}/api/embed -o hidden.png\n  \
             curl -s -H 'Accept: application/octet-stream' -F file=@hidden.png {}/api/extract\n  \
             cargo run -p loadgen --release -- --server-list \"{servers}\"\n  \
             cargo run -p stegctl --release -- status --server {servers}\n\n\
             Kill the leader, and see another one take over:\n  \
             kill -9 $(cat {pid_file})\n  \
             curl -s {}/cluster/status\n\n\
             Ctrl-C stops all three.",
            plan.data_dir.display(),
            other.endpoint,
            other.endpoint,
        );
        text
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        for node in &mut self.running {
            let _ = node.process.kill();
            let _ = node.process.wait();
            let _ = std::fs::remove_file(&node.plan.pid_file);
        }
    }
}

impl<'a> Running<'a> {
    fn start(plan: &Plan, node: &'a NodePlan) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&node.log);
        let log = log.with_context(|| format!("cannot write {}", node.log.display()))?;
        let log_start = log.metadata().map_or(0, |found| found.len());
        let mut command = Command::new(&plan.program);
        command
            .args(plan.arguments(node))
            .env(STOP_WITH_PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            // Ctrl-C in the terminal is for the demo, which stops its nodes in order.
            .process_group(0);
        for name in NOT_FOR_NODES.iter().filter(|name| **name != STOP_WITH_PARENT) {
            command.env_remove(name);
        }
        let process = command.spawn().context("cannot start the process")?;
        let running = Self { plan: node, process, log_start };
        std::fs::write(&node.pid_file, format!("{}\n", running.process.id()))
            .with_context(|| format!("cannot write {}", node.pid_file.display()))?;
        Ok(running)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // Its end has not been waited for, so the id is still its own; one that has ended needs no signal.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

/// The leader that all statuses name, or what is missing for a cluster that survives the loss of a node.
fn common_leader(statuses: &[ClusterStatus]) -> Result<String, String> {
    let mut leaders = Vec::new();
    for status in statuses {
        let by = &status.node_id;
        let Some(leader) = status.leader_id.clone().filter(|_| status.quorum) else {
            return Err(format!("{by} knows no leader yet"));
        };
        if let Some(node) = status.nodes.iter().find(|node| !node.healthy) {
            return Err(format!("{by} does not hear {} yet", node.id));
        }
        if status.nodes.iter().filter(|node| node.role == "Leader").count() != 1 {
            return Err(format!("{by} does not see one leader yet"));
        }
        if status.voters.len() < NODE_IDS.len() {
            return Err(format!("not all nodes vote yet ({by}: {})", status.voters.join(", ")));
        }
        leaders.push(leader);
    }
    leaders.dedup();
    match leaders.as_slice() {
        [leader] => Ok(leader.clone()),
        _ => Err("the nodes do not agree on a leader yet".to_owned()),
    }
}

/// The last lines that were written to a file after `start`.
fn read_tail(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(len.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
}

/// Says something on standard output. Nobody may be listening any more: the demo goes on.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_three_nodes_on_loopback() {
        let expected = "\
# Written by `server demo` at every start.
cluster_name: phase1
nodes:
  - { id: n1, ip: 127.0.0.1, http_port: 8081, raft_port: 5001 }
  - { id: n2, ip: 127.0.0.1, http_port: 8082, raft_port: 5002 }
  - { id: n3, ip: 127.0.0.1, http_port: 8083, raft_port: 5003 }
";
        assert_eq!(Plan::new(&options(8081, 5001)).unwrap().config(), expected);
    }

    #[test]
    fn ports_that_cannot_be_are_refused() {
        let check = |http_port, raft_port, expected: &str| {
            let error = Plan::new(&options(http_port, raft_port)).unwrap_err().to_string();
            assert_eq!(error, expected);
        };
        check(65_534, 5001, "--http-port 65534 leaves no room for three ports");
        check(0, 5001, "--http-port 0 leaves no room for three ports");
        check(8081, 8083, "--http-port and --raft-port must be three or more apart");
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut nodes = Plan::new(&options(8081, 5001)).unwrap().nodes;
        nodes.truncate(1);
        nodes[0].http_port = port;
        let error = check_ports(&nodes).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} (n1 for HTTP)")), "{error}");
        assert!(error.contains("--http-port"), "{error}");
    }

    #[test]
    fn a_second_demo_is_held_off_and_a_fresh_one_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let options = DemoOptions { data_dir: folder.path().join("demo"), ..options(8081, 5001) };
        let plan = Plan::new(&options).unwrap();
        let lock = plan.prepare(false).unwrap();
        assert!(plan.prepare(false).unwrap_err().to_string().starts_with("a demo is running in "));
        drop(lock);
        std::fs::create_dir_all(plan.nodes[1].data_dir.join("snapshots")).unwrap();
        std::fs::write(plan.data_dir.join("not-ours"), "").unwrap();
        drop(plan.prepare(false).unwrap());
        assert!(plan.prepare(true).is_err(), "no demo made this");
        assert!(plan.nodes[1].data_dir.is_dir());
        plan.write_config().unwrap();
        drop(plan.prepare(true).unwrap());
        assert!(!plan.nodes[1].data_dir.exists());
        assert!(plan.data_dir.join("not-ours").exists());
    }

    #[test]
    fn a_cluster_is_there_when_all_nodes_say_so() {
        let status = |by: &str, leader: Option<&str>, healthy: bool, voters: &[&str]| -> ClusterStatus {
            let node = |id: &&str| {
                let role = if leader == Some(*id) { "Leader" } else { "Follower" };
                serde_json::json!({"id": id, "ip": "127.0.0.1", "http_port": 1, "raft_port": 2, "role": role,
                    "healthy": healthy})
            };
            serde_json::from_value(serde_json::json!({"cluster_name": "phase1", "node_id": by, "term": 1,
                "leader_id": leader, "quorum": leader.is_some(), "voters": voters,
                "nodes": NODE_IDS.iter().map(node).collect::<Vec<_>>()}))
            .unwrap()
        };
        let check = |second: ClusterStatus, expected: Result<&str, &str>| {
            let found = common_leader(&[status("n1", Some("n2"), true, &NODE_IDS), second]);
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        check(status("n2", Some("n2"), true, &NODE_IDS), Ok("n2"));
        check(status("n2", None, true, &NODE_IDS), Err("n2 knows no leader yet"));
        check(status("n2", Some("n2"), false, &NODE_IDS), Err("n2 does not hear n1 yet"));
        check(status("n2", Some("n2"), true, &["n1"]), Err("not all nodes vote yet (n2: n1)"));
        check(status("n2", Some("n3"), true, &NODE_IDS), Err("the nodes do not agree on a leader yet"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in
            [("/tmp/a-b.log", "/tmp/a-b.log"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    fn options(http_port: u16, raft_port: u16) -> DemoOptions {
        let (data_dir, log_dir) = ("data/demo".into(), "/tmp".into());
        DemoOptions { data_dir, fresh: false, log_dir, http_port, raft_port }
    }
}

//! The running nodes of a demo: started, watched, stopped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::{Client, ClusterStatus, Role};
use loadgen::drill;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::log;

use super::keyboard::{self, Action};
use super::parent::STOP_WITH_PARENT;
use super::plan::{NODE_IDS, NodePlan, Plan, quoted};

/// Environment variables for a node started by hand, hidden from the demo's nodes.
const NOT_FOR_NODES: [&str; 8] = [
    "CONFIG_PATH",
    "NODE_ID",
    "STEG_BIND_IP",
    "STEG_HTTP_PORT",
    "STEG_DATA_DIR",
    "STEG_LOG_FILE",
    "STEG_FAULT_INJECTION",
    STOP_WITH_PARENT,
];
/// Deadline for three nodes to form a cluster.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline for nodes to stop before they are killed: longer than the drain.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// Pause before a node killed by a drill is started again, long enough for the report to show operation
/// without the node.
const RESTART_AFTER: Duration = Duration::from_secs(3);
/// Interval of checks on the processes, and on the nodes during start.
const POLL: Duration = Duration::from_millis(100);
/// Timeout of a status request.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of log lines shown for a node that does not start.
const LOG_TAIL_LINES: usize = 15;
/// Number of bytes read from the log for these lines.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// The running nodes. Remaining processes are killed on drop.
pub(super) struct Demo<'a> {
    plan: &'a Plan,
    client: Client,
    running: Vec<Running<'a>>,
    /// Nodes to start again once ended, with the time at which a node that does not end is killed.
    restarting: BTreeMap<&'static str, Instant>,
}

struct Running<'a> {
    plan: &'a NodePlan,
    process: Process,
    /// Offset in the log at which the output of this start begins.
    log_start: u64,
}

/// The process of a node.
enum Process {
    Child(Child),
    /// Started by hand, and found by the process id file.
    Adopted(Pid),
}

/// A node whose process has ended.
struct Ended<'a> {
    node: &'a NodePlan,
    /// Exit status, or the system's error for an adopted process.
    status: String,
    log_start: u64,
}

impl<'a> Demo<'a> {
    pub(super) fn start(plan: &'a Plan) -> anyhow::Result<Self> {
        let endpoints = plan.nodes.iter().map(|node| node.endpoint.clone());
        let client = Client::builder(endpoints).request_timeout(STATUS_TIMEOUT).build()?;
        let mut demo = Self { plan, client, running: Vec::new(), restarting: BTreeMap::new() };
        for node in &plan.nodes {
            let running = Running::start(plan, node).with_context(|| format!("cannot start {}", node.id))?;
            demo.running.push(running);
        }
        Ok(demo)
    }

    /// Waits until the nodes form a cluster, prints the welcome, and then watches the nodes and executes
    /// typed commands. Without a terminal the demo ends with its last node.
    pub(super) async fn serve(&mut self) -> anyhow::Result<()> {
        let leader = self.wait_for_cluster().await?;
        self.say(&self.welcome(&leader));
        let mut typed = keyboard::lines();
        let mut has_terminal = true;
        loop {
            self.look_at_nodes()?;
            self.adopt().await;
            if self.running.is_empty() && self.restarting.is_empty() && !has_terminal {
                bail!("all nodes of the demo have ended");
            }
            match tokio::time::timeout(POLL, typed.recv()).await {
                Ok(Some(line)) => self.obey(&line)?,
                Ok(None) => {
                    has_terminal = false;
                    sleep(POLL).await;
                }
                Err(_) => {}
            }
        }
    }

    /// Reports nodes that ended, and restarts those due for a restart.
    fn look_at_nodes(&mut self) -> anyhow::Result<()> {
        for Ended { node, status, .. } in self.ended()? {
            if self.restarting.remove(node.id).is_some() {
                self.start_again(node)?;
                continue;
            }
            self.say(&format!(
                "{id} ended ({status}); the others go on. To start it again, type: r {id}\nor in another terminal:\n  {}",
                self.plan.command_line(node),
                id = node.id,
            ));
        }
        for node in &self.running {
            if self.restarting.get(node.plan.id).is_some_and(|deadline| Instant::now() >= *deadline) {
                node.process.signal(Signal::KILL);
            }
        }
        Ok(())
    }

    fn start_again(&mut self, node: &'a NodePlan) -> anyhow::Result<()> {
        self.say(&format!("starting {} again", node.id));
        let running = Running::start(self.plan, node);
        self.running.push(running.with_context(|| format!("cannot start {} again", node.id))?);
        Ok(())
    }

    /// Adopts nodes that were started by hand: they stop with the demo.
    async fn adopt(&mut self) {
        let plan: &'a Plan = self.plan;
        for node in &plan.nodes {
            if self.running.iter().any(|running| running.plan.id == node.id) {
                continue;
            }
            let Some(pid) = read_pid(&node.pid_file) else { continue };
            let answers = self.client.status_of(&node.endpoint).await;
            if answers.is_ok_and(|status| status.node_id == node.id) && test_kill_process(pid).is_ok() {
                self.running.push(Running { plan: node, process: Process::Adopted(pid), log_start: 0 });
                self.say(&format!("{} was started by hand; it stops with the demo", node.id));
            }
        }
    }

    /// Executes a typed line.
    fn obey(&mut self, line: &str) -> anyhow::Result<()> {
        let plan: &'a Plan = self.plan;
        let (action, id) = match keyboard::parse(line) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(()),
            Err(help) => {
                self.say(help);
                return Ok(());
            }
        };
        let Some(node) = plan.nodes.iter().find(|node| node.id == id) else {
            self.say(&format!("there is no node {id:?}; there are {}", NODE_IDS.join(", ")));
            return Ok(());
        };
        let running = self.running.iter().find(|running| running.plan.id == node.id);
        match (action, running) {
            (Action::Kill, Some(running)) => running.process.signal(Signal::KILL),
            (Action::Kill, None) => self.say(&format!("{id} does not run")),
            (Action::Restart, Some(running)) => {
                running.process.signal(Signal::TERM);
                self.restarting.insert(node.id, Instant::now() + STOP_DEADLINE);
            }
            (Action::Restart, None) => self.start_again(node)?,
        }
        Ok(())
    }

    /// Waits until the nodes form a cluster, and runs a drill against it. A node that died is started again a
    /// little later, as an operator would do.
    pub(super) async fn drill(&mut self, kind: drill::Kind) -> anyhow::Result<drill::Report> {
        self.wait_for_cluster().await?;
        let servers = self.plan.nodes.iter().map(|node| node.endpoint.clone()).collect();
        // A signal ends the demo and its nodes: nothing remains to be restored.
        let drill = drill::run(drill::Options::new(kind, servers).expect_return(), std::future::pending());
        tokio::select! {
            report = drill => report,
            error = self.keep_running() => Err(error),
        }
    }

    /// Restarts nodes that have ended, until a restart fails.
    async fn keep_running(&mut self) -> anyhow::Error {
        loop {
            match self.ended() {
                Ok(ended) => {
                    for Ended { node, status, .. } in ended {
                        self.say(&format!("{} ended ({status})", node.id));
                        sleep(RESTART_AFTER).await;
                        if let Err(error) = self.start_again(node) {
                            return error;
                        }
                    }
                }
                Err(error) => return error,
            }
            sleep(POLL).await;
        }
    }

    fn say(&self, text: &str) {
        self.plan.voice.say(text);
    }

    /// Waits until all nodes name the same leader, and returns the leader's name.
    async fn wait_for_cluster(&mut self) -> anyhow::Result<String> {
        self.say("starting three nodes …");
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
                self.say(&format!("waiting: {waits_for}"));
                said = waits_for;
            }
            sleep(POLL).await;
        }
    }

    /// Returns the leader that all nodes agree on, or the reason to wait.
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

    /// Returns the nodes that have ended since the last call.
    fn ended(&mut self) -> anyhow::Result<Vec<Ended<'a>>> {
        let mut ended = Vec::new();
        for node in &mut self.running {
            if let Some(status) = node.process.ended().context("cannot look at a node's process")? {
                ended.push(Ended { node: node.plan, status, log_start: node.log_start });
                // The system may reuse the process id.
                let _ = std::fs::remove_file(&node.plan.pid_file);
            }
        }
        self.running.retain(|node| !ended.iter().any(|ended| ended.node.id == node.plan.id));
        Ok(ended)
    }

    /// Stops all nodes at once and waits; kills the remaining nodes at the deadline, or on a further signal.
    pub(super) async fn stop(&mut self, signals: &mut mpsc::Receiver<()>) {
        if self.running.is_empty() {
            return;
        }
        self.say("stopping the nodes …");
        for node in &self.running {
            node.process.signal(Signal::TERM);
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
            self.say("stopped");
        } else {
            let ids: Vec<_> = self.running.iter().map(|node| node.plan.id).collect();
            self.say(&format!("killing {}", ids.join(", ")));
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
            "  console  {first}/\n  API      {first}/docs\n  data     {}\n\n\
             Try, in another terminal:\n  \
             curl -s {first}/cluster/status\n  \
             curl -s -H 'Accept: image/png' -F file=@README.md {first}/api/embed -o hidden.png\n  \
             curl -s -H 'Accept: application/octet-stream' -F file=@hidden.png {}/api/extract\n  \
             cargo run -p loadgen --release -- --server-list \"{servers}\"\n  \
             cargo run -p stegctl --release -- status --server {servers}\n\n\
             Let the leader fail under load, and see what followed and when:\n  \
             cargo run -p loadgen --release -- drill --kind hang --server-list \"{servers}\"\n\n\
             Kill the leader, and see another one take over:\n  \
             kill -9 $(cat {pid_file})\n  \
             curl -s {}/cluster/status\n\n\
             {}\n\
             Ctrl-C stops all three.",
            plan.data_dir.display(),
            other.endpoint,
            other.endpoint,
            keyboard::HELP,
        );
        text
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        for node in &mut self.running {
            node.process.signal(Signal::KILL);
            if let Process::Child(child) = &mut node.process {
                let _ = child.wait();
            }
            let _ = std::fs::remove_file(&node.plan.pid_file);
        }
    }
}

impl<'a> Running<'a> {
    fn start(plan: &Plan, node: &'a NodePlan) -> anyhow::Result<Self> {
        // For output of a node before its log is open, and of the system on the node's behalf.
        let log = log::file::open(&node.log)?;
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
        let id = process.id();
        let running = Self { plan: node, process: Process::Child(process), log_start };
        std::fs::write(&node.pid_file, format!("{id}\n"))
            .with_context(|| format!("cannot write {}", node.pid_file.display()))?;
        Ok(running)
    }
}

impl Process {
    /// Returns the exit status of an ended process, or the error that shows its end.
    fn ended(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::Child(child) => Ok(child.try_wait()?.map(|status| status.to_string())),
            Self::Adopted(pid) => Ok(test_kill_process(*pid).err().map(|error| error.to_string())),
        }
    }

    /// Sends a signal. A child that was not waited for keeps its process id; an ended process needs no
    /// signal.
    fn signal(&self, signal: Signal) {
        let pid = match self {
            Self::Child(child) => i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            Self::Adopted(pid) => Some(*pid),
        };
        let _ = pid.map(|pid| kill_process(pid, signal));
    }
}

fn read_pid(file: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(file).ok()?.trim().parse().ok().filter(|id| *id > 0)?)
}

/// Returns the leader named by all statuses, or what is missing for a cluster that survives the loss of a
/// node.
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
        if status.nodes.iter().filter(|node| node.role == Role::Leader).count() != 1 {
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

/// Returns the last lines written to a file after offset `start`.
fn read_tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    // A shorter file was rotated since.
    let start = if start > len { 0 } else { start };
    file.seek(SeekFrom::Start(start.max(len.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

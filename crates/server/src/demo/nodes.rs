//! The running nodes of a demo: started, watched, stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::Client;
use client::agreement::agreed_if_complete;
use loadgen::drill;
use local_cluster::{LocalNode, Signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::log;

use super::keyboard::{self, Action};
use super::plan::{NODE_IDS, NodePlan, Plan};
use super::welcome::welcome;

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

/// The nodes of a demo, running or not. Remaining processes are killed on drop.
pub(super) struct Demo<'a> {
    plan: &'a Plan,
    client: Client,
    nodes: Vec<DemoNode<'a>>,
    /// Nodes to start again once ended, with the time at which a node that does not end is killed.
    restarting: BTreeMap<&'static str, Instant>,
}

struct DemoNode<'a> {
    plan: &'a NodePlan,
    node: LocalNode,
}

impl<'a> Demo<'a> {
    /// Starts the nodes.
    ///
    /// # Errors
    /// If the client cannot be built, or a node not be started.
    pub(super) fn start(plan: &'a Plan) -> anyhow::Result<Self> {
        let endpoints = plan.nodes.iter().map(|node| node.endpoint.clone());
        let client = Client::builder(endpoints).request_timeout(STATUS_TIMEOUT).build()?;
        let node = |node| DemoNode { plan: node, node: LocalNode::new(plan.spec(node)) };
        let nodes = plan.nodes.iter().map(node).collect();
        let mut demo = Self { plan, client, nodes, restarting: BTreeMap::new() };
        for node in &mut demo.nodes {
            node.start().with_context(|| format!("cannot start {}", node.plan.id))?;
        }
        Ok(demo)
    }

    /// Waits until the nodes form a cluster, prints the welcome, and then watches the nodes and executes
    /// typed commands. Without a terminal the demo ends with its last node.
    ///
    /// # Errors
    /// If the nodes form no cluster in time, a restart fails, or all nodes have ended without a terminal.
    pub(super) async fn serve(&mut self) -> anyhow::Result<()> {
        let leader = self.wait_for_cluster().await?;
        self.print(&welcome(self.plan, &leader));
        let mut typed = keyboard::lines();
        let mut has_terminal = true;
        loop {
            self.check_nodes()?;
            self.adopt().await;
            if !self.has_running() && self.restarting.is_empty() && !has_terminal {
                bail!("all nodes of the demo have ended");
            }
            match tokio::time::timeout(POLL, typed.recv()).await {
                Ok(Some(line)) => self.execute(&line)?,
                Ok(None) => {
                    has_terminal = false;
                    sleep(POLL).await;
                }
                Err(_) => {}
            }
        }
    }

    /// Reports nodes that ended, and restarts those due for a restart.
    fn check_nodes(&mut self) -> anyhow::Result<()> {
        for (id, status) in self.ended()? {
            if self.restarting.remove(id).is_some() {
                self.start_again(id)?;
                continue;
            }
            self.print(&format!(
                "{id} ended ({status}); the other nodes continue. To restart it, type: r {id}\nor in another terminal:\n  {}",
                self.plan.command_line(self.node(id).plan),
            ));
        }
        for DemoNode { plan, node } in &self.nodes {
            if self.restarting.get(plan.id).is_some_and(|deadline| Instant::now() >= *deadline) {
                node.signal(Signal::KILL);
            }
        }
        Ok(())
    }

    fn node(&self, id: &str) -> &DemoNode<'a> {
        self.nodes.iter().find(|node| node.plan.id == id).expect("a node of the plan")
    }

    fn start_again(&mut self, id: &'static str) -> anyhow::Result<()> {
        self.print(&format!("restarting {id}"));
        let node = self.nodes.iter_mut().find(|node| node.plan.id == id).expect("a node of the plan");
        node.start().with_context(|| format!("cannot restart {id}"))
    }

    fn has_running(&self) -> bool {
        self.nodes.iter().any(|node| node.node.process().is_some())
    }

    /// Adopts nodes that were started by hand: they stop with the demo.
    async fn adopt(&mut self) {
        for DemoNode { plan, node } in &mut self.nodes {
            if node.process().is_some() || !plan.pid_file.exists() {
                continue;
            }
            let answers = self.client.status_of(&plan.endpoint).await;
            if answers.is_ok_and(|status| status.node_id == plan.id) && node.adopt() {
                self.plan.messages.say(&format!("{} was started by hand; it stops with the demo", plan.id));
            }
        }
    }

    /// Executes a typed line.
    fn execute(&mut self, line: &str) -> anyhow::Result<()> {
        let (action, id) = match keyboard::parse(line) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(()),
            Err(help) => {
                self.print(help);
                return Ok(());
            }
        };
        let Some(DemoNode { plan, node }) = self.nodes.iter().find(|node| node.plan.id == id) else {
            self.print(&format!("unknown node {id:?}; nodes: {}", NODE_IDS.join(", ")));
            return Ok(());
        };
        match (action, node.process().is_some()) {
            (Action::Kill, true) => node.signal(Signal::KILL),
            (Action::Kill, false) => self.print(&format!("{id} is not running")),
            (Action::Restart, true) => {
                node.signal(Signal::TERM);
                self.restarting.insert(plan.id, Instant::now() + STOP_DEADLINE);
            }
            (Action::Restart, false) => self.start_again(plan.id)?,
        }
        Ok(())
    }

    /// Waits until the nodes form a cluster, and runs a drill against it. A dead node is restarted after a
    /// pause, like by an operator.
    ///
    /// # Errors
    /// If the nodes form no cluster in time, the drill cannot be run, or a restart fails.
    pub(super) async fn drill(&mut self, kind: drill::FaultKind) -> anyhow::Result<drill::DrillReport> {
        self.wait_for_cluster().await?;
        let servers = self.plan.nodes.iter().map(|node| node.endpoint.clone()).collect();
        // A signal ends the demo and its nodes: nothing remains to be restored.
        let drill =
            drill::run(drill::DrillOptions::new(kind, servers).expect_return(), std::future::pending());
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
                    for (id, status) in ended {
                        self.print(&format!("{id} ended ({status})"));
                        sleep(RESTART_AFTER).await;
                        if let Err(error) = self.start_again(id) {
                            return error;
                        }
                    }
                }
                Err(error) => return error,
            }
            sleep(POLL).await;
        }
    }

    fn print(&self, text: &str) {
        self.plan.messages.say(text);
    }

    /// Waits until all nodes name the same leader, and returns the leader's name.
    async fn wait_for_cluster(&mut self) -> anyhow::Result<String> {
        self.print("starting three nodes …");
        let deadline = Instant::now() + START_DEADLINE;
        let mut said = String::new();
        loop {
            if let Some((id, status)) = self.ended()?.into_iter().next() {
                let DemoNode { plan, node } = self.node(id);
                let (log, tail) = (plan.log.display(), node.log_tail(LOG_TAIL_LINES));
                bail!("{id} ended before the cluster formed ({status}); its log, {log}:\n{tail}");
            }
            let waits_for = match self.leader().await {
                Ok(leader) => return Ok(leader),
                Err(waits_for) => waits_for,
            };
            ensure!(
                Instant::now() < deadline,
                "no cluster after {} s: {waits_for}\nlogs: {}",
                START_DEADLINE.as_secs(),
                self.plan.nodes[0].log.with_file_name("phase1-*.log").display()
            );
            if waits_for != said {
                self.print(&format!("waiting: {waits_for}"));
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
                    return Err(format!("{} has not answered with a status yet ({})", node.id, error.kind()));
                }
            }
        }
        agreed_if_complete(&statuses).map(|agreed| agreed.leader_id).map_err(|why| why.to_string())
    }

    /// Returns the nodes that have ended since the last call, each with its exit status.
    fn ended(&mut self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut ended = Vec::new();
        for DemoNode { plan, node } in &mut self.nodes {
            if let Some(end) = node.take_end()? {
                ended.push((plan.id, end.to_string()));
            }
        }
        Ok(ended)
    }

    /// Stops all nodes at once and waits; kills the remaining nodes at the deadline, or on a further signal.
    pub(super) async fn stop(&mut self, signals: &mut mpsc::Receiver<()>) {
        if !self.has_running() {
            return;
        }
        self.print("stopping the nodes …");
        for node in &self.nodes {
            node.node.signal(Signal::TERM);
        }
        let all_ended = async {
            while self.ended().is_ok() && self.has_running() {
                sleep(POLL).await;
            }
        };
        let in_time = tokio::select! {
            () = all_ended => true,
            () = sleep(STOP_DEADLINE) => false,
            _ = signals.recv() => false,
        };
        let running = self.nodes.iter().filter(|node| node.node.process().is_some());
        let running: Vec<_> = running.map(|node| node.plan.id).collect();
        if in_time && running.is_empty() {
            self.print("stopped");
        } else {
            self.print(&format!("killing {}", running.join(", ")));
        }
    }
}

impl DemoNode<'_> {
    fn start(&mut self) -> anyhow::Result<()> {
        // For output of a node before its log is open, and of the system on the node's behalf.
        let log = log::file::open(&self.plan.log)?;
        Ok(self.node.start_with_log(&log)?)
    }
}

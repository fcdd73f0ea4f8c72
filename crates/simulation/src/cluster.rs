//! Whole nodes in the simulated world: started, stopped, crashed.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::status::ClusterStatus;
use control_plane::catalog::DEFAULT_IDEMPOTENCY_BYTES;
use control_plane::status::{NodeAddress, NodeFigures};
use control_plane::{Bootstrap, ClusterSecret, ControlPlane, Descriptors, Options, Timing, unix_ms};
use tokio::sync::oneshot;

use crate::executor::{Owner, Process};
use crate::history::Versioned;
use crate::network::address;
use crate::workload::{KEYS, versioned};
use crate::world::SimulatedWorld;

const RAFT_PORT: u16 = 5001;
/// Interval of looking whether a cluster has settled.
const SETTLED_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Entries between two snapshots: few, so that snapshots are common.
const SNAPSHOT_EVERY: u64 = 50;
/// Limit on the log: few entries are kept behind a snapshot, so that a node that was away needs one.
const MAX_LOG_BYTES: u64 = 4 << 20;

/// A cluster in a simulated world.
pub(crate) struct Cluster {
    pub world: Arc<SimulatedWorld>,
    nodes: Vec<Mutex<Node>>,
}

#[derive(Default)]
struct Node {
    starts: u32,
    process: Option<Process>,
    plane: Option<ControlPlane>,
}

/// End of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed; its machine runs on.
    Process,
    /// The machine loses power.
    Machine,
}

pub(crate) fn name_of(node: usize) -> String {
    format!("n{}", node + 1)
}

impl Cluster {
    pub(crate) fn new(world: Arc<SimulatedWorld>) -> Arc<Self> {
        let nodes = world.machines.iter().map(|_| Mutex::default()).collect();
        Arc::new(Self { world, nodes })
    }

    pub(crate) fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the running control plane of a node.
    pub(crate) fn plane(&self, node: usize) -> Option<ControlPlane> {
        self.node(node).plane.clone()
    }

    /// Returns version and content of the notes in the local state of a node.
    pub(crate) fn settings(&self, node: usize) -> Vec<Option<Versioned>> {
        let Some(plane) = self.plane(node) else { return Vec::new() };
        KEYS.iter()
            .map(|key| plane.local_setting(&key.parse().expect("a note")).as_ref().map(versioned))
            .collect()
    }

    /// Returns the cluster as seen by a node.
    pub(crate) fn status(&self, node: usize) -> Option<ClusterStatus> {
        let (process, plane) = {
            let state = self.node(node);
            (state.process?, state.plane.clone()?)
        };
        Some(self.world.executor.run_as(Some(process), || plane.status()))
    }

    /// True if the process of a node exists and is not stopped.
    pub(crate) fn runs(&self, node: usize) -> bool {
        self.node(node).process.is_some() && !self.world.executor.is_suspended(node)
    }

    /// Starts a node.
    pub(crate) fn start(self: &Arc<Self>, node: usize) {
        let process = {
            let mut state = self.node(node);
            if state.process.is_some() {
                return;
            }
            state.starts += 1;
            let process = Process { node, start: state.starts };
            state.process = Some(process);
            process
        };
        self.world.machines[node].disk.mount(process);
        self.world.network.machine_runs(node);
        let cluster = Arc::clone(self);
        let options = self.options(node);
        self.world.executor.spawn(
            Some(process),
            Box::pin(async move {
                let secret = ClusterSecret::from_bytes([7; 32]);
                match ControlPlane::start_in_world(options, secret).await {
                    Ok(plane) => {
                        let mut state = cluster.node(process.node);
                        if state.process == Some(process) {
                            state.plane = Some(plane);
                        }
                    }
                    Err(error) => {
                        let at = cluster.world.executor.now();
                        let facts = format!("n{}: {error:?}", process.node + 1);
                        cluster.world.invariants().violate("a node starts", at, facts);
                    }
                }
            }),
        );
    }

    /// Ends the process of a node at once.
    pub(crate) fn crash(&self, node: usize, crash: Crash) {
        let (process, plane) = {
            let mut state = self.node(node);
            (state.process.take(), state.plane.take())
        };
        let Some(process) = process else { return };
        let machine = crash == Crash::Machine;
        // In this order: code that runs when the tasks are dropped writes and sends nothing.
        self.world.machines[node].disk.unmount();
        self.world.network.end(process, machine);
        self.world.executor.resume(node);
        self.world.executor.end(process);
        self.world.executor.run_as(Some(process), || drop(plane));
        self.world.executor.end(process);
        if machine {
            self.world.machines[node].disk.lose_power();
        }
    }

    /// Stops a node as an operator does, and waits for the end.
    pub(crate) async fn stop(self: &Arc<Self>, node: usize) {
        if let Some(plane) = self.plane(node) {
            let _ = self.run_on(node, async move { plane.stop().await }).await;
        }
        self.crash(node, Crash::Process);
    }

    /// Returns the node that leads, as most nodes say.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.reported_leader().map(|(node, _)| node)
    }

    /// Returns the node that most nodes report as the leader, and the number of these reports.
    fn reported_leader(&self) -> Option<(usize, usize)> {
        let named = |node: usize| self.status(node)?.leader_id;
        let leaders: Vec<String> = (0..self.size()).filter_map(named).collect();
        let reports = |node| (node, leaders.iter().filter(|leader| **leader == name_of(node)).count());
        (0..self.size()).map(reports).max_by_key(|(_, reports)| *reports).filter(|(_, reports)| *reports > 0)
    }

    /// Waits until most nodes report the same leader. False if this takes longer than `limit`.
    pub(crate) async fn has_leader(&self, limit: Duration) -> bool {
        let is_led = || self.reported_leader().is_some_and(|(_, reports)| 2 * reports > self.size());
        self.until(limit, is_led).await
    }

    /// Waits until every node reports the same leader, and all nodes as healthy voters. False if this takes
    /// longer than `limit`.
    pub(crate) async fn settled(&self, limit: Duration) -> bool {
        self.until(limit, || self.is_settled()).await
    }

    /// Waits until all nodes but one report the same leader. False if this takes longer than `limit`.
    pub(crate) async fn others_are_led(&self, node: usize, limit: Duration) -> bool {
        let others = || (0..self.size()).filter(move |other| *other != node);
        let is_led = || {
            let leaders: Vec<_> = others().map(|other| self.status(other)?.leader_id).collect();
            leaders[0].is_some() && leaders.iter().all(|leader| *leader == leaders[0])
        };
        self.until(limit, is_led).await
    }

    /// Waits until `holds`. False if this takes longer than `limit`.
    async fn until(&self, limit: Duration, holds: impl Fn() -> bool) -> bool {
        let until = self.world.executor.now() + limit;
        while self.world.executor.now() < until {
            if holds() {
                return true;
            }
            self.sleep(SETTLED_CHECK_INTERVAL).await;
        }
        false
    }

    /// True if every node reports the same leader, and all nodes as healthy voters. Names are not enough: a new
    /// data directory has the name of the lost one, whose place as a voter it takes later.
    pub(crate) fn is_settled(&self) -> bool {
        let statuses: Vec<_> = (0..self.size()).map(|node| self.status(node)).collect();
        let leader = statuses[0].as_ref().and_then(|status| status.leader_id.clone());
        let agree = statuses.iter().flatten().filter(|status| {
            let are_voters = status.voters.len() == self.size() && status.learners.is_empty();
            status.leader_id == leader
                && are_voters
                && status.nodes.iter().all(|row| row.healthy && row.voter)
        });
        leader.is_some() && agree.count() == self.size()
    }

    /// Makes a node suspect its leader, by mistake.
    pub(crate) fn raise_false_alarm(&self, node: usize) {
        let (process, plane) = {
            let state = self.node(node);
            (state.process, state.plane.clone())
        };
        if let Some(plane) = plane {
            self.world.executor.run_as(process, || plane.raise_false_alarm());
        }
    }

    /// Runs a call in the process of a node. None if the process ends before.
    pub(crate) async fn run_on<T: Send + 'static>(
        &self,
        node: usize,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let process = self.node(node).process?;
        let (sender, output) = oneshot::channel();
        self.world.executor.spawn(
            Some(process),
            Box::pin(async move {
                let _ = sender.send(call.await);
            }),
        );
        output.await.ok()
    }

    /// Waits, by the clock of the simulation.
    pub(crate) async fn sleep(&self, pause: Duration) {
        let timer = self.world.executor.timer(None, self.world.executor.now() + pause);
        std::future::poll_fn(|cx| timer.poll(cx)).await;
    }

    /// Starts a task of the simulation.
    pub(crate) fn spawn(&self, owner: Owner, task: impl Future<Output = ()> + Send + 'static) {
        self.world.executor.spawn(owner, Box::pin(task));
    }

    fn node(&self, node: usize) -> MutexGuard<'_, Node> {
        self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn options(&self, node: usize) -> Options {
        let name = name_of;
        let nodes = (0..self.size()).map(|node| NodeAddress {
            name: name(node),
            ip: address(node).into(),
            http_port: 8081,
            raft_port: RAFT_PORT,
        });
        Options {
            cluster_name: "simulated".to_owned(),
            me: name(node),
            nodes: nodes.collect(),
            listen: (address(node), RAFT_PORT).into(),
            data_dir: Path::new("/data").join(name(node)),
            cluster_key_file: Path::new("/data/cluster.key").to_owned(),
            bootstrap: Bootstrap::Auto,
            timing: Timing {
                heartbeat: Duration::from_millis(100),
                election_timeout_min: Duration::from_millis(1000),
                election_timeout_max: Duration::from_millis(2000),
                probe_interval: Duration::from_millis(50),
                probe_failures: 3,
            },
            snapshot_every: SNAPSHOT_EVERY,
            max_log_bytes: MAX_LOG_BYTES,
            idempotency_bytes: DEFAULT_IDEMPOTENCY_BYTES,
            config_hash: "the same".to_owned(),
            version: "simulated",
            descriptors: Descriptors::default(),
            figures: Arc::new(NodeFigures::default),
            clock_ms: unix_ms,
            conditions: Arc::new(Vec::new),
        }
    }
}

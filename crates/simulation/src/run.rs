//! One simulation: a cluster, clients and faults from one seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control_plane::world;

use crate::cluster::{Cluster, Crash};
use crate::executor::Step;
use crate::faults::{self, FaultCounts, Injected, PlannedFault};
use crate::invariants::{Counters, Violation};
use crate::workload::{Clients, KEYS};
use crate::world::SimulatedWorld;
use crate::{timeline, truth};

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// Clients of a cluster.
const CLIENTS: u32 = 4;
/// Time after the end of all faults for a leader to be elected, where links and disks are fast.
const LEADER_WITHIN: Duration = Duration::from_secs(5);
/// Time after the end of all faults for every node to follow the leader as a voter.
const RECOVERY_WITHIN: Duration = Duration::from_secs(30);
/// Limit on the simulated time, beyond every other limit.
const TIME_LIMIT: Duration = Duration::from_secs(3600);
/// Attempts at the last look at a note.
const LAST_LOOKS: u32 = 50;
/// Pause between two attempts.
const LAST_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The seed.
    pub seed: u64,
    /// Simulated time under clients and faults.
    pub duration: Duration,
    /// The faults; none for a calm run.
    pub faults: Vec<PlannedFault>,
    /// Mistake in every node.
    #[cfg(feature = "planted")]
    pub mistake: Option<control_plane::planted::Mistake>,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Hash of every decision and of the time of each.
    pub hash: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Polls of tasks.
    pub polls: u64,
    /// Operations of clients.
    pub operations: u64,
    /// Operations without a known outcome.
    pub unknown: u64,
    /// Repeats of writes long after their keys were over.
    pub late_repeats: u64,
    /// Those of the late repeats that were carried out again.
    pub forgotten: u64,
    /// Rare events.
    pub counters: Counters,
    /// Injected faults.
    pub faults: FaultCounts,
    /// Leaders elected after a fault, before the next, by the kind of the fault.
    pub elected: FaultCounts,
    /// The first broken invariant.
    pub violation: Option<Violation>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, hash, simulated, polls, operations, unknown, counters, faults, .. } = self;
        write!(
            f,
            "seed {seed}: trace {hash:016x}, {:.3} s, {polls} polls, {operations} operations ({unknown} unknown), {} faults, \
             {} leaders",
            simulated.as_secs_f64(),
            faults.iter().sum::<u64>(),
            counters.leaders,
        )
    }
}

/// Runs a simulation. A panic of a node is a violation.
pub fn run(options: &RunOptions) -> Run {
    let ran = std::panic::catch_unwind(|| Simulation::new(options).run());
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let violation = Violation { invariant: "no panic", at: timeline::now(), facts: text.to_owned() };
        Run { seed: options.seed, violation: Some(violation), ..Run::default() }
    })
}

/// A run under way.
struct Simulation<'a> {
    options: &'a RunOptions,
    world: Arc<SimulatedWorld>,
    _entered: world::Entered,
    cluster: Arc<Cluster>,
    clients: Arc<Clients>,
    /// The injected faults, once the scenario has ended.
    ended: Arc<Mutex<Option<Injected>>>,
}

impl<'a> Simulation<'a> {
    fn new(options: &'a RunOptions) -> Self {
        #[cfg(feature = "planted")]
        control_plane::planted::plant(options.mistake);
        let world = SimulatedWorld::new(options.seed, NODES);
        let _entered = world::enter(Arc::clone(&world) as Arc<dyn world::World>);
        timeline::follow(&world.executor);
        let cluster = Cluster::new(Arc::clone(&world));
        let clients = Arc::new(Clients::new(Arc::clone(&cluster)));
        Self { options, world, _entered, cluster, clients, ended: Arc::default() }
    }

    fn run(self) -> Run {
        (0..NODES).for_each(|node| self.cluster.start(node));
        self.cluster.spawn(None, {
            let (ended, options) = (Arc::clone(&self.ended), self.options.clone());
            let (cluster, clients) = (Arc::clone(&self.cluster), Arc::clone(&self.clients));
            async move {
                let counts = scenario(&cluster, &clients, &options).await;
                *lock(&ended) = Some(counts);
            }
        });
        let executor = &self.world.executor;
        loop {
            let step = executor.step();
            let at = executor.now();
            match step {
                Step::Done => {}
                Step::Idle => self.violate("nothing stops", at, "no task is ready".to_owned()),
                Step::Livelock => self.violate("progress", at, "tasks wake each other".to_owned()),
            }
            if at > TIME_LIMIT {
                self.violate("the run ends", at, "a step of the scenario waits without end".to_owned());
            }
            let invariants = self.world.invariants();
            let has_foreign_cluster = invariants.counters.foreign_clusters > 0;
            if lock(&self.ended).is_some() || invariants.violation.is_some() || has_foreign_cluster {
                break;
            }
        }
        let at = executor.now();
        if let Err(contradiction) = lock(&self.clients.history).check() {
            self.violate("linearizability", at, contradiction);
        }
        let run = self.result(at);
        (0..NODES).for_each(|node| self.cluster.crash(node, Crash::Process));
        executor.clear();
        run
    }

    fn result(&self, simulated: Duration) -> Run {
        let invariants = self.world.invariants();
        let history = lock(&self.clients.history);
        let [faults, elected] = lock(&self.ended).unwrap_or_default();
        Run {
            seed: self.options.seed,
            hash: self.world.executor.hash(),
            simulated,
            polls: self.world.executor.polls(),
            operations: history.operations,
            unknown: history.unknown,
            late_repeats: history.late_repeats,
            forgotten: history.forgotten,
            counters: invariants.counters,
            faults,
            elected,
            violation: invariants.violation.clone(),
        }
    }

    fn violate(&self, invariant: &'static str, at: Duration, facts: String) {
        self.world.invariants().violate(invariant, at, facts);
    }
}

/// The course of a run: the cluster forms, clients and faults for a while, recovery, the last looks. Returns
/// the injected faults, and the leaders elected after them.
async fn scenario(cluster: &Arc<Cluster>, clients: &Arc<Clients>, options: &RunOptions) -> Injected {
    let executor = &cluster.world.executor;
    let violate = |invariant, facts| cluster.world.invariants().violate(invariant, executor.now(), facts);
    if !cluster.settled(RECOVERY_WITHIN).await {
        violate("a cluster forms", status(cluster));
        return Default::default();
    }
    cluster.spawn(None, truth::watch(Arc::clone(cluster)));
    let cluster_id = cluster.status(0).and_then(|status| status.cluster_id);
    let until = executor.now() + options.duration;
    for client in 0..CLIENTS {
        cluster.spawn(None, Arc::clone(clients).run(client, until));
    }
    let counts = faults::inject(cluster, &options.faults, until).await;
    cluster.sleep(until.saturating_sub(executor.now())).await;
    faults::mend(cluster);
    if !cluster.has_leader(LEADER_WITHIN).await {
        violate("a leader after the faults", status(cluster));
    }
    if !cluster.settled(RECOVERY_WITHIN).await {
        violate("recovery", status(cluster));
        return counts;
    }
    let leaders = cluster.world.invariants().counters.leaders;
    if options.faults.is_empty() && leaders > 1 {
        violate("no election without a fault", format!("{leaders} leaders"));
    }
    for node in 0..cluster.size() {
        let found = cluster.status(node).and_then(|status| status.cluster_id);
        if found != cluster_id {
            violate("one cluster", format!("{cluster_id:?} began, n{} is of {found:?}", node + 1));
        }
    }
    last_looks(cluster, clients).await;
    counts
}

/// Reads every note once more, and compares the states of all nodes once all have applied the same entries.
async fn last_looks(cluster: &Arc<Cluster>, clients: &Clients) {
    let violate =
        |invariant, facts| cluster.world.invariants().violate(invariant, cluster.world.executor.now(), facts);
    for key in KEYS {
        let mut looks = 0;
        while !clients.read(key).await {
            looks += 1;
            if looks == LAST_LOOKS {
                violate("reads after recovery", format!("no answer to a read of {key}; {}", status(cluster)));
                return;
            }
            cluster.sleep(LAST_LOOK_INTERVAL).await;
        }
    }
    let mut states = Vec::new();
    for _ in 0..LAST_LOOKS {
        states = (0..cluster.size()).map(|node| cluster.settings(node)).collect();
        if states.iter().all(|state| *state == states[0]) {
            return;
        }
        cluster.sleep(LAST_LOOK_INTERVAL).await;
    }
    violate("equal states", format!("{states:?}"));
}

fn status(cluster: &Cluster) -> String {
    let of = |node: usize| match cluster.status(node) {
        Some(status) => format!(
            "n{}: term {}, leader {:?}, voters {:?}, learners {:?}",
            node + 1,
            status.term,
            status.leader_id,
            status.voters,
            status.learners,
        ),
        None => format!("n{}: not running", node + 1),
    };
    (0..cluster.size()).map(of).collect::<Vec<_>>().join("; ")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! One simulation: a cluster, clients and faults from one seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control_plane::world;

use crate::cluster::Cluster;
use crate::executor::Step;
use crate::faults::{self, Fault, FaultCounts};
use crate::invariants::{Counters, Violation};
use crate::timeline;
use crate::workload::{Clients, KEYS};
use crate::world::SimulatedWorld;

/// Nodes of a cluster.
const NODES: usize = 3;
/// Clients of a cluster.
const CLIENTS: u32 = 4;
/// Time after the end of all faults for a leader to be elected and every node to be a voter.
const RECOVERY_WITHIN: Duration = Duration::from_secs(30);
/// Limit on the simulated time, beyond every other limit.
const TIME_LIMIT: Duration = Duration::from_secs(3600);
/// Attempts at the last read of a note.
const LAST_READS: u32 = 50;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The seed.
    pub seed: u64,
    /// Simulated time under clients and faults.
    pub duration: Duration,
    /// Kinds of faults; none for a calm run.
    pub faults: Vec<Fault>,
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
    /// Rare events.
    pub counters: Counters,
    /// Injected faults.
    pub faults: FaultCounts,
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
    let ran = std::panic::catch_unwind(|| simulate(options));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        let violation = Violation { invariant: "no panic", at: timeline::now(), facts: text.to_owned() };
        Run { seed: options.seed, violation: Some(violation), ..Run::default() }
    })
}

fn simulate(options: &RunOptions) -> Run {
    let world = SimulatedWorld::new(options.seed, NODES);
    let _entered = world::enter(Arc::clone(&world) as Arc<dyn world::World>);
    timeline::follow(&world.executor);
    let cluster = Cluster::new(Arc::clone(&world));
    let clients = Arc::new(Clients { cluster: Arc::clone(&cluster), history: Mutex::default() });
    let counts = Arc::new(Mutex::new(FaultCounts::default()));
    let ended = Arc::new(Mutex::new(false));
    (0..NODES).for_each(|node| cluster.start(node));
    cluster.spawn(None, {
        let (ended, counts, options) = (Arc::clone(&ended), Arc::clone(&counts), options.clone());
        let (cluster, clients) = (Arc::clone(&cluster), Arc::clone(&clients));
        async move {
            scenario(&cluster, &clients, &counts, &options).await;
            *lock(&ended) = true;
        }
    });
    loop {
        let step = world.executor.step();
        let at = world.executor.now();
        match step {
            Step::Done => {}
            Step::Idle => world.invariants().violate("nothing stops", at, "no task is ready".to_owned()),
            Step::Livelock => world.invariants().violate("progress", at, "tasks wake each other".to_owned()),
        }
        if *lock(&ended) || at > TIME_LIMIT || world.invariants().violation.is_some() {
            break;
        }
    }
    let at = world.executor.now();
    if let Err(contradiction) = lock(&clients.history).check() {
        world.invariants().violate("linearizability", at, contradiction);
    }
    let invariants = world.invariants();
    let (violation, counters) = (invariants.violation.clone(), invariants.counters);
    drop(invariants);
    let history = lock(&clients.history);
    let run = Run {
        seed: options.seed,
        hash: world.executor.hash(),
        simulated: at,
        polls: world.executor.polls(),
        operations: history.operations,
        unknown: history.unknown,
        counters,
        faults: *lock(&counts),
        violation,
    };
    drop(history);
    (0..NODES).for_each(|node| cluster.crash(node, crate::cluster::Crash::Process));
    world.executor.clear();
    run
}

/// The course of a run: the cluster forms, clients and faults for a while, recovery, the last reads.
async fn scenario(
    cluster: &Arc<Cluster>,
    clients: &Arc<Clients>,
    counts: &Mutex<FaultCounts>,
    options: &RunOptions,
) {
    let executor = &cluster.world.executor;
    if !cluster.settled(RECOVERY_WITHIN).await {
        return cluster.world.invariants().violate("a cluster forms", executor.now(), status(cluster));
    }
    let until = executor.now() + options.duration;
    for client in 0..CLIENTS {
        cluster.spawn(None, Arc::clone(clients).run(client, until));
    }
    if !options.faults.is_empty() {
        faults::inject(cluster, counts, &options.faults, until).await;
    }
    let left = until.saturating_sub(executor.now());
    cluster.sleep(left).await;
    faults::mend(cluster);
    if !cluster.settled(RECOVERY_WITHIN).await {
        return cluster.world.invariants().violate("recovery", executor.now(), status(cluster));
    }
    for key in KEYS {
        let mut read = false;
        for _ in 0..LAST_READS {
            read = clients.read(key).await;
            if read {
                break;
            }
            cluster.sleep(Duration::from_millis(200)).await;
        }
        if !read {
            let facts = format!("no answer to a read of {key}; {}", status(cluster));
            cluster.world.invariants().violate("reads after recovery", executor.now(), facts);
        }
    }
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

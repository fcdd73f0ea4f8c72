//! Faults: injected one after the other, each for a while.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cluster::{Cluster, Crash};
use crate::disk::Condition;
use crate::network::Link;
use crate::world::Clocks;

/// Longest pause between two faults.
const PAUSE_WITHIN_MS: u64 = 3000;
/// Longest duration of a fault.
const FAULT_WITHIN_MS: u64 = 5000;
/// Longest wait for an earlier loss to be replaced.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);
/// Greatest drift of a monotonic clock.
const MAX_DRIFT_PPM: u64 = 500;
/// Greatest step of a wall clock.
const MAX_STEP_MS: u64 = 48 * 3_600_000;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// A killed process.
    Kill,
    /// A machine without power.
    PowerLoss,
    /// All machines without power at one moment.
    PowerLossOfAll,
    /// A process that is stopped and continued.
    Suspend,
    /// A node that nobody reaches, and that reaches nobody.
    Isolate,
    /// A link cut in one direction.
    OneWay,
    /// Links that lose and delay packets.
    BadLinks,
    /// A slow disk.
    SlowDisk,
    /// A disk on which operations do not end.
    HungDisk,
    /// A disk without a free byte.
    FullDisk,
    /// A disk on which syncs fail.
    FailingDisk,
    /// A wall clock that is set.
    ClockStep,
    /// A monotonic clock that runs fast or slow.
    Drift,
    /// A stop and start by an operator.
    Restart,
    /// A data directory that is lost.
    Wipe,
    /// A data directory that is put back from an earlier copy.
    PutBack,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Kill,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::Suspend,
        Self::Isolate,
        Self::OneWay,
        Self::BadLinks,
        Self::SlowDisk,
        Self::HungDisk,
        Self::FullDisk,
        Self::FailingDisk,
        Self::ClockStep,
        Self::Drift,
        Self::Restart,
        Self::Wipe,
        Self::PutBack,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

impl Fault {
    /// The kinds that the protocol withstands. A directory put back from a copy undoes votes.
    pub fn withstood() -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| *kind != Self::PutBack).collect()
    }
}

/// Number of injected faults by kind, in the order of [`Fault::ALL`].
pub type FaultCounts = [u64; Fault::ALL.len()];

/// Injects faults of some kinds until `until`.
pub(crate) async fn inject(
    cluster: &Arc<Cluster>,
    counts: &Mutex<FaultCounts>,
    kinds: &[Fault],
    until: Duration,
) {
    let executor = Arc::clone(&cluster.world.executor);
    let random = |below: u64| executor.random() % below;
    loop {
        cluster.sleep(Duration::from_millis(random(PAUSE_WITHIN_MS))).await;
        if executor.now() >= until {
            return;
        }
        let chosen = kinds[random(kinds.len() as u64) as usize];
        let index = Fault::ALL.iter().position(|kind| *kind == chosen).expect("every kind is listed");
        counts.lock().unwrap_or_else(PoisonError::into_inner)[index] += 1;
        let node = random(cluster.size() as u64) as usize;
        let duration = Duration::from_millis(random(FAULT_WITHIN_MS));
        one(cluster, chosen, node, duration).await;
    }
}

/// Injects one fault, and ends it after `duration`.
async fn one(cluster: &Arc<Cluster>, fault: Fault, node: usize, duration: Duration) {
    tracing::info!(node = node + 1, ?fault, ms = duration.as_millis() as u64, "fault");
    match fault {
        Fault::Kill
        | Fault::PowerLoss
        | Fault::PowerLossOfAll
        | Fault::Suspend
        | Fault::Restart
        | Fault::Wipe
        | Fault::PutBack => process_fault(cluster, fault, node, duration).await,
        Fault::Isolate | Fault::OneWay | Fault::BadLinks => link_fault(cluster, fault, node, duration).await,
        Fault::SlowDisk | Fault::HungDisk | Fault::FullDisk | Fault::FailingDisk => {
            disk_fault(cluster, fault, node, duration).await;
        }
        Fault::ClockStep | Fault::Drift => clock_fault(cluster, fault, node),
    }
}

async fn process_fault(cluster: &Arc<Cluster>, fault: Fault, node: usize, duration: Duration) {
    let world = &cluster.world;
    match fault {
        Fault::PowerLossOfAll => {
            (0..cluster.size()).for_each(|node| cluster.crash(node, Crash::Machine));
            for node in 0..cluster.size() {
                cluster.sleep(duration / 8).await;
                cluster.start(node);
            }
            return;
        }
        Fault::Suspend => {
            world.executor.suspend(node);
            cluster.sleep(duration).await;
            world.executor.resume(node);
            return;
        }
        Fault::PowerLoss => cluster.crash(node, Crash::Machine),
        Fault::Restart => cluster.stop(node).await,
        Fault::Wipe => {
            // The protocol withstands the loss of one disk at a time: a disk counts until it is replaced.
            if !cluster.settled(REPLACED_WITHIN).await {
                return;
            }
            cluster.crash(node, Crash::Process);
            world.machines[node].disk.wipe();
        }
        Fault::PutBack => {
            let copy = world.machines[node].disk.copy();
            cluster.sleep(duration).await;
            cluster.crash(node, Crash::Process);
            world.machines[node].disk.put_back(copy);
        }
        _ => cluster.crash(node, Crash::Process),
    }
    cluster.sleep(duration).await;
    cluster.start(node);
}

async fn link_fault(cluster: &Arc<Cluster>, fault: Fault, node: usize, duration: Duration) {
    let random = |below: u64| cluster.world.executor.random() % below;
    let others = || (0..cluster.size()).filter(|other| *other != node);
    match fault {
        Fault::Isolate => others().for_each(|other| {
            cut(cluster, node, other);
            cut(cluster, other, node);
        }),
        Fault::OneWay => {
            let others: Vec<usize> = others().collect();
            let other = others[random(others.len() as u64) as usize];
            let (from, to) = if random(2) == 0 { (node, other) } else { (other, node) };
            cut(cluster, from, to);
        }
        _ => {
            for (from, to) in links(cluster) {
                let link = Link {
                    delay: Duration::from_millis(random(30)),
                    jitter: Duration::from_millis(random(100)),
                    lost_permille: random(100) as u32,
                    rate: Some(10_000 + random(1_000_000)),
                    cut: false,
                };
                cluster.world.network.set_link(from, to, link);
            }
        }
    }
    cluster.sleep(duration).await;
    mend_links(cluster);
}

async fn disk_fault(cluster: &Arc<Cluster>, fault: Fault, node: usize, duration: Duration) {
    let healthy = Condition::default();
    let condition = match fault {
        Fault::SlowDisk => {
            let delay = Duration::from_millis(cluster.world.executor.random() % 100);
            Condition { delay, jitter: Duration::from_millis(400), ..healthy }
        }
        Fault::HungDisk => Condition { hangs: true, ..healthy },
        Fault::FullDisk => Condition { is_full: true, ..healthy },
        _ => Condition { failing_permille: 200, ..healthy },
    };
    let disk = &cluster.world.machines[node].disk;
    disk.set_condition(condition);
    cluster.sleep(duration).await;
    disk.set_condition(healthy);
}

fn clock_fault(cluster: &Cluster, fault: Fault, node: usize) {
    let world = &cluster.world;
    let clocks = world.clocks(node);
    let random = world.executor.random();
    world.set_clocks(
        node,
        match fault {
            Fault::ClockStep => {
                let wall_ms = (random % (2 * MAX_STEP_MS)) as i64 - MAX_STEP_MS as i64;
                Clocks { wall_ms, ..clocks }
            }
            // The rate only grows, so that the clock never goes back.
            _ => Clocks { drift_ppm: clocks.drift_ppm.max((random % MAX_DRIFT_PPM) as i32), ..clocks },
        },
    );
}

fn links(cluster: &Cluster) -> impl Iterator<Item = (usize, usize)> {
    let size = cluster.size();
    (0..size).flat_map(move |from| (0..size).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn cut(cluster: &Cluster, from: usize, to: usize) {
    let link = cluster.world.network.link(from, to);
    cluster.world.network.set_link(from, to, Link { cut: true, ..link });
}

fn mend_links(cluster: &Cluster) {
    links(cluster).for_each(|(from, to)| cluster.world.network.set_link(from, to, Link::default()));
}

/// Ends every fault.
pub(crate) fn mend(cluster: &Arc<Cluster>) {
    mend_links(cluster);
    for node in 0..cluster.size() {
        cluster.world.executor.resume(node);
        cluster.world.machines[node].disk.set_condition(Condition::default());
        cluster.start(node);
    }
}

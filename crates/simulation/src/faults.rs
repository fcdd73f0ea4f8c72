//! Faults: planned from the seed, in one lane or two. The faults of a lane follow one another, each for a
//! while; those of two lanes overlap.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::cluster::{Cluster, Crash};
use crate::disk::Condition;
use crate::network::Link;
use crate::world::Clocks;

/// Longest pause between two faults.
const PAUSE_WITHIN_MS: u64 = 3000;
/// Time after a fault for retransmissions and elections.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Longest duration of a fault.
const FAULT_WITHIN_MS: u64 = 5000;
/// Longest wait for an earlier loss to be replaced.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);
/// Time for another node to lead once the leader is killed, where the rest is free of faults.
const SUCCESSOR_WITHIN: Duration = Duration::from_millis(300);
/// Longest wait for a process to be in the middle of its work on the disk.
const DEATH_WITHIN: Duration = Duration::from_millis(200);
/// Changes of the disk before a process dies.
const MAX_OPERATIONS_BEFORE_DEATH: u64 = 50;
/// Greatest drift of a monotonic clock.
const MAX_DRIFT_PPM: i32 = 500;
/// Greatest step of a wall clock.
const MAX_STEP_MS: i64 = 3_600_000;
/// Greatest jumps of a wall clock: two days, and a year. More than the time for which idempotency keys are
/// kept.
const MAX_JUMPS_MS: [i64; 2] = [48 * 3_600_000, 365 * 24 * 3_600_000];
/// Longest time for which all machines are suspended.
const MAX_SLEEP_MS: u64 = 20 * 3_600_000;

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
    /// Gaps of 100 to 250 ms at one node, on all links.
    Gaps,
    /// A slow disk.
    SlowDisk,
    /// A disk on which operations do not end.
    HungDisk,
    /// A disk without a free byte.
    FullDisk,
    /// A disk on which syncs fail.
    FailingDisk,
    /// A wall clock that is set by up to an hour.
    ClockStep,
    /// A wall clock that is set by up to two days or a year.
    ClockJump,
    /// A monotonic clock that runs fast or slow.
    Drift,
    /// A stop and start by an operator.
    Restart,
    /// A data directory that is lost.
    Wipe,
    /// Followers that suspect the leader by mistake, one after the other.
    FalseAlarms,
    /// A lost data directory, and the leader killed in the middle of the change of voters that follows.
    WipeAndKill,
    /// All machines suspended at one moment, for up to twenty hours.
    Sleep,
    /// A data directory that is put back from an earlier copy.
    PutBack,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Kill,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::Suspend,
        Self::Isolate,
        Self::OneWay,
        Self::BadLinks,
        Self::Gaps,
        Self::SlowDisk,
        Self::HungDisk,
        Self::FullDisk,
        Self::FailingDisk,
        Self::ClockStep,
        Self::ClockJump,
        Self::Drift,
        Self::Restart,
        Self::Wipe,
        Self::FalseAlarms,
        Self::WipeAndKill,
        Self::Sleep,
        Self::PutBack,
    ];
}

impl Fault {
    /// True if a node may suspect its leader in vain because of the fault.
    fn may_cause_futile_campaigns(self) -> bool {
        let clocks = matches!(self, Self::ClockStep | Self::ClockJump | Self::Drift | Self::Sleep);
        !clocks && !matches!(self, Self::Kill | Self::PowerLoss)
    }

    /// True if the fault has effects on all nodes.
    fn disturbs_all(self) -> bool {
        matches!(
            self,
            Self::PowerLossOfAll | Self::OneWay | Self::BadLinks | Self::FalseAlarms | Self::WipeAndKill
        )
    }

    /// Number of elections that a fault of the kind may cost a cluster that had settled.
    fn most_elections(self) -> u64 {
        match self {
            Self::ClockStep | Self::ClockJump | Self::Drift | Self::Sleep | Self::FalseAlarms => 0,
            // The leader cannot be heard by one follower, or hear it.
            Self::OneWay => 1,
            Self::WipeAndKill => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// Number of injected faults by kind, in the order of [`Fault::ALL`].
pub type FaultCounts = [u64; Fault::ALL.len()];

/// A planned fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFault {
    /// The lane: 0 or 1.
    pub lane: u8,
    /// Pause after the previous fault.
    pub pause: Duration,
    /// The kind.
    pub kind: Fault,
    /// The node, counted from 0.
    pub node: usize,
    /// Duration of the fault.
    pub duration: Duration,
    /// Seed of everything else about the fault.
    seed: u64,
}

impl PlannedFault {
    /// True if the effects of the previous fault are over when this one begins.
    fn is_alone(&self) -> bool {
        self.pause >= AFTERMATH
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, pause, kind, node, duration, .. } = self;
        let (pause, duration) = (pause.as_millis(), duration.as_millis());
        write!(f, "lane {lane}, after {pause} ms: {kind} at n{} for {duration} ms", node + 1)
    }
}

/// Plans the faults of a seed, for at least `duration` of simulated time. Every second seed has two lanes.
pub fn plan(seed: u64, kinds: &[Fault], nodes: usize, duration: Duration) -> Vec<PlannedFault> {
    let mut random = Pcg64Mcg::seed_from_u64(!seed);
    let lanes = if random.random() { 2 } else { 1 };
    let mut planned = Vec::new();
    for lane in 0..lanes {
        let mut end = Duration::ZERO;
        while !kinds.is_empty() && end < duration {
            let fault = PlannedFault {
                lane,
                pause: Duration::from_millis(random.random_range(0..PAUSE_WITHIN_MS)),
                kind: kinds[random.random_range(0..kinds.len() as u64) as usize],
                node: random.random_range(0..nodes as u64) as usize,
                duration: Duration::from_millis(random.random_range(0..FAULT_WITHIN_MS)),
                seed: random.random(),
            };
            // Some faults take no time.
            end += fault.pause;
            planned.push(fault);
        }
    }
    planned
}

/// Number of injected faults, and of the leaders elected until the next fault of the lane, by kind.
pub(crate) type Injected = [FaultCounts; 2];

/// Injects the planned faults until `until`.
pub(crate) async fn inject(cluster: &Arc<Cluster>, planned: &[PlannedFault], until: Duration) -> Injected {
    let of_lane = |lane| planned.iter().filter(move |fault| fault.lane == lane);
    if of_lane(1).next().is_none() {
        return inject_lane(cluster, of_lane(0), until, true).await;
    }
    let lanes = tokio::join!(
        inject_lane(cluster, of_lane(0), until, false),
        inject_lane(cluster, of_lane(1), until, false)
    );
    let sum = |index: usize| std::array::from_fn(|kind| lanes.0[index][kind] + lanes.1[index][kind]);
    [sum(0), sum(1)]
}

/// Injects the faults of one lane. The number of elections is limited if there is no other lane.
async fn inject_lane(
    cluster: &Arc<Cluster>,
    planned: impl Iterator<Item = &PlannedFault>,
    until: Duration,
    is_only: bool,
) -> Injected {
    let (mut counts, mut elected) = (FaultCounts::default(), FaultCounts::default());
    let leaders = || cluster.world.invariants().counters.leaders;
    let (mut index, mut before) = (0, leaders());
    // Leaders that the previous fault may cost; none after a start without a settled cluster.
    let mut allowed: Option<u64> = None;
    // Campaigns without effect keep suspicion from electing for a minute: known, and left to the timers.
    let mut campaigns_may_rest = !is_only;
    for fault in planned {
        cluster.sleep(fault.pause).await;
        let changes = leaders() - before;
        elected[index] += changes;
        before = leaders();
        if let Some(allowed) = allowed.filter(|allowed| changes > *allowed) {
            let facts = format!("{changes} leaders after {}, which costs {allowed}", Fault::ALL[index]);
            cluster.world.invariants().violate("elections without need", cluster.world.executor.now(), facts);
        }
        if cluster.world.executor.now() >= until {
            break;
        }
        index = Fault::ALL.iter().position(|kind| *kind == fault.kind).expect("every kind is listed");
        counts[index] += 1;
        let is_alone = is_only && fault.is_alone() && cluster.is_settled();
        allowed = is_alone.then(|| fault.kind.most_elections());
        tracing::info!(node = fault.node + 1, kind = ?fault.kind, ms = fault.duration.as_millis() as u64, "fault");
        disturbing(cluster, fault, one(cluster, fault, campaigns_may_rest)).await;
        campaigns_may_rest |= fault.kind.may_cause_futile_campaigns();
    }
    [counts, elected]
}

/// Records which nodes a fault disturbs while `injection` lasts, and in its aftermath.
async fn disturbing(cluster: &Cluster, fault: &PlannedFault, injection: impl Future<Output = ()>) {
    let all = 0..cluster.size();
    let disturbed = if fault.kind.disturbs_all() { all } else { fault.node..fault.node + 1 };
    disturbed.clone().for_each(|node| cluster.world.invariants().disturb(node));
    injection.await;
    let until = cluster.world.executor.now() + AFTERMATH;
    disturbed.for_each(|node| cluster.world.invariants().calm(node, until));
}

/// Injects one fault, and ends it.
async fn one(cluster: &Arc<Cluster>, fault: &PlannedFault, campaigns_may_rest: bool) {
    match fault.kind {
        Fault::Kill => {
            kill(cluster, fault, campaigns_may_rest).await;
            cluster.sleep(fault.duration).await;
            cluster.start(fault.node);
        }
        Fault::PowerLoss
        | Fault::PowerLossOfAll
        | Fault::Suspend
        | Fault::Restart
        | Fault::Wipe
        | Fault::WipeAndKill
        | Fault::PutBack => process_fault(cluster, fault).await,
        Fault::Isolate | Fault::OneWay | Fault::BadLinks | Fault::Gaps => link_fault(cluster, fault).await,
        Fault::SlowDisk | Fault::HungDisk | Fault::FullDisk | Fault::FailingDisk => {
            disk_fault(cluster, fault).await;
        }
        Fault::ClockStep | Fault::ClockJump | Fault::Drift | Fault::Sleep => clock_fault(cluster, fault),
        Fault::FalseAlarms => false_alarms(cluster, fault).await,
    }
}

async fn process_fault(cluster: &Arc<Cluster>, fault: &PlannedFault) {
    let world = &cluster.world;
    let PlannedFault { kind, node, duration, .. } = *fault;
    match kind {
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
        Fault::PowerLoss => die(cluster, fault, Crash::Machine).await,
        Fault::Restart => cluster.stop(node).await,
        Fault::Wipe | Fault::WipeAndKill => {
            // The protocol withstands the loss of one disk at a time: a disk counts until it is replaced.
            if !cluster.settled(REPLACED_WITHIN).await {
                return;
            }
            cluster.crash(node, Crash::Process);
            world.machines[node].disk.wipe();
            world.invariants().wiped(node);
        }
        Fault::PutBack => {
            let copy = world.machines[node].disk.copy();
            cluster.sleep(duration).await;
            // One disk at a time, as for a loss.
            if !cluster.settled(REPLACED_WITHIN).await {
                return;
            }
            cluster.crash(node, Crash::Process);
            world.machines[node].disk.put_back(copy);
            world.invariants().went_back(node);
            cluster.sleep(duration).await;
            // What nobody within reach remembers cannot be noticed in time.
            cluster.others_are_led(node, REPLACED_WITHIN).await;
            return cluster.start(node);
        }
        _ => cluster.crash(node, Crash::Process),
    }
    cluster.sleep(duration).await;
    cluster.start(node);
    if kind == Fault::WipeAndKill {
        kill_during_change(cluster, duration).await;
    }
}

/// Ends a process, often in the middle of its work on the disk.
async fn die(cluster: &Arc<Cluster>, fault: &PlannedFault, crash: Crash) {
    let disk = &cluster.world.machines[fault.node].disk;
    if !fault.seed.is_multiple_of(4) {
        disk.die_after(1 + fault.seed % MAX_OPERATIONS_BEFORE_DEATH);
        let until = cluster.world.executor.now() + DEATH_WITHIN;
        while !disk.is_unmounted() && cluster.world.executor.now() < until {
            cluster.sleep(Duration::from_micros(100)).await;
        }
    }
    cluster.crash(fault.node, crash);
}

/// Kills a process. If it led a cluster that had settled, another node leads soon: its closed port is
/// evidence.
async fn kill(cluster: &Arc<Cluster>, fault: &PlannedFault, campaigns_may_rest: bool) {
    let node = fault.node;
    let is_alone = fault.is_alone() && !campaigns_may_rest;
    let led = is_alone && cluster.is_settled() && cluster.leader() == Some(node);
    die(cluster, fault, Crash::Process).await;
    let executor = &cluster.world.executor;
    let until = executor.now() + SUCCESSOR_WITHIN;
    while led && cluster.leader().is_none_or(|leader| leader == node) {
        if executor.now() >= until {
            let facts = format!("n{} was killed", node + 1);
            return cluster.world.invariants().violate("a leader by suspicion", executor.now(), facts);
        }
        cluster.sleep(Duration::from_millis(1)).await;
    }
}

/// Kills the leader once it is in the middle of a change of voters, and starts it again after `pause`.
async fn kill_during_change(cluster: &Arc<Cluster>, pause: Duration) {
    let until = cluster.world.executor.now() + REPLACED_WITHIN;
    while cluster.world.executor.now() < until {
        let joint = cluster.world.invariants().joint;
        if let Some(leader) = cluster.leader().filter(|_| joint) {
            cluster.crash(leader, Crash::Process);
            cluster.sleep(pause).await;
            return cluster.start(leader);
        }
        cluster.sleep(Duration::from_micros(500)).await;
    }
}

async fn link_fault(cluster: &Arc<Cluster>, fault: &PlannedFault) {
    let PlannedFault { kind, node, duration, seed, .. } = *fault;
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    match kind {
        Fault::Isolate => isolate(cluster, node),
        Fault::OneWay => {
            let other = (node + random.random_range(1..cluster.size() as u64) as usize) % cluster.size();
            let (from, to) = if random.random() { (node, other) } else { (other, node) };
            cut(cluster, from, to);
        }
        Fault::Gaps => {
            let until = cluster.world.executor.now() + duration;
            while cluster.world.executor.now() < until {
                isolate(cluster, node);
                cluster.sleep(Duration::from_millis(random.random_range(100..250))).await;
                mend_links(cluster);
                cluster.sleep(Duration::from_millis(random.random_range(500..2000))).await;
            }
            return;
        }
        _ => {
            for (from, to) in links(cluster) {
                let link = Link {
                    delay: Duration::from_millis(random.random_range(0..30)),
                    jitter: Duration::from_millis(random.random_range(0..100)),
                    lost_permille: random.random_range(0..100),
                    rate: Some(random.random_range(10_000..1_000_000)),
                    cut: false,
                };
                cluster.world.network.set_link(from, to, link);
            }
        }
    }
    cluster.sleep(duration).await;
    mend_links(cluster);
}

async fn disk_fault(cluster: &Arc<Cluster>, fault: &PlannedFault) {
    let healthy = Condition::default();
    let mut random = Pcg64Mcg::seed_from_u64(fault.seed);
    let disk = &cluster.world.machines[fault.node].disk;
    let condition = match fault.kind {
        Fault::SlowDisk => Condition {
            delay: Duration::from_millis(random.random_range(0..100)),
            jitter: Duration::from_millis(400),
            ..healthy
        },
        Fault::HungDisk => Condition { hangs: true, ..healthy },
        Fault::FullDisk => Condition { limit: Some(disk.used()), ..healthy },
        _ => Condition { failing_permille: 200, ..healthy },
    };
    disk.set_condition(condition);
    cluster.sleep(fault.duration).await;
    disk.set_condition(healthy);
}

fn clock_fault(cluster: &Cluster, fault: &PlannedFault) {
    let mut random = Pcg64Mcg::seed_from_u64(fault.seed);
    if fault.kind == Fault::Sleep {
        return cluster.world.suspend_all(Duration::from_millis(random.random_range(0..MAX_SLEEP_MS)));
    }
    let clocks = cluster.world.clocks(fault.node);
    let set = match fault.kind {
        Fault::ClockStep => Clocks { wall_ms: random.random_range(-MAX_STEP_MS..MAX_STEP_MS), ..clocks },
        Fault::ClockJump => {
            let max_ms = MAX_JUMPS_MS[random.random_range(0..MAX_JUMPS_MS.len())];
            Clocks { wall_ms: random.random_range(-max_ms..max_ms), ..clocks }
        }
        _ => Clocks { drift_ppm: random.random_range(-MAX_DRIFT_PPM..MAX_DRIFT_PPM), ..clocks },
    };
    cluster.world.set_clocks(fault.node, set);
}

/// Raises false alarms at the followers in turn, each after the evidence of the one before has expired.
async fn false_alarms(cluster: &Arc<Cluster>, fault: &PlannedFault) {
    let mut random = Pcg64Mcg::seed_from_u64(fault.seed);
    let until = cluster.world.executor.now() + fault.duration;
    let mut node = fault.node;
    while cluster.world.executor.now() < until {
        node = (node + 1) % cluster.size();
        if cluster.leader() != Some(node) {
            cluster.raise_false_alarm(node);
            cluster.sleep(Duration::from_millis(random.random_range(600..1200))).await;
        }
    }
}

fn links(cluster: &Cluster) -> impl Iterator<Item = (usize, usize)> {
    let size = cluster.size();
    (0..size).flat_map(move |from| (0..size).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn cut(cluster: &Cluster, from: usize, to: usize) {
    let link = cluster.world.network.link(from, to);
    cluster.world.network.set_link(from, to, Link { cut: true, ..link });
}

fn isolate(cluster: &Cluster, node: usize) {
    links(cluster)
        .filter(|(from, to)| [*from, *to].contains(&node))
        .for_each(|(from, to)| cut(cluster, from, to));
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

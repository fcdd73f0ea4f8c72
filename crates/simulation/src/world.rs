//! The world of the nodes: executor, network, disks and clocks as one [`World`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use control_plane::world::files::Disk;
use control_plane::world::net::{Accept, Pipe};
use control_plane::world::{Note, Operation, Task, Timer, World};

use crate::disk::{Mounted, SimulatedDisk};
use crate::executor::{Executor, Process};
use crate::invariants::Invariants;
use crate::network::Network;

/// Wall clock at the start of a simulation: 1 January 2026.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
/// Parts of a whole rate.
const MILLION: i128 = 1_000_000;

/// Clocks of one machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clocks {
    /// Deviation of the monotonic clock's rate, in parts per million.
    pub drift_ppm: i32,
    /// Deviation of the wall clock.
    pub wall_ms: i64,
    /// Time for which the machine was suspended: known to its boot clock and its wall clock alone.
    pub suspended: Duration,
}

/// One machine: its disk and its clocks.
pub(crate) struct Machine {
    pub disk: Arc<SimulatedDisk>,
    clocks: Mutex<Clocks>,
    /// Global and local time at the latest change of the clocks.
    since: Mutex<(Duration, Duration)>,
}

/// The world of a simulation.
pub(crate) struct SimulatedWorld {
    pub executor: Arc<Executor>,
    pub network: Arc<Network>,
    pub machines: Vec<Machine>,
    pub invariants: Mutex<Invariants>,
    /// Time for which all machines were suspended.
    suspended: Mutex<Duration>,
    /// Any instant: simulated times are offsets from it.
    base: Instant,
}

impl SimulatedWorld {
    pub(crate) fn new(seed: u64, nodes: usize) -> Arc<Self> {
        let executor = Arc::new(Executor::new(seed));
        let machine = |_| Machine {
            disk: SimulatedDisk::new(Arc::clone(&executor)),
            clocks: Mutex::default(),
            since: Mutex::default(),
        };
        Arc::new(Self {
            network: Arc::new(Network::new(Arc::clone(&executor))),
            machines: (0..nodes).map(machine).collect(),
            invariants: Mutex::default(),
            suspended: Mutex::default(),
            base: base(),
            executor,
        })
    }

    /// Returns the clocks of a node.
    pub(crate) fn clocks(&self, node: usize) -> Clocks {
        *lock(&self.machines[node].clocks)
    }

    /// Changes the clocks of a node. The monotonic clock goes on from where it is.
    pub(crate) fn set_clocks(&self, node: usize, clocks: Clocks) {
        let machine = &self.machines[node];
        let now = self.executor.now();
        let local = machine.local_time(now);
        *lock(&machine.since) = (now, local);
        *lock(&machine.clocks) = clocks;
    }

    /// Returns the invariants.
    pub(crate) fn invariants(&self) -> MutexGuard<'_, Invariants> {
        lock(&self.invariants)
    }

    /// Suspends all machines: for every boot clock and wall clock `duration` passes, and nothing happens.
    pub(crate) fn suspend_all(&self, duration: Duration) {
        *lock(&self.suspended) += duration;
        for node in 0..self.machines.len() {
            let clocks = self.clocks(node);
            self.set_clocks(node, Clocks { suspended: clocks.suspended + duration, ..clocks });
        }
    }

    /// Returns the time that has passed, that of suspended machines included.
    pub(crate) fn real_time(&self) -> Duration {
        self.executor.now() + *lock(&self.suspended)
    }

    fn process(&self) -> Process {
        self.executor.running().expect("only tasks of a node use the network and the disk")
    }

    fn machine(&self) -> Option<&Machine> {
        self.executor.running().map(|process| &self.machines[process.node])
    }
}

impl Machine {
    /// Returns the time by the monotonic clock at a moment.
    fn local_time(&self, global: Duration) -> Duration {
        let (global_then, local_then) = *lock(&self.since);
        let passed = global.saturating_sub(global_then).as_nanos() as i128;
        local_then + nanos(passed * (MILLION + self.drift_ppm()) / MILLION)
    }

    /// Returns the moment at which the monotonic clock reaches a time. Rounded up: no timer fires early.
    fn global_time(&self, local: Duration) -> Duration {
        let (global_then, local_then) = *lock(&self.since);
        let left = local.saturating_sub(local_then).as_nanos() as i128;
        global_then + nanos(left * MILLION / (MILLION + self.drift_ppm()) + 1)
    }

    fn drift_ppm(&self) -> i128 {
        i128::from(lock(&self.clocks).drift_ppm)
    }
}

fn nanos(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "an origin for instants, whose value has no effect")]
fn base() -> Instant {
    Instant::now()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World for SimulatedWorld {
    fn now(&self) -> Instant {
        let now = self.executor.look_at_clock();
        self.base + self.machine().map_or(now, |machine| machine.local_time(now))
    }

    fn unix_time(&self) -> Duration {
        let time = EPOCH + self.executor.now();
        let Some(process) = self.executor.running() else { return time };
        let Clocks { wall_ms, suspended, .. } = self.clocks(process.node);
        let (time, deviation) = (time + suspended, Duration::from_millis(wall_ms.unsigned_abs()));
        if wall_ms < 0 { time.saturating_sub(deviation) } else { time + deviation }
    }

    fn boot_time(&self) -> Duration {
        let now = self.executor.look_at_clock();
        self.machine().map_or(now, |machine| machine.local_time(now) + lock(&machine.clocks).suspended)
    }

    fn random(&self) -> u64 {
        self.executor.random()
    }

    fn timer(&self, at: Instant) -> Arc<Timer> {
        let local = at.saturating_duration_since(self.base);
        let at = self.machine().map_or(local, |machine| machine.global_time(local));
        self.executor.timer(self.executor.running(), at)
    }

    fn spawn(&self, task: Task) {
        self.executor.spawn(self.executor.running(), task);
    }

    fn disk_time(&self) -> Operation<()> {
        let process = self.process();
        let (executor, disk) = (Arc::clone(&self.executor), Arc::clone(&self.machines[process.node].disk));
        Box::pin(async move {
            loop {
                let condition = disk.condition();
                let jitter = condition.jitter.as_nanos().max(1) as u64;
                let time = condition.delay + Duration::from_nanos(executor.random() % jitter);
                let timer = executor.timer(Some(process), executor.now() + time);
                std::future::poll_fn(|cx| timer.poll(cx)).await;
                if !disk.condition().hangs {
                    return Ok(());
                }
            }
        })
    }

    fn disk(&self) -> Arc<dyn Disk> {
        // Drop code of an ended process comes here too; its handles fail.
        let process = self.process();
        Arc::new(Mounted { disk: Arc::clone(&self.machines[process.node].disk), process: Some(process) })
    }

    fn connect(&self, address: SocketAddr) -> Operation<Pipe> {
        self.network.connect(self.process(), address)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Arc<dyn Accept>> {
        self.network.listen(self.process(), address)
    }

    fn note(&self, note: Note<'_>) {
        let process = self.process();
        let at = self.executor.now();
        lock(&self.invariants).note(at, process.node, &note);
    }
}

//! The world of the nodes: executor, network, disks and clocks as one [`World`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use control_plane::world::files::Disk;
use control_plane::world::net::{Accept, Pipe};
use control_plane::world::{Note, Operation, Task, Timer, World};

use crate::disk::{Mounted, SimulatedDisk};
use crate::executor::{Executor, Owner, Process};
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
}

/// One machine: its disk and its clocks.
pub(crate) struct Machine {
    pub disk: Arc<SimulatedDisk>,
    clocks: Mutex<Clocks>,
}

/// The world of a simulation.
pub(crate) struct SimulatedWorld {
    pub executor: Arc<Executor>,
    pub network: Arc<Network>,
    pub machines: Vec<Machine>,
    pub invariants: Mutex<Invariants>,
    /// Any instant: simulated times are offsets from it.
    base: Instant,
}

impl SimulatedWorld {
    pub(crate) fn new(seed: u64, nodes: usize) -> Arc<Self> {
        let executor = Arc::new(Executor::new(seed));
        let machine =
            |_| Machine { disk: SimulatedDisk::new(Arc::clone(&executor)), clocks: Mutex::default() };
        Arc::new(Self {
            network: Arc::new(Network::new(Arc::clone(&executor))),
            machines: (0..nodes).map(machine).collect(),
            invariants: Mutex::default(),
            base: base(),
            executor,
        })
    }

    /// Returns the clocks of a node.
    pub(crate) fn clocks(&self, node: usize) -> Clocks {
        *lock(&self.machines[node].clocks)
    }

    /// Changes the clocks of a node. The monotonic clock never goes back.
    pub(crate) fn set_clocks(&self, node: usize, clocks: Clocks) {
        *lock(&self.machines[node].clocks) = clocks;
    }

    /// Returns the invariants.
    pub(crate) fn invariants(&self) -> MutexGuard<'_, Invariants> {
        lock(&self.invariants)
    }

    fn process(&self) -> Process {
        self.executor.running().expect("only tasks of a node use the network and the disk")
    }

    fn drift_ppm(&self, owner: Owner) -> i128 {
        owner.map_or(0, |process| i128::from(self.clocks(process.node).drift_ppm))
    }

    fn local_time(&self, owner: Owner) -> Duration {
        let now = self.executor.look_at_clock();
        let drift = now.as_nanos() as i128 * self.drift_ppm(owner) / MILLION;
        Duration::from_nanos((now.as_nanos() as i128 + drift) as u64)
    }
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
        self.base + self.local_time(self.executor.running())
    }

    fn unix_time(&self) -> Duration {
        let time = EPOCH + self.executor.now();
        let Some(process) = self.executor.running() else { return time };
        let deviation = Duration::from_millis(self.clocks(process.node).wall_ms.unsigned_abs());
        if self.clocks(process.node).wall_ms < 0 { time.saturating_sub(deviation) } else { time + deviation }
    }

    fn random(&self) -> u64 {
        self.executor.random()
    }

    fn timer(&self, at: Instant) -> Arc<Timer> {
        let owner = self.executor.running();
        let local = at.saturating_duration_since(self.base).as_nanos() as i128;
        let global = local * MILLION / (MILLION + self.drift_ppm(owner));
        // Rounded up: a timer does not fire early.
        let at = Duration::from_nanos(u64::try_from(global).unwrap_or(u64::MAX).saturating_add(1));
        self.executor.timer(owner, at)
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

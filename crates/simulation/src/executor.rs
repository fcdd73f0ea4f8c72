//! Tasks, timers and the simulated clock.
//!
//! One thread polls all tasks of all nodes. Among the tasks that are ready, the random numbers of the seed
//! choose the next; a poll takes no simulated time. Once no task is ready, the clock advances to the next
//! timer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use control_plane::world::{Task, Timer};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Polls without an advance of the clock after which a simulation counts as a livelock.
const MAX_POLLS_PER_INSTANT: u64 = 1_000_000;
/// Looks at the clock in one poll after which a task counts as one that waits by looking.
const MAX_LOOKS_PER_POLL: u64 = 1_000_000;
/// Timers above which the timers given up are removed.
const TIMERS_KEPT: usize = 4096;

/// A run of a node's process: the node, and the number of starts before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub node: usize,
    pub start: u32,
}

/// Owner of a task or timer: a process, or the simulation itself.
pub(crate) type Owner = Option<Process>;

type TaskId = u64;

/// The executor of a simulation.
pub(crate) struct Executor {
    schedule: Mutex<Schedule>,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

struct Schedule {
    now: Duration,
    random: Pcg64Mcg,
    tasks: BTreeMap<TaskId, OwnedTask>,
    timers: BinaryHeap<Reverse<(Duration, u64, u64, OwnedTimer)>>,
    next_id: u64,
    running: Owner,
    /// Nodes whose processes do not run.
    suspended: BTreeSet<usize>,
    /// Ready tasks and fired timers of suspended nodes.
    held: Vec<(usize, Held)>,
    /// Hash of every decision.
    hash: u64,
    polls: u64,
    polls_at_now: u64,
    /// Looks at the clock since the poll began.
    looks: u64,
    /// Timers at the latest removal of the timers given up.
    swept: usize,
}

struct OwnedTask {
    owner: Owner,
    /// None while the task is polled.
    task: Option<Task>,
    waker: Waker,
}

struct OwnedTimer {
    owner: Owner,
    timer: Arc<Timer>,
}

enum Held {
    Task(TaskId),
    Timer(Arc<Timer>),
}

// Timers are ordered by time, then by a random number, then by their own number; never by content.
impl PartialEq for OwnedTimer {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for OwnedTimer {}

impl PartialOrd for OwnedTimer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OwnedTimer {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

struct TaskWaker {
    id: TaskId,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.ready).insert(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// End of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A task was polled, or the clock advanced.
    Done,
    /// No task is ready and no timer is left.
    Idle,
    /// The tasks poll each other without end.
    Livelock,
}

impl Executor {
    pub(crate) fn new(seed: u64) -> Self {
        let schedule = Schedule {
            now: Duration::ZERO,
            random: Pcg64Mcg::seed_from_u64(seed),
            tasks: BTreeMap::new(),
            timers: BinaryHeap::new(),
            next_id: 0,
            running: None,
            suspended: BTreeSet::new(),
            held: Vec::new(),
            hash: 0xcbf2_9ce4_8422_2325,
            polls: 0,
            polls_at_now: 0,
            looks: 0,
            swept: TIMERS_KEPT,
        };
        Self { schedule: Mutex::new(schedule), ready: Arc::default() }
    }

    /// Returns the simulated time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.schedule().now
    }

    /// Returns the simulated time to a node.
    ///
    /// # Panics
    /// If one poll asks without end: simulated time passes between polls only.
    pub(crate) fn look_at_clock(&self) -> Duration {
        let mut schedule = self.schedule();
        schedule.looks += 1;
        if schedule.looks > MAX_LOOKS_PER_POLL {
            drop(schedule);
            panic!("a task waits by looking at the clock");
        }
        schedule.now
    }

    /// Returns the owner of the running task.
    pub(crate) fn running(&self) -> Owner {
        self.schedule().running
    }

    /// Returns the next random number.
    pub(crate) fn random(&self) -> u64 {
        self.schedule().random.random()
    }

    /// Returns the hash of every decision so far.
    pub(crate) fn hash(&self) -> u64 {
        self.schedule().hash
    }

    /// Returns the number of polls so far.
    pub(crate) fn polls(&self) -> u64 {
        self.schedule().polls
    }

    /// Starts a task of `owner`.
    pub(crate) fn spawn(&self, owner: Owner, task: Task) {
        let mut schedule = self.schedule();
        let id = schedule.take_id();
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: Arc::clone(&self.ready) }));
        schedule.tasks.insert(id, OwnedTask { owner, task: Some(task), waker });
        lock(&self.ready).insert(id);
    }

    /// Starts a timer of `owner` that fires at `at`.
    pub(crate) fn timer(&self, owner: Owner, at: Duration) -> Arc<Timer> {
        let timer = Arc::new(Timer::default());
        self.fire_at(owner, at, Arc::clone(&timer));
        timer
    }

    /// Fires `timer` at `at`.
    pub(crate) fn fire_at(&self, owner: Owner, at: Duration, timer: Arc<Timer>) {
        let mut schedule = self.schedule();
        let (at, id, order) = (at.max(schedule.now), schedule.take_id(), schedule.random.random());
        schedule.timers.push(Reverse((at, order, id, OwnedTimer { owner, timer })));
        if schedule.timers.len() > 2 * schedule.swept {
            // The executor's own handle is the last of a timer that was given up.
            schedule.timers.retain(|Reverse((.., timer))| Arc::strong_count(&timer.timer) > 1);
            schedule.swept = schedule.timers.len().max(TIMERS_KEPT);
        }
    }

    /// Suspends the processes of a node: no task of the node runs until [`Self::resume`].
    pub(crate) fn suspend(&self, node: usize) {
        self.schedule().suspended.insert(node);
    }

    /// True for a stopped node.
    pub(crate) fn is_suspended(&self, node: usize) -> bool {
        self.schedule().suspended.contains(&node)
    }

    /// Ends [`Self::suspend`].
    pub(crate) fn resume(&self, node: usize) {
        let released: Vec<Held> = {
            let mut schedule = self.schedule();
            schedule.suspended.remove(&node);
            let held = std::mem::take(&mut schedule.held);
            let (released, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|(of, _)| *of == node);
            schedule.held = held;
            released.into_iter().map(|(_, held)| held).collect()
        };
        for held in released {
            match held {
                Held::Task(id) => drop(lock(&self.ready).insert(id)),
                Held::Timer(timer) => timer.fire(),
            }
        }
    }

    /// Ends every task of a process. Whatever the tasks do when dropped, they do as the ended process.
    pub(crate) fn end(&self, process: Process) {
        loop {
            let dropped: Vec<OwnedTask> = {
                let mut schedule = self.schedule();
                let ids: Vec<TaskId> = schedule
                    .tasks
                    .iter()
                    .filter(|(_, task)| task.owner == Some(process))
                    .map(|(id, _)| *id)
                    .collect();
                ids.iter().filter_map(|id| schedule.tasks.remove(id)).collect()
            };
            if dropped.is_empty() {
                return;
            }
            let outer = self.schedule().running.replace(process);
            drop(dropped);
            self.schedule().running = outer;
        }
    }

    /// Drops every task.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut self.schedule().tasks);
        for (_, task) in tasks {
            self.run_as(task.owner, || drop(task.task));
        }
    }

    /// Runs `work` as the owner.
    pub(crate) fn run_as<T>(&self, owner: Owner, work: impl FnOnce() -> T) -> T {
        let outer = std::mem::replace(&mut self.schedule().running, owner);
        let done = work();
        self.schedule().running = outer;
        done
    }

    /// Polls one ready task, or advances the clock to the next timer.
    pub(crate) fn step(&self) -> Step {
        match self.next_ready() {
            Some(id) => self.poll(id),
            None => self.advance(),
        }
    }

    fn next_ready(&self) -> Option<TaskId> {
        let mut schedule = self.schedule();
        let mut ready = lock(&self.ready);
        while !ready.is_empty() {
            let chosen = match ready.len() {
                1 => 0,
                len => schedule.random.random_range(0..len),
            };
            let id = ready.iter().nth(chosen).copied().expect("the index is below the length");
            ready.remove(&id);
            let Some(owner) = schedule.tasks.get(&id).map(|task| task.owner) else { continue };
            match owner.filter(|owner| schedule.suspended.contains(&owner.node)) {
                Some(owner) => schedule.held.push((owner.node, Held::Task(id))),
                None => return Some(id),
            }
        }
        None
    }

    fn poll(&self, id: TaskId) -> Step {
        let (mut task, waker, outer) = {
            let mut schedule = self.schedule();
            schedule.polls += 1;
            schedule.polls_at_now += 1;
            schedule.looks = 0;
            if schedule.polls_at_now > MAX_POLLS_PER_INSTANT {
                return Step::Livelock;
            }
            schedule.mix(&id.to_le_bytes());
            let entry = schedule.tasks.get_mut(&id).expect("only tasks that exist are chosen");
            let (owner, waker) = (entry.owner, entry.waker.clone());
            let task = entry.task.take().expect("a task is polled once at a time");
            let outer = std::mem::replace(&mut schedule.running, owner);
            (task, waker, outer)
        };
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        let ended = {
            let mut schedule = self.schedule();
            match (polled, schedule.tasks.get_mut(&id)) {
                (Poll::Pending, Some(entry)) => {
                    entry.task = Some(task);
                    None
                }
                // Dropped below, still as its owner; or the process ended meanwhile.
                _ => {
                    schedule.tasks.remove(&id);
                    Some(task)
                }
            }
        };
        drop(ended);
        self.schedule().running = outer;
        Step::Done
    }

    fn advance(&self) -> Step {
        let timer = {
            let mut schedule = self.schedule();
            let Some(Reverse((at, _, id, timer))) = schedule.timers.pop() else { return Step::Idle };
            if at > schedule.now {
                schedule.now = at;
                schedule.polls_at_now = 0;
            }
            if Arc::strong_count(&timer.timer) == 1 {
                return Step::Done;
            }
            schedule.mix(&id.to_le_bytes());
            schedule.mix(&(at.as_nanos() as u64).to_le_bytes());
            if let Some(owner) = timer.owner.filter(|owner| schedule.suspended.contains(&owner.node)) {
                schedule.held.push((owner.node, Held::Timer(timer.timer)));
                return Step::Done;
            }
            timer.timer
        };
        timer.fire();
        Step::Done
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        lock(&self.schedule)
    }
}

impl Schedule {
    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// FNV-1a.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

//! Environment of a node: clock, tasks, random numbers, network and files.
//!
//! A process uses tokio and the operating system. A thread that has entered a [`World`] uses that world
//! instead, through the same functions: a simulation runs whole clusters on one thread, by its own clock and
//! its own schedule. The rest of the crate reads no clock, spawns no task and opens no file by other means.
//!
//! | module | functions |
//! |---|---|
//! | [`clock`] | time, sleeping, time limits |
//! | [`task`] | tasks, blocking work |
//! | [`net`] | connections and listeners |
//! | [`files`] | files and folders |
//! | [`mod@random`] | random numbers |

#[expect(clippy::disallowed_methods, reason = "the clock of a process")]
pub mod clock;
#[expect(clippy::disallowed_methods, reason = "the files of a process")]
pub mod files;
pub mod net;
#[expect(clippy::disallowed_methods, reason = "the random numbers of a process")]
pub mod random;
#[expect(clippy::disallowed_methods, reason = "the tasks of a process")]
pub mod task;

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use clock::Timer;
pub(crate) use random::random;

use crate::types::{LogId, Vote};

/// A task of a world.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// An operation of a world.
pub type Operation<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Environment in place of the operating system. Every method is called on the thread that entered the
/// world, and concerns the node whose task runs at the moment.
pub trait World: Send + Sync {
    /// Returns the time by the monotonic clock of the node.
    fn now(&self) -> Instant;

    /// Returns the time since the Unix epoch by the wall clock of the node.
    fn unix_time(&self) -> Duration;

    /// Returns the time since the start of the node's machine, the time of a suspended machine included.
    fn boot_time(&self) -> Duration;

    /// Returns the next random number.
    fn random(&self) -> u64;

    /// Starts a timer that fires at `at`, by the monotonic clock of the node.
    fn timer(&self, at: Instant) -> Arc<Timer>;

    /// Starts a task of the node.
    fn spawn(&self, task: Task);

    /// Waits for one operation on the disk of the node.
    fn disk_time(&self) -> Operation<()>;

    /// Returns the disk of the node.
    fn disk(&self) -> Arc<dyn files::Disk>;

    /// Opens a connection from the node.
    fn connect(&self, address: SocketAddr) -> Operation<net::Pipe>;

    /// Listens at an address of the node.
    ///
    /// # Errors
    /// If the address is in use.
    fn listen(&self, address: SocketAddr) -> io::Result<Arc<dyn net::Accept>>;

    /// Takes note of a fact about the node.
    fn note(&self, note: Note<'_>);
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn World>>> = const { RefCell::new(None) };
}

/// A thread's stay in a world; the thread leaves the world when the value is dropped.
pub struct Entered {
    previous: Option<Arc<dyn World>>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Dropped outside of the cell: a world may ask for itself when it ends.
        drop(CURRENT.replace(self.previous.take()));
    }
}

/// Enters a world on the calling thread.
pub fn enter(world: Arc<dyn World>) -> Entered {
    Entered { previous: CURRENT.replace(Some(world)) }
}

/// Returns the time by the monotonic clock of the running node, for deadlines.
pub fn now() -> Instant {
    clock::now()
}

/// Returns the world of the thread; none for the operating system.
pub(crate) fn current() -> Option<Arc<dyn World>> {
    // A thread that ends has no world any more.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// A fact about the running node, for the invariants of a simulation.
pub enum Note<'a> {
    /// The node founds a cluster.
    Founds,
    /// An entry was applied.
    Applied {
        /// Its term and index.
        id: &'a LogId,
        /// Content of the entry, as text.
        content: &'a dyn fmt::Display,
        /// True for a joint configuration of voters; none for an entry without a membership.
        is_joint: Option<bool>,
    },
    /// The log was opened, with this vote and this last entry.
    Opened {
        /// The stored vote.
        vote: Option<&'a Vote>,
        /// The last entry, or the last that a snapshot replaced.
        last: Option<&'a LogId>,
    },
    /// The node is bound to a vote: other nodes learn of it.
    Promised(&'a Vote),
    /// An entry was added to the end of the log.
    Appended {
        /// The entry before.
        previous: Option<&'a LogId>,
        /// Its term and index.
        id: &'a LogId,
        /// Content of the entry, as text.
        content: &'a dyn fmt::Display,
    },
    /// The entries up to an index are durable.
    Durable {
        /// The index.
        index: u64,
    },
    /// Entries are gone from the end of the log.
    Truncated {
        /// The first of the entries.
        from: u64,
    },
    /// The state of a leader's snapshot took the place of the node's own.
    Installed {
        /// The last entry of the snapshot.
        index: u64,
    },
    /// A leader begins to change the voters.
    ChangesVoters {
        /// Names of the voters after the change that are none before.
        added: &'a [&'a str],
        /// The last entry of the leader's log.
        last: u64,
    },
    /// The node requests an election on evidence.
    Campaigns {
        /// Term of the suspected leader.
        against: u64,
    },
    /// The node put a new data directory in the place of one that had lost votes or entries.
    SetAside,
    /// A leader finishes the joint change of an earlier leader.
    ResumesChange,
    /// The node leads in a term.
    Leads {
        /// The term.
        term: u64,
        /// The last entry of the node's log.
        last: Option<&'a LogId>,
    },
}

/// Notes a fact about the running node. Without effect outside of a world.
pub(crate) fn note(note: Note<'_>) {
    if let Some(world) = current() {
        world.note(note);
    }
}

//! The open connections: decisions by [`admission`](super::admission), carried out here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::admission::{Admission, Arrival, ConnectionId, Rules, Source, Verdict};

/// Longest wait of a request for a place.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(1);
/// Interval of retries, besides those on a freed place: connections become old enough to be closed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Reason for closing a connection, or for refusing a request, for lack of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An idle connection, closed to make room.
    Displaced,
    /// A request in the lobby that got no place.
    Refused,
    /// Every place of the lobby had a request in flight.
    LobbyFull,
}

/// Figures of the listener.
#[derive(Debug)]
pub(crate) struct ConnectionFigures {
    /// Numbers of places, within the limit on descriptors.
    pub(crate) rules: Rules,
    open: AtomicU64,
    counts: [AtomicU64; 3],
}

impl ConnectionFigures {
    /// All figures at zero.
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self { rules, open: AtomicU64::new(0), counts: Default::default() })
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Number of closed connections and refused requests with this reason.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Ordering::Relaxed)
    }

    fn add(&self, reason: Reason) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct OpenConnections {
    held: Mutex<Held>,
    figures: Arc<ConnectionFigures>,
    /// Notified when a waiting request may find a place.
    freed: Notify,
}

#[derive(Debug)]
struct Held {
    admission: Admission,
    /// Dropped to close a connection.
    open: HashMap<ConnectionId, oneshot::Sender<()>>,
}

impl OpenConnections {
    /// No open connections.
    pub(super) fn new(figures: Arc<ConnectionFigures>) -> Arc<Self> {
        let held = Held { admission: Admission::new(figures.rules), open: HashMap::new() };
        Arc::new(Self { held: Mutex::new(held), figures, freed: Notify::new() })
    }

    /// Admits a connection, possibly by closing another; `None` if even the lobby is full. The receiver ends
    /// when the connection is to be closed.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Option<(ConnectionPermit, oneshot::Receiver<()>)> {
        let (keep, closed) = oneshot::channel();
        let arrival = self.decide(|held| {
            let arrival = held.admission.arrive(Source::of(address), Instant::now());
            if let Some(id) = arrival.id {
                held.open.insert(id, keep);
            }
            (arrival, arrival.closed)
        });
        let Arrival { id: Some(id), in_lobby, .. } = arrival else {
            self.figures.add(Reason::LobbyFull);
            return None;
        };
        let permit =
            ConnectionPermit { open: Arc::clone(self), id, in_lobby, answered: AtomicBool::new(false) };
        Some((permit, closed))
    }

    /// Closes an idle connection, if any, when the system is short of descriptors.
    pub(super) fn relieve(&self) {
        self.decide(|held| ((), held.admission.relieve()));
    }

    /// Number of open connections.
    pub(super) fn count(&self) -> usize {
        self.lock().admission.count()
    }

    /// Decides, and closes the connection that has to make room.
    fn decide<T>(&self, decide: impl FnOnce(&mut Held) -> (T, Option<ConnectionId>)) -> T {
        let mut held = self.lock();
        let (decision, closed) = decide(&mut held);
        let closed = closed.and_then(|id| held.open.remove(&id));
        self.figures.open.store(held.admission.count() as u64, Ordering::Relaxed);
        drop(held);
        if closed.is_some() {
            self.figures.add(Reason::Displaced);
        }
        decision
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decision on a request's turn to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Served, and the connection stays open.
    Yes,
    /// Served, and the connection ends with the answer.
    Once,
    /// Not served.
    No,
}

/// One connection; removed from the open ones on drop.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    open: Arc<OpenConnections>,
    id: ConnectionId,
    in_lobby: bool,
    /// True once the body of the latest answer is complete, while the last bytes may still be unsent.
    answered: AtomicBool,
}

impl ConnectionPermit {
    /// True for a connection that began in the lobby.
    pub(super) fn began_in_lobby(&self) -> bool {
        self.in_lobby
    }

    /// Admits a request whose head was read; without a place, waits for one within a time limit.
    pub(super) async fn begin(&self, is_health: bool) -> Turn {
        self.answered.store(false, Ordering::Relaxed);
        let begun = self.open.decide(|held| {
            let verdict = held.admission.begin(self.id, is_health, Instant::now());
            let closed = if let Verdict::Serve(closed) = verdict { closed } else { None };
            (verdict, closed)
        });
        match begun {
            Verdict::Serve(_) => Turn::Yes,
            Verdict::ServeAndClose => Turn::Once,
            Verdict::Wait if self.wait().await => Turn::Yes,
            Verdict::Wait | Verdict::Refuse => {
                self.open.figures.add(Reason::Refused);
                self.open.decide(|held| (held.admission.give_up(self.id), None));
                Turn::No
            }
        }
    }

    async fn wait(&self) -> bool {
        let waiting = async {
            loop {
                let freed = self.open.freed.notified();
                if self.take_place() {
                    return;
                }
                let _ = tokio::time::timeout(LOOK_AGAIN, freed).await;
            }
        };
        tokio::time::timeout(WAIT_FOR_PLACE, waiting).await.is_ok()
    }

    fn take_place(&self) -> bool {
        self.open.decide(|held| {
            let taken = held.admission.take_place(self.id, Instant::now());
            (taken.is_some(), taken.flatten())
        })
    }

    /// Records that the body of an answer is complete.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Records that the system has taken all bytes to be sent.
    pub(super) fn flushed(&self) {
        if self.answered.swap(false, Ordering::Relaxed) {
            let waiting = self.open.decide(|held| {
                held.admission.end(self.id, Instant::now());
                (held.admission.waiting() > 0, None)
            });
            self.tell(waiting);
        }
    }

    fn tell(&self, waiting: bool) {
        if waiting {
            self.open.freed.notify_waiters();
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let waiting = self.open.decide(|held| {
            held.admission.leave(self.id);
            held.open.remove(&self.id);
            (held.admission.waiting() > 0, None)
        });
        self.tell(waiting);
    }
}

//! Admission of HTTP connections: rules without I/O that admit connections and close idle ones to make room.
//! The time is an argument.
//!
//! - A connection is *busy* from the head of a request to the last byte of the answer, otherwise *idle*, even
//!   while a head arrives byte by byte. Only idle connections are closed for others, and only when places are
//!   short.
//! - One address holds at most three quarters of the places. Beyond the quota the address's own idle
//!   connections are closed, the oldest first. A lone address, such as a proxy's, may use the whole quota.
//! - When all places are taken, the oldest idle connection of the address with the most places makes room,
//!   unless the newcomer's address holds as many.
//! - A connection without a place enters the *lobby*, where its first request is read: health calls are
//!   served from the lobby; other requests get a place freed meanwhile, or wait for a moment.
//!   [`HEALTH_PLACES`] of the lobby are closed to waiting requests. When the lobby is full, its oldest
//!   connection without a request makes room.
//! - The newest connections are closed last, since their requests are in flight.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Lobby places reserved for health calls and for connections whose first request is not read yet.
pub(super) const HEALTH_PLACES: usize = 16;
/// Minimum idle time of a connection that is closed before the lobby is used.
const FRESH: Duration = Duration::from_millis(100);

/// Numbers of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Ordinary places.
    pub(crate) places: usize,
    /// Lobby places, in addition to the ordinary ones; more than [`HEALTH_PLACES`].
    pub(crate) lobby: usize,
}

impl Rules {
    /// Maximum number of places per address.
    fn per_address(&self) -> usize {
        (self.places - self.places / 4).max(1)
    }
}

/// A connection, numbered in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(u64);

/// Origin of a connection: an IPv4 address, the network (/64) of an IPv6 address, or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source(Option<IpAddr>);

impl Source {
    /// Returns the origin of an address.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        }))
    }
}

/// Seat of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// An ordinary place, idle since this time.
    Idle(Instant),
    /// An ordinary place, with a request in flight.
    Busy,
    /// The lobby, before the first request is read.
    Lobby,
    /// The lobby, with a health call in flight.
    Health,
    /// The lobby, waiting for an ordinary place.
    Waiting,
    /// The lobby, refused.
    Refused,
}

/// Decision about a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The connection's number; `None` to close the connection at once.
    pub(super) id: Option<ConnectionId>,
    /// True for a connection in the lobby.
    pub(super) in_lobby: bool,
    /// Another connection to close in exchange.
    pub(super) closed: Option<ConnectionId>,
}

/// Decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve the request; close the other connection, if any.
    Serve(Option<ConnectionId>),
    /// Serve the request and close the connection after the answer.
    ServeAndClose,
    /// Wait for a place.
    Wait,
    /// Refuse the request for lack of a place.
    Refuse,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    source: Source,
    seat: Seat,
}

/// Ordinary places of one address.
#[derive(Debug, Default)]
struct Account {
    held: usize,
    idle: BTreeSet<(Instant, ConnectionId)>,
}

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Admission {
    rules: Rules,
    next: u64,
    connections: HashMap<ConnectionId, Connection>,
    accounts: HashMap<Source, Account>,
    /// Addresses ordered by their number of places.
    by_held: BTreeSet<(usize, Source)>,
    /// Ordinary places taken.
    taken: usize,
    /// Connections in the lobby whose first request is not read yet.
    lobby: BTreeSet<ConnectionId>,
    in_lobby: usize,
    waiting: usize,
}

impl Admission {
    /// An admission without connections.
    pub(super) fn new(rules: Rules) -> Self {
        debug_assert!(rules.lobby > HEALTH_PLACES && rules.places > 0, "{rules:?}");
        Self {
            rules,
            next: 0,
            connections: HashMap::new(),
            accounts: HashMap::new(),
            by_held: BTreeSet::new(),
            taken: 0,
            lobby: BTreeSet::new(),
            in_lobby: 0,
            waiting: 0,
        }
    }

    /// Decides about an accepted connection.
    pub(super) fn arrive(&mut self, source: Source, now: Instant) -> Arrival {
        let lobby_is_full = self.in_lobby >= self.rules.lobby;
        let age = if lobby_is_full { Duration::ZERO } else { FRESH };
        if let Some(closed) = self.room_for(source, age, now) {
            let id = self.seat(source, Seat::Idle(now));
            return Arrival { id: Some(id), in_lobby: false, closed };
        }
        let closed = if lobby_is_full { self.oldest_in_lobby() } else { None };
        if lobby_is_full && closed.is_none() {
            return Arrival { id: None, in_lobby: true, closed: None };
        }
        closed.into_iter().for_each(|id| self.leave(id));
        Arrival { id: Some(self.seat(source, Seat::Lobby)), in_lobby: true, closed }
    }

    /// Decides about a request whose head was read on this connection.
    pub(super) fn begin(&mut self, id: ConnectionId, is_health: bool, now: Instant) -> Verdict {
        let Some(Connection { seat, .. }) = self.connections.get(&id).copied() else {
            // Closed in the meantime: nobody receives the answer.
            return Verdict::ServeAndClose;
        };
        match seat {
            Seat::Idle(_) | Seat::Busy => {
                self.change(id, Seat::Busy);
                Verdict::Serve(None)
            }
            _ if is_health => {
                self.change(id, Seat::Health);
                Verdict::ServeAndClose
            }
            _ => self.take_place(id, now).map_or_else(|| self.wait(id), Verdict::Serve),
        }
    }

    /// Retries to find a place for a waiting request. `None` without a place; otherwise the connection to
    /// close in exchange, if any.
    pub(super) fn take_place(&mut self, id: ConnectionId, now: Instant) -> Option<Option<ConnectionId>> {
        let source = self.connections.get(&id)?.source;
        let closed = self.room_for(source, FRESH, now)?;
        self.change(id, Seat::Busy);
        Some(closed)
    }

    /// Refuses a waiting request.
    pub(super) fn give_up(&mut self, id: ConnectionId) {
        self.change(id, Seat::Refused);
    }

    /// Marks the connection idle after the last byte of an answer.
    pub(super) fn end(&mut self, id: ConnectionId, now: Instant) {
        if self.connections.get(&id).is_some_and(|connection| connection.seat == Seat::Busy) {
            self.change(id, Seat::Idle(now));
        }
    }

    /// Removes a connection that ended or was closed by a decision.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        if let Some(Connection { source, seat }) = self.connections.remove(&id) {
            self.take_off(id, source, seat);
        }
    }

    /// Selects and removes an idle connection to close when the system is short of descriptors.
    pub(super) fn relieve(&mut self) -> Option<ConnectionId> {
        let idle = || Some(self.oldest_idle_of_heaviest(0)?.1);
        let closed = self.oldest_in_lobby().or_else(idle)?;
        self.leave(closed);
        Some(closed)
    }

    /// Current number of connections.
    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Number of connections waiting for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Finds room for one more connection of this address; `None` without room. If room requires closing a
    /// connection that has been idle for `age`, removes and returns that connection.
    fn room_for(&mut self, source: Source, age: Duration, now: Instant) -> Option<Option<ConnectionId>> {
        let held = self.accounts.get(&source).map_or(0, |account| account.held);
        let is_capped = held >= self.rules.per_address();
        if !is_capped && self.taken < self.rules.places {
            return Some(None);
        }
        let own = || self.accounts.get(&source)?.idle.first().copied();
        let oldest = if is_capped { own() } else { self.oldest_idle_of_heaviest(held).or_else(own) };
        let (since, closed) = oldest?;
        if now.saturating_duration_since(since) < age {
            return None;
        }
        self.leave(closed);
        Some(Some(closed))
    }
    /// Returns the oldest idle connection of the address with the most places, among addresses with more than
    /// `held` places and an idle connection.
    fn oldest_idle_of_heaviest(&self, held: usize) -> Option<(Instant, ConnectionId)> {
        let heavier = self.by_held.iter().rev().take_while(|(count, _)| *count > held);
        heavier.filter_map(|(_, source)| self.accounts.get(source)?.idle.first().copied()).next()
    }

    /// The oldest connection of the lobby whose first request is not read yet.
    fn oldest_in_lobby(&self) -> Option<ConnectionId> {
        self.lobby.first().copied()
    }

    fn wait(&mut self, id: ConnectionId) -> Verdict {
        if self.waiting < self.rules.lobby - HEALTH_PLACES {
            self.change(id, Seat::Waiting);
            return Verdict::Wait;
        }
        self.change(id, Seat::Refused);
        Verdict::Refuse
    }

    fn seat(&mut self, source: Source, seat: Seat) -> ConnectionId {
        self.next += 1;
        let id = ConnectionId(self.next);
        self.connections.insert(id, Connection { source, seat });
        self.put_on(id, source, seat);
        id
    }

    fn change(&mut self, id: ConnectionId, to: Seat) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let source = connection.source;
        let from = std::mem::replace(&mut connection.seat, to);
        // The old seat is taken off last: an account without places is removed.
        self.put_on(id, source, to);
        self.take_off(id, source, from);
    }

    fn put_on(&mut self, id: ConnectionId, source: Source, seat: Seat) {
        match seat {
            Seat::Idle(since) => {
                self.hold(source, 1);
                self.accounts.entry(source).or_default().idle.insert((since, id));
            }
            Seat::Busy => self.hold(source, 1),
            Seat::Lobby | Seat::Health | Seat::Waiting | Seat::Refused => {
                self.in_lobby += 1;
                self.waiting += usize::from(seat == Seat::Waiting);
                if seat == Seat::Lobby {
                    self.lobby.insert(id);
                }
            }
        }
    }

    fn take_off(&mut self, id: ConnectionId, source: Source, seat: Seat) {
        match seat {
            Seat::Idle(since) => {
                if let Some(account) = self.accounts.get_mut(&source) {
                    account.idle.remove(&(since, id));
                }
                self.hold(source, -1);
            }
            Seat::Busy => self.hold(source, -1),
            Seat::Lobby | Seat::Health | Seat::Waiting | Seat::Refused => {
                self.in_lobby -= 1;
                self.waiting -= usize::from(seat == Seat::Waiting);
                self.lobby.remove(&id);
            }
        }
    }

    /// Adjusts the number of ordinary places of an address.
    fn hold(&mut self, source: Source, change: isize) {
        let account = self.accounts.entry(source).or_default();
        self.by_held.remove(&(account.held, source));
        account.held = account.held.checked_add_signed(change).expect("a place is given back once");
        let held = account.held;
        if held == 0 {
            self.accounts.remove(&source);
        } else {
            self.by_held.insert((held, source));
        }
        self.taken = self.taken.checked_add_signed(change).expect("a place is given back once");
    }
}

#[cfg(test)]
mod tests;

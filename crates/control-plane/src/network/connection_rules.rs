//! Rules for connections from other nodes, without a clock and without I/O.
//!
//! A connection is *pending* until the end of the handshake, then *authenticated* under the name and purpose
//! proven with the cluster's key.
//!
//! - A connection is always accepted. Beyond [`ConnectionLimits::pending`] the oldest pending connection is
//!   closed: the oldest of the address with the most, so that a flood from one address displaces itself. The
//!   first [`PROTECTED_PER_PEER_ADDRESS`] pending connections from the address of a configured node do not
//!   count.
//! - An authenticated connection has a slot for the combination of peer and purpose, out of reach of any
//!   other peer and of pending connections. Beyond the limit the longest silent connection of the peer is
//!   closed, unless a call is in flight on each: then the new connection is refused before the end of the
//!   handshake, so that no request was sent.
//! - Names missing in this node's configuration share the slots of one peer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use super::handshake::Purpose;

/// Number of pending connections from the address of a configured node protected from a flood from other
/// addresses.
pub(super) const PROTECTED_PER_PEER_ADDRESS: usize = 8;
/// Maximum number of probe connections per peer: the current connection, a replacement, and the connections
/// of an earlier run.
const PROBE_CONNECTIONS: usize = 4;
/// Maximum number of concurrent snapshots per peer.
const SNAPSHOT_CONNECTIONS: usize = 2;
/// Number of call connections per peer in addition to the connections for forwarded reads and writes.
const RPC_CONNECTIONS_FOR_RAFT: usize = 12;

/// Limits on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Maximum number of pending connections.
    pub(super) pending: usize,
    /// Maximum number of call connections per peer.
    pub(super) rpc: usize,
    /// Maximum number of probe connections per peer.
    pub(super) probe: usize,
    /// Maximum number of snapshot connections per peer.
    pub(super) snapshot: usize,
}

impl ConnectionLimits {
    /// Returns the limits for peers with up to `calls` forwarded reads and writes each.
    pub(crate) fn new(pending: usize, calls: usize) -> Self {
        let rpc = calls + RPC_CONNECTIONS_FOR_RAFT;
        Self { pending, rpc, probe: PROBE_CONNECTIONS, snapshot: SNAPSHOT_CONNECTIONS }
    }

    /// Returns the maximum number of connections per peer.
    pub(super) fn per_peer(&self) -> usize {
        self.rpc + self.probe + self.snapshot
    }

    /// Returns the maximum number of connections of all kinds, for this number of peers.
    pub(crate) fn total(&self, peers: usize) -> usize {
        // Unlisted names count as one more peer.
        self.pending + (peers + 1) * self.per_peer()
    }

    fn per_peer_for(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Rpc => self.rpc,
            Purpose::Probe => self.probe,
            Purpose::Snapshot => self.snapshot,
        }
    }
}

/// A connection, numbered in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

/// Origin of a pending connection: an IPv4 address, or the network (/64) of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[derive(Debug)]
struct Pending {
    source: Source,
    from_peer_address: bool,
}

/// Connections that share slots: those of a configured peer, or (none) of all other names.
type Group = Option<String>;

#[derive(Debug)]
struct Authenticated {
    group: Group,
    purpose: Purpose,
    /// True if a call is in flight.
    busy: bool,
    /// Number of the last event on the connection.
    heard: u64,
}

/// Decision on a successful handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Admitted; the other connection, if any, is to be closed.
    Admitted(Option<ConnectionId>),
    /// A call is in flight on every connection of the peer for this purpose, or this connection has been
    /// closed.
    Refused,
}

/// The connections of a listener, by the rules.
#[derive(Debug)]
pub(super) struct ConnectionRules {
    limits: ConnectionLimits,
    peers: BTreeSet<String>,
    pending: BTreeMap<ConnectionId, Pending>,
    authenticated: BTreeMap<ConnectionId, Authenticated>,
    /// Number of the latest connection or event.
    clock: u64,
}

impl ConnectionRules {
    /// Creates the rules of a listener without connections; `peers` are the configured names, without this
    /// node.
    pub(super) fn new(limits: ConnectionLimits, peers: impl IntoIterator<Item = String>) -> Self {
        let peers = peers.into_iter().collect();
        Self { limits, peers, pending: BTreeMap::new(), authenticated: BTreeMap::new(), clock: 0 }
    }

    /// Accepts a connection, and returns the pending connection to close in exchange, if any.
    pub(super) fn accept(
        &mut self,
        address: IpAddr,
        from_peer_address: bool,
    ) -> (ConnectionId, Option<ConnectionId>) {
        let displaced = if self.pending.len() < self.limits.pending { None } else { self.oldest_pending() };
        if let Some(displaced) = displaced {
            self.pending.remove(&displaced);
        }
        let id = ConnectionId(self.tick());
        self.pending.insert(id, Pending { source: Source::of(address), from_peer_address });
        debug_assert!(self.pending.len() <= self.limits.pending, "pending connections are bounded");
        (id, displaced)
    }

    /// Returns the pending connection to close first: the oldest of the address with the most beyond the
    /// protected number; the oldest of all if there is no such address.
    pub(super) fn oldest_pending(&self) -> Option<ConnectionId> {
        // Number beyond the protected connections, and the oldest, per address.
        let mut excess: BTreeMap<Source, (isize, ConnectionId)> = BTreeMap::new();
        for (&id, connection) in &self.pending {
            let protected =
                if connection.from_peer_address { PROTECTED_PER_PEER_ADDRESS as isize } else { 0 };
            excess.entry(connection.source).or_insert((-protected, id)).0 += 1;
        }
        let heaviest = excess.into_values().max_by_key(|(excess, oldest)| (*excess, Reverse(*oldest)));
        heaviest.map(|(_, oldest)| oldest)
    }

    /// Makes a pending connection an authenticated connection under the proven name.
    pub(super) fn admit(&mut self, id: ConnectionId, name: &str, purpose: Purpose) -> Decision {
        if !self.pending.contains_key(&id) {
            // Closed in the meantime.
            return Decision::Refused;
        }
        let group = self.peers.get(name).cloned();
        let of_group = |member: &Authenticated| member.group == group && member.purpose == purpose;
        let held = self.authenticated.values().filter(|member| of_group(member)).count();
        let displaced = if held < self.limits.per_peer_for(purpose) {
            None
        } else {
            let idle = self.authenticated.iter().filter(|(_, member)| of_group(member) && !member.busy);
            match idle.min_by_key(|(_, member)| member.heard) {
                Some((&displaced, _)) => Some(displaced),
                None => return Decision::Refused,
            }
        };
        if let Some(displaced) = displaced {
            self.authenticated.remove(&displaced);
        }
        debug_assert!(held <= self.limits.per_peer_for(purpose), "authenticated connections are bounded");
        self.pending.remove(&id);
        let heard = self.tick();
        self.authenticated.insert(id, Authenticated { group, purpose, busy: false, heard });
        Decision::Admitted(displaced)
    }

    /// Records a received frame on an authenticated connection: a call is in flight.
    pub(super) fn received(&mut self, id: ConnectionId) {
        self.note(id, true);
    }

    /// Records a sent frame: the call is answered.
    pub(super) fn sent(&mut self, id: ConnectionId) {
        self.note(id, false);
    }

    /// Removes a connection that ended or was closed.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.pending.remove(&id);
        self.authenticated.remove(&id);
    }

    /// Returns the current numbers of pending and of authenticated connections.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.pending.len(), self.authenticated.len())
    }

    fn note(&mut self, id: ConnectionId, busy: bool) {
        let now = self.tick();
        if let Some(member) = self.authenticated.get_mut(&id) {
            (member.busy, member.heard) = (busy, now);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ConnectionLimits = ConnectionLimits { pending: 4, rpc: 2, probe: 1, snapshot: 1 };

    fn rules() -> ConnectionRules {
        ConnectionRules::new(RULES, ["n2".to_owned(), "n3".to_owned()])
    }

    fn id(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    /// Accepts connections from these addresses (`*`: of a configured node) and compares the numbers of the
    /// connections that remain.
    fn check_pending(arrivals: &[&str], left: &[u64]) {
        let mut rules = ConnectionRules::new(ConnectionLimits { pending: 12, ..RULES }, []);
        for arrival in arrivals {
            let (address, count) = arrival.split_once(" x").unwrap_or((arrival, "1"));
            for _ in 0..count.parse().unwrap() {
                rules.accept(address.trim_end_matches('*').parse().unwrap(), address.ends_with('*'));
            }
        }
        let numbers: Vec<u64> = rules.pending.keys().map(|id| id.0).collect();
        assert_eq!(numbers, left, "{arrivals:?}");
    }

    #[test]
    fn the_oldest_pending_connection_of_the_heaviest_address_is_closed() {
        let all = |range: std::ops::RangeInclusive<u64>| range.collect::<Vec<_>>();
        check_pending(&["10.0.0.9 x12"], &all(1..=12));
        // One address alone displaces itself, the oldest first.
        check_pending(&["10.0.0.9 x30"], &all(19..=30));
        // A connection from a different address, early or late, stays despite a flood from one address.
        check_pending(&["10.0.0.1", "10.0.0.9 x30"], &[&[1][..], &all(21..=31)].concat());
        check_pending(&["10.0.0.9 x30", "10.0.0.1"], &all(20..=31));
        // A network of IPv6 is one address; IPv4 inside IPv6 is IPv4.
        check_pending(&["2001:db8::1 x6", "2001:db8::2 x6", "10.0.0.1", "::ffff:10.0.0.1"], &all(3..=14));
        // A flood from many addresses displaces itself, not a configured node in the middle of a handshake.
        let many: Vec<String> = (0..40).map(|i| format!("10.0.1.{i}")).collect();
        let mut arrivals = vec!["10.0.0.2* x2"];
        arrivals.extend(many.iter().map(String::as_str));
        check_pending(&arrivals, &[&[1, 2][..], &all(33..=42)].concat());
        // A flood from a configured node's address spares other addresses, and the latest connections of the
        // same address.
        check_pending(&["10.0.0.3*", "10.0.0.2* x40"], &[&[1][..], &all(31..=41)].concat());
    }

    /// Completes handshakes one after the other and compares the verdicts.
    fn check_authenticated(rules: &mut ConnectionRules, callers: &[(&str, Purpose)], expected: &[Decision]) {
        let decisions: Vec<Decision> = callers
            .iter()
            .map(|(name, purpose)| {
                let (id, _) = rules.accept("10.0.0.2".parse().unwrap(), true);
                let decision = rules.admit(id, name, *purpose);
                if decision == Decision::Refused {
                    rules.leave(id);
                }
                decision
            })
            .collect();
        assert_eq!(decisions, expected, "{callers:?}");
    }

    const FREE: Decision = Decision::Admitted(None);

    #[test]
    fn each_peer_has_slots_for_each_purpose() {
        let mut rules = rules();
        check_authenticated(&mut rules, &[("n2", Purpose::Rpc); 2], &[FREE; 2]);
        // The third displaces the first, the longest silent connection. Ids count events too.
        check_authenticated(&mut rules, &[("n2", Purpose::Rpc)], &[Decision::Admitted(Some(id(1)))]);
        check_authenticated(
            &mut rules,
            &[("n2", Purpose::Probe), ("n2", Purpose::Snapshot), ("n3", Purpose::Rpc), ("n3", Purpose::Rpc)],
            &[FREE; 4],
        );
        // Unknown names share the slots of one more peer.
        check_authenticated(&mut rules, &[("n8", Purpose::Probe)], &[FREE]);
        let (probes, _) = rules.accept("10.0.0.8".parse().unwrap(), false);
        assert!(matches!(rules.admit(probes, "n9", Purpose::Probe), Decision::Admitted(Some(_))));
        assert_eq!(rules.counts(), (0, 7));
        assert_eq!(RULES.total(2), 4 + 3 * 4);
    }

    #[test]
    fn calls_in_flight_are_not_closed() {
        let mut rules = rules();
        let mut admit = || {
            let (id, _) = rules.accept("10.0.0.2".parse().unwrap(), true);
            (id, rules.admit(id, "n2", Purpose::Rpc))
        };
        let ((first, _), (second, _)) = (admit(), admit());
        rules.received(first);
        rules.received(second);
        check_authenticated(&mut rules, &[("n2", Purpose::Rpc)], &[Decision::Refused]);
        rules.sent(second);
        check_authenticated(&mut rules, &[("n2", Purpose::Rpc)], &[Decision::Admitted(Some(second))]);
        // The connection heard later stays longer; a closed connection makes room.
        rules.sent(first);
        let (third, _) = rules.accept("10.0.0.2".parse().unwrap(), true);
        assert!(
            matches!(rules.admit(third, "n2", Purpose::Rpc), Decision::Admitted(Some(id)) if id != first)
        );
        rules.leave(first);
        check_authenticated(&mut rules, &[("n2", Purpose::Rpc)], &[FREE]);
    }

    #[test]
    fn a_peer_that_holds_all_it_may_takes_nothing_from_another() {
        let mut rules = rules();
        let busy: Vec<ConnectionId> = (0..50)
            .filter_map(|_| {
                let (id, _) = rules.accept("10.0.0.2".parse().unwrap(), true);
                let decision = rules.admit(id, "n2", Purpose::Rpc);
                rules.received(id);
                (decision == FREE).then_some(id)
            })
            .collect();
        assert_eq!(busy.len(), RULES.rpc);
        check_authenticated(&mut rules, &[("n3", Purpose::Rpc), ("n3", Purpose::Rpc)], &[FREE; 2]);
        check_authenticated(&mut rules, &[("n2", Purpose::Probe)], &[FREE]);
    }
}

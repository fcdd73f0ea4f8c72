//! Places for connections from other nodes: rules without a clock and without I/O.
//!
//! A connection is a *stranger* until the end of the handshake, then a *member* under the name and purpose
//! authenticated with the cluster's key.
//!
//! - A stranger is always accepted. Beyond [`Rules::strangers`] the oldest stranger is closed: the oldest
//!   of the address with the most strangers, so that a flood from one address displaces itself. The first
//!   [`SPARED_PER_PEER_ADDRESS`] strangers from the address of a configured node do not count.
//! - A member has a place for the combination of peer and purpose, out of reach of any other peer or
//!   stranger. Beyond the limit the longest silent connection of the peer is closed, unless a call is in
//!   flight on each: then the new connection is refused before the end of the handshake, so that no request
//!   was sent.
//! - Names missing in this node's configuration share the places of one peer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use super::handshake::Purpose;

/// Number of strangers from the address of a configured node protected from a flood from other addresses.
pub(super) const SPARED_PER_PEER_ADDRESS: usize = 8;
/// Maximum number of probe connections per peer: the current connection, a replacement, and the connections
/// of an earlier run.
const PROBE_PLACES: usize = 4;
/// Maximum number of concurrent snapshots per peer.
const SNAPSHOT_PLACES: usize = 2;
/// Number of call connections per peer in addition to the connections for forwarded reads and writes.
const RPC_PLACES_FOR_RAFT: usize = 12;

/// Limits on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Maximum number of strangers.
    pub(super) strangers: usize,
    /// Maximum number of call connections per peer.
    pub(super) rpc: usize,
    /// Maximum number of probe connections per peer.
    pub(super) probe: usize,
    /// Maximum number of snapshot connections per peer.
    pub(super) snapshot: usize,
}

impl Rules {
    /// Returns the rules for peers with up to `calls` forwarded reads and writes each.
    pub(crate) fn new(strangers: usize, calls: usize) -> Self {
        let rpc = calls + RPC_PLACES_FOR_RAFT;
        Self { strangers, rpc, probe: PROBE_PLACES, snapshot: SNAPSHOT_PLACES }
    }

    /// Returns the maximum number of connections per peer.
    pub(super) fn per_peer(&self) -> usize {
        self.rpc + self.probe + self.snapshot
    }

    /// Returns the maximum number of connections of all kinds, for this number of peers.
    pub(crate) fn total(&self, peers: usize) -> usize {
        // Unlisted names count as one more peer.
        self.strangers + (peers + 1) * self.per_peer()
    }

    fn places(&self, purpose: Purpose) -> usize {
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

/// Origin of a stranger: an IPv4 address, or the network (/64) of an IPv6 address.
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
struct Stranger {
    source: Source,
    from_peer_address: bool,
}

/// Connections that share places: those of a configured peer, or (none) of all other names.
type Group = Option<String>;

#[derive(Debug)]
struct Member {
    group: Group,
    purpose: Purpose,
    /// True if a call is in flight.
    busy: bool,
    /// Number of the last event on the connection.
    heard: u64,
}

/// Decision about a successful handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Admitted; the other connection, if any, is to be closed.
    Admitted(Option<ConnectionId>),
    /// A call is in flight on every connection of the peer for this purpose, or this connection has been
    /// closed.
    Refused,
}

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Places {
    rules: Rules,
    peers: BTreeSet<String>,
    strangers: BTreeMap<ConnectionId, Stranger>,
    members: BTreeMap<ConnectionId, Member>,
    /// Number of the latest connection or event.
    clock: u64,
}

impl Places {
    /// Creates an empty set of places; `peers` are the configured names, without this node.
    pub(super) fn new(rules: Rules, peers: impl IntoIterator<Item = String>) -> Self {
        let peers = peers.into_iter().collect();
        Self { rules, peers, strangers: BTreeMap::new(), members: BTreeMap::new(), clock: 0 }
    }

    /// Accepts a stranger, and returns the stranger to close in exchange, if any.
    pub(super) fn arrive(
        &mut self,
        address: IpAddr,
        from_peer_address: bool,
    ) -> (ConnectionId, Option<ConnectionId>) {
        let displaced =
            if self.strangers.len() < self.rules.strangers { None } else { self.oldest_stranger() };
        if let Some(displaced) = displaced {
            self.strangers.remove(&displaced);
        }
        let id = ConnectionId(self.tick());
        self.strangers.insert(id, Stranger { source: Source::of(address), from_peer_address });
        debug_assert!(self.strangers.len() <= self.rules.strangers, "strangers are bounded");
        (id, displaced)
    }

    /// Returns the stranger to close first: the oldest of the address with the most strangers beyond the
    /// protected number; the oldest of all if there is no such address.
    pub(super) fn oldest_stranger(&self) -> Option<ConnectionId> {
        // Number beyond the protected strangers, and the oldest stranger, per address.
        let mut excess: BTreeMap<Source, (isize, ConnectionId)> = BTreeMap::new();
        for (&id, stranger) in &self.strangers {
            let spared = if stranger.from_peer_address { SPARED_PER_PEER_ADDRESS as isize } else { 0 };
            excess.entry(stranger.source).or_insert((-spared, id)).0 += 1;
        }
        let heaviest = excess.into_values().max_by_key(|(excess, oldest)| (*excess, Reverse(*oldest)));
        heaviest.map(|(_, oldest)| oldest)
    }

    /// Turns a stranger into a member under the authenticated name.
    pub(super) fn admit(&mut self, id: ConnectionId, name: &str, purpose: Purpose) -> Verdict {
        if !self.strangers.contains_key(&id) {
            // Closed in the meantime.
            return Verdict::Refused;
        }
        let group = self.peers.get(name).cloned();
        let of_group = |member: &Member| member.group == group && member.purpose == purpose;
        let held = self.members.values().filter(|member| of_group(member)).count();
        let displaced = if held < self.rules.places(purpose) {
            None
        } else {
            let idle = self.members.iter().filter(|(_, member)| of_group(member) && !member.busy);
            match idle.min_by_key(|(_, member)| member.heard) {
                Some((&displaced, _)) => Some(displaced),
                None => return Verdict::Refused,
            }
        };
        if let Some(displaced) = displaced {
            self.members.remove(&displaced);
        }
        debug_assert!(held <= self.rules.places(purpose), "members are bounded");
        self.strangers.remove(&id);
        let heard = self.tick();
        self.members.insert(id, Member { group, purpose, busy: false, heard });
        Verdict::Admitted(displaced)
    }

    /// Records a received frame on a member's connection: a call is in flight.
    pub(super) fn received(&mut self, id: ConnectionId) {
        self.note(id, true);
    }

    /// Records a sent frame: the call is answered.
    pub(super) fn sent(&mut self, id: ConnectionId) {
        self.note(id, false);
    }

    /// Removes a connection that ended or was closed.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.strangers.remove(&id);
        self.members.remove(&id);
    }

    /// Returns the current numbers of strangers and members.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.strangers.len(), self.members.len())
    }

    fn note(&mut self, id: ConnectionId, busy: bool) {
        let now = self.tick();
        if let Some(member) = self.members.get_mut(&id) {
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

    const RULES: Rules = Rules { strangers: 4, rpc: 2, probe: 1, snapshot: 1 };

    fn places() -> Places {
        Places::new(RULES, ["n2".to_owned(), "n3".to_owned()])
    }

    fn id(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    /// Accepts strangers from these addresses (`*`: of a configured node) and compares the numbers of the
    /// remaining strangers.
    fn check_strangers(arrivals: &[&str], left: &[u64]) {
        let mut places = Places::new(Rules { strangers: 12, ..RULES }, []);
        for arrival in arrivals {
            let (address, count) = arrival.split_once(" x").unwrap_or((arrival, "1"));
            for _ in 0..count.parse().unwrap() {
                places.arrive(address.trim_end_matches('*').parse().unwrap(), address.ends_with('*'));
            }
        }
        let numbers: Vec<u64> = places.strangers.keys().map(|id| id.0).collect();
        assert_eq!(numbers, left, "{arrivals:?}");
    }

    #[test]
    fn the_oldest_stranger_of_the_heaviest_address_makes_room() {
        let all = |range: std::ops::RangeInclusive<u64>| range.collect::<Vec<_>>();
        check_strangers(&["10.0.0.9 x12"], &all(1..=12));
        // One address alone displaces itself, the oldest first.
        check_strangers(&["10.0.0.9 x30"], &all(19..=30));
        // A stranger from a different address, early or late, stays despite a flood from one address.
        check_strangers(&["10.0.0.1", "10.0.0.9 x30"], &[&[1][..], &all(21..=31)].concat());
        check_strangers(&["10.0.0.9 x30", "10.0.0.1"], &all(20..=31));
        // A network of IPv6 is one address; IPv4 inside IPv6 is IPv4.
        check_strangers(&["2001:db8::1 x6", "2001:db8::2 x6", "10.0.0.1", "::ffff:10.0.0.1"], &all(3..=14));
        // A flood from many addresses displaces itself, not a configured node in the middle of a handshake.
        let many: Vec<String> = (0..40).map(|i| format!("10.0.1.{i}")).collect();
        let mut arrivals = vec!["10.0.0.2* x2"];
        arrivals.extend(many.iter().map(String::as_str));
        check_strangers(&arrivals, &[&[1, 2][..], &all(33..=42)].concat());
        // A flood from a configured node's address spares other addresses, and the latest strangers of the
        // same address.
        check_strangers(&["10.0.0.3*", "10.0.0.2* x40"], &[&[1][..], &all(31..=41)].concat());
    }

    /// Completes handshakes one after the other and compares the verdicts.
    fn check_members(places: &mut Places, callers: &[(&str, Purpose)], expected: &[Verdict]) {
        let verdicts: Vec<Verdict> = callers
            .iter()
            .map(|(name, purpose)| {
                let (id, _) = places.arrive("10.0.0.2".parse().unwrap(), true);
                let verdict = places.admit(id, name, *purpose);
                if verdict == Verdict::Refused {
                    places.leave(id);
                }
                verdict
            })
            .collect();
        assert_eq!(verdicts, expected, "{callers:?}");
    }

    const FREE: Verdict = Verdict::Admitted(None);

    #[test]
    fn each_peer_has_places_for_each_purpose() {
        let mut places = places();
        check_members(&mut places, &[("n2", Purpose::Rpc); 2], &[FREE; 2]);
        // The third takes the place of the first, the longest silent connection. Ids count events too.
        check_members(&mut places, &[("n2", Purpose::Rpc)], &[Verdict::Admitted(Some(id(1)))]);
        check_members(
            &mut places,
            &[("n2", Purpose::Probe), ("n2", Purpose::Snapshot), ("n3", Purpose::Rpc), ("n3", Purpose::Rpc)],
            &[FREE; 4],
        );
        // Unknown names share the places of one more peer.
        check_members(&mut places, &[("n8", Purpose::Probe)], &[FREE]);
        let (probes, _) = places.arrive("10.0.0.8".parse().unwrap(), false);
        assert!(matches!(places.admit(probes, "n9", Purpose::Probe), Verdict::Admitted(Some(_))));
        assert_eq!(places.counts(), (0, 7));
        assert_eq!(RULES.total(2), 4 + 3 * 4);
    }

    #[test]
    fn calls_in_flight_are_not_closed() {
        let mut places = places();
        let mut admit = || {
            let (id, _) = places.arrive("10.0.0.2".parse().unwrap(), true);
            (id, places.admit(id, "n2", Purpose::Rpc))
        };
        let ((first, _), (second, _)) = (admit(), admit());
        places.received(first);
        places.received(second);
        check_members(&mut places, &[("n2", Purpose::Rpc)], &[Verdict::Refused]);
        places.sent(second);
        check_members(&mut places, &[("n2", Purpose::Rpc)], &[Verdict::Admitted(Some(second))]);
        // The connection heard later stays longer; a closed connection makes room.
        places.sent(first);
        let (third, _) = places.arrive("10.0.0.2".parse().unwrap(), true);
        assert!(
            matches!(places.admit(third, "n2", Purpose::Rpc), Verdict::Admitted(Some(id)) if id != first)
        );
        places.leave(first);
        check_members(&mut places, &[("n2", Purpose::Rpc)], &[FREE]);
    }

    #[test]
    fn a_peer_that_holds_all_it_may_takes_nothing_from_another() {
        let mut places = places();
        let busy: Vec<ConnectionId> = (0..50)
            .filter_map(|_| {
                let (id, _) = places.arrive("10.0.0.2".parse().unwrap(), true);
                let verdict = places.admit(id, "n2", Purpose::Rpc);
                places.received(id);
                (verdict == FREE).then_some(id)
            })
            .collect();
        assert_eq!(busy.len(), RULES.rpc);
        check_members(&mut places, &[("n3", Purpose::Rpc), ("n3", Purpose::Rpc)], &[FREE; 2]);
        check_members(&mut places, &[("n2", Purpose::Probe)], &[FREE]);
    }
}

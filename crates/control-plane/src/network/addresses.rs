//! Addresses of one peer, and the dialing order: rules without a clock and without a resolver.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::timing::{LOOKUP_INTERVAL, MIN_LOOKUP_INTERVAL};

/// Maximum number of addresses per name.
const MAX_ADDRESSES: usize = 8;

/// The last known addresses of a peer. Reading never waits for a lookup.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: Mutex<Vec<IpAddr>>,
    /// Position of the first address to dial: the last address that worked, or the successor of the last
    /// address that did not.
    first: AtomicUsize,
}

impl Addresses {
    /// Returns the configured address of a peer.
    pub(super) fn fixed(ip: IpAddr) -> Self {
        Self { known: Mutex::new(vec![ip]), first: AtomicUsize::new(0) }
    }

    /// Replaces the addresses by the resolver's answer; an empty answer leaves the last known addresses.
    /// Returns true if the addresses changed.
    pub(super) fn learn(&self, found: impl IntoIterator<Item = IpAddr>) -> bool {
        let mut fresh: Vec<IpAddr> = Vec::new();
        for ip in found {
            if fresh.len() < MAX_ADDRESSES && !fresh.contains(&ip) {
                fresh.push(ip);
            }
        }
        let mut known = self.lock();
        let same = |a: &[IpAddr], b: &[IpAddr]| a.len() == b.len() && a.iter().all(|ip| b.contains(ip));
        // Resolvers rotate the order with every answer; the rotation is no change.
        if fresh.is_empty() || same(&known, &fresh) {
            return false;
        }
        debug_assert!(fresh.len() <= MAX_ADDRESSES, "addresses are bounded");
        *known = fresh;
        self.first.store(0, Ordering::Relaxed);
        true
    }

    /// Returns the addresses with their positions, in dialing order.
    pub(super) fn in_order(&self) -> Vec<(usize, IpAddr)> {
        let known = self.lock();
        let first = self.first.load(Ordering::Relaxed).checked_rem(known.len()).unwrap_or(0);
        (0..known.len())
            .map(|i| (first + i) % known.len())
            .map(|position| (position, known[position]))
            .collect()
    }

    /// True if the canonical address is known.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.lock().iter().any(|known| known.to_canonical() == address)
    }

    /// Records the start of a dial. If the dial neither succeeds nor ends, the next dial begins with the
    /// next address.
    pub(super) fn begin(&self, position: usize) {
        self.first.store(position.wrapping_add(1), Ordering::Relaxed);
    }

    /// Records that the address works.
    pub(super) fn worked(&self, position: usize) {
        self.first.store(position, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<IpAddr>> {
        // The list is replaced as a whole and therefore consistent at any time.
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Returns the time left until the next lookup of a name; `failed` if a dial has failed since `last`.
pub(super) fn until_look_up(last: Option<Instant>, now: Instant, failed: bool) -> Duration {
    let every = if failed { MIN_LOOKUP_INTERVAL } else { LOOKUP_INTERVAL };
    last.map_or(Duration::ZERO, |last| (last + every).saturating_duration_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        Learn(&'static [&'static str], bool),
        Begin(usize),
        Worked(usize),
        Order(&'static [&'static str]),
    }
    use Step::{Begin, Learn, Order, Worked};

    fn check(steps: &[Step]) {
        let addresses = Addresses::default();
        for (i, step) in steps.iter().enumerate() {
            match step {
                Learn(found, changed) => {
                    let found = found.iter().map(|ip| ip.parse().unwrap());
                    assert_eq!(addresses.learn(found), *changed, "step {i}");
                }
                Begin(position) => addresses.begin(*position),
                Worked(position) => addresses.worked(*position),
                Order(expected) => {
                    let order: Vec<_> = addresses.in_order().iter().map(|(_, ip)| ip.to_string()).collect();
                    assert_eq!(order, *expected, "step {i}");
                }
            }
        }
    }

    #[test]
    fn the_last_known_addresses_stay_until_there_are_others() {
        check(&[
            Order(&[]),
            Learn(&[], false),
            Learn(&["10.0.0.1"], true),
            Learn(&["10.0.0.1", "10.0.0.1"], false),
            Learn(&[], false),
            Order(&["10.0.0.1"]),
            Learn(&["10.0.0.2"], true),
            Order(&["10.0.0.2"]),
        ]);
    }

    #[test]
    fn the_address_that_worked_is_dialled_first() {
        check(&[
            Learn(&["::1", "127.0.0.1"], true),
            Order(&["::1", "127.0.0.1"]),
            Begin(0),
            Begin(1),
            Worked(1),
            Order(&["127.0.0.1", "::1"]),
            // The same addresses in another order.
            Learn(&["127.0.0.1", "::1"], false),
            Order(&["127.0.0.1", "::1"]),
            // A cancelled dial.
            Begin(1),
            Order(&["::1", "127.0.0.1"]),
        ]);
    }

    #[test]
    fn there_is_a_bound() {
        let addresses = Addresses::default();
        addresses.learn((0..100).map(|i| IpAddr::from([10, 0, 0, i])));
        assert_eq!(addresses.in_order().len(), MAX_ADDRESSES);
    }

    #[test]
    fn lookups_come_regularly_and_soon_after_a_failure() {
        let start = Instant::now();
        let check = |last: Option<u64>, now: u64, failed: bool, expected_ms: u64| {
            let at = |ms| start + Duration::from_millis(ms);
            let left = until_look_up(last.map(at), at(now), failed);
            assert_eq!(left.as_millis() as u64, expected_ms);
        };
        check(None, 0, false, 0);
        check(Some(0), 10_000, false, 20_000);
        check(Some(0), 31_000, false, 0);
        check(Some(0), 400, true, 600);
        check(Some(0), 10_000, true, 0);
    }
}

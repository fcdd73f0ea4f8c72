//! Order in which callers are served: rules without a clock.
//!
//! A caller is an address (an IPv6 network of 64 bits, which one subscriber has to itself), with or without
//! the admin token. The next turn goes to the caller who had the fewest lately; what a caller had halves
//! every [`HALF_LIFE_TURNS`] turns of all callers. Each caller has a bounded number of places, and a full
//! queue makes room for a caller with fewer places taken at the expense of the one with the most.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Turns of all callers after which a turn counts half.
const HALF_LIFE_TURNS: u64 = 64;
/// Weight of a turn, large enough to be halved a few times.
const TURN_WEIGHT: u64 = 1 << 16;
/// Places of one caller.
const PLACES_OF_A_CALLER: usize = 16;
/// Callers remembered besides those who wait.
const MAX_REMEMBERED: usize = 4096;

/// A caller, as far as fairness goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    network: Option<IpAddr>,
    is_operator: bool,
}

impl Caller {
    /// The caller at `address`; an operator showed the admin token.
    pub(crate) fn new(address: Option<IpAddr>, is_operator: bool) -> Self {
        let network = address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        });
        Self { network, is_operator }
    }
}

/// Waiting entries, by caller.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    flows: HashMap<Caller, Flow<T>>,
    max_waiting: usize,
    waiting: usize,
    /// Turns given so far.
    turns: u64,
    /// Entries so far, which orders callers who had the same.
    arrivals: u64,
}

#[derive(Debug)]
struct Flow<T> {
    waiting: VecDeque<(u64, T)>,
    /// Weighted turns, as of `counted_at`.
    had: u64,
    counted_at: u64,
}

impl<T> Default for Flow<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), had: 0, counted_at: 0 }
    }
}

impl<T> Flow<T> {
    /// Weighted turns as of `turns`.
    fn had(&self, turns: u64) -> u64 {
        let halvings = turns.saturating_sub(self.counted_at) / HALF_LIFE_TURNS;
        self.had.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0)
    }
}

/// Answer of a queue to a new entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted<T> {
    /// It waits.
    Yes,
    /// It waits in place of this entry of another caller.
    Displacing(T),
    /// The queue, or the caller's part of it, is full.
    No(T),
}

impl<T> FairQueue<T> {
    /// Creates a queue of at most `max_waiting` entries.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { flows: HashMap::new(), max_waiting, waiting: 0, turns: 0, arrivals: 0 }
    }

    /// Number of waiting entries.
    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.flows.values().map(|flow| flow.waiting.len()).sum::<usize>(), self.waiting);
        self.waiting
    }

    /// Adds an entry of `caller`.
    pub(super) fn push(&mut self, caller: Caller, entry: T) -> Admitted<T> {
        let places = self.flows.get(&caller).map_or(0, |flow| flow.waiting.len());
        if places >= PLACES_OF_A_CALLER {
            return Admitted::No(entry);
        }
        let displaced = match self.waiting >= self.max_waiting {
            false => None,
            true => match self.displace(caller, places) {
                Some(displaced) => Some(displaced),
                None => return Admitted::No(entry),
            },
        };
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.flows.entry(caller).or_default().waiting.push_back((arrival, entry));
        self.waiting += 1;
        displaced.map_or(Admitted::Yes, Admitted::Displacing)
    }

    /// Takes the newest entry of the caller with the most places, or with the most turns among those, if that
    /// is more than `caller` has.
    fn displace(&mut self, caller: Caller, places: usize) -> Option<T> {
        let turns = self.turns;
        let own = (places + 1, self.flows.get(&caller).map_or(0, |flow| flow.had(turns)));
        let claim = |flow: &Flow<T>| (flow.waiting.len(), flow.had(turns));
        let most = self.flows.iter_mut().filter(|(_, flow)| claim(flow) > own && !flow.waiting.is_empty());
        let (_, flow) = most.max_by_key(|(_, flow)| claim(flow))?;
        let (_, displaced) = flow.waiting.pop_back()?;
        self.waiting -= 1;
        Some(displaced)
    }

    /// Takes the next entry; the turn is charged to its caller.
    pub(super) fn pop(&mut self) -> Option<(Caller, T)> {
        let turns = self.turns;
        let first = self.flows.iter().filter_map(|(caller, flow)| {
            let (arrival, _) = flow.waiting.front()?;
            Some((flow.had(turns), *arrival, *caller))
        });
        let (_, _, caller) = first.min_by_key(|(had, arrival, _)| (*had, *arrival))?;
        let (_, entry) = self.flows.get_mut(&caller)?.waiting.pop_front()?;
        self.waiting -= 1;
        Some((caller, entry))
    }

    /// Charges a turn to `caller`.
    pub(super) fn charge(&mut self, caller: Caller) {
        self.forget();
        let turns = self.turns;
        let flow = self.flows.entry(caller).or_default();
        flow.had = flow.had(turns).saturating_add(TURN_WEIGHT);
        flow.counted_at = turns;
        self.turns += 1;
    }

    /// Removes entries that `is_gone` says nobody waits for.
    pub(super) fn remove_gone(&mut self, is_gone: impl Fn(&T) -> bool) {
        for flow in self.flows.values_mut() {
            let before = flow.waiting.len();
            flow.waiting.retain(|(_, entry)| !is_gone(entry));
            self.waiting -= before - flow.waiting.len();
        }
    }

    /// Forgets callers who neither wait nor had a turn that still counts; beyond the bound, all who do not
    /// wait.
    fn forget(&mut self) {
        if self.flows.len() < MAX_REMEMBERED {
            return;
        }
        let turns = self.turns;
        self.flows.retain(|_, flow| !flow.waiting.is_empty() || flow.had(turns) > 0);
        if self.flows.len() >= MAX_REMEMBERED {
            self.flows.retain(|_, flow| !flow.waiting.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(i: u32) -> Caller {
        Caller::new(Some(IpAddr::V4((0x0A00_0000 + i).into())), false)
    }

    /// Takes the next entry and charges the turn.
    fn turn<T>(queue: &mut FairQueue<T>) -> Option<T> {
        let (caller, entry) = queue.pop()?;
        queue.charge(caller);
        Some(entry)
    }

    #[test]
    fn a_network_is_one_caller() {
        let of = |address: &str| Caller::new(address.parse().ok(), false);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_ne!(of("10.0.0.1"), Caller::new("10.0.0.1".parse().ok(), true));
    }

    #[test]
    fn callers_take_turns_whatever_they_ask_for() {
        let mut queue = FairQueue::new(64);
        for i in 0..10 {
            assert_eq!(queue.push(caller(1), (1, i)), Admitted::Yes);
        }
        for i in 0..3 {
            assert_eq!(queue.push(caller(2), (2, i)), Admitted::Yes);
        }
        let order: Vec<_> = std::iter::from_fn(|| turn(&mut queue)).collect();
        let first = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2), (1, 3)];
        assert_eq!(order[..7], first);
        assert_eq!((order.len(), queue.len()), (13, 0));
    }

    #[test]
    fn a_caller_who_had_little_comes_before_many_who_had_much() {
        let mut queue = FairQueue::new(64);
        for round in 0..5 {
            for i in 0..64 {
                assert_eq!(queue.push(caller(i), i), Admitted::Yes, "{round}");
            }
            while turn(&mut queue).is_some() {}
        }
        for i in 0..60 {
            assert_eq!(queue.push(caller(i), i), Admitted::Yes);
        }
        assert_eq!(queue.push(caller(1000), 1000), Admitted::Yes);
        assert_eq!(turn(&mut queue), Some(1000));
    }

    #[test]
    fn a_full_queue_makes_room_for_who_has_less() {
        let mut queue = FairQueue::new(20);
        for i in 0..PLACES_OF_A_CALLER {
            assert_eq!(queue.push(caller(1), i), Admitted::Yes);
        }
        assert_eq!(queue.push(caller(1), 99), Admitted::No(99));
        for i in 0..4 {
            assert_eq!(queue.push(caller(2), 100 + i), Admitted::Yes);
        }
        assert_eq!(queue.push(caller(3), 200), Admitted::Displacing(15));
        assert_eq!(queue.len(), 20);
        // With one place each, the one with more turns gives way, and nobody to one who had the same.
        let mut queue = FairQueue::new(3);
        queue.charge(caller(1));
        for i in 1..=3 {
            assert_eq!(queue.push(caller(i), i), Admitted::Yes);
        }
        assert_eq!(queue.push(caller(4), 4), Admitted::Displacing(1));
        assert_eq!(queue.push(caller(5), 5), Admitted::No(5));
    }

    #[test]
    fn turns_are_forgotten() {
        let mut queue: FairQueue<u32> = FairQueue::new(4);
        queue.charge(caller(1));
        for _ in 0..HALF_LIFE_TURNS * 20 {
            queue.charge(caller(2));
        }
        assert_eq!(queue.flows[&caller(1)].had(queue.turns), 0);
        for i in 0..2 * MAX_REMEMBERED as u32 {
            queue.charge(caller(i));
        }
        assert!(queue.flows.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn entries_of_who_left_take_no_place() {
        let mut queue = FairQueue::new(2);
        assert_eq!(queue.push(caller(1), 1), Admitted::Yes);
        assert_eq!(queue.push(caller(2), 2), Admitted::Yes);
        queue.remove_gone(|entry| *entry == 1);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.push(caller(3), 3), Admitted::Yes);
        assert_eq!(queue.pop().map(|(_, entry)| entry), Some(2));
    }
}

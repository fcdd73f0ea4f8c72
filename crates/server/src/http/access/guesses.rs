//! Rate limit of wrong admin tokens, without a clock.
//!
//! Each address has a few wrong tokens at once and one more every few seconds. After that nothing from it is compared until
//! there is another one, not even the right token: an answer would tell a guesser. Other addresses do not notice. The table is
//! bounded; while it is full, addresses that are not in it share one larger allowance.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses that are remembered, at most.
const MAX_ADDRESSES: usize = 4096;
/// Wrong tokens of an address at once.
const BURST: u32 = 10;
/// Until an address may send another wrong token.
const EVERY: Duration = Duration::from_secs(6);
/// Wrong tokens at once of all addresses together that the table has no room for.
const SHARED_BURST: u32 = 100;
/// Until they may send another one.
const SHARED_EVERY: Duration = Duration::from_millis(100);

/// Outcome of comparing a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The right one.
    Right,
    /// A wrong one.
    Wrong {
        /// The last one that is compared for now.
        last: bool,
    },
    /// Not compared.
    TooMany {
        /// Until one is compared again.
        retry_after: Duration,
    },
}

/// The wrong tokens of late.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    by_address: HashMap<IpAddr, Allowance>,
    shared: Option<Allowance>,
}

impl Guesses {
    /// Judges a token from `address`; `is_right` compares it and is asked only where it may be.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        address: IpAddr,
        is_right: impl FnOnce() -> bool,
    ) -> Verdict {
        let address = network(address);
        if self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, allowance| allowance.used(now) > Duration::ZERO);
        }
        let is_shared = self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(&address);
        let (burst, every) = if is_shared { (SHARED_BURST, SHARED_EVERY) } else { (BURST, EVERY) };
        let known = if is_shared { self.shared } else { self.by_address.get(&address).copied() };
        let mut allowance = known.unwrap_or(Allowance { free_at: now });
        if let Some(retry_after) = allowance.wait(now, burst, every) {
            return Verdict::TooMany { retry_after };
        }
        if is_right() {
            return Verdict::Right;
        }
        let last = allowance.take(now, burst, every);
        if is_shared {
            self.shared = Some(allowance);
        } else {
            self.by_address.insert(address, allowance);
        }
        Verdict::Wrong { last }
    }
}

/// The key of the table: an address, of IPv6 the /64 network that a single host usually has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// A bucket of guesses that fills with time.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Time at which the bucket is full again.
    free_at: Instant,
}

impl Allowance {
    /// Time until it is full again.
    fn used(self, now: Instant) -> Duration {
        self.free_at.saturating_duration_since(now)
    }

    /// Time until there is a guess in it; none: there is one.
    fn wait(self, now: Instant, burst: u32, every: Duration) -> Option<Duration> {
        let wait = (self.used(now) + every).saturating_sub(every * burst);
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes a guess out. True if it was the last one.
    fn take(&mut self, now: Instant, burst: u32, every: Duration) -> bool {
        self.free_at = self.free_at.max(now) + every;
        self.wait(now, burst, every).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends tokens one after the other: from an address, at a time in seconds, right or wrong, and what becomes of it.
    fn check(events: &[(&str, f64, bool, &str)]) {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for (i, &(address, at, right, expected)) in events.iter().enumerate() {
            let now = start + Duration::from_secs_f64(at);
            let verdict = match guesses.judge(now, address.parse().unwrap(), || right) {
                Verdict::Right => "right".to_owned(),
                Verdict::Wrong { last: false } => "wrong".to_owned(),
                Verdict::Wrong { last: true } => "last".to_owned(),
                Verdict::TooMany { retry_after } => format!("{} s", retry_after.as_secs_f64()),
            };
            assert_eq!(verdict, expected, "event {i}: {address} at {at}");
        }
    }

    #[test]
    fn an_address_is_slowed_down_and_no_other_one() {
        let mut events = vec![("10.0.0.1", 0.0, false, "wrong"); 9];
        events.extend([
            ("10.0.0.1", 0.0, false, "last"),
            ("10.0.0.1", 0.0, false, "6 s"),
            // Not even the right one: the answer would tell.
            ("10.0.0.1", 1.0, true, "5 s"),
            ("10.0.0.2", 1.0, true, "right"),
            ("10.0.0.2", 1.0, false, "wrong"),
            ("10.0.0.1", 6.0, true, "right"),
            ("10.0.0.1", 6.0, false, "last"),
            ("10.0.0.1", 6.5, false, "5.5 s"),
            ("::ffff:10.0.0.1", 6.5, false, "5.5 s"),
            ("10.0.0.1", 100.0, false, "wrong"),
        ]);
        check(&events);
    }

    #[test]
    fn the_right_token_costs_nothing() {
        check(&[("10.0.0.1", 0.0, true, "right"); 100]);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let mut events = vec![("fd00::1", 0.0, false, "wrong"); 9];
        events.extend([
            ("fd00::2", 0.0, false, "last"),
            ("fd00::3", 0.0, false, "6 s"),
            ("fd00:0:0:1::1", 0.0, true, "right"),
        ]);
        check(&events);
    }

    #[test]
    fn a_full_table_leaves_one_allowance_for_all_others() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let mut judge = |i: u32, right| guesses.judge(now, IpAddr::from(i.to_be_bytes()), || right);
        for i in 0..MAX_ADDRESSES as u32 {
            assert_eq!(judge(i, false), Verdict::Wrong { last: false });
        }
        let newcomers = MAX_ADDRESSES as u32;
        for i in 0..SHARED_BURST {
            assert_eq!(judge(newcomers + i, false), Verdict::Wrong { last: i + 1 == SHARED_BURST });
        }
        assert_eq!(judge(newcomers, true), Verdict::TooMany { retry_after: SHARED_EVERY });
        assert_eq!(judge(0, true), Verdict::Right, "an address in the table has an allowance of its own");
        assert_eq!(guesses.by_address.len(), MAX_ADDRESSES);
        // Once they have stayed away for a while, there is room again.
        let later = now + EVERY;
        assert_eq!(
            guesses.judge(later, IpAddr::from([9, 9, 9, 9]), || false),
            Verdict::Wrong { last: false }
        );
        assert_eq!(guesses.by_address.len(), 1);
    }
}

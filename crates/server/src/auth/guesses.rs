//! Rate limit of wrong admin tokens, without a clock.
//!
//! A token bucket per address: a burst of wrong tokens, refilled every few seconds. While the bucket is
//! empty, no token of that address is compared, not even the right token: an answer would help a guesser.
//! Other addresses are unaffected. The table is bounded; while it is full, addresses outside the table share
//! one larger bucket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Maximum number of addresses in the table.
const MAX_ADDRESSES: usize = 4096;
/// Burst of wrong tokens per address.
const BURST: u32 = 10;
/// Refill interval of an address's bucket.
const EVERY: Duration = Duration::from_secs(6);
/// Burst of wrong tokens of all addresses outside the table together.
const SHARED_BURST: u32 = 100;
/// Refill interval of the shared bucket.
const SHARED_EVERY: Duration = Duration::from_millis(100);

/// Outcome of judging a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenVerdict {
    /// The right token.
    Right,
    /// A wrong token.
    Wrong {
        /// True if the bucket is empty now.
        last: bool,
    },
    /// Not compared: rate limit exceeded.
    TooMany {
        /// Time until the next token is compared.
        retry_after: Duration,
    },
}

/// Recent wrong tokens, by address.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    by_address: HashMap<IpAddr, TokenBucket>,
    shared: Option<TokenBucket>,
}

impl Guesses {
    /// Judges a token from `address`; `is_right` compares the token, and is called only within the rate
    /// limit.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        address: IpAddr,
        is_right: impl FnOnce() -> bool,
    ) -> TokenVerdict {
        let address = network(address);
        if self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(&address) {
            self.by_address.retain(|_, bucket| bucket.used(now) > Duration::ZERO);
        }
        let is_shared = self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(&address);
        let (burst, every) = if is_shared { (SHARED_BURST, SHARED_EVERY) } else { (BURST, EVERY) };
        let known = if is_shared { self.shared } else { self.by_address.get(&address).copied() };
        let mut bucket = known.unwrap_or(TokenBucket { free_at: now });
        if let Some(retry_after) = bucket.wait(now, burst, every) {
            return TokenVerdict::TooMany { retry_after };
        }
        if is_right() {
            return TokenVerdict::Right;
        }
        let last = bucket.take(now, burst, every);
        if is_shared {
            self.shared = Some(bucket);
        } else {
            self.by_address.insert(address, bucket);
        }
        debug_assert!(self.by_address.len() <= MAX_ADDRESSES, "the table is bounded");
        TokenVerdict::Wrong { last }
    }
}

/// Returns the key of the table: the address; for IPv6 the /64 network usually assigned to a single host.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// A token bucket of guesses.
#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    /// Time at which the bucket is full again.
    free_at: Instant,
}

impl TokenBucket {
    /// Time until the bucket is full.
    fn used(self, now: Instant) -> Duration {
        self.free_at.saturating_duration_since(now)
    }

    /// Returns the time until the bucket holds a guess; `None` if available now.
    fn wait(self, now: Instant, burst: u32, every: Duration) -> Option<Duration> {
        let wait = (self.used(now) + every).saturating_sub(every * burst);
        (!wait.is_zero()).then_some(wait)
    }

    /// Takes a guess out. True if the bucket is empty afterwards.
    fn take(&mut self, now: Instant, burst: u32, every: Duration) -> bool {
        self.free_at = self.free_at.max(now) + every;
        self.wait(now, burst, every).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges a sequence of tokens: address, time in seconds, right or wrong, expected verdict.
    fn check(events: &[(&str, f64, bool, &str)]) {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for (i, &(address, at, right, expected)) in events.iter().enumerate() {
            let now = start + Duration::from_secs_f64(at);
            let verdict = match guesses.judge(now, address.parse().unwrap(), || right) {
                TokenVerdict::Right => "right".to_owned(),
                TokenVerdict::Wrong { last: false } => "wrong".to_owned(),
                TokenVerdict::Wrong { last: true } => "last".to_owned(),
                TokenVerdict::TooMany { retry_after } => format!("{} s", retry_after.as_secs_f64()),
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
            // A verdict on the right token would help a guesser.
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
    fn a_full_table_leaves_one_bucket_for_all_others() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let mut judge = |i: u32, right| guesses.judge(now, IpAddr::from(i.to_be_bytes()), || right);
        for i in 0..MAX_ADDRESSES as u32 {
            assert_eq!(judge(i, false), TokenVerdict::Wrong { last: false });
        }
        let newcomers = MAX_ADDRESSES as u32;
        for i in 0..SHARED_BURST {
            assert_eq!(judge(newcomers + i, false), TokenVerdict::Wrong { last: i + 1 == SHARED_BURST });
        }
        assert_eq!(judge(newcomers, true), TokenVerdict::TooMany { retry_after: SHARED_EVERY });
        assert_eq!(judge(0, true), TokenVerdict::Right, "an address in the table has an bucket of its own");
        assert_eq!(guesses.by_address.len(), MAX_ADDRESSES);
        // Buckets that have filled up again make room.
        let later = now + EVERY;
        assert_eq!(
            guesses.judge(later, IpAddr::from([9, 9, 9, 9]), || false),
            TokenVerdict::Wrong { last: false }
        );
        assert_eq!(guesses.by_address.len(), 1);
    }
}

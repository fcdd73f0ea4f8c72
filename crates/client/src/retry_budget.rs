//! Budget for retries, so that a failing cluster is not hit by additional load.
//!
//! A token bucket. Each request adds a fifth of a token, each second ten; a retry takes a token.

use std::sync::Mutex;

use tokio::time::Instant;

/// Average retries per request: a fifth.
const TOKENS_PER_REQUEST: f64 = 0.2;
/// Retries per second available to clients with few requests.
const TOKENS_PER_SECOND: f64 = 10.0;
/// Capacity of the bucket: a burst, such as all requests in flight to a node that crashes.
const MAX_TOKENS: f64 = 100.0;

/// The retries shared by all requests of a client.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl RetryBudget {
    /// Creates a full bucket.
    pub(crate) fn new(now: Instant) -> Self {
        Self { bucket: Mutex::new(Bucket { tokens: MAX_TOKENS, filled_at: now }) }
    }

    /// Adds the share of a new request.
    pub(crate) fn deposit(&self, now: Instant) {
        let mut bucket = self.bucket.lock().expect("nothing panics while it holds this");
        bucket.fill(now);
        bucket.tokens = (bucket.tokens + TOKENS_PER_REQUEST).min(MAX_TOKENS);
    }

    /// Takes the cost of a retry; returns false if the balance is too small.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().expect("nothing panics while it holds this");
        bucket.fill(now);
        let enough = bucket.tokens >= 1.0;
        if enough {
            bucket.tokens -= 1.0;
        }
        enough
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        self.tokens = (self.tokens + passed.as_secs_f64() * TOKENS_PER_SECOND).min(MAX_TOKENS);
        self.filled_at += passed;
        debug_assert!((0.0..=MAX_TOKENS).contains(&self.tokens), "{} tokens", self.tokens);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_are_a_fifth_of_the_requests_and_ten_a_second() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let withdraw_all = |now| (0..1000).take_while(|_| budget.withdraw(now)).count();
        assert_eq!(withdraw_all(start), 100, "what is saved up");
        for _ in 0..101 {
            budget.deposit(start);
        }
        assert_eq!(withdraw_all(start), 20);
        assert_eq!(withdraw_all(start + Duration::from_millis(1010)), 10);
        assert_eq!(withdraw_all(start + Duration::from_secs(3600)), 100, "no more than that is saved up");
    }
}

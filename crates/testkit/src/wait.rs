//! Waiting on conditions.

use std::time::{Duration, Instant};

/// How long a condition may take to come true. Only a broken node takes this long, so it can be generous.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` gives a value.
///
/// # Panics
///
/// If it does not within a minute; `what` is what was waited for.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, condition).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// The first value that `condition` gives within `limit`; it is looked at once more when the time is over.
pub(crate) fn wait_at_most<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        let last = Instant::now() >= until;
        let value = condition();
        if value.is_some() || last {
            return value;
        }
        std::thread::sleep(POLL);
    }
}

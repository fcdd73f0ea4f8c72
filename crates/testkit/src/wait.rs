//! Waits for conditions.

use std::time::{Duration, Instant};

/// Time limit for a condition. Only a broken node takes so long, so the limit can be generous.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Interval between checks of a condition.
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` gives a value.
///
/// # Panics
///
/// If not within a minute; `what` describes the condition.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, condition).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Waits for the first value of `condition` within `limit`, with one more check at the end.
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

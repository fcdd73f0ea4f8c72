//! Rate limit of log lines, per kind and per subject: pure, with time as an argument.
//!
//! A *kind* is the call site of a line, a *subject* the peer (or client) of the line. Each subject has a
//! burst of lines per kind and then one line per interval, so that neither a flapping link nor a flood fills
//! a disk; all subjects of a kind share a larger budget, which bounds a flood from many addresses.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Budget of one subject for one kind of line.
const PER_SUBJECT: Rate = Rate { burst: 20, every: Duration::from_secs(10) };
/// Budget of all subjects together for one kind of line.
const PER_KIND: Rate = Rate { burst: 100, every: Duration::from_millis(500) };
/// Maximum number of subjects and of kinds in the table; the rest share one budget.
const MAX_ENTRIES: usize = 1024;

/// A burst, and after it one line per interval.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// Decides which lines are written.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    kinds: Table<u64>,
    subjects: Table<(u64, u64)>,
}

impl Throttle {
    /// Admits or suppresses a line. Returns the number of lines of this kind and subject suppressed since the
    /// last one; `None` to suppress this line. `now` is any monotonic clock.
    pub(super) fn admit(&mut self, kind: u64, subject: u64, now: Duration) -> Option<u64> {
        let of_kind = self.kinds.entry(kind, now);
        if !of_kind.has_room(PER_KIND, now) {
            of_kind.suppressed += 1;
            return None;
        }
        let of_subject = self.subjects.entry((kind, subject), now);
        if !of_subject.has_room(PER_SUBJECT, now) {
            of_subject.suppressed += 1;
            return None;
        }
        Some(of_kind.take(PER_KIND, now) + of_subject.take(PER_SUBJECT, now))
    }
}

/// Budgets by key, bounded.
#[derive(Debug)]
struct Table<K> {
    entries: HashMap<K, Budget>,
    /// Budget of the keys without an entry.
    shared: Budget,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { entries: HashMap::new(), shared: Budget::default() }
    }
}

impl<K: Eq + Hash> Table<K> {
    fn entry(&mut self, key: K, now: Duration) -> &mut Budget {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            self.entries.retain(|_, budget| !budget.is_idle(now));
            if self.entries.len() >= MAX_ENTRIES {
                return &mut self.shared;
            }
        }
        self.entries.entry(key).or_default()
    }
}

/// A token bucket, stored as the time at which the bucket is full again.
#[derive(Debug, Default)]
struct Budget {
    full_at: Duration,
    suppressed: u64,
}

impl Budget {
    fn is_idle(&self, now: Duration) -> bool {
        self.full_at <= now
    }

    fn has_room(&self, rate: Rate, now: Duration) -> bool {
        self.full_at.saturating_sub(now) <= rate.every * (rate.burst - 1)
    }

    /// Takes one line, and returns the number of lines suppressed before.
    fn take(&mut self, rate: Rate, now: Duration) -> u64 {
        debug_assert!(self.has_room(rate, now));
        self.full_at = self.full_at.max(now) + rate.every;
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: u64 = 1;

    /// Counts admitted and suppressed lines: one per `step` for `lasting`, each with the subject returned by
    /// `subject` for its number.
    fn written(step: Duration, lasting: Duration, subject: impl Fn(u64) -> u64) -> (u64, u64) {
        let mut throttle = Throttle::default();
        let (mut written, mut suppressed) = (0, 0);
        let lines = lasting.as_millis() / step.as_millis();
        for i in 0..u64::try_from(lines).unwrap() {
            if let Some(before) = throttle.admit(KIND, subject(i), step * u32::try_from(i).unwrap()) {
                written += 1;
                suppressed += before;
            }
        }
        (written, suppressed)
    }

    #[test]
    fn rates_are_bounded() {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let check = |step_ms, lasting, subjects: u64, range: std::ops::RangeInclusive<u64>| {
            let (written, suppressed) = written(Duration::from_millis(step_ms), lasting, |i| i % subjects);
            assert!(range.contains(&written), "{step_ms} ms, {subjects} subjects: {written} written");
            let all = u64::try_from(lasting.as_millis()).unwrap() / step_ms;
            assert!(written + suppressed <= all, "no line is counted twice");
        };
        // Rare lines are written.
        check(10_000, hour, 1, 360..=360);
        // A flapping link: 72,000 lines an hour.
        check(50, hour, 1, 379..=380);
        // A flood from one address, and from many.
        check(1, minute, 1, 25..=26);
        check(1, minute, 60_000, 219..=220);
    }

    #[test]
    fn the_next_line_tells_how_many_were_suppressed() {
        let mut throttle = Throttle::default();
        for _ in 0..PER_SUBJECT.burst {
            assert_eq!(throttle.admit(KIND, 7, Duration::ZERO), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(throttle.admit(KIND, 7, Duration::from_secs(9)), None);
        }
        assert_eq!(throttle.admit(KIND, 7, Duration::from_secs(10)), Some(5));
        assert_eq!(throttle.admit(KIND, 7, Duration::from_secs(20)), Some(0));
    }

    #[test]
    fn subjects_and_kinds_do_not_suppress_each_other() {
        let mut throttle = Throttle::default();
        while throttle.admit(KIND, 7, Duration::ZERO).is_some() {}
        assert_eq!(throttle.admit(KIND, 8, Duration::ZERO), Some(0));
        assert_eq!(throttle.admit(KIND + 1, 7, Duration::ZERO), Some(0));
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut throttle = Throttle::default();
        let mut now = Duration::ZERO;
        for subject in 0..5 * MAX_ENTRIES as u64 {
            now += PER_KIND.every;
            let _ = throttle.admit(subject, subject, now);
        }
        assert!(throttle.kinds.entries.len() <= MAX_ENTRIES);
        assert!(throttle.subjects.entries.len() <= MAX_ENTRIES);
        assert_eq!(throttle.admit(KIND, 7, now + Duration::from_secs(3600)), Some(0));
    }
}

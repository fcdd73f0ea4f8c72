//! Start times of the present conditions.

use std::collections::BTreeMap;
use std::sync::Mutex;

use api::status::Notice;
use jiff::Timestamp;

use crate::status::Condition;

/// Conditions of the latest status, each with the time of its first sighting. Locked for moments only.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(Mutex<BTreeMap<Key, u64>>);

/// A condition's code, and the node concerned.
type Key = (&'static str, Option<String>);

impl FirstSeen {
    /// Stamps `conditions` with the times of their first sightings, and forgets past conditions.
    ///
    /// `now_ms` is the time of the present sighting, in milliseconds since 1970.
    pub(crate) fn stamp(&self, conditions: Vec<Condition>, now_ms: u64) -> Vec<Notice> {
        let mut known = self.0.lock().expect("no panic while it is held");
        let seen: BTreeMap<Key, u64> = conditions
            .iter()
            .map(|condition| {
                let key = (condition.code, condition.node.clone());
                let since_ms = known.get(&key).copied().unwrap_or(now_ms);
                (key, since_ms)
            })
            .collect();
        let notices = conditions.into_iter().map(|Condition { code, node, message, remedy }| Notice {
            since: rfc3339(seen.get(&(code, node.clone())).copied().unwrap_or(now_ms)),
            code: code.to_owned(),
            node,
            message,
            remedy,
        });
        let notices = notices.collect();
        *known = seen;
        notices
    }
}

/// Formats a time in milliseconds since 1970.
fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    // A clock beyond the year 9999 has no such form.
    time.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_first_sighting_until_it_is_over() {
        let first_seen = FirstSeen::default();
        let condition = |code, node: &str| Condition {
            code,
            node: Some(node.to_owned()),
            message: String::new(),
            remedy: None,
        };
        let check = |conditions: Vec<Condition>, now_ms, since: &[u64]| {
            let notices = first_seen.stamp(conditions, now_ms);
            let found: Vec<&str> = notices.iter().map(|notice| notice.since.as_str()).collect();
            assert_eq!(found, since.iter().map(|ms| rfc3339(*ms)).collect::<Vec<_>>());
        };
        check(vec![condition("a", "n1")], 10, &[10]);
        check(vec![condition("a", "n1"), condition("a", "n2")], 20, &[10, 20]);
        check(vec![condition("a", "n2")], 30, &[20]);
        check(vec![condition("a", "n1"), condition("a", "n2")], 40, &[40, 20]);
        assert_eq!(rfc3339(1_764_000_000_123), "2025-11-24T16:00:00.123Z");
    }
}

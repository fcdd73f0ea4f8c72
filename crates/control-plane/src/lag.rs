//! Lag of a node's applied state behind the leader's committed index. Pure: time is an argument.

use std::time::Instant;

use crate::timing::STALLED_AFTER;

/// Distance to the leader, in entries, above which a node lags even while advancing.
const MAX_BEHIND: u64 = 5000;

/// Lag of one node, from repeated observations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lag {
    applied: Option<u64>,
    behind: u64,
    /// Time of the latest advance, or of falling behind; none while the node is not behind.
    stalled_since: Option<Instant>,
}

impl Lag {
    /// Records the node's applied index and the leader's committed index; none without a leader, since no
    /// node is behind then.
    pub(crate) fn observe(&mut self, applied: Option<u64>, committed: Option<u64>, now: Instant) {
        let advanced = applied > self.applied;
        // A lower index means a start from scratch, which takes time too.
        let restarted = applied < self.applied;
        self.applied = applied;
        self.behind = committed.unwrap_or(0).saturating_sub(applied.unwrap_or(0));
        self.stalled_since = match self.stalled_since {
            _ if self.behind == 0 => None,
            Some(since) if !advanced && !restarted => Some(since),
            _ => Some(now),
        };
        debug_assert_eq!(self.stalled_since.is_none(), self.behind == 0, "only a node that is behind stalls");
    }

    /// True for a node that is too far behind, or behind and stalled.
    pub(crate) fn is_lagging(&self, now: Instant) -> bool {
        let stalled =
            self.stalled_since.is_some_and(|since| now.saturating_duration_since(since) >= STALLED_AFTER);
        self.behind > MAX_BEHIND || stalled
    }

    /// Returns the number of entries behind the leader's committed index.
    pub(crate) fn behind(&self) -> u64 {
        self.behind
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Checks that after `observations`, as (ms, applied, committed), the node is `lagging` at `at_ms`.
    fn check(observations: &[(u64, u64, Option<u64>)], at_ms: u64, lagging: bool) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lag = Lag::default();
        for (ms, applied, committed) in observations {
            lag.observe(Some(*applied), *committed, at(*ms));
        }
        assert_eq!(lag.is_lagging(at(at_ms)), lagging, "{observations:?} at {at_ms} ms");
    }

    #[test]
    fn a_node_that_is_behind_lags_once_it_has_not_advanced_for_two_seconds() {
        check(&[(0, 10, Some(10))], 60_000, false);
        check(&[(0, 10, Some(34))], 1999, false);
        check(&[(0, 10, Some(34))], 2000, true);
        check(&[(0, 10, Some(34)), (1500, 11, Some(40))], 3499, false);
        check(&[(0, 10, Some(34)), (1500, 11, Some(40))], 3500, true);
        check(&[(0, 10, Some(34)), (1500, 10, Some(40))], 2000, true);
        check(&[(0, 10, Some(34)), (3000, 34, Some(34))], 3000, false);
    }

    #[test]
    fn a_node_that_is_far_behind_lags_while_it_advances() {
        check(&[(0, 10, Some(5010))], 0, false);
        check(&[(0, 10, Some(5011))], 0, true);
        check(&[(0, 10, Some(9000)), (100, 4000, Some(9000))], 100, false);
    }

    #[test]
    fn nobody_is_behind_without_a_leader() {
        check(&[(0, 10, Some(34)), (100, 10, None)], 60_000, false);
        check(&[(0, 10, Some(34)), (100, 10, None), (200, 10, Some(34))], 2199, false);
        check(&[(0, 10, Some(34)), (100, 10, None), (200, 10, Some(34))], 2200, true);
    }

    #[test]
    fn a_node_that_starts_from_scratch_has_its_time() {
        check(&[(0, 34, Some(35)), (1900, 0, Some(35))], 2100, false);
        check(&[(0, 34, Some(35)), (1900, 0, Some(35))], 3900, true);
    }
}

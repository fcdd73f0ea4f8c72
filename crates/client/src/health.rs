//! Health of an endpoint, derived from the requests sent to it. Pure: the clock is an argument.
//!
//! No request is sent only as a probe. An endpoint whose connection failed is *down* for a back-off that
//! doubles with each further failure; afterwards a single request tries the endpoint, and the others keep
//! avoiding it until the result is known. An endpoint that reported to be busy, paused or draining is left
//! alone for the requested time.

use std::time::Duration;

use tokio::time::Instant;

/// Back-off after the first failed connection.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
/// Longest back-off, so that a recovered node is found soon.
const MAX_BACK_OFF: Duration = Duration::from_secs(2);
/// Longest pause granted to an endpoint at its own request.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The health of a single endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    mark: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// The time of the mark; requests begun earlier carry no new information.
    since: Instant,
    until: Instant,
    /// Failures in a row, each begun after the previous was known; 0 for an endpoint that is only busy.
    failures: u32,
}

impl Health {
    /// Returns the time until which the endpoint is avoided while others are available; `None` for a healthy
    /// endpoint.
    pub(crate) fn avoided_until(&self, now: Instant) -> Option<Instant> {
        self.mark.map(|mark| mark.until).filter(|until| *until > now)
    }

    /// Records that a request is sent. For an endpoint whose back-off is over, the request is the trial whose
    /// result the others await, for `patience` at most.
    pub(crate) fn asked(&mut self, now: Instant, patience: Duration) {
        if let Some(mark) = &mut self.mark
            && mark.failures > 0
            && mark.until <= now
        {
            mark.until = now + patience;
        }
    }

    /// Records a failed connection or a missing answer of a request sent at `sent`.
    pub(crate) fn failed(&mut self, sent: Instant, now: Instant) {
        let failures = match self.mark {
            Some(mark) if mark.failures > 0 && sent < mark.since => return,
            Some(mark) => mark.failures.saturating_add(1),
            None => 1,
        };
        self.mark = Some(Mark { since: now, until: now + back_off(failures), failures });
    }

    /// Records that the endpoint accepts no work for the duration of `pause`.
    pub(crate) fn paused(&mut self, now: Instant, pause: Duration) {
        self.mark = Some(Mark { since: now, until: now + pause.min(MAX_PAUSE), failures: 0 });
    }

    /// Records an answer to a request sent at `sent`. An answer to a request sent before the node reported to
    /// be busy does not revoke the report.
    pub(crate) fn answered(&mut self, sent: Instant) {
        self.mark = self.mark.filter(|mark| mark.failures == 0 && sent < mark.since);
    }
}

/// Returns the back-off after the given number of failures in a row.
pub(crate) fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    MAX_BACK_OFF.min(FIRST_BACK_OFF * (1 << doublings))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[test]
    fn the_back_off_doubles_up_to_its_limit() {
        let start = Instant::now();
        let mut health = Health::default();
        let mut now = start;
        for expected_ms in [100, 200, 400, 800, 1600, 2000, 2000] {
            health.failed(now, now);
            let until = health.avoided_until(now).unwrap();
            assert_eq!(until - now, Duration::from_millis(expected_ms));
            now = until;
        }
        assert_eq!(back_off(u32::MAX), MAX_BACK_OFF);
    }

    #[test]
    fn requests_that_fail_together_count_once() {
        let start = Instant::now();
        let mut health = Health::default();
        for _ in 0..20 {
            health.failed(start, start + ms(5));
        }
        assert_eq!(health.avoided_until(start + ms(5)), Some(start + ms(105)));
    }

    #[test]
    fn one_request_tries_an_endpoint_again() {
        let start = Instant::now();
        let mut health = Health::default();
        health.failed(start, start);
        let over = start + ms(100);
        assert_eq!(health.avoided_until(over), None);
        health.asked(over, PATIENCE);
        assert_eq!(
            health.avoided_until(over + ms(1)),
            Some(over + PATIENCE),
            "the others wait for the trial"
        );
        health.answered(over);
        assert_eq!(health.avoided_until(over + ms(2)), None);
    }

    #[test]
    fn a_trial_that_never_ends_does_not_hide_the_endpoint() {
        let start = Instant::now();
        let mut health = Health::default();
        health.failed(start, start);
        health.asked(start + ms(100), PATIENCE);
        assert_eq!(health.avoided_until(start + ms(100) + PATIENCE), None);
    }

    #[test]
    fn a_pause_is_bounded_and_old_answers_do_not_end_it() {
        let start = Instant::now();
        let mut health = Health::default();
        health.paused(start + ms(10), Duration::from_secs(u64::MAX));
        assert_eq!(health.avoided_until(start + ms(10)), Some(start + ms(10) + MAX_PAUSE));
        health.answered(start);
        assert!(health.avoided_until(start + ms(10)).is_some(), "that was sent before");
        health.answered(start + ms(11));
        assert_eq!(health.avoided_until(start + ms(12)), None);
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}

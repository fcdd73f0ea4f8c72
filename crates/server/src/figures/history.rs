//! Request history of the last hours, in steps. Holds no clock: the time is an argument.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::{durations, quantile_ms};

/// Length of a step in milliseconds. Steps begin at multiples of the length, so that all nodes' steps align.
pub(crate) const STEP_MS: u64 = 10_000;
/// Number of steps kept: six hours.
const KEPT: usize = 2160;

/// Requests of one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// End of the step, in milliseconds since 1970.
    pub at_ms: u64,
    /// Number of data-plane requests answered in the step.
    pub requests: u64,
    /// Median of the durations; `None` without requests.
    pub p50_ms: Option<f32>,
    /// 95th percentile of the durations; `None` without requests.
    pub p95_ms: Option<f32>,
}

/// The steps of the last hours, the oldest first, and the current step.
#[derive(Debug)]
pub(crate) struct History {
    steps: VecDeque<Step>,
    /// Begin of the current step; `None` before the first event.
    begun_ms: Option<u64>,
    /// Durations in the current step, in microseconds.
    durations: Histogram<u32>,
}

impl History {
    /// An empty history.
    pub(crate) fn new() -> Self {
        Self { steps: VecDeque::new(), begun_ms: None, durations: durations() }
    }

    /// Counts a request answered at `now_ms` after `took_us` microseconds.
    pub(crate) fn count(&mut self, now_ms: u64, took_us: u64) {
        self.tick(now_ms);
        self.durations.saturating_record(took_us);
    }

    /// Advances to `now_ms` and ends the steps before. Steps without a call, as in a suspended process, have
    /// no requests.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        let begins_ms = now_ms - now_ms % STEP_MS;
        let begun_ms = self.begun_ms.unwrap_or(begins_ms);
        // A small step back of the clock is waited out; a clock that was set back invalidates later steps.
        if now_ms < begun_ms && now_ms + STEP_MS >= begun_ms {
            return;
        }
        self.begun_ms = Some(begins_ms);
        if begins_ms < begun_ms {
            self.steps.retain(|step| step.at_ms <= begins_ms);
            return;
        }
        let ended = (begins_ms - begun_ms) / STEP_MS;
        let kept = ended.saturating_sub(KEPT as u64) + 1..=ended;
        for at_ms in kept.map(|step| begun_ms + step * STEP_MS) {
            self.end_step(at_ms);
        }
    }

    fn end_step(&mut self, at_ms: u64) {
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        debug_assert!(
            self.steps.back().is_none_or(|last| last.at_ms < at_ms),
            "steps end one after the other"
        );
        let is_silent = self.durations.is_empty();
        let quantile = |quantile| (!is_silent).then(|| quantile_ms(&self.durations, quantile));
        let (p50_ms, p95_ms) = (quantile(0.5), quantile(0.95));
        self.steps.push_back(Step { at_ms, requests: self.durations.len(), p50_ms, p95_ms });
        self.durations.reset();
        debug_assert!(self.steps.len() <= KEPT, "six hours are kept");
    }

    /// Returns the steps ended after `since_ms`.
    pub(crate) fn since(&self, since_ms: u64) -> Vec<Step> {
        self.steps.iter().filter(|step| step.at_ms > since_ms).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(history: &History) -> Vec<u64> {
        history.since(0).iter().map(|step| step.at_ms).collect()
    }

    #[test]
    fn a_step_holds_what_came_before_its_end() {
        let mut history = History::new();
        [1000, 1000, 9000].into_iter().for_each(|us| history.count(100_001, us));
        history.tick(109_999);
        assert!(history.since(0).is_empty());
        // No call at the end of the step: later requests belong to the next step all the same.
        history.count(110_300, 5000);
        history.tick(120_000);
        let steps = history.since(0);
        assert_eq!((steps[0].at_ms, steps[0].requests), (110_000, 3));
        assert!((0.99..1.01).contains(&steps[0].p50_ms.unwrap()));
        assert!((8.9..9.1).contains(&steps[0].p95_ms.unwrap()));
        assert_eq!((steps[1].at_ms, steps[1].requests), (120_000, 1));
        assert_eq!(history.since(110_000), steps[1..]);
    }

    #[test]
    fn a_process_that_stood_still_had_no_requests_meanwhile() {
        let mut history = History::new();
        history.count(732_000, 1000);
        history.count(760_000, 1000);
        history.tick(771_000);
        let requests: Vec<(u64, u64)> =
            history.since(0).iter().map(|step| (step.at_ms, step.requests)).collect();
        assert_eq!(requests, [(740_000, 1), (750_000, 0), (760_000, 0), (770_000, 1)]);
        assert_eq!(history.since(0)[1].p50_ms, None);
    }

    #[test]
    fn six_hours_are_kept() {
        let mut history = History::new();
        (0..=3000).for_each(|step| history.tick(step * STEP_MS));
        assert_eq!((times(&history).len(), times(&history)[0]), (2160, 841 * STEP_MS));
        // Of a longer sleep, too.
        history.tick(1_000_000 * STEP_MS);
        assert_eq!((times(&history).len(), times(&history)[2159]), (2160, 1_000_000 * STEP_MS));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_steps_of_the_future() {
        let mut history = History::new();
        [500_000, 510_000, 520_000, 495_000, 501_000].into_iter().for_each(|now_ms| history.tick(now_ms));
        assert_eq!(times(&history), [500_000]);
    }

    #[test]
    fn a_clock_that_goes_back_a_little_loses_nothing() {
        let mut history = History::new();
        for now_ms in [505_000, 510_100, 509_600, 510_050, 519_000, 520_000] {
            history.count(now_ms, 1000);
        }
        let requests: Vec<(u64, u64)> =
            history.since(0).iter().map(|step| (step.at_ms, step.requests)).collect();
        assert_eq!(requests, [(510_000, 1), (520_000, 4)]);
    }
}

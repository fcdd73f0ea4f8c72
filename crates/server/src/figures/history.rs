//! What a node did over the last hours, step by step. Holds no clock: the time is an argument.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::quantile_ms;

/// A step, in milliseconds. Steps begin at multiples of it, so that those of all nodes lie beside each other.
pub(crate) const STEP_MS: u64 = 10_000;
/// Steps that are kept: six hours.
const KEPT: usize = 2160;

/// Requests of one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// Requests to the API that were answered in it.
    pub requests: u64,
    /// Median of their duration; none without requests.
    pub p50_ms: Option<f32>,
    /// 95th percentile of their duration; none without requests.
    pub p95_ms: Option<f32>,
}

/// The steps of the last hours, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    steps: VecDeque<Step>,
    /// When the step that has not ended began.
    begun_ms: Option<u64>,
}

impl History {
    /// It is `now_ms`. If another step has begun, the one before ends with what is in `durations` (in microseconds), which is
    /// emptied. Steps in which nobody came by, as in a process that stood still, are left out.
    pub(crate) fn tick(&mut self, now_ms: u64, durations: &mut Histogram<u32>) {
        let begins_ms = now_ms - now_ms % STEP_MS;
        let Some(begun_ms) = self.begun_ms.replace(begins_ms) else { return };
        if begun_ms == begins_ms {
            return;
        }
        // A clock that was set back makes what it said before untrue.
        self.steps.retain(|step| step.at_ms < begins_ms);
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        let is_silent = durations.is_empty();
        self.steps.push_back(Step {
            at_ms: begins_ms,
            requests: durations.len(),
            p50_ms: (!is_silent).then(|| quantile_ms(durations, 0.5)),
            p95_ms: (!is_silent).then(|| quantile_ms(durations, 0.95)),
        });
        durations.reset();
    }

    /// Steps that ended after `since_ms`.
    pub(crate) fn since(&self, since_ms: u64) -> Vec<Step> {
        self.steps.iter().filter(|step| step.at_ms > since_ms).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(of_us: &[u64]) -> Histogram<u32> {
        let mut durations = Histogram::new_with_max(60_000_000, 2).unwrap();
        of_us.iter().for_each(|us| durations.record(*us).unwrap());
        durations
    }

    #[test]
    fn a_step_holds_what_came_before_its_end() {
        let mut history = History::default();
        let mut pending = durations(&[1000, 1000, 9000]);
        history.tick(100_001, &mut pending);
        history.tick(109_999, &mut pending);
        assert!(history.since(0).is_empty());
        history.tick(110_300, &mut pending);
        history.tick(120_000, &mut pending);
        let steps = history.since(0);
        assert_eq!((steps[0].at_ms, steps[0].requests), (110_000, 3));
        assert!((0.99..1.01).contains(&steps[0].p50_ms.unwrap()));
        assert!((8.9..9.1).contains(&steps[0].p95_ms.unwrap()));
        assert_eq!(steps[1], Step { at_ms: 120_000, requests: 0, p50_ms: None, p95_ms: None });
        assert_eq!(history.since(110_000), steps[1..]);
    }

    #[test]
    fn six_hours_are_kept() {
        let mut history = History::default();
        for step in 0..=3000 {
            history.tick(step * STEP_MS, &mut durations(&[]));
        }
        let steps = history.since(0);
        assert_eq!((steps.len(), steps[0].at_ms), (2160, 841 * STEP_MS));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_no_steps_of_the_future() {
        let mut history = History::default();
        for now_ms in [500_000, 510_000, 520_000, 505_000, 511_000] {
            history.tick(now_ms, &mut durations(&[]));
        }
        let times: Vec<u64> = history.since(0).iter().map(|step| step.at_ms).collect();
        assert_eq!(times, [500_000, 510_000]);
    }
}

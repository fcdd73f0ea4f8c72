//! Time limit of an attempt before another endpoint is asked, learned from recent answers. Pure.
//!
//! A hanging node accepts connections and sends nothing. Half of the request's time is a long wait for such a
//! node, if answers usually arrive within a tenth of that time. After enough answered requests of the same
//! work, an attempt that takes twice as long as the slowest recent answer is given up, if the retry budget
//! pays for asking elsewhere. If the limit was too short, because all nodes have become slower, the slower
//! answers raise the limit, and nothing is lost: without another endpoint that is up, or without budget, the
//! attempt keeps its full time.

use std::collections::VecDeque;
use std::time::Duration;

/// Number of answers remembered.
const KEPT: usize = 64;
/// Number of answers needed for an estimate.
const ENOUGH: usize = 20;
/// Time limit of an attempt as a multiple of the slowest recent answer.
const FACTOR: u32 = 2;

/// Recent answers to requests of a single kind of work.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    recent: VecDeque<Answered>,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    request_len_bytes: u64,
    took: Duration,
}

impl Pace {
    /// Records that a request of the given size was answered after `took`.
    pub(crate) fn note(&mut self, request_len_bytes: u64, took: Duration) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(Answered { request_len_bytes, took });
        debug_assert!(self.recent.len() <= KEPT, "{} answers are kept", self.recent.len());
    }

    /// Returns the time limit of an attempt with a request of the given size, at least `least`; `None` if too
    /// few answers to requests of similar size are known. A large image takes longer than small images, which
    /// are no evidence for its time.
    pub(crate) fn patience(&self, request_len_bytes: u64, least: Duration) -> Option<Duration> {
        let as_large = |answered: &&Answered| answered.request_len_bytes >= request_len_bytes / 2;
        if self.recent.iter().filter(as_large).count() < ENOUGH {
            return None;
        }
        let slowest = self.recent.iter().map(|answered| answered.took).max()?;
        Some((slowest * FACTOR).max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(200);

    #[test]
    fn patience_is_twice_the_slowest_answer_of_late() {
        let mut pace = Pace::default();
        for count in 0..ENOUGH as u64 {
            assert_eq!(pace.patience(100, LEAST), None, "after {count} answers");
            pace.note(100, ms(300 + count));
        }
        assert_eq!(pace.patience(100, LEAST), Some(ms(2 * 319)));
        for _ in 0..KEPT {
            pace.note(100, ms(150));
        }
        assert_eq!(pace.patience(100, LEAST), Some(ms(300)), "what was long ago is forgotten");
        for _ in 0..KEPT {
            pace.note(100, ms(1));
        }
        assert_eq!(pace.patience(100, LEAST), Some(LEAST));
    }

    #[test]
    fn small_requests_tell_nothing_about_large_ones() {
        let mut pace = Pace::default();
        for _ in 0..KEPT {
            pace.note(1000, ms(500));
        }
        assert_eq!(pace.patience(2001, LEAST), Some(ms(1000)));
        assert_eq!(pace.patience(2002, LEAST), None);
        assert_eq!(pace.patience(1, LEAST), Some(ms(1000)), "the slow ones count for it all the same");
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}

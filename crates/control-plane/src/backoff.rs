//! Pauses between attempts: doubled each time, up to a limit. Pure.

use std::time::Duration;

/// Sequence of pauses between attempts at one operation.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates a sequence from the first pause to the longest.
    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        debug_assert!(first <= longest);
        Self { first, longest, next: first }
    }

    /// Returns the pause after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        debug_assert!((self.first..=self.longest).contains(&pause), "{pause:?} is out of bounds");
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// Restarts the sequence at the first pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(500), ms(3000)));
        let pauses: Vec<_> = (0..5).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 3000, 3000].map(ms));
        backoff.reset();
        assert_eq!(backoff.pause(), ms(500));
    }
}

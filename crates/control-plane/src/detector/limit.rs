//! Limit on the silence of a peer.
//!
//! A fixed limit convicts too early wherever answers take longer: on a busy machine, over a link that loses
//! packets or pauses. The limit is the greatest of a floor, the expected round trip (RFC 6298, section 2,
//! with late answers as samples), and 1.5 times the longest silence of the last minute that ended; the
//! lateness of both processes is added. It stays under 900 ms, so that a dead leader is found within a
//! second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::timing::{MAX_SILENCE, SILENCES_KEPT_FOR};

/// Returns the silence that is evidence: at least `floor`, and at most the greater of `floor` and
/// [`MAX_SILENCE`].
pub(super) fn silence(
    floor: Duration,
    round_trip: &RoundTrip,
    longest_silence: Duration,
    lateness: Duration,
) -> Duration {
    let expected = floor.max(round_trip.expected()).max(longest_silence * 3 / 2);
    (expected + lateness).min(MAX_SILENCE.max(floor))
}

/// Estimate of a quantity by mean and deviation, as RFC 6298 estimates round trips.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    mean: Duration,
    deviation: Duration,
}

impl Estimate {
    fn observe(&mut self, sample: Duration) {
        let error = sample.abs_diff(self.mean);
        self.deviation = (self.deviation * 3 + error) / 4;
        self.mean = (self.mean * 7 + sample) / 8;
    }

    fn upper(&self) -> Duration {
        self.mean + self.deviation * 4
    }
}

/// Round-trip time of probes, late answers included.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoundTrip(Option<Estimate>);

impl RoundTrip {
    /// Records the time that an answer took.
    pub(super) fn observe(&mut self, sample: Duration) {
        match &mut self.0 {
            Some(estimate) => estimate.observe(sample),
            first => *first = Some(Estimate { mean: sample, deviation: sample / 2 }),
        }
    }

    /// Returns the time within which an answer is expected.
    fn expected(&self) -> Duration {
        self.0.map_or(Duration::ZERO, |estimate| estimate.upper())
    }
}

/// Time by which a process runs late, interval by interval.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness {
    /// The latest samples.
    samples: VecDeque<Duration>,
}

/// Intervals whose lateness is kept: half a second at the default interval.
const LATENESS_SAMPLES: usize = 10;

impl Lateness {
    /// Records the lateness during one interval.
    pub(crate) fn observe(&mut self, sample: Duration) {
        if self.samples.len() == LATENESS_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Returns the lateness that is to be expected: the second greatest of late. A process that was stopped
    /// once is late once; on a busy machine it is late again and again.
    pub(crate) fn expected(&self) -> Duration {
        let mut samples: Vec<Duration> = self.samples.iter().copied().collect();
        samples.sort_unstable();
        samples.iter().rev().nth(1).copied().unwrap_or_default()
    }

    /// Returns the greatest lateness of late.
    pub(crate) fn greatest(&self) -> Duration {
        self.samples.iter().max().copied().unwrap_or_default()
    }
}

/// Silences that ended. A silence that the limit cannot span was an outage, and does not count.
#[derive(Debug, Default)]
pub(super) struct Silences {
    /// Silences, each longer than all later ones, with the time of the end.
    longest: VecDeque<(Instant, Duration)>,
}

impl Silences {
    /// Records a silence that ended at `now`.
    pub(super) fn observe(&mut self, silence: Duration, now: Instant) {
        if silence * 3 / 2 > MAX_SILENCE {
            return;
        }
        self.longest.retain(|(at, longer)| *longer > silence && is_recent(*at, now));
        self.longest.push_back((now, silence));
        if self.longest.len() > MAX_SILENCES {
            self.longest.pop_back();
        }
    }

    /// Returns the longest silence that ended recently.
    pub(super) fn longest(&self, now: Instant) -> Duration {
        let mut recent = self.longest.iter().filter(|(at, _)| is_recent(*at, now));
        recent.next().map_or(Duration::ZERO, |(_, silence)| *silence)
    }
}

/// Maximum number of silences kept; the shortest are left out beyond.
const MAX_SILENCES: usize = 64;

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < SILENCES_KEPT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const FLOOR: Duration = ms(150);

    fn limit(round_trips: &[u64], longest_silence: u64, lateness: u64) -> Duration {
        let mut round_trip = RoundTrip::default();
        round_trips.iter().for_each(|sample| round_trip.observe(ms(*sample)));
        silence(FLOOR, &round_trip, ms(longest_silence), ms(lateness))
    }

    #[test]
    fn the_limit_follows_what_was_seen() {
        assert_eq!(limit(&[], 0, 0), FLOOR);
        assert_eq!(limit(&[1, 1, 1], 0, 0), FLOOR);
        assert_eq!(limit(&[1], 0, 40), ms(190));
        // The first sample: mean 100, deviation 50.
        assert_eq!(limit(&[100], 0, 0), ms(300));
        assert_eq!(limit(&[1], 200, 0), ms(300));
        assert_eq!(limit(&[1], 600, 500), ms(900));
        assert_eq!(limit(&[2000], 0, 0), ms(900));
        assert_eq!(silence(ms(1200), &RoundTrip::default(), ms(0), ms(10)), ms(1200));
    }

    #[test]
    fn one_stall_is_no_lateness() {
        let mut lateness = Lateness::default();
        assert_eq!((lateness.expected(), lateness.greatest()), (ms(0), ms(0)));
        lateness.observe(ms(2));
        lateness.observe(ms(400));
        lateness.observe(ms(3));
        assert_eq!((lateness.expected(), lateness.greatest()), (ms(3), ms(400)));
        lateness.observe(ms(40));
        assert_eq!(lateness.expected(), ms(40));
        (0..10).for_each(|_| lateness.observe(ms(1)));
        assert_eq!((lateness.expected(), lateness.greatest()), (ms(1), ms(1)));
    }

    /// An answer late by 400 ms counts for a while, less than a second.
    #[test]
    fn a_single_late_answer_fades() {
        let mut samples = vec![1; 20];
        samples.push(400);
        assert!(limit(&samples, 0, 0) > ms(400));
        samples.extend([1; 20]);
        assert_eq!(limit(&samples, 0, 0), FLOOR);
    }

    #[test]
    fn the_longest_silence_counts_for_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silences = Silences::default();
        silences.observe(ms(250), at(0));
        silences.observe(ms(120), at(10));
        silences.observe(ms(180), at(20));
        assert_eq!(
            [20, 59, 60, 79, 80].map(|s| silences.longest(at(s)).as_millis()),
            [250, 250, 180, 180, 0]
        );
        silences.observe(ms(601), at(30));
        assert_eq!(silences.longest(at(30)), ms(250), "an outage teaches nothing");
    }
}

//! Counts of requests in slices of 10 ms around a fault. Pure.

use serde::Serialize;
use tokio::time::Instant;

use super::timeline::ms_between;
use crate::run::Sample;

/// Width of a bucket.
pub(super) const WIDTH_MS: i64 = 10;
/// Start of the first bucket and end of the last, relative to the fault.
const FROM_MS: i64 = -100;
const TO_MS: i64 = 500;

/// Counts of a slice of time, which ends at the start of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Bucket {
    /// Start of the slice, relative to the fault.
    pub(super) from_ms: i64,
    /// End of the slice.
    pub(super) to_ms: i64,
    /// Requests that began in the slice.
    pub(super) sent: u64,
    /// Requests that succeeded in the slice.
    pub(super) answered: u64,
    /// Requests that failed in the slice.
    pub(super) failed: u64,
}

impl Bucket {
    fn count(&self) -> u64 {
        self.sent + self.answered + self.failed
    }

    fn joined(self, next: Self) -> Self {
        debug_assert_eq!(self.to_ms, next.from_ms, "only neighbours are joined");
        Self {
            from_ms: self.from_ms,
            to_ms: next.to_ms,
            sent: self.sent + next.sent,
            answered: self.answered + next.answered,
            failed: self.failed + next.failed,
        }
    }
}

/// Returns all buckets around the fault, including empty buckets.
pub(super) fn buckets(samples: &[Sample], fault: Instant) -> Vec<Bucket> {
    let starts = (FROM_MS..TO_MS).step_by(WIDTH_MS as usize);
    let empty = |from_ms| Bucket { from_ms, to_ms: from_ms + WIDTH_MS, sent: 0, answered: 0, failed: 0 };
    let mut buckets: Vec<_> = starts.map(empty).collect();
    let index = |at: Instant| {
        let slice = ((ms_between(fault, at) - FROM_MS as f64) / WIDTH_MS as f64).floor();
        // Negative slices precede the first bucket.
        (slice >= 0.0).then_some(slice as usize)
    };
    for sample in samples {
        if let Some(bucket) = index(sample.begun).and_then(|index| buckets.get_mut(index)) {
            bucket.sent += 1;
        }
        if let Some(bucket) = index(sample.answered).and_then(|index| buckets.get_mut(index)) {
            if sample.succeeded { bucket.answered += 1 } else { bucket.failed += 1 }
        }
    }
    buckets
}

/// Reduces the buckets to at most `max_rows` rows by joining, again and again, the two neighbours with the
/// lowest count. Quiet stretches become short, and busy stretches keep their resolution. No row spans the
/// fault.
pub(super) fn compact(mut buckets: Vec<Bucket>, max_rows: usize) -> Vec<Bucket> {
    while buckets.len() > max_rows.max(2) {
        let pairs = buckets.windows(2).enumerate().filter(|(_, pair)| pair[1].from_ms != 0);
        let Some((index, _)) =
            pairs.min_by_key(|(_, pair)| (pair[0].count() + pair[1].count(), pair[0].from_ms))
        else {
            return buckets;
        };
        let next = buckets.remove(index + 1);
        buckets[index] = buckets[index].joined(next);
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_count_where_they_begin_and_where_they_end() {
        let fault = Instant::now() + Duration::from_secs(60);
        let samples = [
            sample(fault, -150, -95, true),
            sample(fault, -1, 0, true),
            sample(fault, 0, 19, false),
            sample(fault, 5, 499, true),
            sample(fault, 499, 500, true),
        ];
        let buckets = buckets(&samples, fault);
        assert_eq!((buckets.len(), buckets[0].from_ms, buckets[59].to_ms), (60, -100, 500));
        let filled: Vec<_> = buckets
            .iter()
            .filter(|bucket| bucket.count() > 0)
            .map(|bucket| (bucket.from_ms, bucket.sent, bucket.answered, bucket.failed))
            .collect();
        assert_eq!(filled, [(-100, 0, 1, 0), (-10, 1, 0, 0), (0, 2, 1, 0), (10, 0, 0, 1), (490, 1, 1, 0)]);
    }

    #[test]
    fn quiet_stretches_become_one_row_and_nothing_is_lost() {
        let fault = Instant::now() + Duration::from_secs(60);
        let samples: Vec<_> = (0..30).map(|ms| sample(fault, ms, 20 + ms, ms != 7)).collect();
        let all = buckets(&samples, fault);
        let rows = compact(all.clone(), 8);
        let spans: Vec<_> = rows.iter().map(|row| (row.from_ms, row.to_ms)).collect();
        assert_eq!(
            spans,
            [(-100, 0), (0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 490), (490, 500)],
            "five busy slices keep their width"
        );
        let sum = |rows: &[Bucket]| {
            rows.iter()
                .map(|row| (row.sent, row.answered, row.failed))
                .fold((0, 0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1, sum.2 + row.2))
        };
        assert_eq!(sum(&rows), sum(&all));
        assert_eq!(compact(all, 0).len(), 2, "before and after the fault");
    }

    fn sample(fault: Instant, begun_ms: i64, answered_ms: i64, succeeded: bool) -> Sample {
        let at = |ms: i64| {
            let distance = Duration::from_millis(ms.unsigned_abs());
            if ms < 0 { fault - distance } else { fault + distance }
        };
        let latency = Duration::from_millis((answered_ms - begun_ms).unsigned_abs());
        Sample { begun: at(begun_ms), answered: at(answered_ms), latency, succeeded }
    }
}

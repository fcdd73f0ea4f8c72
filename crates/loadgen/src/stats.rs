//! Counts of the results of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use client::Endpoint;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::request::Done;
use crate::verify::Failure;

/// Longest latency distinguished from longer latencies: more than any request timeout.
const MAX_LATENCY_US: u64 = 25 * 3_600 * 1_000_000;
/// Resolution of latencies: three significant digits, and never finer than a microsecond.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Most kinds of errors counted separately: kinds are named by nodes, and the list must not grow without
/// bound.
const MAX_ERROR_KINDS: usize = 50;

/// The counts of a run so far.
#[derive(Debug)]
pub(crate) struct Stats {
    latency_us: Histogram<u64>,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    pub(crate) answer_bytes: u64,
    /// Total time of all requests, and the part spent in this process.
    spent: Duration,
    spent_here: Duration,
    pub(crate) errors: BTreeMap<String, ErrorCount>,
    pub(crate) per_node: BTreeMap<Endpoint, NodeCount>,
}

/// Errors of a single kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorCount {
    pub(crate) count: u64,
    /// The message of the first error.
    pub(crate) example: String,
}

/// Requests decided by a node, and retries caused by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct NodeCount {
    pub(crate) requests: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Calls sent again, usually to another node, because this node did not answer or refused.
    pub(crate) retried: u64,
}

/// Latencies in milliseconds; all `None` without a succeeded request.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct LatencyMs {
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Stats {
    /// Creates empty counts for the given nodes.
    pub(crate) fn new(nodes: &[Endpoint]) -> Self {
        let latency_us = Histogram::new_with_bounds(1, MAX_LATENCY_US, SIGNIFICANT_DIGITS)
            .expect("the bounds of the histogram are constants that it takes");
        Self {
            latency_us,
            succeeded: 0,
            failed: 0,
            retries: 0,
            answer_bytes: 0,
            spent: Duration::ZERO,
            spent_here: Duration::ZERO,
            errors: BTreeMap::new(),
            per_node: nodes.iter().map(|node| (node.clone(), NodeCount::default())).collect(),
        }
    }

    pub(crate) fn record(&mut self, done: Done) {
        self.retries += done.retried.len() as u64;
        for node in done.retried {
            self.per_node.entry(node).or_default().retried += 1;
        }
        self.answer_bytes += done.answer_bytes;
        self.spent += done.latency + done.spent_here;
        self.spent_here += done.spent_here;
        debug_assert!(self.spent_here <= self.spent, "a part is larger than the whole");
        if let Some(node) = done.node {
            let count = self.per_node.entry(node).or_default();
            count.requests += 1;
            match done.result {
                Ok(()) => count.succeeded += 1,
                Err(_) => count.failed += 1,
            }
        }
        match done.result {
            Ok(()) => self.record_success(done.latency),
            Err(failure) => self.record_failure(failure),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Returns the share of the time of all requests spent in this process, 0 to 1.
    pub(crate) fn client_share(&self) -> f64 {
        if self.spent.is_zero() { 0.0 } else { self.spent_here.as_secs_f64() / self.spent.as_secs_f64() }
    }

    pub(crate) fn latency_ms(&self) -> LatencyMs {
        if self.latency_us.is_empty() {
            return LatencyMs::default();
        }
        let ms = |us: u64| Some(us as f64 / 1000.0);
        let quantile = |quantile| ms(self.latency_us.value_at_quantile(quantile));
        LatencyMs {
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: ms(self.latency_us.max()),
        }
    }

    fn record_success(&mut self, latency: Duration) {
        self.succeeded += 1;
        self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    fn record_failure(&mut self, failure: Failure) {
        self.failed += 1;
        let known = self.errors.contains_key(&*failure.kind);
        let kind = if known || self.errors.len() < MAX_ERROR_KINDS { failure.kind } else { "other".into() };
        let error = self
            .errors
            .entry(kind.into_owned())
            .or_insert_with(|| ErrorCount { count: 0, example: failure.text });
        error.count += 1;
        debug_assert!(self.errors.len() <= MAX_ERROR_KINDS + 1, "{} kinds of errors", self.errors.len());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let mut stats = Stats::new(&[]);
        // 1 to 1000 ms, in an order that is not sorted: 7 and 1000 have no common factor.
        for step in 0..1000_u64 {
            stats.record(done(Duration::from_millis(step * 7 % 1000 + 1), Ok(())));
        }
        let found = stats.latency_ms();
        let check = |found: Option<f64>, exact: f64| {
            let found = found.unwrap();
            assert!((found - exact).abs() <= exact / 1000.0, "{found} and not {exact}");
        };
        check(found.p50, 500.0);
        check(found.p95, 950.0);
        check(found.p99, 990.0);
        check(found.p999, 999.0);
        check(found.max, 1000.0);
    }

    #[test]
    fn latencies_are_kept_to_the_microsecond() {
        let mut stats = Stats::new(&[]);
        stats.record(done(Duration::from_micros(1234), Ok(())));
        assert_eq!(stats.latency_ms().p50, Some(1.234));
        assert_eq!(stats.latency_ms().max, Some(1.234));
    }

    #[test]
    fn failures_count_by_kind_and_not_in_the_latency() {
        let mut stats = Stats::new(&["http://a".parse().unwrap(), "http://b".parse().unwrap()]);
        stats.record(done(Duration::ZERO, Ok(())));
        stats.record(done(Duration::from_secs(5), Err(Failure::new("timeout", "first"))));
        stats.record(done(Duration::from_secs(5), Err(Failure::new("timeout", "second"))));
        stats.record(Done::not_sent(1));
        assert_eq!((stats.total(), stats.succeeded, stats.failed), (4, 1, 3));
        assert_eq!(stats.errors["timeout"], ErrorCount { count: 2, example: "first".into() });
        assert_eq!(stats.errors["not_sent"].count, 1);
        assert!(stats.latency_ms().max.unwrap() < 1.0);
        let nodes: Vec<_> = stats.per_node.values().copied().collect();
        let asked = NodeCount { requests: 3, succeeded: 1, failed: 2, retried: 0 };
        assert_eq!(nodes, [asked, NodeCount::default()]);
    }

    #[test]
    fn retries_count_for_the_node_that_caused_them() {
        let nodes = ["http://a", "http://b"].map(|text| text.parse::<Endpoint>().unwrap());
        let mut stats = Stats::new(&nodes);
        let mut request = done(Duration::ZERO, Ok(()));
        request.retried = vec![nodes[1].clone(), nodes[1].clone()];
        stats.record(request);
        assert_eq!(stats.retries, 2);
        assert_eq!(stats.per_node[&nodes[0]], NodeCount { requests: 1, succeeded: 1, failed: 0, retried: 0 });
        assert_eq!(stats.per_node[&nodes[1]], NodeCount { retried: 2, ..NodeCount::default() });
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut stats = Stats::new(&[]);
        for number in 0..1000 {
            let failure = Failure { kind: format!("kind_{number}").into(), text: String::new() };
            stats.record(done(Duration::ZERO, Err(failure)));
        }
        assert_eq!(stats.errors.len(), MAX_ERROR_KINDS + 1);
        assert_eq!(stats.errors.values().map(|error| error.count).sum::<u64>(), 1000);
    }

    #[test]
    fn without_a_success_there_is_no_latency() {
        assert_eq!(Stats::new(&[]).latency_ms(), LatencyMs::default());
    }

    fn done(latency: Duration, result: Result<(), Failure>) -> Done {
        Done {
            node: Some("http://a".parse().unwrap()),
            retried: Vec::new(),
            answer_bytes: 0,
            latency,
            spent_here: Duration::ZERO,
            begun: Instant::now(),
            answered: Instant::now(),
            result,
        }
    }
}

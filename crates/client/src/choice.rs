//! Which endpoint a request asks next.
//!
//! This module alone decides the choice. Requests begin at the endpoints in turn and pass over those that are
//! known to be down or busy while others are there. Within one request an endpoint that failed rests before it
//! is asked again; one that this request has not asked yet is asked before that, whatever is known of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::endpoints::Endpoint;
use crate::health::Health;

/// The endpoints of a client, what is known of them, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Endpoint>,
    health: Mutex<Vec<Health>>,
    next: AtomicUsize,
}

impl Endpoints {
    /// `list` is not empty.
    pub(crate) fn new(list: Vec<Endpoint>) -> Self {
        let health = Mutex::new(vec![Health::default(); list.len()]);
        Self { list, health, next: AtomicUsize::new(0) }
    }

    pub(crate) fn list(&self) -> &[Endpoint] {
        &self.list
    }

    /// Begins a request, at the endpoint after the one where the last request began. One that is avoided loses its
    /// turn: its share goes to all others, and not to the one behind it.
    pub(crate) fn turn(&self, now: Instant) -> Turn<'_> {
        let take = || self.next.fetch_add(1, Ordering::Relaxed) % self.list.len();
        let health = self.health.lock().expect("nothing panics while it holds this");
        let up =
            (0..self.list.len()).map(|_| take()).find(|&index| health[index].avoided_until(now).is_none());
        drop(health);
        let next = up.unwrap_or_else(take);
        Turn {
            list: &self.list,
            health: Some(&self.health),
            rests: vec![Rest::default(); self.list.len()],
            next,
        }
    }
}

/// The choices of one request.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    list: &'a [Endpoint],
    /// `None`: nothing is known, and nothing is learned.
    health: Option<&'a Mutex<Vec<Health>>>,
    rests: Vec<Rest>,
    next: usize,
}

/// How an endpoint fared within one request.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
}

/// An endpoint to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    index: usize,
    /// When it may be asked: not before now.
    pub(crate) ready_at: Instant,
}

impl<'a> Turn<'a> {
    /// A request that only ever asks this endpoint, whatever is known of it.
    pub(crate) fn only(endpoint: &'a Endpoint) -> Self {
        let list = std::slice::from_ref(endpoint);
        Self { list, health: None, rests: vec![Rest::default()], next: 0 }
    }

    pub(crate) fn endpoint(&self, choice: Choice) -> &'a Endpoint {
        &self.list[choice.index]
    }

    /// The next endpoint: of those that may be asked soonest, the one that is not avoided, or not for long.
    pub(crate) fn pick(&self, now: Instant) -> Choice {
        let in_order = (0..self.list.len()).map(|step| (self.next + step) % self.list.len());
        let ready_at = |index: usize| self.rests[index].until.map_or(now, |until| until.max(now));
        // `min_by_key` keeps the first of equals: the next in order.
        let best = in_order.min_by_key(|&index| (ready_at(index), self.avoided_until(index, now)));
        let index = best.unwrap_or(self.next);
        Choice { index, ready_at: ready_at(index) }
    }

    /// Whether another endpoint than this could be asked now and is not known to be down or busy.
    pub(crate) fn has_other(&self, choice: Choice, now: Instant) -> bool {
        (0..self.list.len()).any(|index| {
            let rests = self.rests[index].until.is_some_and(|until| until > now);
            index != choice.index && !rests && self.avoided_until(index, now).is_none()
        })
    }

    /// The request is sent to this endpoint, which has `patience` to answer.
    pub(crate) fn asked(&mut self, choice: Choice, now: Instant, patience: Duration) {
        self.next = (choice.index + 1) % self.list.len();
        self.learn(choice, |health| health.asked(now, patience));
    }

    /// The endpoint answered what was sent at `sent`.
    pub(crate) fn answered(&self, choice: Choice, sent: Instant) {
        self.learn(choice, |health| health.answered(sent));
    }

    /// The connection failed, or the endpoint did not answer in time.
    pub(crate) fn failed(&self, choice: Choice, sent: Instant, now: Instant) {
        self.learn(choice, |health| health.failed(sent, now));
    }

    /// The endpoint wants no work for this long.
    pub(crate) fn paused(&self, choice: Choice, now: Instant, pause: Duration) {
        self.learn(choice, |health| health.paused(now, pause));
    }

    /// How often the endpoint has failed in this request.
    pub(crate) fn failures(&self, choice: Choice) -> u32 {
        self.rests[choice.index].failures
    }

    /// The endpoint failed this request and is not asked by it again before `until`.
    pub(crate) fn rest(&mut self, choice: Choice, until: Instant) {
        let rest = &mut self.rests[choice.index];
        *rest = Rest { failures: rest.failures.saturating_add(1), until: Some(until) };
    }

    fn avoided_until(&self, index: usize, now: Instant) -> Option<Instant> {
        self.health?.lock().expect("nothing panics while it holds this")[index].avoided_until(now)
    }

    fn learn(&self, choice: Choice, note: impl FnOnce(&mut Health)) {
        if let Some(health) = self.health {
            note(&mut health.lock().expect("nothing panics while it holds this")[choice.index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[test]
    fn requests_begin_at_the_endpoints_in_turn() {
        let endpoints = three();
        let now = Instant::now();
        let begun: Vec<_> = (0..4).map(|_| picked(&endpoints.turn(now), now)).collect();
        assert_eq!(begun, ["http://a", "http://b", "http://c", "http://a"]);
    }

    #[test]
    fn an_endpoint_that_failed_this_request_is_passed_over_until_all_rest() {
        let endpoints = three();
        let (now, after) = clock();
        let mut turn = endpoints.turn(now);
        for (name, rest_ms) in [("http://a", 300), ("http://b", 100), ("http://c", 200)] {
            assert_eq!(picked(&turn, now), name);
            let choice = turn.pick(now);
            turn.asked(choice, now, PATIENCE);
            turn.rest(choice, after(rest_ms));
        }
        assert_eq!(picked(&turn, now), "http://b", "all rest: the first to be ready");
        assert_eq!(turn.pick(now).ready_at, after(100));
        let choice = turn.pick(now);
        turn.rest(choice, after(400));
        assert_eq!(turn.failures(choice), 2);
        assert_eq!(picked(&turn, after(250)), "http://c", "its rest is over");
    }

    #[test]
    fn a_down_endpoint_is_skipped_by_other_requests_until_its_back_off_is_over() {
        let endpoints = three();
        let (now, after) = clock();
        let turn = endpoints.turn(now);
        turn.failed(turn.pick(now), now, now);
        let begun: Vec<_> = (0..4).map(|_| picked(&endpoints.turn(after(50)), after(50))).collect();
        assert_eq!(begun, ["http://b", "http://c", "http://b", "http://c"], "in equal shares");

        let mut trial = endpoints.turn(after(100));
        assert_eq!(picked(&trial, after(100)), "http://a");
        trial.asked(trial.pick(after(100)), after(100), PATIENCE);
        let others = (0..3).map(|_| picked(&endpoints.turn(after(101)), after(101)));
        assert!(others.into_iter().all(|name| name != "http://a"), "one request tries it");
        trial.answered(trial.pick(after(100)), after(100));
    }

    #[test]
    fn when_no_other_is_left_the_ones_that_are_down_are_asked_at_once() {
        let endpoints = three();
        let (now, after) = clock();
        for _ in 0..3 {
            let turn = endpoints.turn(now);
            turn.failed(turn.pick(now), now, now);
        }
        let mut turn = endpoints.turn(after(1));
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let choice = turn.pick(after(1));
            assert_eq!(choice.ready_at, after(1));
            assert!(asked.insert(turn.endpoint(choice).clone()), "each once");
            assert!(!turn.has_other(choice, after(1)));
            turn.asked(choice, after(1), PATIENCE);
            turn.rest(choice, after(80));
        }
        assert_eq!(turn.pick(after(1)).ready_at, after(80));
    }

    #[test]
    fn there_is_another_endpoint_while_one_is_up_and_does_not_rest() {
        let endpoints = three();
        let (now, after) = clock();
        let mut turn = endpoints.turn(now);
        let first = turn.pick(now);
        assert!(turn.has_other(first, now));
        turn.paused(Choice { index: 1, ready_at: now }, now, Duration::from_millis(900));
        turn.rest(Choice { index: 2, ready_at: now }, after(500));
        assert!(!turn.has_other(first, now));
        assert!(turn.has_other(first, after(500)));
        assert!(!Turn::only(&endpoints.list()[0]).has_other(first, now));
    }

    fn picked<'a>(turn: &Turn<'a>, now: Instant) -> &'a str {
        turn.endpoint(turn.pick(now)).as_str()
    }

    fn clock() -> (Instant, impl Fn(u64) -> Instant) {
        let now = Instant::now();
        (now, move |ms| now + Duration::from_millis(ms))
    }

    fn three() -> Endpoints {
        Endpoints::new(["http://a", "http://b", "http://c"].map(|text| text.parse().unwrap()).to_vec())
    }
}

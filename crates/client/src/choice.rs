//! Choice of the endpoint that a request asks next.
//!
//! Only this module decides the choice. Requests start at the endpoints in turn and skip endpoints known to
//! be down or busy while alternatives exist. Within a request, an endpoint that failed rests before being
//! asked again; an endpoint not yet asked by the request comes first, even if known to be down or busy.
//!
//! An endpoint may serve all local work and be without a quorum. Only requests that need a quorum skip such
//! an endpoint.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::endpoints::Endpoint;
use crate::health::Health;

/// The endpoints of a client, the knowledge about each, and the position of the next turn.
#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Endpoint>,
    known: Mutex<Vec<Known>>,
    next: AtomicUsize,
}

/// Knowledge about an endpoint.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Health as to requests of any kind.
    node: Health,
    /// Health as to requests that need a quorum.
    quorum: Health,
}

/// Requirement of a request on an endpoint, and the health record that its outcome updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The node alone.
    Node,
    /// A node that reaches a quorum.
    Quorum,
}

impl Known {
    fn avoided_until(&self, need: Need, now: Instant) -> Option<Instant> {
        let node = self.node.avoided_until(now);
        match need {
            Need::Node => node,
            Need::Quorum => node.max(self.quorum.avoided_until(now)),
        }
    }
}

impl Endpoints {
    /// Creates the endpoints from `list`, which must not be empty.
    pub(crate) fn new(list: Vec<Endpoint>) -> Self {
        debug_assert!(!list.is_empty(), "a client has at least one endpoint");
        let known = Mutex::new(vec![Known::default(); list.len()]);
        Self { list, known, next: AtomicUsize::new(0) }
    }

    pub(crate) fn list(&self) -> &[Endpoint] {
        &self.list
    }

    /// Begins a request at the endpoint after the starting endpoint of the last request. An avoided endpoint
    /// loses its turn, so that its share is spread over all endpoints instead of falling on the next in the
    /// list.
    pub(crate) fn turn(&self, need: Need, now: Instant) -> Turn<'_> {
        let take = || self.next.fetch_add(1, Ordering::Relaxed) % self.list.len();
        let known = self.known.lock().expect("nothing panics while it holds this");
        let is_up = |index: &usize| known[*index].avoided_until(need, now).is_none();
        let up = (0..self.list.len()).map(|_| take()).find(is_up);
        drop(known);
        let next = up.unwrap_or_else(take);
        Turn {
            list: &self.list,
            known: Some(&self.known),
            need,
            rests: vec![Rest::default(); self.list.len()],
            next,
        }
    }
}

/// The choices of a single request.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    list: &'a [Endpoint],
    /// `None` for a request that neither uses nor updates the knowledge about endpoints.
    known: Option<&'a Mutex<Vec<Known>>>,
    need: Need,
    rests: Vec<Rest>,
    next: usize,
}

/// Failures of an endpoint within a single request.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
}

/// An endpoint to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    index: usize,
    /// The earliest time at which the endpoint may be asked, not in the past.
    pub(crate) ready_at: Instant,
}

impl<'a> Turn<'a> {
    /// Creates the turn of a request that asks only the given endpoint and ignores its health.
    pub(crate) fn only(endpoint: &'a Endpoint) -> Self {
        let list = std::slice::from_ref(endpoint);
        Self { list, known: None, need: Need::Node, rests: vec![Rest::default()], next: 0 }
    }

    pub(crate) fn endpoint(&self, choice: Choice) -> &'a Endpoint {
        &self.list[choice.index]
    }

    /// Picks the next endpoint: among those ready soonest, an endpoint not avoided, or avoided for the
    /// shortest time.
    pub(crate) fn pick(&self, now: Instant) -> Choice {
        let in_order = (0..self.list.len()).map(|step| (self.next + step) % self.list.len());
        let ready_at = |index: usize| self.rests[index].until.map_or(now, |until| until.max(now));
        // `min_by_key` keeps the first of equal elements: the next endpoint in order.
        let best = in_order.min_by_key(|&index| (ready_at(index), self.avoided_until(index, now)));
        let index = best.unwrap_or(self.next);
        let choice = Choice { index, ready_at: ready_at(index) };
        debug_assert!(choice.ready_at >= now, "no endpoint is to be asked in the past");
        choice
    }

    /// True if another endpoint could be asked now and is not known to be down or busy.
    pub(crate) fn has_other(&self, choice: Choice, now: Instant) -> bool {
        (0..self.list.len()).any(|index| {
            let rests = self.rests[index].until.is_some_and(|until| until > now);
            index != choice.index && !rests && self.avoided_until(index, now).is_none()
        })
    }

    /// Records that the request is sent to the endpoint, which has `patience` to answer.
    pub(crate) fn asked(&mut self, choice: Choice, now: Instant, patience: Duration) {
        debug_assert!(choice.ready_at <= now, "the endpoint is asked before its rest is over");
        self.next = (choice.index + 1) % self.list.len();
        self.learn(choice, self.need, |health| health.asked(now, patience));
    }

    /// Records an answer to the request sent at `sent`.
    pub(crate) fn answered(&self, choice: Choice, sent: Instant) {
        self.learn(choice, self.need, |health| health.answered(sent));
    }

    /// Records a failed connection or a missing answer in the health of kind `of`. A missing answer to a
    /// request that needs a quorum is no evidence against the node alone, which may be waiting for an
    /// election.
    pub(crate) fn failed(&self, of: Need, choice: Choice, sent: Instant, now: Instant) {
        self.learn_only(choice, of, |health| health.failed(sent, now));
    }

    /// Records that the endpoint accepts no work of kind `of` for the duration of `pause`.
    pub(crate) fn paused(&self, of: Need, choice: Choice, now: Instant, pause: Duration) {
        self.learn_only(choice, of, |health| health.paused(now, pause));
    }

    /// Returns the requirement of the request.
    pub(crate) fn need(&self) -> Need {
        self.need
    }

    /// Returns the number of failures of the endpoint within this request.
    pub(crate) fn failures(&self, choice: Choice) -> u32 {
        self.rests[choice.index].failures
    }

    /// Records a failure of the endpoint, which this request does not ask again before `until`.
    pub(crate) fn rest(&mut self, choice: Choice, until: Instant) {
        let rest = &mut self.rests[choice.index];
        *rest = Rest { failures: rest.failures.saturating_add(1), until: Some(until) };
    }

    /// Records a refusal valid for all endpoints; this request asks none of them before `until`.
    pub(crate) fn rest_all(&mut self, choice: Choice, until: Instant) {
        self.rest(choice, until);
        for rest in &mut self.rests {
            rest.until = rest.until.max(Some(until));
        }
    }

    fn avoided_until(&self, index: usize, now: Instant) -> Option<Instant> {
        self.known?.lock().expect("nothing panics while it holds this")[index].avoided_until(self.need, now)
    }

    /// Updates the health of the node and, for a request that needs a quorum, the health for quorum work as
    /// well.
    fn learn(&self, choice: Choice, need: Need, note: impl Fn(&mut Health)) {
        self.learn_only(choice, Need::Node, &note);
        if need == Need::Quorum {
            self.learn_only(choice, Need::Quorum, &note);
        }
    }

    fn learn_only(&self, choice: Choice, of: Need, note: impl Fn(&mut Health)) {
        let Some(known) = self.known else { return };
        let known = &mut known.lock().expect("nothing panics while it holds this")[choice.index];
        match of {
            Need::Node => note(&mut known.node),
            Need::Quorum => note(&mut known.quorum),
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
        let begun: Vec<_> = (0..4).map(|_| picked(&endpoints.turn(Need::Node, now), now)).collect();
        assert_eq!(begun, ["http://a", "http://b", "http://c", "http://a"]);
    }

    #[test]
    fn an_endpoint_that_failed_this_request_is_passed_over_until_all_rest() {
        let endpoints = three();
        let (now, after) = clock();
        let mut turn = endpoints.turn(Need::Node, now);
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
        let turn = endpoints.turn(Need::Node, now);
        turn.failed(Need::Node, turn.pick(now), now, now);
        let begun: Vec<_> =
            (0..4).map(|_| picked(&endpoints.turn(Need::Node, after(50)), after(50))).collect();
        assert_eq!(begun, ["http://b", "http://c", "http://b", "http://c"], "in equal shares");

        let mut trial = endpoints.turn(Need::Node, after(100));
        assert_eq!(picked(&trial, after(100)), "http://a");
        trial.asked(trial.pick(after(100)), after(100), PATIENCE);
        let others = (0..3).map(|_| picked(&endpoints.turn(Need::Node, after(101)), after(101)));
        assert!(others.into_iter().all(|name| name != "http://a"), "one request tries it");
        trial.answered(trial.pick(after(100)), after(100));
    }

    #[test]
    fn when_no_other_is_left_the_ones_that_are_down_are_asked_at_once() {
        let endpoints = three();
        let (now, after) = clock();
        for _ in 0..3 {
            let turn = endpoints.turn(Need::Node, now);
            turn.failed(Need::Node, turn.pick(now), now, now);
        }
        let mut turn = endpoints.turn(Need::Node, after(1));
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
        let mut turn = endpoints.turn(Need::Node, now);
        let first = turn.pick(now);
        assert!(turn.has_other(first, now));
        turn.paused(Need::Node, Choice { index: 1, ready_at: now }, now, Duration::from_millis(900));
        turn.rest(Choice { index: 2, ready_at: now }, after(500));
        assert!(!turn.has_other(first, now));
        assert!(turn.has_other(first, after(500)));
        assert!(!Turn::only(&endpoints.list()[0]).has_other(first, now));
    }

    #[test]
    fn an_endpoint_without_a_quorum_is_passed_over_by_what_needs_one() {
        let endpoints = three();
        let (now, after) = clock();
        let turn = endpoints.turn(Need::Quorum, now);
        turn.paused(Need::Quorum, turn.pick(now), now, Duration::from_millis(900));
        let begun = |need, at| (0..4).map(|_| picked(&endpoints.turn(need, at), at)).collect::<Vec<_>>();
        assert!(!begun(Need::Quorum, after(1)).contains(&"http://a"));
        assert!(begun(Need::Node, after(1)).contains(&"http://a"));
        assert!(begun(Need::Quorum, after(900)).contains(&"http://a"));
        let turn = endpoints.turn(Need::Node, after(901));
        turn.failed(Need::Node, Choice { index: 1, ready_at: now }, after(901), after(901));
        assert!(!begun(Need::Quorum, after(902)).contains(&"http://b"), "no quorum without the node");
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

use super::*;

const INTERVAL: Duration = Duration::from_millis(50);
const RULES: ProbeLimits = ProbeLimits { interval: INTERVAL, failures: 3 };

/// Detector of n1, which probes its leader n2 and the voter n3.
struct Node {
    detector: Detector,
    start: Instant,
    others: Vec<String>,
}

impl Node {
    fn new(limits: ProbeLimits) -> Self {
        let others = ["n2", "n3"].map(str::to_owned).to_vec();
        Self { detector: Detector::new(limits, others.clone()), start: Instant::now(), others }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Runs a tick that was due at `ms` and came `late_ms` later.
    fn tick(&mut self, peer: &str, ms: u64, late_ms: u64) -> Tick {
        let (due, now) = (self.at(ms), self.at(ms + late_ms));
        self.detector.tick(peer, due, now)
    }

    fn answer(&mut self, peer: &str, seq: u64, ms: u64) {
        let now = self.at(ms);
        self.detector.answered(peer, seq, Duration::ZERO, now);
    }

    fn evidence(&self) -> Option<Evidence> {
        self.detector.evidence("n2", &self.others)
    }
}

#[test]
fn three_unanswered_probes_in_a_row_are_evidence() {
    let mut node = Node::new(RULES);
    let mut missed = Vec::new();
    for ms in [0, 50, 100, 150] {
        node.tick("n3", ms, 0);
        assert_eq!(node.evidence(), None, "before {ms}");
        missed.push(node.tick("n2", ms, 0).missed);
        node.answer("n3", ms / 50 + 1, ms + 1);
    }
    // The probes of 0, 50 and 100 ms have had 50 ms each.
    assert_eq!(missed, [None, Some(1), Some(2), Some(3)]);
    assert_eq!(node.evidence(), Some(Evidence::Unanswered));
    node.answer("n2", 1, 160);
    assert_eq!(node.evidence(), None, "an answer, however late, is a sign of life");
}

#[test]
fn answers_that_are_later_than_the_next_probe_are_no_evidence() {
    let mut node = Node::new(RULES);
    // A round trip of 80 ms: each answer comes after the next probe has left.
    for n in 0..20 {
        node.tick("n3", n * 50, 0);
        node.tick("n2", n * 50, 0);
        if n > 0 {
            node.answer("n2", n, n * 50 + 30);
            node.answer("n3", n, n * 50 + 30);
        }
        assert_eq!(node.evidence(), None, "probe {n}");
    }
}

#[test]
fn a_node_that_wakes_late_blames_itself() {
    let mut node = Node::new(RULES);
    for ms in [0, 50, 100] {
        node.tick("n3", ms, 0);
        node.tick("n2", ms, 0);
        node.answer("n3", ms / 50 + 1, ms + 1);
    }
    let late = node.tick("n2", 150, 26);
    assert_eq!((late.missed, node.evidence()), (None, None));
    // The count begins anew.
    let missed: Vec<_> = [200, 250, 300].map(|ms| node.tick("n2", ms, 0).missed).into();
    assert_eq!(missed, [Some(1), Some(2), Some(3)]);
}

#[test]
fn silence_counts_only_with_a_quorum_that_answers() {
    let mut node = Node::new(RULES);
    node.tick("n3", 0, 0);
    node.answer("n3", 1, 1);
    // From here on no peer answers: the local node is cut off.
    for ms in [50, 100, 150, 200] {
        node.tick("n2", ms, 0);
        node.tick("n3", ms, 0);
    }
    assert_eq!(node.evidence(), None);
    node.answer("n3", 2, 201);
    assert_eq!(node.evidence(), Some(Evidence::Unanswered));
    // A fourth and a fifth voter, both unheard: two of five are no quorum.
    node.others.extend(["n4", "n5"].map(str::to_owned));
    assert_eq!(node.evidence(), None);
}

#[test]
fn a_leader_that_appends_is_not_blamed_for_what_was_lost_before() {
    let mut node = Node::new(RULES);
    for ms in [0, 50, 100, 150] {
        node.tick("n2", ms, 0);
        node.tick("n3", ms, 0);
    }
    // The links are back, and n3 answers first.
    node.answer("n3", 4, 160);
    assert_eq!(node.evidence(), Some(Evidence::Unanswered));
    let now = node.at(170);
    node.detector.appended("n2", now);
    assert_eq!(node.evidence(), None);
    // Silence from then on is another matter.
    let missed: Vec<_> = [200, 250, 300].map(|ms| node.tick("n2", ms, 0).missed).into();
    assert_eq!(missed, [Some(1), Some(2), Some(3)]);
    assert_eq!(node.evidence(), None, "n3 was heard before that silence");
    node.answer("n3", 4, 301);
    assert_eq!(node.evidence(), Some(Evidence::Unanswered));
}

#[test]
fn a_closed_port_is_evidence_until_something_is_there() {
    let mut node = Node::new(RULES);
    node.tick("n2", 0, 0);
    node.detector.refused("n2");
    assert_eq!(node.evidence(), Some(Evidence::Refused));
    assert_eq!(node.detector.evidence("n3", &node.others), None);
    node.detector.not_refused("n2");
    assert_eq!(node.evidence(), None);
    node.detector.refused("n2");
    node.answer("n2", 1, 10);
    assert_eq!(node.evidence(), None);
}

#[test]
fn a_leader_that_says_it_hangs_gets_time_to_hand_over() {
    let mut node = Node::new(RULES);
    for (stuck_ms, expected) in [
        (0, None),
        (2000, None),
        (2499, None),
        (2500, Some(Evidence::Stuck)),
        (60_000, Some(Evidence::Stuck)),
    ] {
        let seq = node.tick("n2", 0, 0).seq;
        let now = node.at(1);
        node.detector.answered("n2", seq, Duration::from_millis(stuck_ms), now);
        assert_eq!(node.evidence(), expected, "{stuck_ms} ms");
    }
}

#[test]
fn without_a_number_of_failures_nothing_is_evidence() {
    let mut node = Node::new(ProbeLimits { failures: 0, ..RULES });
    for n in 0..10 {
        node.tick("n2", n * 50, 0);
        node.tick("n3", n * 50, 0);
        node.answer("n3", n + 1, n * 50 + 1);
    }
    node.detector.refused("n2");
    let now = node.at(501);
    node.detector.answered("n3", 10, Duration::from_secs(60), now);
    assert_eq!(node.evidence(), None);
    assert_eq!(node.detector.evidence("n3", &node.others), None);
}

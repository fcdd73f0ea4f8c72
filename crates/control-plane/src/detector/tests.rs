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
        self.answer_late(peer, seq, ms, 0, 0);
    }

    /// Takes an answer of a peer that reports its lateness and the longest stall.
    fn answer_late(&mut self, peer: &str, seq: u64, ms: u64, late_ms: u64, stall_ms: u64) {
        let now = self.at(ms);
        let (lateness, stall) = (Duration::from_millis(late_ms), Duration::from_millis(stall_ms));
        self.detector.answered(peer, Answer { seq, stuck: Duration::ZERO, lateness, stall }, now);
    }

    /// Returns the evidence against n2 at `ms`.
    fn evidence(&self, ms: u64) -> Option<Evidence> {
        self.detector.evidence("n2", &self.others, self.at(ms))
    }

    /// Runs ticks of both peers, from `from` to `to` ms, with an answer of n3 to each.
    fn silence(&mut self, from: u64, to: u64) {
        for ms in (from..=to).step_by(50) {
            let (_, seq) = (self.tick("n2", ms, 0), self.tick("n3", ms, 0).seq);
            self.answer("n3", seq, ms + 1);
        }
    }
}

#[test]
fn a_silence_of_three_intervals_is_evidence() {
    let mut node = Node::new(RULES);
    node.tick("n2", 0, 0);
    assert!(!node.tick("n2", 50, 0).doubtful);
    let tick = node.tick("n2", 100, 0);
    assert!(tick.missed && tick.doubtful, "two probes in a row are unanswered");
    node.tick("n3", 100, 0);
    node.answer("n3", 1, 101);
    assert_eq!(node.detector.suspect_at("n2", node.at(101)), Some(node.at(150)));
    assert_eq!((node.evidence(149), node.evidence(150)), (None, Some(Evidence::Unanswered)));
    node.answer("n2", 1, 160);
    assert_eq!(node.evidence(160), None, "an answer, however late, is a sign of life");
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
        assert_eq!(node.evidence(n * 50 + 49), None, "probe {n}");
    }
}

#[test]
fn the_time_in_which_the_local_node_did_not_run_is_no_silence() {
    let mut node = Node::new(RULES);
    node.silence(50, 100);
    // Stopped at 120 ms, continued at 620.
    assert!(!node.tick("n2", 150, 470).missed);
    node.tick("n3", 150, 470);
    assert_eq!(node.evidence(621), None);
    assert_eq!(
        node.detector.suspect_at("n2", node.at(621)),
        Some(node.at(670)),
        "150 ms and 470 ms after 50"
    );
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
    assert_eq!(node.evidence(200), None);
    assert_eq!(node.evidence(400), None);
    // The answer proves that n3 lived at 50 ms, no sooner than the silence began. It was late by 151 ms.
    node.answer("n3", 2, 201);
    assert_eq!((node.evidence(275), node.evidence(277)), (None, Some(Evidence::Unanswered)));
    // A fourth and a fifth voter, both unheard: two of five are no quorum.
    node.others.extend(["n4", "n5"].map(str::to_owned));
    assert_eq!(node.evidence(277), None);
}

#[test]
fn a_leader_that_appends_is_not_blamed_for_what_was_lost_before() {
    let mut node = Node::new(RULES);
    node.silence(0, 150);
    assert_eq!(node.evidence(160), Some(Evidence::Unanswered));
    let now = node.at(170);
    node.detector.lives("n2", now);
    assert_eq!(node.evidence(170), None);
    // Silence from then on is another matter.
    node.silence(200, 300);
    assert_eq!((node.evidence(319), node.evidence(320)), (None, Some(Evidence::Unanswered)));
}

/// The first gap of a link that pauses may cost an election, the next ones do not.
#[test]
fn a_silence_that_ended_raises_the_limit_for_a_minute() {
    let mut node = Node::new(RULES);
    node.silence(0, 200);
    assert_eq!(node.evidence(200), Some(Evidence::Unanswered));
    node.answer("n2", 5, 210);
    let silence_after = |node: &mut Node, ms: u64| {
        let seq = node.tick("n2", ms, 0).seq;
        let limit = node.detector.suspect_at("n2", node.at(ms)).unwrap() - node.at(ms);
        node.answer("n2", seq, ms + 1);
        limit.as_millis()
    };
    for _ in 0..20 {
        silence_after(&mut node, 1000);
    }
    assert_eq!(silence_after(&mut node, 5000), 315, "1.5 times 210 ms");
    assert_eq!(silence_after(&mut node, 60_209), 315);
    assert_eq!(silence_after(&mut node, 60_210), 150);
}

/// A process that was stopped is not a link that pauses.
#[test]
fn a_peer_that_did_not_run_teaches_nothing_about_the_network() {
    let mut node = Node::new(RULES);
    node.silence(0, 200);
    node.answer_late("n2", 5, 210, 0, 190);
    node.answer("n3", 5, 210);
    for n in 0..20 {
        let seq = node.tick("n2", 1000 + n, 0).seq;
        node.answer("n2", seq, 1000 + n);
    }
    node.tick("n2", 5000, 0);
    assert_eq!(node.detector.suspect_at("n2", node.at(5000)), Some(node.at(5150)));
}

#[test]
fn lateness_of_both_processes_is_added() {
    let mut node = Node::new(RULES);
    for _ in 0..50 {
        let due = node.at(50);
        node.detector.ran_late(Duration::from_millis(20), due);
    }
    assert_eq!(node.detector.lateness().as_millis(), 20);
    assert_eq!(node.detector.stall(node.at(50)).as_millis(), 20);
    assert_eq!(node.detector.stall(node.at(500)).as_millis(), 450, "a probe is overdue");
    let seq = node.tick("n2", 0, 0).seq;
    node.answer_late("n2", seq, 0, 30, 200);
    node.tick("n2", 50, 0);
    let limit = node.detector.suspect_at("n2", node.at(50)).unwrap() - node.at(50);
    assert_eq!(limit.as_millis(), 200);
}

#[test]
fn a_closed_port_is_evidence_until_something_is_there() {
    let mut node = Node::new(RULES);
    node.tick("n2", 0, 0);
    node.detector.refused("n2");
    assert_eq!(node.evidence(1), Some(Evidence::Refused));
    assert_eq!(node.detector.evidence("n3", &node.others, node.at(1)), None);
    node.detector.not_refused("n2");
    assert_eq!(node.evidence(600), None);
    node.detector.refused("n2");
    node.answer("n2", 1, 10);
    assert_eq!(node.evidence(600), None);
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
        let stuck = Duration::from_millis(stuck_ms);
        node.detector.answered(
            "n2",
            Answer { seq, stuck, lateness: Duration::ZERO, stall: Duration::ZERO },
            now,
        );
        assert_eq!(node.evidence(1), expected, "{stuck_ms} ms");
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
    let answer =
        Answer { seq: 10, stuck: Duration::from_secs(60), lateness: Duration::ZERO, stall: Duration::ZERO };
    node.detector.answered("n3", answer, now);
    assert_eq!(node.evidence(600), None);
    assert_eq!(node.detector.evidence("n3", &node.others, node.at(1)), None);
}

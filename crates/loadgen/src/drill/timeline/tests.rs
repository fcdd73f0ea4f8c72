use super::*;

const MS: Duration = Duration::from_millis(1);

/// Records of a drill on three nodes in which n1, the leader in term 4, failed at 1000 ms.
fn records() -> Records {
    let started = Instant::now();
    Records {
        node_ids: ["n1", "n2", "n3"].map(str::to_owned).to_vec(),
        started,
        steps: vec![step("n1", started + 1000 * MS)],
        seen: Vec::new(),
        samples: Vec::new(),
        writes: Vec::new(),
        writes_ended: started + 5000 * MS,
        read_back: ReadBack::Failed("not asked".to_owned()),
        final_leader: None,
        problems: Vec::new(),
    }
}

fn step(node: &str, fault: Instant) -> Step {
    Step { node_id: node.into(), leader: "n1".into(), term: 4, fault, ended: None, healthy_at: None }
}

fn leader(name: Option<&str>, term: u64) -> Sign {
    Sign::Event(EventKind::Leader { leader_id: name.map(str::to_owned), term })
}

fn peer(name: &str, healthy: bool) -> Sign {
    Sign::Event(EventKind::Peer { peer: name.into(), healthy, failed_probes: 0 })
}

fn suspicion(name: &str) -> Sign {
    Sign::Event(EventKind::Suspicion { peer: name.into(), evidence: "refused".into() })
}

fn check(events: &[(u64, &str, Sign)], look: impl FnOnce(StepReport)) {
    let mut records = records();
    records.seen = events
        .iter()
        .map(|(ms, by, what)| Seen {
            at: records.started + *ms as u32 * MS,
            by: (*by).to_owned(),
            what: what.clone(),
        })
        .collect();
    look(step_report(&records, 0));
}

#[test]
fn an_election_is_told_by_the_others() {
    let events = [
        (10, "n2", leader(Some("n1"), 4)),
        (990, "n3", suspicion("n1")),
        (1002, "n1", peer("n1", false)),
        (1004, "n2", peer("n3", false)),
        (1012, "n3", suspicion("n1")),
        (1013, "n2", peer("n1", false)),
        (1020, "n2", leader(None, 4)),
        (1030, "n3", leader(Some("n3"), 5)),
        (1031, "n1", leader(Some("n1"), 4)),
        (1040, "n2", leader(Some("n3"), 5)),
        (1900, "n2", leader(Some("n2"), 6)),
    ];
    check(&events, |report| {
        assert_eq!((report.detection_ms, report.detected_by.as_deref()), (Some(12.0), Some("n3")));
        assert_eq!(report.evidence.as_deref(), Some("refused"));
        assert_eq!((report.election_ms, report.agreed_ms), (Some(30.0), Some(40.0)));
        assert_eq!((report.new_leader_id.as_deref(), report.new_term), (Some("n3"), Some(5)));
        assert_eq!(report.fault_at_ms, 1000.0);
    });
}

#[test]
fn agreement_counts_once_all_others_name_the_same() {
    let events = [
        (1030, "n3", leader(Some("n3"), 5)),
        (1040, "n2", leader(Some("n2"), 6)),
        (1050, "n3", leader(None, 6)),
        (1060, "n3", leader(Some("n2"), 6)),
    ];
    check(&events, |report| {
        assert_eq!((report.election_ms, report.agreed_ms), (Some(30.0), Some(60.0)));
        assert_eq!(report.new_leader_id.as_deref(), Some("n2"));
    });
    check(&events[..2], |report| assert_eq!(report.agreed_ms, None));
}

#[test]
fn the_old_leader_coming_back_is_no_election() {
    check(&[(1030, "n2", leader(None, 4)), (1500, "n2", leader(Some("n1"), 4))], |report| {
        assert_eq!((report.election_ms, report.new_leader_id), (None, None));
    });
}

#[test]
fn what_belongs_to_the_next_step_is_left_to_it() {
    let mut records = records();
    records.steps.push(step("n2", records.started + 2000 * MS));
    records.seen = vec![Seen { at: records.started + 2010 * MS, by: "n3".into(), what: peer("n1", false) }];
    assert_eq!(step_report(&records, 0).detection_ms, None);
    let second = step_report(&records, 1);
    assert_eq!((second.detection_ms, second.was_leader), (None, false));
}

#[test]
fn a_crash_is_when_its_first_sign_came() {
    let mut records = records();
    let at = records.steps[0].fault + 7 * MS;
    let lost = |by: &str, at| Seen { at, by: by.into(), what: Sign::Lost };
    let missed = |peer: &str, at| Seen { at, by: "n2".into(), what: suspicion(peer) };
    refine_crash(&mut records.steps[0], &[lost("n2", at - 2 * MS), missed("n3", at - MS), lost("n1", at)]);
    assert_eq!(records.steps[0].fault, at);
    records.seen = vec![missed("n1", at - MS), lost("n1", at)];
    refine_crash(&mut records.steps[0], &records.seen);
    assert_eq!(step_report(&records, 0).detection_ms, Some(0.0), "noticed before the stream broke here");
    let at = at - MS;
    refine_crash(&mut records.steps[0], &[lost("n1", at + 3000 * MS)]);
    assert_eq!(records.steps[0].fault, at, "that is another end");
}

fn write(started: Instant, sent_ms: u32, answered_ms: u32, version: Option<u64>) -> Write {
    let value = format!("write at {sent_ms}").into();
    Write { sent: started + sent_ms * MS, answered: started + answered_ms * MS, value, version }
}

#[test]
fn the_first_write_was_sent_after_the_fault() {
    let mut records = records();
    records.writes = vec![
        write(records.started, 990, 1100, Some(7)),
        write(records.started, 1000, 1200, None),
        write(records.started, 1010, 1250, Some(9)),
        write(records.started, 1020, 1240, Some(8)),
    ];
    assert_eq!(step_report(&records, 0).first_write_ms, Some(240.0));
}

#[test]
fn the_longest_gap_reaches_to_the_end() {
    let started = Instant::now();
    let writes =
        [write(started, 0, 10, Some(1)), write(started, 0, 60, None), write(started, 0, 110, Some(2))];
    assert_eq!(longest_gap(&writes, started + 150 * MS), Some(100 * MS));
    assert_eq!(longest_gap(&writes, started + 400 * MS), Some(290 * MS));
    assert_eq!(longest_gap(&writes, started), Some(100 * MS));
    assert_eq!(longest_gap(&writes[1..2], started), None);
}

#[test]
fn a_lost_write_is_found_out() {
    let started = Instant::now();
    let writes = [write(started, 1, 2, Some(8)), write(started, 2, 3, Some(9)), write(started, 3, 4, None)];
    let check = |version: u64, value: &str, expected: Option<&str>| {
        let found = check_read_back(&writes, &ReadBack::Found { version, value: value.into() });
        match expected {
            None => assert_eq!(found, Ok(())),
            Some(text) => assert!(found.as_ref().is_err_and(|error| error.contains(text)), "{found:?}"),
        }
    };
    check(9, "write at 2", None);
    check(10, "write at 3", None);
    check(8, "write at 1", Some("version 9 was acknowledged, 8 is there"));
    check(9, "write at 1", Some("another value"));
    assert!(check_read_back(&writes, &ReadBack::Failed("no quorum".into())).is_err());
    assert_eq!(check_read_back(&[], &ReadBack::Failed("nothing".into())), Ok(()));
}

#[test]
fn each_request_is_in_one_phase() {
    let started = Instant::now();
    let sample = |begun: u32, answered: u32, succeeded| Sample {
        begun: started + begun * MS,
        answered: started + answered * MS,
        latency: (answered - begun) * MS,
        succeeded,
    };
    let samples = [
        sample(0, 999, true),
        sample(990, 1000, true),
        sample(1999, 2400, true),
        sample(1500, 1700, false),
        sample(2000, 2100, true),
        sample(500, 5000, true),
    ];
    let phases = phases(&samples, &[started + 1000 * MS]);
    assert_eq!((phases.before.requests, phases.during.requests, phases.after.requests), (1, 4, 1));
    assert_eq!(phases.during.failed, 1);
    assert_eq!((phases.during.p50_ms, phases.during.p99_ms), (Some(401.0), Some(4500.0)));
    assert_eq!((phases.after.p50_ms, phases.after.p99_ms), (Some(100.0), Some(100.0)));
    let none = super::phases(&samples, &[]);
    assert_eq!((none.before.requests, none.during.p99_ms), (6, None));
}

use std::collections::BTreeMap;

use super::super::buckets::Bucket;
use super::super::report::{AppliedLoad, RequestsReport, WritesReport};
use super::super::timeline::{PhaseReport, Phases};
use super::*;
use crate::plan::Mode;

#[test]
fn a_drill_that_passed() {
    let expected = "\
drill   crash of n1, the leader
load    embed, 8 clients, 10240 byte secrets; a write every 10 ms
phases  5 s before the fault, 10 s from it on

n1, the leader, 5.0 s after the start
  ms after the fault
                12.3  n2 suspects n1 (refused)
               154.2  one node names n2 as the leader in term 5
               160.1  all other nodes name n2 as the leader
               171.0  first acknowledged write that was sent after the fault
                   -  n1 stays down until it is started

requests around the fault of n1
   ms after it    sent  answered  failed
     -100 to 0       8         7       0
       0 to 10       3         1       0

requests  900 of 900 succeeded, 0 failed, 5 sent again
writes    1400 acknowledged, 0 failed, none lost, longest gap 170.5 ms

latency      before   during    after
requests        300       60      540
p50 ms         80.0     95.5        -
p99 ms        120.0    240.1        -

passed; n2 leads
";
    assert_eq!(report().to_text(), expected);
}

#[test]
fn a_drill_that_failed_says_why_and_shows_the_errors() {
    let mut report = report();
    report.passed = false;
    report.problems = vec!["2 of 900 requests failed".into(), "no write was acknowledged".into()];
    report.leader_after = None;
    report.requests.errors = BTreeMap::from([("timeout".to_owned(), 2)]);
    report.requests.error_examples = BTreeMap::from([("timeout".to_owned(), "no answer".to_owned())]);
    let end = "\
errors, with the first of each kind
      2  timeout  no answer

failed: 2 of 900 requests failed; no write was acknowledged
";
    let text = report.to_text();
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn moments_come_in_their_order_and_what_did_not_happen_last() {
    let mut report = report();
    report.kind = FaultKind::Pause;
    report.load.fault_duration_ms = Some(3000);
    let step = &mut report.steps[0];
    step.was_leader = false;
    (step.ended_ms, step.well_ms, step.detection_ms, step.evidence) = (Some(3000.0), None, None, None);
    let expected = "\
drill   pause of n1, a follower
load    embed, 8 clients, 10240 byte secrets; a write every 10 ms
phases  5 s before the fault, 3 s of it, 10 s from it on

n1, a follower, 5.0 s after the start
  ms after the fault
               171.0  first acknowledged write that was sent after the fault
              3000.0  end of the fault
                   -  no other node reported n1 as missing
                   -  all nodes are healthy again
";
    let text = report.to_text();
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn the_json_has_the_promised_members() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!((json["kind"].as_str(), json["passed"].as_bool()), (Some("crash"), Some(true)));
    let step = &json["steps"][0];
    for (member, expected) in
        [("detection_ms", 12.3), ("election_ms", 154.2), ("agreed_ms", 160.1), ("first_write_ms", 171.0)]
    {
        assert_eq!(step[member], expected, "{member}");
    }
    assert_eq!(json["latency"]["during"]["p99_ms"], 240.1);
    assert_eq!(json["writes"]["longest_gap_ms"], 170.5);
    assert_eq!(json["requests"]["retried"], 5);
    assert_eq!(
        json["buckets"][1],
        serde_json::json!({"from_ms": 0, "to_ms": 10, "sent": 3, "answered": 1, "failed": 0})
    );
}

fn report() -> DrillReport {
    let phase = |requests, p50_ms, p99_ms| PhaseReport { requests, failed: 0, p50_ms, p99_ms };
    DrillReport {
        kind: FaultKind::Crash,
        passed: true,
        problems: Vec::new(),
        steps: vec![step()],
        leader_before: Some("n1".into()),
        leader_after: Some("n2".into()),
        load: AppliedLoad {
            mode: Mode::Embed,
            num_clients: 8,
            intended_rate: None,
            secret_bytes: 10_240,
            write_every_ms: 10,
            before_ms: 5000,
            after_ms: 10_000,
            fault_duration_ms: None,
            expects_return: false,
        },
        requests: RequestsReport {
            total: 900,
            succeeded: 900,
            failed: 0,
            retried: 5,
            errors: BTreeMap::new(),
            error_examples: BTreeMap::new(),
        },
        writes: WritesReport { acknowledged: 1400, failed: 0, longest_gap_ms: Some(170.5), lost: false },
        latency: Phases {
            before: phase(300, Some(80.0), Some(120.0)),
            during: phase(60, Some(95.5), Some(240.1)),
            after: phase(540, None, None),
        },
        buckets: vec![
            Bucket { from_ms: -100, to_ms: 0, sent: 8, answered: 7, failed: 0 },
            Bucket { from_ms: 0, to_ms: 10, sent: 3, answered: 1, failed: 0 },
        ],
    }
}

fn step() -> StepReport {
    StepReport {
        node_id: "n1".into(),
        was_leader: true,
        fault_at_ms: 5001.0,
        detection_ms: Some(12.3),
        detected_by: Some("n2".into()),
        evidence: Some("refused".into()),
        election_ms: Some(154.2),
        agreed_ms: Some(160.1),
        new_leader_id: Some("n2".into()),
        new_term: Some(5),
        first_write_ms: Some(171.0),
        ended_ms: None,
        well_ms: None,
    }
}

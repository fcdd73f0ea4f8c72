use openraft::vote::{RaftLeaderId, RaftVote};

use super::*;

fn vote(term: u64) -> Vote {
    Vote::from_leader_id(openraft::impls::leader_id_std::LeaderId { term, voted_for: RaftId::from(9) }, true)
}

fn log_id(index: u64) -> LogId {
    let leader = openraft::impls::leader_id_std::LeaderId { term: 1, voted_for: RaftId::from(9) };
    LogId::new(leader.to_committed(), index)
}

const ME: u64 = 5;

/// Returns a request of node 7 for a pre-vote, with a log as long as the local log; the leader was heard 100
/// ms ago.
fn asked() -> RequestFacts {
    let log = Some(log_id(10));
    RequestFacts {
        pre_vote: true,
        transfer: false,
        from: (log, RaftId::from(7)),
        me: (log, RaftId::from(ME)),
        led_by: Some(vote(3)),
        heard_ago: Some(ms(100)),
        lease: ms(1000),
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn without_evidence_a_leader_that_was_heard_keeps_its_votes() {
    let now = Instant::now();
    let check = |asked: RequestFacts, expected: VoteAdmission| {
        assert_eq!(Campaigns::default().admit(&asked, now), expected, "{asked:?}");
    };
    check(asked(), VoteAdmission::AwaitEvidence);
    check(RequestFacts { pre_vote: false, ..asked() }, VoteAdmission::Refuse);
    check(RequestFacts { heard_ago: Some(ms(999)), ..asked() }, VoteAdmission::AwaitEvidence);
    check(RequestFacts { heard_ago: Some(ms(1000)), ..asked() }, VoteAdmission::Admit);
    check(RequestFacts { heard_ago: None, ..asked() }, VoteAdmission::Admit);
    check(RequestFacts { led_by: None, ..asked() }, VoteAdmission::Admit);
    check(RequestFacts { pre_vote: false, transfer: true, ..asked() }, VoteAdmission::Admit);
}

#[test]
fn evidence_admits_requests_for_a_while_and_against_one_leader() {
    let start = Instant::now();
    let mut campaigns = Campaigns::default();
    assert!(campaigns.record_evidence(vote(3), Evidence::Refused, start), "it is news");
    assert!(!campaigns.record_evidence(vote(3), Evidence::Refused, start + ms(1)), "it is renewed");
    for pre_vote in [true, false] {
        let asked = RequestFacts { pre_vote, ..asked() };
        assert_eq!(campaigns.admit(&asked, start + ms(2)), VoteAdmission::Admit);
        assert_eq!(
            campaigns.admit(&RequestFacts { led_by: Some(vote(4)), ..asked }, start + ms(2)),
            match pre_vote {
                true => VoteAdmission::AwaitEvidence,
                false => VoteAdmission::Refuse,
            }
        );
    }
    assert!(campaigns.evidence_against(vote(3), start + ms(500)).is_some());
    assert_eq!(campaigns.evidence_against(vote(3), start + ms(501)), None);
    assert_eq!(campaigns.admit(&asked(), start + ms(501)), VoteAdmission::AwaitEvidence);
}

#[test]
fn an_append_takes_evidence_back_unless_the_leader_is_stuck() {
    let start = Instant::now();
    let check = |evidence: Evidence, append_after: Duration, held: bool| {
        let mut campaigns = Campaigns::default();
        campaigns.record_evidence(vote(3), evidence, start);
        campaigns.append(start + append_after);
        assert_eq!(
            campaigns.evidence_against(vote(3), start + append_after).is_some(),
            held,
            "{evidence:?} {append_after:?}"
        );
    };
    check(Evidence::Refused, ms(30), true);
    check(Evidence::Refused, ms(31), false);
    check(Evidence::Unanswered, ms(0), false);
    check(Evidence::Drill, ms(31), false);
    check(Evidence::Stuck, ms(31), true);
}

#[test]
fn two_nodes_do_not_campaign_against_each_other() {
    let start = Instant::now();
    let mut campaigns = Campaigns::default();
    campaigns.record_evidence(vote(3), Evidence::Refused, start);
    assert!(campaigns.begin_attempt(start));
    let lower = RequestFacts { from: (Some(log_id(10)), RaftId::from(4)), ..asked() };
    assert_eq!(campaigns.admit(&lower, start + ms(79)), VoteAdmission::Refuse, "this node is better placed");
    assert!(campaigns.begin_attempt(start + ms(79)), "a refused one does not have the field");
    let longer = RequestFacts { from: (Some(log_id(11)), RaftId::from(4)), ..asked() };
    assert_eq!(
        campaigns.admit(&longer, start + ms(80)),
        VoteAdmission::Admit,
        "a longer log is better placed"
    );
    assert!(!campaigns.begin_attempt(start + ms(159)), "the other one has the field");
    assert!(campaigns.begin_attempt(start + ms(160)));
}

#[test]
fn a_request_that_raft_will_refuse_does_not_hold_this_node_back() {
    let start = Instant::now();
    let mut campaigns = Campaigns::default();
    campaigns.record_evidence(vote(3), Evidence::Refused, start);
    let shorter = RequestFacts { from: (Some(log_id(9)), RaftId::from(7)), ..asked() };
    assert_eq!(campaigns.admit(&shorter, start), VoteAdmission::Admit);
    assert!(campaigns.begin_attempt(start));
}

#[test]
fn an_answer_of_the_leader_takes_back_that_it_does_not_answer() {
    let start = Instant::now();
    let check = |evidence: Evidence, from: u64, held: bool| {
        let mut campaigns = Campaigns::default();
        campaigns.record_evidence(vote(3), evidence, start);
        campaigns.answer(RaftId::from(from));
        assert_eq!(campaigns.evidence_against(vote(3), start).is_some(), held, "{evidence:?}, n{from}");
    };
    check(Evidence::Unanswered, 9, false);
    check(Evidence::Unanswered, 7, true);
    check(Evidence::Refused, 9, true);
    check(Evidence::Stuck, 9, true);
    check(Evidence::Drill, 9, true);
}

#[test]
fn campaigns_that_come_to_nothing_end() {
    let start = Instant::now();
    let held = |evidence, term| HeldEvidence { vote: vote(term), evidence, at: start };
    let mut campaigns = Campaigns::default();
    for n in 0..5 {
        let evidence = held(Evidence::Unanswered, 3 + n);
        assert!(campaigns.may_begin(&evidence, start + ms(n)));
        assert_eq!(campaigns.was_futile(&evidence, start + ms(n)), n == 4);
    }
    assert!(!campaigns.may_begin(&held(Evidence::Unanswered, 9), start + ms(59_999)));
    assert!(
        campaigns.may_begin(&held(Evidence::Unanswered, 9), start + ms(60_000)),
        "the first is a minute old"
    );

    // Silence is a guess, a closed port is not.
    let closed = held(Evidence::Refused, 9);
    for n in 5..10 {
        assert!(campaigns.may_begin(&closed, start + ms(n)));
        assert_eq!(campaigns.was_futile(&closed, start + ms(n)), n == 9);
    }
    assert!(!campaigns.may_begin(&closed, start + ms(10)));
    assert!(campaigns.may_begin(&held(Evidence::Refused, 10), start + ms(10)), "another leader");
    for n in 0..100 {
        campaigns.was_futile(&held(Evidence::Unanswered, n), start + ms(n));
    }
    assert_eq!(campaigns.futile.len(), 10, "bounded");
}

#[test]
fn the_better_placed_go_first() {
    assert_eq!([0, 1, 2].map(head_start), [ms(0), ms(15), ms(30)]);
    assert_eq!((retry_after(0, 0.0), retry_after(2, 0.0)), (ms(25), ms(45)));
    assert_eq!((leaderless_after(0, 0, None, 0.0), leaderless_after(3, 1, None, 0.0)), (ms(60), ms(130)));
    assert_eq!(leaderless_after(0, 0, Some(ms(20)), 0.0), ms(120), "three flushes of a slow disk");
    assert!(leaderless_after(10, 4, Some(ms(5000)), 1.0) < Duration::from_secs(1), "bounded");
}

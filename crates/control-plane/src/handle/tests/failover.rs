//! Early elections: on evidence, and never without.

use openraft::raft::{TransferLeaderRequest, VoteRequest};
use openraft::vote::{RaftLeaderId, RaftVote};

use super::*;
use crate::types::Vote;

impl Cluster {
    fn raft_node(&self, n: usize) -> Arc<Node> {
        self.node(n).parts().raft.node().unwrap()
    }

    pub(super) fn raft_id(&self, n: usize) -> RaftId {
        self.node(n).parts().observer.identity().raft_id
    }

    fn term(&self, n: usize) -> u64 {
        self.node(n).status().term
    }

    /// Returns the evidence reported by any running node.
    fn suspicions(&self) -> Vec<(String, String)> {
        let told = self.nodes.iter().flatten().flat_map(|node| node.events().0);
        told.filter_map(|event| match &event.kind {
            EventKind::Suspicion { peer, evidence } => Some((peer.clone(), evidence.clone())),
            _ => None,
        })
        .collect()
    }

    fn until_another_leads(&self, old: usize) -> usize {
        self.until("another leader", |nodes| {
            let named: Vec<_> = nodes.iter().filter(|status| status.node_id != NAMES[old]).collect();
            let leader = named[0].leader_id.clone();
            leader.is_some_and(|leader| {
                leader != NAMES[old] && named.iter().all(|status| status.leader_id.as_ref() == Some(&leader))
            })
        });
        let named = self.node((old + 1) % 3).status().leader_id.unwrap();
        NAMES.iter().position(|name| *name == named).unwrap()
    }
}

/// True if node `n` would vote for `candidate`. Raft itself is asked.
fn would_vote(cluster: &Cluster, n: usize, candidate: RaftId) -> bool {
    let node = cluster.raft_node(n);
    let leader_id = openraft::impls::leader_id_std::LeaderId::new(node.vote().leader_id.term + 1, candidate);
    let request = VoteRequest::new(Vote::from_leader_id(leader_id, false), node.last_log_id());
    block_on(node.raft.pre_vote(request)).unwrap().vote_granted
}

/// The off-label call. If openraft changes its meaning, the test fails, and another way to give up a lease on
/// evidence is needed.
#[test]
fn a_transfer_from_the_leader_to_itself_gives_up_the_lease_on_its_vote_and_nothing_else() {
    let cluster = Cluster::with_timers_that_never_decide();
    let leader = cluster.leader();
    let [follower, candidate] = [(leader + 1) % 3, (leader + 2) % 3];
    let (node, leader_id) = (cluster.raft_node(follower), cluster.raft_id(leader));
    let vote = block_on(node.raft.with_raft_state(|state| *state.vote_ref())).unwrap();
    assert!(vote.is_committed());
    let candidate = cluster.raft_id(candidate);
    assert!(!would_vote(&cluster, follower, candidate), "the lease stands");

    let drop_lease = |vote: Vote| {
        block_on(node.raft.handle_transfer_leader(TransferLeaderRequest::new(vote, leader_id, None)))
            .unwrap()
            .unwrap();
    };
    let earlier = openraft::impls::leader_id_std::LeaderId::new(vote.leader_id.term - 1, leader_id);
    drop_lease(Vote::from_leader_id(earlier, true));
    assert!(!would_vote(&cluster, follower, candidate), "another vote's lease was meant");

    drop_lease(vote);
    assert!(would_vote(&cluster, follower, candidate), "the lease was not given up");
    let after = block_on(node.raft.with_raft_state(|state| *state.vote_ref())).unwrap();
    assert_eq!(after, vote, "a vote was given or asked for");
    assert_eq!(node.metrics().state, openraft::ServerState::Follower);

    // openraft does not take the lease back: hence the admission before Raft.
    write(cluster.node(leader), note("k", "a", "x"));
    assert!(would_vote(&cluster, follower, candidate));
    assert_eq!((cluster.leader(), cluster.term(follower)), (leader, vote.leader_id.term));
}

#[test]
fn a_leader_whose_port_closes_is_replaced_on_evidence() {
    let mut cluster = Cluster::with_timers_that_never_decide();
    write(cluster.node(0), note("k", "a", "kept"));
    let old = cluster.leader();
    let term = cluster.term(old);
    cluster.kill(old);
    let new = cluster.until_another_leads(old);
    assert!(cluster.term(new) > term);
    assert!(cluster.suspicions().contains(&(NAMES[old].to_owned(), "refused".to_owned())));
    assert_eq!(read(cluster.node(new), "a"), Some(SettingValue::Text("kept".to_owned())));
    write(cluster.node(new), note("k2", "b", "goes on"));
}

#[test]
fn a_leader_that_falls_silent_is_replaced_on_evidence() {
    let cluster = Cluster::with_timers_that_never_decide();
    let old = cluster.leader();
    cluster.node(old).pause();
    let new = cluster.until_another_leads(old);
    assert!(cluster.suspicions().contains(&(NAMES[old].to_owned(), "unanswered".to_owned())));
    // The old leader found itself alone: no evidence against any peer.
    assert!(cluster.suspicions().iter().all(|(peer, _)| peer == NAMES[old]));
    cluster.node(old).resume();
    write(cluster.node(new), note("k", "a", "x"));
    assert_eq!(read(cluster.node(old), "a"), Some(SettingValue::Text("x".to_owned())));
}

#[test]
fn a_leader_whose_disk_hangs_hands_over() {
    let cluster = Cluster::with_timers_that_never_decide();
    let old = cluster.leader();
    // Longer than any test waits.
    cluster.node(old).stall_disk(2 * LIMIT);
    // Committed by the majority, and not applied by the old leader: the new leader answers.
    write(cluster.node((old + 1) % 3), note("k", "a", "x"));
    let new = cluster.until_another_leads(old);
    assert_eq!(read(cluster.node(new), "a"), Some(SettingValue::Text("x".to_owned())));
    write(cluster.node(new), note("k2", "b", "y"));
}

#[test]
fn a_leader_whose_disk_hangs_and_that_cannot_hand_over_is_replaced_on_its_own_word() {
    let cluster = Cluster::with_timers_that_never_decide();
    let old = cluster.leader();
    let transfers = Arc::clone(&cluster.node(old).parts().transfers);
    let _nobody_hands_over = transfers.prevent();
    cluster.node(old).stall_disk(2 * LIMIT);
    write(cluster.node((old + 1) % 3), note("k", "a", "x"));
    let new = cluster.until_another_leads(old);
    assert!(cluster.suspicions().contains(&(NAMES[old].to_owned(), "stuck".to_owned())));
    assert_eq!(read(cluster.node(new), "a"), Some(SettingValue::Text("x".to_owned())));
}

#[test]
fn what_one_node_believes_changes_nothing() {
    let cluster = Cluster::all();
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let term = cluster.term(leader);
    for n in 0..20 {
        assert!(cluster.node(follower).raise_false_alarm());
        // Every effect of the alarm is over once a write has passed through all of the nodes.
        write(cluster.node(follower), note(&format!("k{n}"), "a", "x"));
    }
    assert!(!cluster.node(leader).raise_false_alarm(), "a leader follows nobody");
    assert!(cluster.suspicions().contains(&(NAMES[leader].to_owned(), "drill".to_owned())));
    assert_eq!((cluster.leader(), cluster.term(leader), cluster.term(follower)), (leader, term, term));
}

#[test]
fn without_evidence_the_timers_decide() {
    let mut cluster = Cluster::new();
    cluster.probe_failures = 0;
    let mut cluster = cluster.started();
    let old = cluster.leader();
    cluster.kill(old);
    cluster.until_another_leads(old);
    assert_eq!(cluster.suspicions(), []);
}

fn transfer(cluster: &Cluster, by: usize, to: Option<&str>) -> Result<Transferred, TransferError> {
    block_on(cluster.node(by).transfer_leader(to.map(str::to_owned), Instant::now() + LIMIT))
}

#[test]
fn leadership_goes_where_an_operator_wants_it() {
    let cluster = Cluster::with_timers_that_never_decide();
    for round in 0..3 {
        let old = cluster.leader();
        let (to, by) = ((old + 1) % 3, (old + round) % 3);
        let term = cluster.term(old);
        let moved = transfer(&cluster, by, Some(NAMES[to])).unwrap();
        assert_eq!((moved.from.as_str(), moved.to.as_str()), (NAMES[old], NAMES[to]));
        assert_eq!(moved.term, term + 1, "one election");
        assert_eq!(cluster.until_another_leads(old), to);
        write(cluster.node(old), note(&format!("k{round}"), "a", "x"));
    }
    let leader = cluster.leader();
    let same = transfer(&cluster, (leader + 1) % 3, Some(NAMES[leader])).unwrap();
    assert_eq!((same.from, same.to), (NAMES[leader].to_owned(), NAMES[leader].to_owned()));
    let moved = transfer(&cluster, leader, None).unwrap();
    assert_ne!(moved.to, NAMES[leader]);
    assert_eq!(cluster.suspicions(), [], "nobody had to suspect anybody");
}

#[test]
fn who_cannot_lead_does_not() {
    let mut cluster = Cluster::with_timers_that_never_decide();
    let leader = cluster.leader();
    let [away, other] = [(leader + 1) % 3, (leader + 2) % 3];
    let unknown = transfer(&cluster, other, Some("n9")).unwrap_err();
    assert_eq!(unknown, TransferError::UnknownNode { name: "n9".to_owned() });
    cluster.kill(away);
    cluster.until("silence", |nodes| nodes.iter().all(|status| !status.nodes[away].healthy));
    let unfit = transfer(&cluster, other, Some(NAMES[away])).unwrap_err();
    assert_eq!(unfit.code(), Code::CannotLead);
    assert!(unfit.to_string().contains("does not answer"), "{unfit}");
    assert_eq!(cluster.leader(), leader);
    assert_eq!(transfer(&cluster, leader, None).unwrap().to, NAMES[other]);
    write(cluster.node(leader), note("k", "a", "x"));
}

#[test]
fn a_transfer_that_fails_leaves_a_working_leader_behind() {
    let cluster = Cluster::all();
    let leader = cluster.leader();
    // The voters answer, and cannot take over: a vote has to be on the disk first.
    for n in (0..3).filter(|n| *n != leader) {
        cluster.node(n).stall_disk(Duration::from_secs(1));
    }
    let failed = transfer(&cluster, leader, None).unwrap_err();
    assert_eq!(failed.code(), Code::TransferFailed, "{failed}");
    write(cluster.node(leader), note("k", "a", "x"));
    assert!(cluster.node(leader).status().notices.iter().all(|notice| notice.code != "storage_failed"));
}

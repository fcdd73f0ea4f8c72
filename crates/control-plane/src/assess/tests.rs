use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::format::Activated;
use crate::status::NodeFigures;

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

pub(crate) fn cluster(id: u64) -> ClusterId {
    serde_json::from_value(format!("00000000-0000-0000-0000-{id:012}").into()).unwrap()
}

/// Returns a report of voter `id`, with log and state up to date.
pub(crate) fn report(id: u64, role: Role, term: u64) -> Report {
    Report {
        raft_id: RaftId::from(id),
        cluster_id: Some(cluster(1)),
        largest_voter_set: 3,
        role,
        voter: true,
        lists_sender: true,
        term,
        leader: None,
        last_log_id: None,
        applied_index: Some(10),
        config_hash: "the same".to_owned(),
        version: "test".to_owned(),
        stuck_ms: 0,
        committed_index: Some(10),
        storage_failure: None,
        storage_remedy: None,
        storage_full: None,
        snapshot_trouble: None,
        clock_ms: 0,
        announcement: None,
        needs_release: None,
        mark: None,
        marks: None,
        reverted: false,
        diverged: None,
        figures: NodeFigures::default(),
    }
}

pub(crate) fn node(i: usize, answered_ms: u64, report: Option<Report>) -> NodeView {
    let (name, ip) = (NAMES[i].to_owned(), IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    NodeView {
        address: NodeAddress { name, ip, http_port: 8081 + i as u16, raft_port: 5001 + i as u16 },
        answered_age: report.as_ref().map(|_| Duration::from_millis(answered_ms)),
        report: report.map(Arc::new),
        port_refused: false,
        handshake_failure: None,
        lagging: false,
        behind: 0,
        reverted: false,
        clock: None,
    }
}

/// Returns the view of n2 in a healthy cluster, with n1 as the leader in term 3.
pub(crate) fn well() -> View {
    View {
        cluster_name: "test".to_owned(),
        cluster_id: Some(cluster(1)),
        superseded_by: None,
        me: "n2".to_owned(),
        term: 3,
        leader: Some("n1".to_owned()),
        leader_age: Some(Duration::ZERO),
        configs: vec![[1, 2, 3].map(RaftId::from).into()],
        voters: [1, 2, 3].map(|id| (RaftId::from(id), format!("n{id}"))).into(),
        learners: Vec::new(),
        config_hash: "the same".to_owned(),
        activated: Activated::default(),
        key_bytes: (0, 64 << 20),
        nodes: vec![
            node(0, 10, Some(report(1, Role::Leader, 3))),
            node(1, 0, Some(report(2, Role::Follower, 3))),
            node(2, 10, Some(report(3, Role::Follower, 3))),
        ],
    }
}

/// Checks the status after `change` to a healthy view: the leader, the quorum, and each node's role and
/// health. No document contradicts itself.
fn check(change: impl FnOnce(&mut View), leader: Option<&str>, quorum: bool, rows: [(Role, Health); 3]) {
    let mut view = well();
    change(&mut view);
    let status = view.assess();
    assert_eq!(status.contradictions(), [""; 0], "{status:#?}");
    assert_eq!((status.leader_id.as_deref(), status.quorum), (leader, quorum), "{view:#?}");
    let found: Vec<_> = status.nodes.iter().map(|node| (node.role, node.health)).collect();
    assert_eq!(found, rows, "{view:#?}");
}

fn change_report(view: &mut View, i: usize, change: impl FnOnce(&mut Report)) {
    let mut report = Report::clone(view.nodes[i].report.as_ref().unwrap());
    change(&mut report);
    view.nodes[i].report = Some(Arc::new(report));
}

const LEADER: (Role, Health) = (Role::Leader, Health::Ok);
const FOLLOWER: (Role, Health) = (Role::Follower, Health::Ok);
const CANDIDATE: (Role, Health) = (Role::Candidate, Health::Ok);

#[test]
fn a_well_cluster_has_one_leader() {
    check(|_| {}, Some("n1"), true, [LEADER, FOLLOWER, FOLLOWER]);
}

#[test]
fn a_leader_whose_port_is_refused_is_none_at_once() {
    let killed = |view: &mut View| {
        view.leader = None;
        view.nodes[0].port_refused = true;
        change_report(view, 1, |report| report.role = Role::Candidate);
    };
    check(killed, None, true, [(Role::Unknown, Health::Refused), CANDIDATE, FOLLOWER]);
    // The election is over before the old leader's latest report is a second old.
    let elected = |view: &mut View| {
        view.nodes[0].port_refused = true;
        view.leader = Some("n3".to_owned());
        view.term = 4;
    };
    check(elected, Some("n3"), true, [(Role::Unknown, Health::Refused), FOLLOWER, LEADER]);
}

#[test]
fn a_claim_of_an_older_term_never_shows_as_the_leader() {
    let hung = |view: &mut View| {
        view.nodes[0].answered_age = Some(Duration::from_millis(300));
        view.leader = Some("n2".to_owned());
        view.term = 4;
        change_report(view, 1, |report| (report.role, report.term) = (Role::Leader, 4));
    };
    check(hung, Some("n2"), true, [CANDIDATE, LEADER, FOLLOWER]);
}

#[test]
fn the_leader_shows_as_one_before_its_own_word_arrives() {
    let elected = |view: &mut View| {
        view.leader = Some("n3".to_owned());
        view.term = 4;
        change_report(view, 0, |report| report.role = Role::Candidate);
    };
    check(elected, Some("n3"), true, [CANDIDATE, FOLLOWER, LEADER]);
}

#[test]
fn silence_is_told_after_half_a_second_and_ends_the_role_after_one() {
    let silent = |ms| move |view: &mut View| view.nodes[2].answered_age = Some(Duration::from_millis(ms));
    check(silent(499), Some("n1"), true, [LEADER, FOLLOWER, FOLLOWER]);
    check(silent(500), Some("n1"), true, [LEADER, FOLLOWER, (Role::Follower, Health::Silent)]);
    check(silent(1000), Some("n1"), true, [LEADER, FOLLOWER, (Role::Unknown, Health::Silent)]);
}

#[test]
fn a_node_that_does_not_progress_is_not_healthy() {
    let lagging = |view: &mut View| view.nodes[2].lagging = true;
    check(lagging, Some("n1"), true, [LEADER, FOLLOWER, (Role::Follower, Health::Lagging)]);
    let full = |view: &mut View| {
        change_report(view, 2, |report| {
            (report.storage_failure, report.role) =
                (Some("No space left on device".to_owned()), Role::Learner);
        });
    };
    check(full, Some("n1"), true, [LEADER, FOLLOWER, (Role::Learner, Health::StorageFailed)]);
    let foreign = |view: &mut View| change_report(view, 2, |report| report.cluster_id = Some(cluster(2)));
    check(foreign, Some("n1"), true, [LEADER, FOLLOWER, (Role::Follower, Health::ForeignCluster)]);
    let refused = |view: &mut View| {
        view.nodes[2].answered_age = None;
        view.nodes[2].handshake_failure = Some("another key".to_owned());
    };
    check(refused, Some("n1"), true, [LEADER, FOLLOWER, (Role::Unknown, Health::HandshakeFailed)]);
}

#[test]
fn a_quorum_is_a_majority_of_healthy_voters_and_a_leader() {
    let one_left = |view: &mut View| {
        view.leader = None;
        view.nodes[0].port_refused = true;
        view.nodes[2].port_refused = true;
        change_report(view, 1, |report| report.role = Role::Candidate);
    };
    let gone = (Role::Unknown, Health::Refused);
    check(one_left, None, false, [gone, CANDIDATE, gone]);
    let leaderless = |ms| {
        move |view: &mut View| {
            view.leader = None;
            view.leader_age = Some(Duration::from_millis(ms));
            change_report(view, 0, |report| report.role = Role::Candidate);
        }
    };
    check(leaderless(999), None, true, [CANDIDATE, FOLLOWER, FOLLOWER]);
    check(leaderless(1000), None, false, [CANDIDATE, FOLLOWER, FOLLOWER]);
}

#[test]
fn a_founded_cluster_has_a_quorum_once_its_membership_is_committed() {
    let founding = |view: &mut View| {
        (view.me, view.leader) = ("n1".to_owned(), Some("n1".to_owned()));
        view.configs = vec![[RaftId::from(1)].into()];
        view.voters = BTreeMap::new();
    };
    let leads = (Role::Leader, Health::NotVoting);
    let other = (Role::Follower, Health::NotVoting);
    check(founding, Some("n1"), false, [leads, other, other]);
}

#[test]
fn voters_that_are_not_committed_yet_are_no_quorum_without_the_settled_ones() {
    let growing = |view: &mut View| {
        view.voters = [(RaftId::from(1), "n1".to_owned())].into();
        view.nodes[0].answered_age = Some(Duration::from_millis(500));
    };
    let silent = (Role::Leader, Health::Silent);
    let follower = (Role::Follower, Health::NotVoting);
    check(growing, Some("n1"), false, [silent, follower, follower]);
}

#[test]
fn a_vote_belongs_to_a_data_directory_and_not_to_a_name() {
    let wiped = |view: &mut View| {
        for i in [0, 2] {
            change_report(view, i, |report| {
                (report.raft_id, report.role) = (RaftId::from(10 + i as u64), Role::Learner);
                report.cluster_id = None;
            });
        }
        view.leader = None;
        change_report(view, 1, |report| report.role = Role::Candidate);
    };
    let fresh = (Role::Learner, Health::NotVoting);
    check(wiped, None, false, [fresh, CANDIDATE, fresh]);
}

#[test]
fn a_joint_change_takes_a_quorum_of_both_configurations() {
    let joint = |view: &mut View| {
        view.configs.push([1, 4, 5].map(RaftId::from).into());
    };
    check(joint, None, false, [CANDIDATE, FOLLOWER, FOLLOWER]);
    let healthy = |view: &mut View| view.configs.push([1, 2].map(RaftId::from).into());
    check(healthy, Some("n1"), true, [LEADER, FOLLOWER, FOLLOWER]);
}

/// Every combination of roles, ages, refusals and leaders, also a leader that the probes deny: no document
/// contradicts itself.
#[test]
fn no_view_makes_a_document_that_contradicts_itself() {
    let roles = [Role::Leader, Role::Follower, Role::Candidate, Role::Learner];
    let leaders = [None, Some("n1"), Some("n2"), Some("n3")];
    for (role_1, role_3) in roles.iter().flat_map(|a| roles.iter().map(move |b| (*a, *b))) {
        for (age_ms, flags) in [0, 499, 500, 999, 1000].iter().flat_map(|age| (0..64).map(move |f| (*age, f)))
        {
            for leader in leaders {
                let mut view = well();
                change_report(&mut view, 0, |report| report.role = role_1);
                change_report(&mut view, 2, |report| report.role = role_3);
                view.nodes[0].answered_age = Some(Duration::from_millis(age_ms));
                view.nodes[0].port_refused = flags & 1 != 0;
                view.nodes[2].port_refused = flags & 2 != 0;
                view.nodes[2].lagging = flags & 4 != 0;
                if flags & 8 != 0 {
                    change_report(&mut view, 0, |report| report.cluster_id = Some(cluster(2)));
                }
                view.superseded_by = (flags & 16 != 0).then(|| cluster(2));
                if flags & 32 != 0 {
                    change_report(&mut view, 2, |report| report.raft_id = RaftId::from(9));
                }
                view.leader = leader.map(str::to_owned);
                let status = view.assess();
                assert_eq!(status.contradictions(), [""; 0], "{view:#?}\n{status:#?}");
            }
        }
    }
}

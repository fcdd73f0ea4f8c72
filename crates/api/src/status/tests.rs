use super::*;

fn node(id: &str, role: Role, health: Health) -> NodeStatus {
    let healthy = health.is_healthy();
    NodeStatus { id: id.to_owned(), role, health, healthy, voter: true, ..NodeStatus::default() }
}

fn status(leader: Option<&str>, nodes: [NodeStatus; 3]) -> ClusterStatus {
    ClusterStatus {
        leader_id: leader.map(str::to_owned),
        quorum: true,
        voters: nodes.iter().map(|node| node.id.clone()).collect(),
        nodes: nodes.into(),
        ..ClusterStatus::default()
    }
}

#[test]
fn contradictions_are_found() {
    use Health::{Ok, Refused, Silent};
    use Role::{Candidate, Follower, Leader, Unknown};
    let check = |leader, rows: [(Role, Health); 3], expected: &[&str]| {
        let mut names = ["n1", "n2", "n3"].into_iter();
        let nodes = rows.map(|(role, health)| node(names.next().unwrap(), role, health));
        assert_eq!(status(leader, nodes).contradictions(), expected);
    };
    check(Some("n1"), [(Leader, Ok), (Follower, Ok), (Unknown, Silent)], &[]);
    check(None, [(Unknown, Refused), (Candidate, Ok), (Candidate, Ok)], &[]);
    check(
        Some("n2"),
        [(Leader, Ok), (Leader, Ok), (Follower, Ok)],
        &["n1 has the role Leader, leader_id is Some(\"n2\")"],
    );
    check(
        Some("n2"),
        [(Candidate, Ok), (Follower, Ok), (Follower, Ok)],
        &["leader_id is n2, whose role is Follower"],
    );
    check(
        Some("n1"),
        [(Leader, Refused), (Follower, Ok), (Follower, Ok)],
        &["n1 has the role Leader and the health refused"],
    );
    check(
        None,
        [(Unknown, Refused), (Unknown, Silent), (Candidate, Ok)],
        &["quorum with 1 healthy of 3 voters"],
    );
}

#[test]
fn a_health_that_contradicts_healthy_is_found() {
    let mut status = status(
        Some("n1"),
        [
            node("n1", Role::Leader, Health::Ok),
            node("n2", Role::Follower, Health::Lagging),
            node("n3", Role::Follower, Health::Ok),
        ],
    );
    assert_eq!(status.contradictions(), [""; 0]);
    assert_eq!(status.deficiencies(), ["n2 (lagging)"]);
    status.nodes[1].healthy = true;
    assert_eq!(status.contradictions(), ["n2 is healthy: true, with the health lagging"]);
}

#[test]
fn a_healthy_node_without_a_vote_is_a_deficiency() {
    let mut status = status(
        Some("n1"),
        [
            node("n1", Role::Leader, Health::Ok),
            node("n2", Role::Learner, Health::NotVoting),
            node("n3", Role::Follower, Health::Ok),
        ],
    );
    status.nodes[1].voter = false;
    assert_eq!(status.deficiencies(), ["n2 (not_voting)"]);
}

#[test]
fn other_releases_are_understood() {
    let text = r#"{"cluster_name": "c", "node_id": "n1", "term": 3, "quorum": true, "later": 1, "nodes": [
        {"id": "n1", "ip": "127.0.0.1", "http_port": 1, "raft_port": 2, "role": "Observer", "healthy": true,
         "health": "of_a_later_release", "added_later": {}}]}"#;
    let status: ClusterStatus = serde_json::from_str(text).unwrap();
    assert_eq!((status.nodes[0].role, status.nodes[0].health), (Role::Unknown, Health::Unknown));
    assert_eq!((&status.leader_id, status.nodes[0].cpu_pct), (&None, None));
}

#[test]
fn names_in_the_document_are_those_of_the_code() {
    for health in Health::ALL {
        assert_eq!(serde_json::to_value(health).unwrap(), health.as_str());
    }
    for role in [Role::Leader, Role::Follower, Role::Candidate, Role::Learner, Role::Unknown] {
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
}

#[test]
fn a_log_is_behind_by_its_last_index() {
    let mut status = status(Some("n1"), ["n1", "n2", "n3"].map(|id| node(id, Role::Follower, Health::Ok)));
    (status.nodes[0].last_log_index, status.nodes[1].last_log_index) = (Some(9), Some(7));
    let behind: Vec<_> = status.nodes.iter().map(|node| status.behind(node)).collect();
    assert_eq!(behind, [Some(0), Some(2), None]);
}

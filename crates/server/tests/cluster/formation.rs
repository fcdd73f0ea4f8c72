//! Formation of a cluster, and its return after a stop.

use serde_json::json;
use testkit::{ClusterBuilder, Role};

use crate::request::{LIMIT, embeds_and_extracts, get, must_put, value, wait_for_status};

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

#[tokio::test]
async fn the_first_node_leads_alone_and_the_others_become_voters_in_one_step() {
    let mut cluster = ClusterBuilder::new().build();
    cluster.start(0);
    wait_for_status(&cluster, 0, "a lone leader", |status| {
        status.role("n1") == Role::Leader && status.quorum
    });
    assert!(cluster.log_contains(0, "Becoming LEADER anyway"));
    for _ in 0..5 {
        embeds_and_extracts(&cluster, 0).await;
    }
    must_put(&cluster, 0, "note.a", json!("by one voter")).await;

    cluster.start(1);
    let status = wait_for_status(&cluster, 0, "a learner", |status| status.learners == ["n2"]);
    assert_eq!(status.voters, ["n1"], "two voters survive nothing");
    assert!(status.has_notice("waiting_for_nodes"));
    cluster.wait_until("what n2 waits for", LIMIT, |cluster| {
        (cluster.get(1, "/cluster/members")?.json()?["waiting_for"] == json!(["n3"])).then_some(())
    });

    cluster.start(2);
    cluster.wait_all_healthy();
    for i in 0..3 {
        assert_eq!(value(&cluster, i, "note.a").await, json!("by one voter"));
        let log = cluster.log(i);
        let two_voters = log.lines().filter(|line| line.contains("membership changed"));
        assert!(!two_voters.clone().any(|line| line.contains("voters=\"n1, n2\"")), "{log}");
    }
    let founded: usize = (0..3).map(|i| cluster.log(i).matches("Becoming LEADER anyway").count()).sum();
    assert_eq!(founded, 1);
}

#[tokio::test]
async fn another_node_alone_serves_the_data_plane_and_waits() {
    let mut cluster = ClusterBuilder::new().build();
    cluster.start(1);
    let status = wait_for_status(&cluster, 1, "what it waits for", |status| status.has_notice("not_joined"));
    assert_eq!((status.leader_id, status.quorum, status.cluster_id), (None, false, None));
    assert_eq!(status.nodes[1].role, Role::Learner);
    let notice = status.notices.iter().find(|notice| notice.code == "not_joined").unwrap();
    assert!(notice.message.contains("no answer from n1, n3"), "{}", notice.message);
    embeds_and_extracts(&cluster, 1).await;
    let (code, body) = get(&cluster, 1, "/cluster/settings").await;
    assert_eq!((code.as_u16(), &body["code"]), (503, &json!("not_joined")));
}

#[tokio::test]
async fn one_of_three_restarted_alone_says_that_it_has_no_quorum() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    (0..3).for_each(|i| assert!(cluster.terminate(i).success()));
    cluster.start(0);
    let status = wait_for_status(&cluster, 0, "the lost quorum", |status| status.has_notice("no_quorum"));
    assert_eq!((status.leader_id, status.quorum), (None, false));
    assert_ne!(status.nodes[0].role, Role::Leader);
    embeds_and_extracts(&cluster, 0).await;
    let (code, body) = crate::request::put(&cluster, 0, "bits", json!(2)).await;
    assert_eq!((code.as_u16(), &body["code"]), (503, &json!("no_quorum")));
    cluster.wait_until("the hint at --single", LIMIT, |cluster| {
        cluster.log_contains(0, "server --single").then_some(())
    });
    cluster.start(1);
    cluster.wait_for_leader();
    must_put(&cluster, 0, "bits", json!(2)).await;
}

#[tokio::test]
async fn a_wiped_first_node_joins_the_others_as_a_new_one() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("kept")).await;
    let before = cluster.status(1).unwrap();
    let old = before.node("n1").unwrap().raft_id.clone();
    cluster.kill(0);
    cluster.wipe(0);
    cluster.start(0);
    let replaced = wait_for_status(&cluster, 1, "the new n1 as a voter", |status| {
        let node = status.node("n1").unwrap();
        node.voter && node.raft_id.is_some() && node.raft_id != old && status.voters == NAMES
    });
    assert_eq!(replaced.cluster_id, before.cluster_id);
    cluster.wait_all_healthy();
    assert_eq!(value(&cluster, 0, "note.a").await, json!("kept"));
    assert_eq!(cluster.log(0).matches("Becoming LEADER anyway").count(), 1, "{}", cluster.log(0));
}

#[tokio::test]
async fn a_cluster_moves_to_other_addresses() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("kept")).await;
    let before = cluster.status(0).unwrap().cluster_id;
    cluster.kill_all();
    cluster.readdress();
    cluster.start_all();
    cluster.wait_all_healthy();
    assert_eq!(cluster.status(2).unwrap().cluster_id, before);
    assert_eq!(value(&cluster, 2, "note.a").await, json!("kept"));
}

#[test]
fn a_directory_of_another_name_is_refused() {
    let mut cluster = ClusterBuilder::new().build();
    cluster.start(0);
    cluster.kill(0);
    let foreign = cluster.node(0).data_dir().to_owned();
    cluster.set_data_dir(1, &foreign);
    cluster.spawn(1);
    assert!(!cluster.wait_exit(1).success());
    assert!(cluster.log_contains(1, "belongs to node n1, not to n2"), "{}", cluster.log(1));
}

#[tokio::test]
async fn leadership_is_handed_over_before_a_leader_stops() {
    let mut cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let term = cluster.status(leader).unwrap().term;
    assert!(cluster.terminate(leader).success());
    assert!(cluster.log_contains(leader, "leadership transferred"), "{}", cluster.log(leader));
    let other = (leader + 1) % 3;
    let status = wait_for_status(&cluster, other, "the next leader", |status| status.leader_id.is_some());
    assert_eq!(status.term, term + 1, "one election, and no timer before it");
}

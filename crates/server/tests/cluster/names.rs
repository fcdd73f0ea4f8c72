//! Nodes configured by host names.

use testkit::{ClusterBuilder, Net, Role};

use crate::request::{LIMIT, embeds_and_extracts, must_put, wait_for_status};

#[tokio::test]
async fn a_name_that_does_not_resolve_holds_nobody_up() {
    if !Net::available() {
        return eprintln!("no network namespaces here");
    }
    let mut cluster = ClusterBuilder::new().in_namespaces().by_name().build();
    let names = ["n1.test", "n2.test", "n3.test"];
    let all: Vec<_> = names.iter().enumerate().map(|(i, name)| (*name, cluster.net().ip(i))).collect();
    // n1 and n2 ask a name server for n3 that does not answer.
    for i in 0..2 {
        cluster.net().know_names(i, &all[..2]);
    }
    cluster.net().know_names(2, &all);
    cluster.start_all();
    let status = wait_for_status(&cluster, 0, "a leader with a learner", |status| status.learners == ["n2"]);
    assert!(status.quorum && status.nodes.iter().map(|node| node.ip.as_str()).eq(names), "{status:?}");
    must_put(&cluster, 1, "note.a", serde_json::json!("x")).await;
    for i in 0..3 {
        embeds_and_extracts(&cluster, i).await;
    }
    assert_eq!(cluster.status(0).unwrap().role("n3"), Role::Unknown);

    for i in 0..2 {
        cluster.net().know_names(i, &all);
    }
    cluster.wait_until("three voters", LIMIT * 2, |cluster| {
        cluster.status(0).filter(|status| status.voters.len() == 3 && status.quorum)
    });
    let leader = cluster.wait_all_healthy();
    cluster.kill(leader);
    let other = (leader + 1) % 3;
    let old = cluster.id(leader).to_owned();
    wait_for_status(&cluster, other, "another leader", |status| {
        status.leader_id.as_ref().is_some_and(|id| *id != old)
    });
    cluster.start(leader);
    cluster.wait_all_healthy();
}

//! Hosts without a path to each other: network namespaces, and packets dropped silently.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Cluster, ClusterBuilder, Net, Role};

use crate::journal::{self, Writers};
use crate::observer::Observer;
use crate::request::{LIMIT, embeds_and_extracts, get, must_put, put, value, wait_for_status};

/// A leader without a quorum steps down within a second; the limit allows for a busy machine.
const STEPS_DOWN_WITHIN: Duration = Duration::from_secs(3);

pub(crate) fn three_hosts() -> Option<ClusterBuilder> {
    if !Net::available() {
        eprintln!("no network namespaces here");
        return None;
    }
    Some(ClusterBuilder::new().in_namespaces())
}

pub(crate) fn others(i: usize) -> [usize; 2] {
    [(i + 1) % 3, (i + 2) % 3]
}

fn leader_among(cluster: &Cluster, among: [usize; 2]) -> usize {
    cluster.wait_until("a leader on the larger side", LIMIT, |cluster| {
        let named = cluster.status(among[0])?.leader_id?;
        let leader = cluster.index(&named)?;
        among.contains(&leader).then_some(leader)
    })
}

#[tokio::test]
async fn a_leader_that_is_cut_off_commits_nothing_and_follows_afterwards() {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    let old = cluster.wait_all_healthy();
    must_put(&cluster, old, "note.a", json!("before")).await;
    cluster.net().isolate(old);

    let status = wait_for_status(&cluster, old, "a leader that knows it is alone", |status| !status.quorum);
    assert_eq!(status.leader_id, None);
    let refused = put(&cluster, old, "note.a", json!("by a minority")).await;
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert_eq!(get(&cluster, old, "/cluster/settings/note.a").await.1["code"], json!("no_quorum"));
    embeds_and_extracts(&cluster, old).await;

    let new = leader_among(&cluster, others(old));
    must_put(&cluster, new, "note.a", json!("by the majority")).await;
    assert_eq!(value(&cluster, others(old)[0], "note.a").await, json!("by the majority"));

    cluster.net().heal();
    cluster.wait_all_healthy();
    assert_eq!(value(&cluster, old, "note.a").await, json!("by the majority"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_acknowledges_nothing_while_everybody_writes() {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start(&cluster));
    let (old, term) = observer.settled(&cluster);
    (0..3).for_each(|i| writers.wait_going_on(&cluster, i));

    cluster.net().isolate(old);
    let cut_at = Instant::now();
    wait_for_status(&cluster, old, "a leader that knows it is alone", |status| {
        status.role(cluster.id(old)) != Role::Leader && status.leader_id.is_none()
    });
    assert!(cut_at.elapsed() < STEPS_DOWN_WITHIN, "it led for {:?}", cut_at.elapsed());
    leader_among(&cluster, others(old));
    others(old).iter().for_each(|&i| writers.wait_going_on(&cluster, i));

    let healed_at = Instant::now();
    cluster.net().heal();
    cluster.wait_all_healthy();
    observer.settled(&cluster);
    writers.wait_going_on(&cluster, old);
    let acknowledged = writers.stop().writes;
    let by_minority = acknowledged
        .iter()
        .filter(|write| write.node == old && write.sent > cut_at && write.answered < healed_at);
    assert_eq!(by_minority.count(), 0, "{}", cluster.report());
    journal::check(&cluster, &acknowledged);
    observer.check(&cluster, term, 2);
}

#[tokio::test]
async fn a_follower_that_cannot_be_heard_does_not_depose_the_leader() {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    let leader = cluster.wait_all_healthy();
    let term = cluster.status(leader).unwrap().term;
    let [deaf, other] = others(leader);
    // It hears nobody, but everybody hears it.
    cluster.net().cut_one_way(leader, deaf);
    cluster.net().cut_one_way(other, deaf);
    wait_for_status(&cluster, deaf, "a follower without a leader", |status| !status.quorum);
    must_put(&cluster, leader, "note.a", json!("still there")).await;
    cluster.net().heal();
    cluster.wait_all_healthy();
    assert_eq!(cluster.status(leader).unwrap().term, term, "the leader was deposed");
}

#[tokio::test]
async fn a_second_cluster_of_one_voter_gives_way_loudly() {
    let Some(builder) = three_hosts() else { return };
    let mut cluster = builder.start();
    cluster.wait_all_healthy();
    must_put(&cluster, 1, "note.a", json!("the real one")).await;
    let real = cluster.status(1).unwrap().cluster_id;
    cluster.kill(0);
    cluster.wipe(0);
    cluster.net().isolate(0);
    cluster.start(0);
    let founded = wait_for_status(&cluster, 0, "a cluster of its own", |status| status.quorum);
    assert_ne!(founded.cluster_id, real);
    must_put(&cluster, 0, "note.b", json!("by one voter")).await;

    cluster.net().heal();
    let status = wait_for_status(&cluster, 0, "the notice", |status| status.has_notice("foreign_cluster"));
    assert_eq!((status.leader_id, status.quorum), (None, false));
    let (code, body) = put(&cluster, 0, "note.b", json!("no more")).await;
    assert_eq!((code.as_u16(), &body["code"]), (503, &json!("foreign_cluster")));
    assert_eq!(value(&cluster, 0, "note.b").await, json!("by one voter"), "its data can be exported");
    embeds_and_extracts(&cluster, 0).await;

    leader_among(&cluster, [1, 2]);
    must_put(&cluster, 1, "note.a", json!("goes on")).await;
    assert_eq!(cluster.status(1).unwrap().cluster_id, real);

    // Moved away and started again, it joins.
    cluster.kill(0);
    cluster.wipe(0);
    cluster.start(0);
    cluster.wait_all_healthy();
    assert_eq!(cluster.status(0).unwrap().cluster_id, real);
    assert_eq!(value(&cluster, 0, "note.a").await, json!("goes on"));
}

#[tokio::test]
async fn lost_packets_lose_no_writes() {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    let leader = cluster.wait_all_healthy();
    cluster.net().drop_at_random(others(leader)[0], 20);
    for n in 0..20 {
        must_put(&cluster, n % 3, &format!("note.{n}"), json!(n.to_string())).await;
    }
    cluster.net().heal();
    cluster.wait_all_healthy();
    for n in 0..20 {
        assert_eq!(value(&cluster, (n + 1) % 3, &format!("note.{n}")).await, json!(n.to_string()));
    }
}

//! Fault drills: the effect of each on a node, and the node's recovery.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder, Role};

use crate::request::{LIMIT, answer, get, must_put, put, value, wait_for_status, wait_ready};

fn cluster() -> Cluster {
    ClusterBuilder::new().flags(["--enable-fault-injection"]).start()
}

async fn post(cluster: &Cluster, i: usize, path: &str, body: Value) -> (StatusCode, Value) {
    answer(reqwest::Client::new().post(format!("{}{path}", cluster.url(i))).timeout(LIMIT).json(&body)).await
}

async fn must_fail(cluster: &Cluster, i: usize, drill: Value) {
    let (status, body) = post(cluster, i, "/admin/fail", drill.clone()).await;
    assert_eq!((status.as_u16(), &body["action"]), (202, &drill["action"]), "{body}");
    assert_eq!(body["node_id"], cluster.id(i));
}

/// Waits until node `i` sees a leader other than `old`.
fn wait_for_another_leader(cluster: &Cluster, i: usize, old: usize) {
    let old = cluster.id(old);
    wait_for_status(cluster, i, "another leader", |status| {
        status.leader_id.as_ref().is_some_and(|name| name != old)
    });
}

#[tokio::test]
async fn drills_pause_restore_and_crash_a_node() {
    let cluster = cluster();
    let leader = cluster.wait_all_healthy();
    let other = (leader + 1) % 3;
    must_fail(&cluster, leader, json!({"action": "pause"})).await;
    let (status, body) = get(&cluster, leader, "/api/dataset/1").await;
    assert_eq!((status.as_u16(), &body["code"]), (503, &json!("paused")));
    assert_eq!(get(&cluster, leader, "/livez").await.0, 200);
    wait_for_another_leader(&cluster, other, leader);
    let paused = cluster.id(leader).to_owned();
    wait_for_status(&cluster, other, "silence", |status| status.role(&paused) == Role::Unknown);
    assert_eq!(post(&cluster, leader, "/admin/restore", json!({})).await.0, 200);
    cluster.wait_all_healthy();

    must_fail(&cluster, other, json!({"action": "crash"})).await;
    assert!(!cluster.wait_exit(other).success());
}

#[tokio::test]
async fn a_partition_leaves_clients_served_and_ends_by_hand_or_by_itself() {
    let cluster = cluster();
    let cut_off = cluster.wait_all_healthy();
    must_fail(&cluster, cut_off, json!({"action": "partition"})).await;
    wait_for_another_leader(&cluster, (cut_off + 1) % 3, cut_off);
    wait_for_status(&cluster, cut_off, "a node that knows it is alone", |status| !status.quorum);
    wait_ready(&cluster, cut_off);
    let (status, body) = put(&cluster, cut_off, "note.a", json!("by a minority")).await;
    assert_eq!((status.as_u16(), &body["code"]), (503, &json!("no_quorum")), "{body}");
    assert_eq!(post(&cluster, cut_off, "/admin/restore", json!({})).await.0, 200);
    let leader = cluster.wait_all_healthy();

    must_fail(&cluster, leader, json!({"action": "pause", "for_ms": 500})).await;
    cluster.wait_until("a pause that ends by itself", LIMIT, |cluster| {
        cluster.log_contains(leader, "drill ended after its duration").then_some(())
    });
    cluster.wait_all_healthy();
    wait_ready(&cluster, leader);
}

#[tokio::test]
async fn a_node_that_hangs_is_replaced_and_wakes_by_itself() {
    let cluster = cluster();
    let hung = cluster.wait_all_healthy();
    must_fail(&cluster, hung, json!({"action": "hang", "for_ms": 4000})).await;
    wait_for_another_leader(&cluster, (hung + 1) % 3, hung);
    cluster.wait_until("a node that goes on", LIMIT, |cluster| {
        cluster.log_contains(hung, "hang ended; process continued").then_some(())
    });
    cluster.wait_all_healthy();
}

#[tokio::test]
async fn a_restart_keeps_the_process_and_hands_leadership_over() {
    let cluster = cluster();
    let leader = cluster.wait_all_healthy();
    must_fail(&cluster, leader, json!({"action": "restart"})).await;
    cluster.wait_until("a second start", LIMIT, |cluster| {
        (cluster.log(leader).matches("listening on http://").count() == 2).then_some(())
    });
    // The test's own child: it runs, so it was not replaced by another one.
    assert!(cluster.node(leader).is_running());
    cluster.wait_all_healthy();
    let log = cluster.log(leader);
    let (stop, start) = (log.find("stopped").unwrap(), log.find("restarting").unwrap());
    assert!(stop < start, "in good order: {log}");
    let status = wait_for_status(&cluster, (leader + 1) % 3, "a leader", |status| status.leader_id.is_some());
    assert_ne!(status.leader_id.as_deref(), Some(cluster.id(leader)));
}

#[tokio::test]
async fn a_drill_that_cannot_be_is_refused_by_its_field() {
    let cluster = cluster();
    cluster.wait_all_healthy();
    let malformed = "malformed_json";
    let invalid = "invalid_drill";
    for (drill, code, expected) in [
        (json!({"action": "explode"}), malformed, "action: `explode` is none of crash, pause, partition"),
        (json!({"action": "crash", "force": true}), malformed, "unknown field `force`"),
        (json!({"for_ms": 5}), malformed, "missing field `action`"),
        (json!({"action": "hang", "for_ms": "long"}), malformed, "for_ms: invalid type"),
        (json!({"action": "hang"}), invalid, "for_ms: required for `hang`, 1 to 60000"),
        (
            json!({"action": "stall_disk", "for_ms": 60001}),
            invalid,
            "for_ms: 60001 is out of range for `stall_disk`: 1 to 60000",
        ),
        (json!({"action": "restart", "for_ms": 5}), invalid, "for_ms: not allowed for `restart`"),
    ] {
        let (status, body) = post(&cluster, 0, "/admin/fail", drill).await;
        assert_eq!((status.as_u16(), &body["code"]), (400, &json!(code)), "{body}");
        assert!(body["detail"].as_str().unwrap().contains(expected), "{expected:?} in {body}");
    }
    let bare = reqwest::Client::new().post(format!("{}/admin/fail", cluster.url(0))).body("{}");
    assert_eq!(answer(bare).await.1["code"], "json_expected");
}

#[tokio::test]
async fn a_false_alarm_is_raised_by_a_follower_only_and_a_disk_can_be_slow() {
    let cluster = cluster();
    let leader = cluster.wait_all_healthy();
    let (status, body) = post(&cluster, leader, "/admin/fail", json!({"action": "false_alarm"})).await;
    assert_eq!((status.as_u16(), &body["code"]), (409, &json!("follows_no_leader")), "{body}");
    must_fail(&cluster, (leader + 1) % 3, json!({"action": "stall_disk", "for_ms": 50})).await;
    must_fail(&cluster, (leader + 1) % 3, json!({"action": "false_alarm"})).await;
    cluster.wait_all_healthy();
    must_put(&cluster, leader, "note.a", json!("all goes on")).await;
    assert_eq!(value(&cluster, 0, "note.a").await, json!("all goes on"));
}

//! Leadership transfers by an operator.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder};

use crate::journal::{self, Writers};
use crate::observer::Observer;
use crate::request::{LIMIT, answer, wait_for_status};

fn transfer(cluster: &Cluster, i: usize) -> RequestBuilder {
    let url = format!("{}/cluster/leader-transfers", cluster.url(i));
    reqwest::Client::new().post(url).timeout(LIMIT).bearer_auth(cluster.admin_token())
}

/// Attempts at a transfer: on a busy machine an attempt may time out.
const ATTEMPTS: u64 = 5;

/// Hands leadership over through node `i` and insists.
async fn must_transfer(cluster: &Cluster, i: usize, to: Option<&str>) -> Value {
    transfer_in_time(cluster, i, to).await.0
}

/// Transfers leadership through node `i`, with retries after a timeout. Returns the answer and the failed
/// attempts.
async fn transfer_in_time(cluster: &Cluster, i: usize, to: Option<&str>) -> (Value, u64) {
    for failed in 0..ATTEMPTS {
        let (status, body) = answer(transfer(cluster, i).json(&json!({ "to": to }))).await;
        if body["code"] == api::Code::TransferFailed.as_str() {
            cluster.wait_all_healthy();
            continue;
        }
        assert_eq!(status, 200, "{body}\n{}", cluster.report());
        return (body, failed);
    }
    panic!("nobody took over in {ATTEMPTS} attempts\n{}", cluster.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_through_any_node_under_writes() {
    let cluster = ClusterBuilder::new().start();
    let mut leader = cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start(&cluster));
    let first = observer.term();
    let (mut term, mut in_vain) = (first, 0);
    for through in 0..3 {
        let to = (leader + 1) % 3;
        let (moved, failed) = transfer_in_time(&cluster, through, Some(cluster.id(to))).await;
        in_vain += failed;
        // After an attempt in vain anybody may lead.
        assert!(failed > 0 || moved["from"] == cluster.id(leader), "{moved}");
        assert_eq!(moved["to"], cluster.id(to));
        assert!(moved["term"].as_u64() > Some(term), "{moved} after term {term}");
        term = moved["term"].as_u64().unwrap();
        assert_eq!(cluster.wait_all_healthy(), to);
        writers.wait_going_on(&cluster, through);
        leader = to;
        // Whoever leads already goes on.
        let again = must_transfer(&cluster, (through + 1) % 3, Some(cluster.id(to))).await;
        assert_eq!(again, json!({"from": cluster.id(to), "to": cluster.id(to), "term": term}));
    }
    journal::check(&cluster, &writers.stop().writes);
    // An attempt in vain may cost two elections: its own, and that of the Raft that is started anew.
    observer.check(&cluster, first, 3 + 2 * in_vain);
}

#[tokio::test]
async fn the_best_successor_needs_no_name() {
    let cluster = ClusterBuilder::new().start();
    let mut leader = cluster.wait_all_healthy();
    let requests = [
        transfer(&cluster, 0),
        transfer(&cluster, 1).json(&json!({})),
        transfer(&cluster, 2).json(&json!({"to": null})),
    ];
    for request in requests {
        let (status, moved) = answer(request).await;
        assert_eq!(status, 200, "{moved}\n{}", cluster.report());
        assert_eq!(moved["from"], cluster.id(leader));
        leader = cluster.wait_all_healthy();
        assert_eq!(moved["to"], cluster.id(leader));
        assert_ne!(moved["from"], moved["to"]);
    }
}

#[tokio::test]
async fn a_transfer_that_cannot_be_is_refused_and_changes_nothing() {
    let mut cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let dead = (leader + 1) % 3;
    cluster.kill(dead);
    let name = cluster.id(dead).to_owned();
    wait_for_status(&cluster, leader, "a node that is not healthy", |status| {
        status.node(&name).is_some_and(|node| !node.healthy)
    });
    let before = cluster.status(leader).unwrap();
    for (to, code) in [("n9", "unknown_node"), (name.as_str(), "cannot_lead")] {
        let (status, body) = answer(transfer(&cluster, leader).json(&json!({ "to": to }))).await;
        let expected = if code == "unknown_node" { 404 } else { 409 };
        assert_eq!((status.as_u16(), &body["code"]), (expected, &json!(code)), "{body}");
    }
    let after = cluster.status(leader).unwrap();
    assert_eq!((before.term, before.leader_id), (after.term, after.leader_id));
}

#[tokio::test]
async fn what_is_no_transfer_is_refused() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let json = |body: Value| transfer(&cluster, 0).json(&body);
    let refused = [
        (json(json!({"node": "n2"})), 400, "malformed_json"),
        (json(json!({"to": 2})), 400, "malformed_json"),
        (json(json!({"to": "n".repeat(20_000)})), 413, "body_too_large"),
        (transfer(&cluster, 0).body("to=n2"), 415, "json_expected"),
    ];
    for (request, status, code) in refused {
        let (got, body) = answer(request).await;
        assert_eq!((got.as_u16(), &body["code"]), (status, &json!(code)), "{body}");
    }
}

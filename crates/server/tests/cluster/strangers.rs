//! Clients and peers without the key, with a wrong key, or without the token.

use serde_json::json;
use testkit::{ClusterBuilder, Net};

use crate::request::{LIMIT, answer, must_put, put_request, wait_for_status};

#[tokio::test]
async fn bytes_on_the_raft_port_get_nowhere() {
    let cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let before = cluster.status(leader).unwrap();
    let forged_vote =
        br#"{"cluster":"00000000-0000-0000-0000-000000000000","from":1,"to":null,"body":{"vote":{}}}"#;
    let mut framed = (forged_vote.len() as u32).to_be_bytes().to_vec();
    framed.extend_from_slice(forged_vote);
    framed.extend_from_slice(&[0; 16]);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 4096], &framed] {
        for i in 0..3 {
            let heard = cluster.send_as_stranger(i, bytes).unwrap();
            assert!(heard.bytes.is_empty() && heard.closed, "{heard:?}");
        }
    }
    must_put(&cluster, 0, "note.a", json!("unharmed")).await;
    let after = cluster.status(leader).unwrap();
    assert_eq!((after.term, after.leader_id), (before.term, before.leader_id));
    assert!((0..3).all(|i| cluster.log_contains(i, "inbound connection refused")));
}

#[tokio::test]
async fn a_node_with_another_key_stays_outside() {
    let mut cluster = ClusterBuilder::new().build();
    std::fs::write(cluster.node(2).key_path(), "ab".repeat(32)).unwrap();
    cluster.start(0);
    wait_for_status(&cluster, 0, "a lone leader", |status| status.quorum);
    cluster.start(1);
    cluster.start(2);
    wait_for_status(&cluster, 0, "a learner", |status| status.learners == ["n2"]);
    let status = wait_for_status(&cluster, 2, "nobody to join", |status| status.has_notice("not_joined"));
    assert_eq!(status.cluster_id, None);
    for i in [0, 2] {
        cluster.wait_until("the reason in the log", LIMIT, |cluster| {
            cluster.log_contains(i, "key").then_some(())
        });
    }
    assert_eq!(cluster.status(0).unwrap().voters, ["n1"]);
    assert!(cluster.status(0).unwrap().has_notice("peer_refuses"));
}

#[tokio::test]
async fn no_cluster_is_founded_beside_peers_that_refuse_to_talk() {
    let mut cluster = ClusterBuilder::new().build();
    std::fs::write(cluster.node(0).key_path(), "ab".repeat(32)).unwrap();
    cluster.start(1);
    cluster.start(0);
    let status = wait_for_status(&cluster, 0, "the refusal", |status| status.has_notice("peer_refuses"));
    assert_eq!((status.cluster_id, status.quorum), (None, false));
    assert!(!cluster.log_contains(0, "Becoming LEADER anyway"));
}

#[tokio::test]
async fn changes_from_elsewhere_need_the_token() {
    if !Net::available() {
        return eprintln!("no network namespaces here");
    }
    let cluster = ClusterBuilder::new().in_namespaces().flags(["--enable-fault-injection"]).start();
    cluster.wait_all_healthy();
    let request = put_request(&cluster, 0, "bits", json!(2)).build().unwrap();
    let without = |mut request: reqwest::Request| {
        request.headers_mut().remove("authorization");
        request
    };
    let client = reqwest::Client::new();
    let refused = client.execute(without(request.try_clone().unwrap())).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    let mut wrong = without(request.try_clone().unwrap());
    wrong.headers_mut().insert("authorization", "Bearer not-the-token".parse().unwrap());
    assert_eq!(client.execute(wrong).await.unwrap().status(), 403);
    for path in ["/admin/fail", "/admin/restore", "/cluster/leader-transfers"] {
        let (status, body) =
            answer(client.post(format!("{}{path}", cluster.url(0))).json(&json!({"action": "crash"}))).await;
        assert_eq!((status.as_u16(), &body["code"]), (401, &json!("token_required")), "{path}");
    }
    let (status, _) = crate::request::get(&cluster, 0, "/cluster/settings/bits").await;
    assert_eq!(status, 404, "nothing was changed");
    assert_eq!(client.execute(request).await.unwrap().status(), 200);
}

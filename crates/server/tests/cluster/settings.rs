//! `GET /cluster/settings`: pages, consistency, and many simultaneous readers.

use serde_json::json;
use testkit::{Cluster, ClusterBuilder};

use crate::request::{LIMIT, all_settings, answer, get, must_put, put_with, wait_for_status};

const NOTES: usize = 200;
const NOTE_BYTES: usize = 4096;

async fn fill(cluster: &Cluster) {
    let client = reqwest::Client::new();
    for i in 0..NOTES {
        let text = format!("{i}-{}", "x".repeat(NOTE_BYTES - 8));
        let (status, body) =
            answer(put_with(&client, cluster, 0, &format!("note.{i:03}"), json!(text))).await;
        assert_eq!(status, 200, "{body}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_and_are_bounded_in_bytes() {
    let cluster = ClusterBuilder::new().nodes(1).start();
    wait_for_status(&cluster, 0, "a leader", |status| status.quorum);
    fill(&cluster).await;
    must_put(&cluster, 0, "bits", json!(2)).await;

    let first = reqwest::get(format!("{}/cluster/settings", cluster.url(0))).await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let body = first.text().await.unwrap();
    assert!(body.len() < 100_000, "{} bytes", body.len());
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    let next = page["next"].as_str().unwrap();
    assert_eq!(link, format!("</cluster/settings?after={next}>; rel=\"next\""));
    assert_eq!(page["settings"][0]["key"], "bits");

    let all = all_settings(&cluster, 0, "").await;
    let keys: Vec<_> = all.iter().map(|setting| setting["key"].as_str().unwrap().to_owned()).collect();
    let expected = std::iter::once("bits".to_owned()).chain((0..NOTES).map(|i| format!("note.{i:03}")));
    assert_eq!(keys, expected.collect::<Vec<_>>());

    let (_, two) = get(&cluster, 0, "/cluster/settings?limit=2&after=note.100").await;
    assert_eq!((&two["settings"][1]["key"], &two["next"]), (&json!("note.102"), &json!("note.102")));
    let (_, last) = get(&cluster, 0, "/cluster/settings?after=note.198").await;
    assert_eq!((last["settings"].as_array().unwrap().len(), &last["next"]), (1, &json!(null)));
    for bad in ["limit=0", "limit=101", "limit=x", "after=NOTE", "consistency=maybe"] {
        let (status, body) = get(&cluster, 0, &format!("/cluster/settings?{bad}")).await;
        assert!(status.is_client_error(), "{bad} {body}");
    }
}

#[tokio::test]
async fn a_page_is_told_without_a_quorum_unless_one_is_asked_for() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("x")).await;
    cluster.wait_until("the note on n1", LIMIT, |cluster| {
        cluster
            .get(0, "/cluster/settings")
            .filter(|reply| String::from_utf8_lossy(&reply.body).contains("note.a"))
    });
    cluster.kill(1);
    cluster.kill(2);
    wait_for_status(&cluster, 0, "no quorum", |status| !status.quorum);
    let (status, body) = get(&cluster, 0, "/cluster/settings").await;
    assert_eq!((status.as_u16(), &body["settings"][0]["value"]), (200, &json!("x")));
    let (status, body) = get(&cluster, 0, "/cluster/settings?consistency=linearizable").await;
    assert_eq!((status.as_u16(), &body["code"]), (503, &json!("no_quorum")));
}

#[tokio::test]
async fn many_who_read_hold_up_no_write() {
    // More than there are places for writes.
    const READERS: usize = 80;
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("x".repeat(NOTE_BYTES))).await;
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for i in 0..READERS {
        let consistency = if i % 8 == 0 { "" } else { "?consistency=linearizable" };
        let url = format!("{}/cluster/settings{consistency}", cluster.url(0));
        let ended = std::sync::Arc::clone(&ended);
        readers.spawn(async move {
            let client = reqwest::Client::new();
            let mut served = 0_u64;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = client.get(&url).timeout(LIMIT).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!(status == 200 || status == 503, "{status}");
                served += u64::from(status == 200);
                answer.bytes().await.unwrap();
            }
            served
        });
    }
    let client = reqwest::Client::new();
    for i in 0..20 {
        let (status, body) = answer(put_with(&client, &cluster, 0, "note.w", json!(i.to_string()))).await;
        assert_eq!(status, 200, "{body}\n{}", cluster.report());
    }
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut served = 0;
    while let Some(reader) = readers.join_next().await {
        served += reader.unwrap();
    }
    assert!(served > 0);
}

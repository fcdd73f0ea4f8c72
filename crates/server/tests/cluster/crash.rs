//! kill -9 of everybody, again and again: what was acknowledged is there exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;
use testkit::{Cluster, ClusterBuilder};
use tokio::task::JoinSet;

use crate::journal::{self, Acknowledged};
use crate::request::put_request;

const CLIENTS: usize = 8;
/// Acknowledged writes of a round before everybody is killed.
const WRITES: usize = 40;

/// Rounds; a measurement sets more.
fn rounds() -> usize {
    std::env::var("STEG_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_when_all_nodes_are_killed() {
    let mut cluster = ClusterBuilder::new().set("storage.snapshot_every", 50).start();
    cluster.wait_all_healthy();
    let cluster_id = cluster.status(0).unwrap().cluster_id;
    let mut term = 0;
    for round in 0..rounds() {
        let before = (0..3).filter_map(|i| cluster.status(i)).map(|status| status.term).max().unwrap();
        assert!(before >= term, "the term went back from {term} to {before}");
        term = before;
        let acknowledged = write_until_killed(&mut cluster, round).await;
        cluster.start(round % 3);
        cluster.start((round + 1) % 3);
        let started = Instant::now();
        cluster.wait_for_leader();
        let leader_after_ms = started.elapsed().as_millis();
        cluster.start((round + 2) % 3);
        cluster.wait_all_healthy();
        assert_eq!(cluster.status(round % 3).unwrap().cluster_id, cluster_id);
        eprintln!("round {round}: {} acknowledged, a leader after {leader_after_ms} ms", acknowledged.len());
        journal::check(&cluster, &acknowledged).await;
    }
}

async fn write_until_killed(cluster: &mut Cluster, round: usize) -> Vec<Acknowledged> {
    let killed = Arc::new(AtomicBool::new(false));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let requests: Vec<_> = (0..WRITES)
            .map(|n| {
                let key = format!("{round}-{client}-{n}");
                let setting = format!("note.{client}-{}", n % 5);
                let through = (client + n) % 3;
                let request = put_request(cluster, through, &setting, json!(key));
                (request.header("idempotency-key", &key), key, setting, through)
            })
            .collect();
        let (killed, sender) = (Arc::clone(&killed), sender.clone());
        clients.spawn(async move {
            for (request, key, setting, through) in requests {
                let begun = Instant::now();
                match request.send().await {
                    Ok(answer) if answer.status() == 200 => {
                        let Ok(body) = answer.json().await else { continue };
                        let done = Instant::now();
                        let _ = sender.send(Acknowledged { key, setting, body, through, begun, done });
                    }
                    _ if killed.load(Ordering::Relaxed) => return,
                    _ => {}
                }
            }
        });
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < WRITES {
        acknowledged.push(receiver.recv().await.unwrap());
    }
    killed.store(true, Ordering::Relaxed);
    cluster.kill_all();
    while let Some(late) = receiver.recv().await {
        acknowledged.push(late);
    }
    clients.join_all().await;
    acknowledged
}

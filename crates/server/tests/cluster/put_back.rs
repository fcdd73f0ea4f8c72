//! Data directories that went back in time, under real processes: replaced within seconds, without a hand.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Cluster, ClusterBuilder};

use crate::journal::{self, Writers};
use crate::request::{LIMIT, must_put, value};

/// Time for three healthy voters after the start of a node whose directory went back.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            fs::copy(&entry, &to).unwrap();
        }
    }
}

fn raft_id(cluster: &Cluster, i: usize) -> Option<String> {
    cluster.status(0)?.node(cluster.id(i))?.raft_id.clone()
}

/// Kills a node under writes, harms its directory, and waits until a new identity is a healthy voter.
async fn is_replaced(cluster: &mut Cluster, i: usize, harm: impl FnOnce(&Path)) {
    let before = raft_id(cluster, i);
    let writers = Writers::start(cluster);
    (0..3).for_each(|through| writers.wait_going_on(cluster, through));
    cluster.kill(i);
    let data = cluster.node(i).data_dir().to_owned();
    harm(&data);
    let started = Instant::now();
    cluster.start(i);
    cluster.wait_until("a new identity", LIMIT, |cluster| {
        raft_id(cluster, i).filter(|id| Some(id) != before.as_ref())
    });
    cluster.wait_all_healthy();
    let took = started.elapsed();
    assert!(took < REPLACED_WITHIN, "replaced after {took:?}");
    writers.wait_going_on(cluster, i);
    journal::check(cluster, &writers.stop().writes);
    assert!(cluster.log_contains(i, "data directory set aside; joining anew"), "{}", cluster.log(i));
    let status = cluster.status(i).unwrap();
    assert!(status.notices.is_empty() && status.voters.len() == 3, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_put_back_from_a_copy_is_replaced() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("kept")).await;
    let data = cluster.node(1).data_dir().to_owned();
    let backup = data.with_extension("backup");
    cluster.kill(1);
    copy(&data, &backup);
    cluster.start(1);
    cluster.wait_all_healthy();
    is_replaced(&mut cluster, 1, |dir| {
        fs::remove_dir_all(dir).unwrap();
        fs::rename(&backup, dir).unwrap();
    })
    .await;
    assert_eq!(value(&cluster, 1, "note.a").await, json!("kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_log_is_replaced() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    is_replaced(&mut cluster, 2, |dir| fs::write(dir.join("log.redb"), "").unwrap()).await;
}

//! Unwritable logs have no effect on a cluster.

use serde_json::json;
use testkit::{Cluster, ClusterBuilder, ScratchFs};

use crate::request::{LIMIT, embeds_and_extracts, must_put, value};

/// Room for three logs and nothing else.
const SMALL_DISK_BYTES: u64 = 256 << 10;
/// Space for three idle nodes.
const SHARED_DISK_BYTES: u64 = 30 << 20;

#[tokio::test]
async fn writes_and_elections_go_on_with_logs_on_a_full_disk() {
    if !ScratchFs::available() {
        return;
    }
    let disk = ScratchFs::in_memory(SMALL_DISK_BYTES);
    let mut cluster = cluster_with_logs_on(&disk);
    disk.fill();
    writes_and_elections_go_on(&mut cluster).await;
}

#[tokio::test]
async fn writes_and_elections_go_on_with_logs_on_a_frozen_disk() {
    if !ScratchFs::available() {
        return;
    }
    let disk = ScratchFs::on_device(16 << 20);
    let mut cluster = cluster_with_logs_on(&disk);
    let _frozen = disk.freeze();
    writes_and_elections_go_on(&mut cluster).await;
}

/// Three nodes, not started, with their logs on one file system.
fn cluster_with_logs_on(disk: &ScratchFs) -> Cluster {
    let log = |i: usize| disk.path().join(format!("n{}.log", i + 1)).display().to_string();
    (0..3).fold(ClusterBuilder::new(), |builder, i| builder.set_on(i, "log.file", log(i))).build()
}

async fn writes_and_elections_go_on(cluster: &mut Cluster) {
    for i in 0..3 {
        cluster.spawn(i);
    }
    // Their logs do not tell that they listen.
    cluster.wait_until("three voters", LIMIT, |cluster| {
        let voters = |i| Some(cluster.get(i, "/cluster/status")?.json()?["voters"].as_array()?.len());
        (0..3).all(|i| voters(i) == Some(3)).then_some(())
    });
    for round in 1..=3 {
        let leader = cluster.wait_all_healthy();
        must_put(cluster, leader, "bits", json!(round)).await;
        // A process killed in the middle of a write is kept by the system; a stopped process is as dead to
        // its peers.
        cluster.pause(leader);
        cluster
            .wait_until("another leader", LIMIT, |cluster| cluster.leader().filter(|next| *next != leader));
        for i in (0..3).filter(|&i| i != leader) {
            assert_eq!(value(cluster, i, "bits").await, json!(round));
            embeds_and_extracts(cluster, i).await;
        }
        cluster.resume(leader);
    }
}

#[tokio::test]
async fn nodes_outlive_a_full_disk_under_data_and_logs() {
    if !ScratchFs::available() {
        return;
    }
    let disk = ScratchFs::in_memory(SHARED_DISK_BYTES);
    let mut cluster = ClusterBuilder::new().under(disk.path()).start();
    cluster.wait_all_healthy();
    disk.fill();
    for round in 0..20 {
        for i in 0..3 {
            // Each makes the node write a line.
            let path = format!("/none/{round}/{}", "x".repeat(10_000));
            assert_eq!(cluster.get(i, &path).map(|reply| reply.status), Some(404), "{}", cluster.report());
        }
    }
    for i in 0..3 {
        embeds_and_extracts(&cluster, i).await;
    }
    cluster.kill_all();
}

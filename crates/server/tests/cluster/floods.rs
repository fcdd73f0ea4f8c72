//! Floods of connections at the ports of a cluster, from the nodes' own address.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use testkit::{Cluster, ClusterBuilder, Flood};

use crate::journal::{self, Writers};
use crate::request::{LIMIT, must_put, put_with};

/// Between two connections of a flood: 250 a second, in turn to each node.
const PACE: Duration = Duration::from_millis(4);
/// Connections held open by a flood.
const HELD: usize = 600;
/// Limit on open files of a node with few descriptors.
const FEW_FILES: usize = 256;

/// First message of a handshake, as sent by n9 to `to` in the cluster `test`.
fn hello(to: &str) -> Vec<u8> {
    let mut body = vec![1];
    body.extend([9; 32]);
    for name in ["test", "n9", to] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
    }
    let mut message = b"STEG\x00\x01\x01\x00".to_vec();
    message.push(body.len() as u8);
    message.extend(body);
    message
}

fn raft_addresses(cluster: &Cluster) -> Vec<std::net::SocketAddr> {
    (0..cluster.len()).map(|i| cluster.raft_address(i)).collect()
}

/// Under the floods a restarted node rejoins; after the death of the leader, a new leader is elected. The
/// restarted node is needed for the quorum.
async fn check(floods: impl Fn(&Cluster) -> Vec<Flood>) {
    let mut cluster = ClusterBuilder::new().start();
    let leader = cluster.wait_all_healthy();
    let writers = Writers::start(&cluster);
    let floods = floods(&cluster);
    cluster.wait_until("a flood", LIMIT, |_| floods.iter().all(|flood| flood.opened() >= 300).then_some(()));
    let restarted = (leader + 1) % 3;
    cluster.restart(restarted);
    cluster.wait_all_healthy();
    writers.wait_going_on(&cluster, restarted);
    let leader = cluster.wait_for_leader();
    cluster.kill(leader);
    let new =
        cluster.wait_until("another leader", LIMIT, |cluster| cluster.leader().filter(|new| *new != leader));
    writers.wait_going_on(&cluster, new);
    cluster.start(leader);
    cluster.wait_all_healthy();
    let metrics = String::from_utf8(cluster.get(new, "/metrics").unwrap().body).unwrap();
    assert!(metrics.contains("steg_raft_connections_closed_total{reason="), "{metrics}");
    drop(floods);
    journal::check(&cluster, &writers.stop().writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_node_out() {
    check(|cluster| vec![Flood::start(raft_addresses(cluster), Vec::new(), PACE, HELD)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stop_after_their_first_message_keep_no_node_out() {
    check(|cluster| {
        let addresses = raft_addresses(cluster).into_iter().enumerate();
        let flood = |(i, address)| Flood::start(vec![address], hello(cluster.id(i)), 3 * PACE, HELD / 3);
        addresses.map(flood).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_keeps_its_descriptors_while_connections_take_all_others() {
    // Snapshots are made all the time: they need files.
    let cluster = ClusterBuilder::new()
        .max_open_files(FEW_FILES)
        .set("storage.snapshot_every", 20)
        .set("limits.idle_timeout_ms", 600_000)
        .start();
    cluster.wait_all_healthy();
    let connect = |i| TcpStream::connect_timeout(&cluster.address(i), LIMIT).unwrap();
    let held: Vec<TcpStream> = (0..3 * FEW_FILES).map(|n| connect(n % 3)).collect();
    let flood = Flood::start((0..3).map(|i| cluster.address(i)).collect(), Vec::new(), PACE, HELD);
    // The writer's address differs from the flood's.
    let client =
        reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for n in 0..200 {
        let written =
            put_with(&client, &cluster, n % 3, "note.n", json!(n.to_string())).send().await.unwrap();
        assert_eq!(written.status(), 200, "{n}: {:?}\n{}", written.text().await, cluster.report());
    }
    for i in 0..3 {
        let files = cluster.open_files(i).unwrap_or(0);
        assert!(files <= FEW_FILES, "{files}");
        assert!(!cluster.log_contains(i, "Too many open files"), "{}", cluster.report());
    }
    drop((held, flood));
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.after", json!("unharmed")).await;
}

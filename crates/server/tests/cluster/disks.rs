//! Full, read-only, damaged and frozen disks: the node keeps serving images and recovers by itself.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Cluster, ClusterBuilder, Health, Notice, ScratchFs};

use crate::journal::{self, Writers};
use crate::request::{LIMIT, embeds_and_extracts, get, must_put, put, value, wait_for_status};

/// Small enough to fill at once, large enough for a node's data.
const DISK_BYTES: u64 = 32 << 20;

/// The data plane answers, and a call on the storage gets the reason of its failure.
async fn serves_images_without_storage(cluster: &Cluster, i: usize, names: &[&str]) {
    serves_images_while(cluster, i, (Health::StorageFailed, "storage_failed"), names).await;
}

/// Same as [`serves_images_without_storage`], for a node in the condition `health` with a notice `code`.
async fn serves_images_while(cluster: &Cluster, i: usize, (health, code): (Health, &str), names: &[&str]) {
    for path in ["/livez", "/readyz"] {
        // Once the first cover was made.
        cluster.wait_until(path, LIMIT, |cluster| cluster.get(i, path).filter(|reply| reply.status == 200));
    }
    embeds_and_extracts(cluster, i).await;
    let (status, problem) = put(cluster, i, "note.refused", json!("x")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("storage_failed")), "{problem}");
    let is_told = |notice: &&Notice| notice.node.as_deref() == Some(cluster.id(i)) && notice.code == code;
    let told = wait_for_status(cluster, i, "a notice", |status| status.notices.iter().any(|it| is_told(&it)));
    let notice = told.notices.iter().find(is_told).unwrap();
    let notice = format!("{} {}", notice.message, notice.remedy.as_deref().unwrap_or_default());
    let detail = problem["detail"].as_str().unwrap().to_owned();
    for name in names {
        assert!(detail.contains(name), "no {name:?} in {detail:?}");
        assert!(notice.contains(name), "no {name:?} in {notice:?}");
        assert!(cluster.log_contains(i, name), "no {name:?} in\n{}", cluster.log(i));
    }
    // The same on every node that answers.
    for other in (0..cluster.len()).filter(|other| cluster.node(*other).is_running()) {
        wait_for_status(cluster, other, code, |status| {
            status.node(cluster.id(i)).is_some_and(|row| row.health == health)
        });
    }
    assert!(!cluster.status(i).unwrap().has_notice("not_joined"), "{}", cluster.report());
}

/// Breaks the storage of stopped node 1, starts the node, repairs the storage, and waits until the node is a
/// healthy voter again.
async fn starts_without_storage(
    cluster: &mut Cluster,
    names: &[&str],
    break_it: impl FnOnce(&Cluster),
    mend: impl FnOnce(&Cluster),
) {
    let before = cluster.status(0).unwrap();
    cluster.kill(1);
    break_it(cluster);
    cluster.start(1);
    serves_images_without_storage(cluster, 1, names).await;
    // The other ones go on.
    must_put(cluster, 0, "note.meanwhile", json!(names.join(", "))).await;
    let process = cluster.process_id(1);
    mend(cluster);
    let mended = Instant::now();
    cluster.wait_all_healthy();
    eprintln!("{names:?}: healthy {} ms after the cause went away", mended.elapsed().as_millis());
    assert_eq!(cluster.process_id(1), process, "without a restart");
    assert_eq!(value(cluster, 1, "note.meanwhile").await, json!(names.join(", ")));
    assert!(!cluster.status(1).unwrap().has_notice("storage_failed"));
    assert_eq!(cluster.status(1).unwrap().cluster_id, before.cluster_id);
}

/// Flips a bit of every `text` in a file, in the newest version of each page; a second call restores the
/// bits.
fn flip(path: &Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    let rest = &text.as_bytes()[1..];
    let found = bytes.windows(rest.len()).enumerate().filter(|(_, window)| *window == rest);
    let found: Vec<usize> = found.map(|(at, _)| at - 1).collect();
    assert!(!found.is_empty(), "no {text} in {}", path.display());
    found.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_whatever_is_wrong_with_its_files() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    must_put(&cluster, 0, "note.a", json!("kept")).await;
    let id = |cluster: &Cluster| cluster.status(0).unwrap().node("n2").unwrap().raft_id.clone();
    let before = id(&cluster);
    let both = |cluster: &Cluster| flip(&cluster.node(1).data_dir().join("identity.json"), "raft_id");
    starts_without_storage(&mut cluster, &["identity.json", "move the whole directory"], both, both).await;
    let data = |cluster: &Cluster| cluster.node(1).data_dir().to_owned();
    let away = |cluster: &Cluster| data(cluster).with_extension("away");
    starts_without_storage(
        &mut cluster,
        &["Not a directory", "--data-dir"],
        |cluster| {
            fs::rename(data(cluster), away(cluster)).unwrap();
            fs::write(data(cluster), "a file").unwrap();
        },
        |cluster| {
            fs::remove_file(data(cluster)).unwrap();
            fs::rename(away(cluster), data(cluster)).unwrap();
        },
    )
    .await;
    starts_without_storage(
        &mut cluster,
        &["identity.json", "is gone"],
        |cluster| fs::rename(data(cluster).join("identity.json"), away(cluster)).unwrap(),
        |cluster| fs::rename(away(cluster), data(cluster).join("identity.json")).unwrap(),
    )
    .await;
    assert_eq!(id(&cluster), before, "nothing was minted anew");
    // A directory damaged for good is replaced by a new identity: by an operator, without a restart too.
    starts_without_storage(
        &mut cluster,
        &["identity.json", "move the whole directory"],
        |cluster| flip(&data(cluster).join("identity.json"), "raft_id"),
        |cluster| fs::rename(data(cluster), away(cluster)).unwrap(),
    )
    .await;
    let second = id(&cluster);
    assert_ne!(second, before);
    // A damaged log without anybody's help: the others are a quorum without the node.
    cluster.kill(1);
    flip(&data(&cluster).join("log.redb"), "leader_id");
    cluster.start(1);
    let replaced = |status: &testkit::Status| {
        status.node("n2").is_some_and(|row| row.raft_id.is_some() && row.raft_id != second && row.voter)
    };
    wait_for_status(&cluster, 0, "a new identity of n2", replaced);
    cluster.wait_all_healthy();
    let parent = data(&cluster).parent().unwrap().to_owned();
    let names = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains(".reverted-")).count(), 1);
    assert_eq!(value(&cluster, 1, "note.a").await, json!("kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_on_a_disk_that_takes_no_writes() {
    if !ScratchFs::available() {
        return;
    }
    let (disk, fresh) = (ScratchFs::in_memory(DISK_BYTES), ScratchFs::in_memory(DISK_BYTES));
    let mut cluster = ClusterBuilder::new().build();
    cluster.set_data_dir(1, &disk.path().join("data"));
    cluster.start_all();
    cluster.wait_all_healthy();
    starts_without_storage(
        &mut cluster,
        &["Read-only file system", "remount"],
        |_| disk.set_read_only(true),
        |_| disk.set_read_only(false),
    )
    .await;
    // Nothing is there yet, and nothing can be made.
    cluster.kill(1);
    cluster.set_data_dir(1, &fresh.path().join("data"));
    starts_without_storage(
        &mut cluster,
        &["No space left", "free space"],
        |_| fresh.fill(),
        |_| fresh.make_room(),
    )
    .await;
}

/// A first node must not take peers with unreadable directories for the absence of a cluster.
#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_is_founded_beside_one_that_cannot_be_read() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let before = cluster.status(1).unwrap().cluster_id;
    must_put(&cluster, 0, "note.a", json!("kept")).await;
    cluster.kill_all();
    cluster.wipe(0);
    let identity = |i: usize| cluster.node(i).data_dir().join("identity.json");
    let (hide, log) = (identity(1), cluster.node(2).data_dir().join("log.redb"));
    flip(&log, "leader_id");
    fs::rename(&hide, hide.with_extension("away")).unwrap();
    cluster.start(1);
    cluster.start(2);
    cluster.start(0);
    serves_images_without_storage(&cluster, 1, &["identity.json"]).await;
    serves_images_while(&cluster, 2, (Health::Reverted, "reverted"), &["log.redb"]).await;
    wait_for_status(&cluster, 0, "three seconds", |status| {
        status.node("n1").is_some_and(|n1| n1.uptime_s.is_some_and(|uptime| uptime >= 3))
    });
    let status = cluster.status(0).unwrap();
    assert!(status.leader_id.is_none(), "{}", cluster.report());
    fs::rename(hide.with_extension("away"), &hide).unwrap();
    flip(&log, "leader_id");
    cluster.wait_all_healthy();
    assert_eq!(cluster.status(0).unwrap().cluster_id, before);
    assert_eq!(value(&cluster, 0, "note.a").await, json!("kept"));
}

#[test]
fn mistakes_of_the_operator_end_a_node_at_once() {
    let mut cluster = ClusterBuilder::new().build();
    cluster.start(0);
    let data = cluster.node(0).data_dir().to_owned();
    cluster.set_data_dir(1, &data);
    cluster.spawn(1);
    assert!(!cluster.wait_exit(1).success());
    assert!(cluster.log_contains(1, "is in use by another process"), "{}", cluster.log(1));
}

/// Three nodes, each on a separate small file system.
fn on_small_disks() -> (Cluster, Vec<ScratchFs>) {
    on_small_disks_with(ClusterBuilder::new())
}

fn on_small_disks_with(builder: ClusterBuilder) -> (Cluster, Vec<ScratchFs>) {
    let disks: Vec<ScratchFs> = (0..3).map(|_| ScratchFs::in_memory(DISK_BYTES)).collect();
    let mut cluster = builder.set("storage.snapshot_every", 50).build();
    for (i, disk) in disks.iter().enumerate() {
        cluster.set_data_dir(i, &disk.path().join("data"));
    }
    cluster.start_all();
    cluster.wait_all_healthy();
    (cluster, disks)
}

/// Every write is refused with the reason, and nothing else is lost: a leader stays, reads and images go on.
#[tokio::test(flavor = "multi_thread")]
async fn full_disks_of_all_nodes_cost_writes_and_nothing_else() {
    if !ScratchFs::available() {
        return;
    }
    let (mut cluster, disks) = on_small_disks();
    let writers = Writers::start(&cluster);
    for i in 0..3 {
        writers.wait_going_on(&cluster, i);
    }
    for disk in &disks {
        disk.fill();
    }
    let filled = Instant::now();
    for i in 0..3 {
        let refused = refused_writes(&cluster, i, 20).await;
        assert!(refused.iter().all(|code| code == "storage_full"), "{refused:?}\n{}", cluster.report());
        embeds_and_extracts(&cluster, i).await;
    }
    // Elections go on as well: the leader's end is survived, and its start.
    for _ in 0..3 {
        let leader = cluster.wait_for_leader();
        cluster.kill(leader);
        cluster.wait_for_leader();
        cluster.start(leader);
        cluster.wait_for_leader();
        assert_eq!(refused_writes(&cluster, leader, 1).await, ["storage_full"]);
    }
    for i in 0..3 {
        assert!(!cluster.log_contains(i, "raft ended"), "{}", cluster.log(i));
        wait_for_status(&cluster, i, "a notice", |status| status.has_notice("storage_full"));
    }
    let full_for = filled.elapsed();
    disks.iter().for_each(ScratchFs::make_room);
    let emptied = Instant::now();
    for i in 0..3 {
        writers.wait_going_on(&cluster, i);
    }
    eprintln!("full for {full_for:?}; writes through all nodes {} ms after", emptied.elapsed().as_millis());
    cluster.wait_all_healthy();
    let acknowledged = writers.stop().writes;
    journal::check(&cluster, &acknowledged);
}

/// Codes of so many writes through node `i`.
async fn refused_writes(cluster: &Cluster, i: usize, count: usize) -> Vec<String> {
    // The first one may still find a leader that does not know.
    cluster.wait_until("a refusal", LIMIT, |_| {
        let refuses = |status: testkit::Status| status.has_notice("storage_full");
        (0..3).filter_map(|i| cluster.status(i)).any(refuses).then_some(())
    });
    let mut codes = Vec::new();
    while codes.len() < count {
        let (status, problem) = put(cluster, i, "note.refused", json!("x".repeat(4000))).await;
        assert_ne!(status, 200, "{}", cluster.report());
        codes.push(problem["code"].as_str().unwrap_or_default().to_owned());
    }
    codes
}

/// The reserve is used up and the disk still full: Raft ends, and begins again once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_any_room_recover_by_themselves() {
    if !ScratchFs::available() {
        return;
    }
    let (mut cluster, disks) = on_small_disks();
    let writers = Writers::start(&cluster);
    for i in 0..3 {
        writers.wait_going_on(&cluster, i);
    }
    // Somebody takes the reserve too.
    cluster.kill_all();
    for (i, disk) in disks.iter().enumerate() {
        fs::write(cluster.node(i).data_dir().join("reserve"), "").unwrap();
        disk.fill();
    }
    for i in 0..3 {
        cluster.start(i);
        serves_images_without_storage(&cluster, i, &["full", "free space"]).await;
    }
    disks.iter().for_each(ScratchFs::make_room);
    let emptied = Instant::now();
    for i in 0..3 {
        writers.wait_going_on(&cluster, i);
    }
    eprintln!("writes through all nodes {} ms after there was room", emptied.elapsed().as_millis());
    cluster.wait_all_healthy();
    let acknowledged = writers.stop().writes;
    journal::check(&cluster, &acknowledged);
}

/// Bytes of the disk of node `i`, from the node's metrics.
fn disk_figure(cluster: &Cluster, i: usize, name: &str) -> u64 {
    let metrics = String::from_utf8(cluster.get(i, "/metrics").unwrap().body).unwrap();
    let start = format!("steg_cluster_disk_{name}_bytes ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {start}in {metrics}"))
}

/// One full disk loses no write: a leader on a full disk transfers leadership.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_room_hands_over() {
    if !ScratchFs::available() {
        return;
    }
    let (cluster, disks) = on_small_disks();
    let leader = cluster.wait_for_leader();
    disks[leader].fill();
    cluster.wait_until("another leader", LIMIT, |cluster| cluster.leader().filter(|now| *now != leader));
    for i in 0..3 {
        must_put(&cluster, i, "note.a", json!(i.to_string())).await;
    }
    assert!(!cluster.log_contains(leader, "raft ended"), "{}", cluster.log(leader));
    let free = disk_figure(&cluster, leader, "free");
    assert!(free < 4 << 20, "{free}");
    disks[leader].make_room();
    cluster.wait_all_healthy();
    cluster.wait_until("a whole reserve", LIMIT, |cluster| {
        (disk_figure(cluster, leader, "reserve") == 4 << 20).then_some(())
    });
    wait_for_status(&cluster, leader, "room", |status| !status.has_notice("storage_full"));
}

/// Snapshots fail on all nodes: Raft continues, the log stops at its limit, and is cut after the first
/// snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_cut_stops_at_its_limit() {
    let builder = ClusterBuilder::new().set("storage.snapshot_every", 50);
    let cluster = builder.set("storage.max_log_bytes", 1 << 20).start();
    cluster.wait_all_healthy();
    let snapshots = |i: usize| cluster.node(i).data_dir().join("snapshots");
    for i in 0..3 {
        // A file in its place: nobody may write there, root neither.
        fs::rename(snapshots(i), snapshots(i).with_extension("away")).unwrap();
        fs::write(snapshots(i), "").unwrap();
    }
    let mut written = 0;
    let refused: Value = loop {
        let (status, body) = put(&cluster, written % 3, "note.a", json!("x".repeat(3000))).await;
        if status != 200 {
            break body;
        }
        written += 1;
        assert!(written < 1000, "the log has no end");
    };
    assert_eq!(refused["code"], "storage_full", "{refused}\n{}", cluster.report());
    assert!(refused["detail"].as_str().unwrap().contains("storage.max_log_bytes"), "{refused}");
    assert!(written > 200, "{written}");
    for i in 0..3 {
        assert!(!cluster.log_contains(i, "raft ended"), "{}", cluster.log(i));
        let status = wait_for_status(&cluster, i, "a notice", |status| status.has_notice("snapshots_fail"));
        let notice = status.notices.iter().find(|notice| notice.code == "snapshots_fail").unwrap();
        assert!(notice.message.contains("snapshots"), "{notice:?}");
    }
    let (status, read) = get(&cluster, 1, "/cluster/settings/note.a").await;
    assert_eq!(status, 200, "{read}");
    for i in 0..3 {
        fs::remove_file(snapshots(i)).unwrap();
        fs::rename(snapshots(i).with_extension("away"), snapshots(i)).unwrap();
    }
    for i in 0..3 {
        wait_for_status(&cluster, i, "snapshots", |status| !status.has_notice("snapshots_fail"));
    }
    for i in 0..3 {
        wait_for_status(&cluster, i, "a shorter log", |status| !status.has_notice("storage_full"));
    }
    must_put(&cluster, 0, "note.a", json!("again")).await;
}

/// Long entries reach the size limit of the log long before the entry count triggers a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_long_entries_is_cut_before_its_limit() {
    let builder = ClusterBuilder::new().nodes(1).set("storage.snapshot_every", 100_000);
    let cluster = builder.set("storage.max_log_bytes", 1 << 20).start();
    cluster.wait_for_leader();
    for n in 0..700 {
        must_put(&cluster, 0, "note.a", json!(format!("{n}{}", "x".repeat(3000)))).await;
    }
}

/// A disk without answers for a while: the node serves images, and a leader steps down.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_disk_costs_no_image() {
    if !ScratchFs::available() {
        return;
    }
    let mut cluster = ClusterBuilder::new().build();
    // Dropped, and thawed, before the processes: one that waits for a frozen disk does not die.
    let disk = ScratchFs::on_device(64 << 20);
    cluster.set_data_dir(0, &disk.path().join("data"));
    // Alone at first, so that it leads.
    cluster.start(0);
    cluster.wait_for_leader();
    cluster.start(1);
    cluster.start(2);
    let leader = cluster.wait_all_healthy();
    if leader != 0 {
        let (client, url) = (reqwest::Client::new(), cluster.url(leader));
        let asked = client.post(format!("{url}/cluster/leader-transfers")).bearer_auth(cluster.admin_token());
        assert_eq!(asked.json(&json!({ "to": "n1" })).send().await.unwrap().status(), 200);
    }
    embeds_and_extracts(&cluster, 0).await;
    let writers = Writers::start(&cluster);
    writers.wait_going_on(&cluster, 0);
    let frozen_disk = disk.freeze();
    let frozen = Instant::now();
    let mut worst = Duration::ZERO;
    while frozen.elapsed() < Duration::from_secs(12) {
        let asked = Instant::now();
        for path in ["/livez", "/readyz"] {
            assert_eq!(cluster.get(0, path).map(|reply| reply.status), Some(200), "{}", cluster.report());
        }
        embeds_and_extracts(&cluster, 0).await;
        worst = worst.max(asked.elapsed());
    }
    let leader =
        cluster.wait_until("another leader", LIMIT, |cluster| cluster.leader().filter(|now| *now != 0));
    writers.wait_going_on(&cluster, leader);
    drop(frozen_disk);
    eprintln!(
        "frozen for {:?}; two probes, an embed and an extract took {worst:?} at most",
        frozen.elapsed()
    );
    cluster.wait_all_healthy();
    writers.wait_going_on(&cluster, 0);
    let acknowledged = writers.stop().writes;
    journal::check(&cluster, &acknowledged);
}

/// Three healthy nodes, with the data of node `i` on a freezable disk.
///
/// The disk is dropped, and thawed, before the processes: a process blocked on a frozen disk does not die.
fn on_a_device(i: usize) -> (Cluster, ScratchFs) {
    let mut cluster = ClusterBuilder::new().build();
    let disk = ScratchFs::on_device(64 << 20);
    cluster.set_data_dir(i, &disk.path().join("data"));
    cluster.start_all();
    cluster.wait_all_healthy();
    (cluster, disk)
}

/// Every node reports a disk without answers, with or without writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_disk_is_told_while_nothing_is_written() {
    if !ScratchFs::available() {
        return;
    }
    let (cluster, disk) = on_a_device(2);
    let before = cluster.status(0).unwrap();
    embeds_and_extracts(&cluster, 2).await;
    let frozen_disk = disk.freeze();
    let frozen = Instant::now();
    for i in 0..3 {
        let status = wait_for_status(&cluster, i, "health storage_failed", |status| {
            status.node("n3").is_some_and(|row| row.health == Health::StorageFailed)
        });
        let notice = status.notices.iter().find(|notice| notice.code == "storage_failed").unwrap();
        assert_eq!(notice.node.as_deref(), Some("n3"));
        assert!(notice.message.contains("has not ended for"), "{notice:?}");
        assert!(
            notice.remedy.as_deref().is_some_and(|remedy| remedy.contains("check the disk")),
            "{notice:?}"
        );
    }
    eprintln!("told by all after {} ms", frozen.elapsed().as_millis());
    embeds_and_extracts(&cluster, 2).await;
    drop(frozen_disk);
    cluster.wait_all_healthy();
    assert_eq!(cluster.status(0).unwrap().term, before.term, "{}", cluster.report());
}

/// A start does not wait for a disk without answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_on_a_disk_that_hangs() {
    if !ScratchFs::available() {
        return;
    }
    let (mut cluster, disk) = on_a_device(1);
    let frozen_disk = std::cell::Cell::new(None);
    starts_without_storage(
        &mut cluster,
        &["the disk hangs", "check the disk"],
        |_| frozen_disk.set(Some(disk.freeze())),
        |_| drop(frozen_disk.take()),
    )
    .await;
}

/// A snapshot larger than the free space is refused by the receiving node, which continues and waits for
/// space.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_room_is_refused_and_taken_later() {
    if !ScratchFs::available() {
        return;
    }
    // A short log: whoever misses more than a few entries needs a snapshot.
    let (mut cluster, disks) =
        on_small_disks_with(ClusterBuilder::new().set("storage.max_log_bytes", 1 << 20));
    let leader = cluster.wait_for_leader();
    let behind = (leader + 1) % 3;
    cluster.kill(behind);
    for n in 0..300 {
        must_put(&cluster, leader, &format!("note.{}", n % 100), json!(format!("{n}{}", "x".repeat(3000))))
            .await;
    }
    disks[behind].fill();
    let term = cluster.status(leader).unwrap().term;
    let started = Instant::now();
    cluster.start(behind);
    cluster.wait_until("a refusal", LIMIT, |cluster| {
        cluster.log_contains(behind, "cannot take a snapshot").then_some(())
    });
    embeds_and_extracts(&cluster, behind).await;
    let notice = |status: &testkit::Status| status.has_notice("storage_full");
    for i in 0..3 {
        wait_for_status(&cluster, i, "a notice and lag", |status| {
            notice(status) && status.node(cluster.id(behind)).is_some_and(|row| row.health == Health::Lagging)
        });
    }
    must_put(&cluster, leader, "note.0", json!("meanwhile")).await;
    assert!(!cluster.log_contains(behind, "raft ended"), "{}", cluster.log(behind));
    let refused = cluster.log(behind).lines().filter(|line| line.contains("cannot take a snapshot")).count();
    // Offered once a second, and anew by every leader.
    let allowed = started.elapsed().as_secs() + 1 + cluster.status(leader).unwrap().term - term;
    assert!(refused as u64 <= allowed, "{refused} refusals\n{}", cluster.log(behind));
    disks[behind].make_room();
    let emptied = Instant::now();
    cluster.wait_all_healthy();
    eprintln!("caught up {} ms after there was room", emptied.elapsed().as_millis());
    assert_eq!(value(&cluster, behind, "note.0").await, json!("meanwhile"));
}

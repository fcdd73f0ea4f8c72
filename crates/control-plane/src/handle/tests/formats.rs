//! Format versions in a cluster: announced, activated, and too new for a node.

use super::*;
use crate::format::FormatVersion;
use crate::message::{Envelope, SnapshotOffer, SnapshotReply};
use crate::network::Purpose;
use crate::storage::tests::{first_release, formats::newer_snapshot};
use crate::types::{SnapshotMeta, Vote};

/// Waits until every running node has activated `version`, and knows the announcements of all three.
fn until_activated(cluster: &Cluster, version: FormatVersion) {
    cluster.until(&format!("activation of version {version}"), |_| {
        cluster.nodes.iter().flatten().all(|node| {
            let node = node.parts().raft.node();
            let state = node.as_ref().map(|node| &node.state);
            state.is_some_and(|state| {
                let announced = state.catalog(|catalog| catalog.announcements().len());
                state.activated_version() == version && announced == 3
            })
        })
    });
}

#[test]
fn a_cluster_of_release_0_1_is_joined_and_then_activates_the_next_version() {
    let mut cluster = Cluster::new();
    first_release::copy_to(&cluster.dir.path().join("n1"));
    cluster.start(0);
    cluster.until("leader", |nodes| nodes[0].leader_id.as_deref() == Some("n1"));
    assert_eq!(read(cluster.node(0), "0"), Some(SettingValue::Text("after the snapshot".to_owned())));
    let before = write(cluster.node(0), note("before", "a", "in version 1"));
    let activated = |cluster: &Cluster| cluster.node(0).parts().raft.activated();
    cluster.start(1);
    cluster.until("n2 to have caught up", |_| cluster.node(0).members().waiting_for == ["n3"]);
    // Not before every configured node is a member: a node of an older release may still have to join.
    assert_eq!(activated(&cluster), FormatVersion::FIRST);
    cluster.start(2);
    until_activated(&cluster, FormatVersion::LATEST);
    write(cluster.node(2), note("after", "b", "in the latest version"));
    // The outcome of a change in the former format stays as it was sent.
    assert_eq!(write(cluster.node(1), note("before", "a", "in version 1")), before);
    let clock_ms = |n: usize| {
        let node = cluster.node(n).parts().raft.node().unwrap();
        node.state.catalog(|catalog| (catalog.clock_ms(), catalog.remembered_bytes()))
    };
    let (started_ms, bytes) = clock_ms(2);
    assert!(started_ms <= Some(crate::events::unix_ms()) && bytes > 0, "{started_ms:?}, {bytes}");
    for n in 0..3 {
        cluster.kill(n);
        cluster.start(n);
        assert_eq!(read(cluster.node(n), "b"), Some(SettingValue::Text("in the latest version".to_owned())));
        assert_eq!(read(cluster.node(n), "6"), Some(SettingValue::Text("value 125".to_owned())));
    }
    until_activated(&cluster, FormatVersion::LATEST);
}

#[test]
fn a_node_below_the_activated_version_does_not_start_and_names_the_release() {
    let cluster = Cluster::new();
    let dir = cluster.dir.path().join("n1");
    first_release::copy_to(&dir);
    block_on(first_release::activate_beyond(&dir));
    let error = ControlPlane::start(cluster.options(0, cluster.dir.path())).err().unwrap();
    assert!(matches!(error, StartError::Open(_)), "{error}");
    let told = crate::error_chain::text_with_sources(&error);
    let needed = "the format that the cluster has activated has version 4, and this release reads versions 1 to 3; release 0.4 \
                  or a newer one is needed";
    assert!(told.ends_with(needed), "{told}");
}

#[test]
fn announcements_follow_the_members_and_their_binaries() {
    let mut cluster = Cluster::all();
    until_activated(&cluster, FormatVersion::LATEST);
    let announced = |cluster: &Cluster, n: usize, id: RaftId| {
        let node = cluster.node(n).parts().raft.node();
        let catalog =
            |node: &Arc<Node>| node.state.catalog(|catalog| catalog.announcements().get(&id).cloned());
        node.as_ref().and_then(catalog).map(|announcement| announcement.release)
    };
    // A node that joins is announced before it is a member.
    let old = cluster.node(0).parts().observer.identity().raft_id;
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.dir.path().join("n1")).unwrap();
    cluster.start(0);
    let new = cluster.node(0).parts().observer.identity().raft_id;
    cluster.until("another n1 that votes alone under its name", |_| {
        let members = cluster.node(1).members().members;
        members.len() == 3 && members.iter().any(|member| member.raft_id == new && member.voter)
    });
    assert_eq!(announced(&cluster, 1, new).as_deref(), Some("test"));
    assert_eq!(cluster.node(1).parts().raft.activated(), FormatVersion::LATEST);
    // A node that returns with another binary is announced too; at the same time, the row of a former member
    // is removed.
    let id = cluster.node(2).parts().observer.identity().raft_id;
    cluster.kill(2);
    let options = Options { version: "another", ..cluster.options(2, cluster.dir.path()) };
    cluster.nodes[2] = Some(ControlPlane::start(options).unwrap());
    cluster.until("the announcement of another release", |_| {
        (0..3).all(|n| announced(&cluster, n, id).as_deref() == Some("another"))
    });
    assert!((0..3).all(|n| announced(&cluster, n, old).is_none()));
    until_activated(&cluster, FormatVersion::LATEST);
}

/// Each node that knows the entry to be committed stops, so that at most one node is left, without that
/// knowledge.
#[test]
fn a_committed_command_of_a_newer_release_stops_raft_and_names_the_release() {
    let cluster = Cluster::all();
    let leader = cluster.leader();
    let newer = json!({"v": 9, "needs": "1.7", "body": {"of": "another kind"}});
    let node = cluster.node(leader).parts().raft.node().unwrap();
    let written = block_on(node.raft.client_write(serde_json::from_value(newer).unwrap()));
    assert!(written.is_err(), "{written:?}");
    drop(node);
    cluster.until("two nodes that need the release", |nodes| {
        nodes.iter().filter(|node| stopped(node)).count() >= 2
    });
    assert!(stopped(&cluster.node(leader).status()));
    let deadline = Instant::now() + LIMIT;
    let refused = block_on(cluster.node(leader).submit(note("k", "a", "x"), deadline)).unwrap_err();
    assert!(matches!(&refused, ControlError::Storage(reason) if reason.contains("release 1.7")), "{refused}");
}

/// True if the node reports that release 1.7 is needed.
fn stopped(status: &ClusterStatus) -> bool {
    let own = status.notices.iter().find(|notice| notice.node.as_deref() == Some(&*status.node_id));
    own.is_some_and(|notice| {
        let remedy = notice.remedy.as_deref().unwrap_or_default();
        notice.code == "needs_release" && remedy.starts_with("start release 1.7 or a newer one")
    })
}

#[test]
fn a_snapshot_of_a_newer_release_stops_raft_and_names_the_release() {
    let cluster = Cluster::all();
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let observer = Arc::clone(&cluster.node(leader).parts().observer);
    let links = cluster.node(leader).parts().links.clone();
    let (identity, snapshot) = (observer.identity(), newer_snapshot());
    let (vote, meta) =
        (Vote::new_committed(observer.observe().term(), identity.raft_id), SnapshotMeta::default());
    let sent = cluster.node(leader).0.threads.raft.spawn(async move {
        let deadline = Instant::now() + LIMIT;
        let mut channel = links.dial(NAMES[behind], Purpose::Snapshot, deadline).await.unwrap();
        let body = SnapshotOffer { vote, meta, bytes: snapshot.len() as u64 };
        let (version, cluster) = (FormatVersion::FIRST, identity.cluster_id.unwrap());
        let offer = Envelope { version, cluster, from: identity.raft_id, to: None, body };
        channel.send(&offer).await.unwrap();
        channel.send_bytes(&snapshot).await.unwrap();
        channel.recv::<SnapshotReply>().await.unwrap()
    });
    let reply = block_on(sent).unwrap();
    assert!(
        matches!(&reply, SnapshotReply::Failed(reason) if reason.contains("release 1.7 or a newer one is needed")),
        "{reply:?}"
    );
    cluster.until("a node that needs the release", |nodes| stopped(&nodes[behind]));
    // The remaining nodes continue.
    write(cluster.node(leader), note("k", "a", "x"));
}

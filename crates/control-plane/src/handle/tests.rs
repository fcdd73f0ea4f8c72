//! Whole control planes in one process, on loopback. Tests with real processes, power loss or cut links use
//! the server's binary.

mod failover;
mod formats;
mod put_back;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use api::Code;
use openraft::Membership;
use serde_json::json;

use super::*;
use crate::catalog::{Action, Actor, Authority, DEFAULT_IDEMPOTENCY_BYTES, RequestKey, SettingValue, Stamp};
use crate::descriptors::Descriptors;
use crate::ids::RaftId;
use crate::options::Bootstrap;
use crate::status::{NodeAddress, NodeFigures};
use crate::timing::Timing;

const NAMES: [&str; 3] = ["n1", "n2", "n3"];
const LIMIT: Duration = Duration::from_secs(30);

/// Returns addresses that no concurrent test uses, in any process.
fn addresses() -> [Ipv4Addr; 3] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let block = (std::process::id().wrapping_mul(7) + NEXT.fetch_add(1, Ordering::Relaxed)) % (1 << 16);
    let [_, _, high, low] = block.to_be_bytes();
    [1, 2, 3].map(|host| Ipv4Addr::new(127, high.max(1), low, host))
}

struct Cluster {
    dir: tempfile::TempDir,
    addresses: [Ipv4Addr; 3],
    nodes: [Option<ControlPlane>; 3],
    election_timeout_min: Duration,
    probe_failures: u32,
    clocks_ms: [fn() -> u64; 3],
}

impl Cluster {
    fn new() -> Self {
        let (dir, addresses) = (tempfile::tempdir().unwrap(), addresses());
        let election_timeout_min = Duration::from_millis(500);
        let clocks_ms = [crate::events::unix_ms as fn() -> u64; 3];
        Self { dir, addresses, nodes: [None, None, None], election_timeout_min, probe_failures: 3, clocks_ms }
    }

    fn all() -> Self {
        Self::new().started()
    }

    /// Sets election timers longer than any test, so that every election is on evidence.
    fn with_timers_that_never_decide() -> Self {
        Self { election_timeout_min: 2 * LIMIT, ..Self::new() }.started()
    }

    fn started(self) -> Self {
        let mut cluster = self;
        (0..3).for_each(|n| cluster.start(n));
        cluster.until("three voters", |nodes| {
            nodes.iter().all(|status| status.voters == NAMES && status.quorum)
        });
        cluster
    }

    fn options(&self, n: usize, dir: &Path) -> Options {
        let address = |(name, ip): (&&str, &Ipv4Addr)| NodeAddress {
            name: (*name).to_owned(),
            ip: IpAddr::V4(*ip).into(),
            http_port: 8081,
            raft_port: 5001,
        };
        Options {
            cluster_name: "test".to_owned(),
            me: NAMES[n].to_owned(),
            nodes: NAMES.iter().zip(&self.addresses).map(address).collect(),
            listen: (self.addresses[n], 5001).into(),
            data_dir: dir.join(NAMES[n]),
            cluster_key_file: dir.join("cluster.key"),
            bootstrap: Bootstrap::Auto,
            timing: Timing {
                heartbeat: Duration::from_millis(50),
                election_timeout_min: self.election_timeout_min,
                election_timeout_max: 2 * self.election_timeout_min,
                probe_interval: Duration::from_millis(50),
                probe_failures: self.probe_failures,
            },
            snapshot_every: 50,
            max_log_bytes: 64 << 20,
            idempotency_bytes: DEFAULT_IDEMPOTENCY_BYTES,
            config_hash: "the same".to_owned(),
            version: "test",
            descriptors: Descriptors::default(),
            figures: Arc::new(NodeFigures::default),
            clock_ms: self.clocks_ms[n],
            conditions: Arc::new(Vec::new),
        }
    }

    fn start(&mut self, n: usize) {
        let options = self.options(n, self.dir.path());
        self.nodes[n] = Some(ControlPlane::start(options).unwrap());
    }

    fn node(&self, n: usize) -> &ControlPlane {
        self.nodes[n].as_ref().unwrap()
    }

    /// Ends a node without a leadership transfer.
    fn kill(&mut self, n: usize) {
        let node = self.nodes[n].take().unwrap();
        node.parts().signals.stop();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let raft = Arc::clone(&node.parts().raft);
        runtime.block_on(async {
            node.0.threads.raft.spawn(async move { supervisor::close(&raft).await }).await.unwrap();
            node.0.threads.join().await;
        });
    }

    fn leader(&self) -> usize {
        let mut leader = None;
        self.until("a leader", |nodes| {
            leader = nodes.iter().find_map(|status| status.leader_id.clone());
            leader.is_some()
        });
        NAMES.iter().position(|name| Some(*name) == leader.as_deref()).unwrap()
    }

    /// Waits until the statuses of the running nodes satisfy `wanted`.
    fn until(&self, what: &str, mut wanted: impl FnMut(&[ClusterStatus]) -> bool) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let statuses: Vec<_> = self.nodes.iter().flatten().map(ControlPlane::status).collect();
            if wanted(&statuses) {
                return;
            }
            assert!(Instant::now() < deadline, "no {what}: {statuses:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn note(key: &str, name: &str, text: &str) -> Command {
    let key_of_setting: SettingKey = format!("note.{name}").parse().unwrap();
    let value = SettingValue::from_json(&key_of_setting, &json!(text)).unwrap();
    Command {
        request: RequestKey {
            key: key.to_owned(),
            minted: false,
            fingerprint: format!("{name}={text}"),
            request_id: key.to_owned(),
        },
        proposed_at_ms: crate::events::unix_ms(),
        stamp: Stamp::default(),
        source: None,
        actor: Actor { name: None, authority: Authority::Loopback, via: "test".to_owned() },
        action: Action::PutSetting { key: key_of_setting, value, if_version: None },
    }
}

fn write(node: &ControlPlane, command: Command) -> Outcome {
    block_on(node.submit(command, Instant::now() + LIMIT)).unwrap()
}

fn read(node: &ControlPlane, name: &str) -> Option<SettingValue> {
    let key = format!("note.{name}").parse().unwrap();
    block_on(node.setting(&key, Read::Linearizable { deadline: Instant::now() + LIMIT }))
        .unwrap()
        .map(|setting| setting.value)
}

#[test]
fn a_lone_first_node_leads_and_others_join_in_one_step() {
    let mut cluster = Cluster::new();
    cluster.start(0);
    cluster.until("leader", |nodes| nodes[0].leader_id.as_deref() == Some("n1"));
    write(cluster.node(0), note("k1", "a", "from n1"));

    cluster.start(1);
    cluster.until("learner", |nodes| nodes[0].learners == ["n2"]);
    assert_eq!(cluster.node(0).status().voters, ["n1"]);
    // n2 may still have to catch up.
    cluster.until("n2 to have caught up", |_| cluster.node(0).members().waiting_for == ["n3"]);
    assert_eq!(read(cluster.node(1), "a"), Some(SettingValue::Text("from n1".to_owned())));

    cluster.start(2);
    cluster.until("three voters", |nodes| nodes.iter().all(|status| status.voters == NAMES));
    let (events, _) = cluster.node(0).events();
    let sizes: Vec<usize> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Members { voters, .. } => Some(voters.len()),
            _ => None,
        })
        .collect();
    assert!(!sizes.contains(&2), "two voters on the way: {sizes:?}");
}

#[test]
fn any_node_writes_and_reads_and_a_repetition_has_the_same_outcome() {
    let cluster = Cluster::all();
    let first = write(cluster.node(2), note("key", "a", "x"));
    for n in 0..3 {
        assert_eq!(write(cluster.node(n), note("key", "a", "x")), first);
        assert_eq!(read(cluster.node(n), "a"), Some(SettingValue::Text("x".to_owned())));
    }
}

#[test]
fn a_new_leader_finishes_the_joint_change_that_it_finds() {
    let mut cluster = Cluster::all();
    let leader = cluster.leader();
    for node in cluster.nodes.iter().flatten() {
        node.parts().reconciler.held.store(true, Ordering::Relaxed);
    }
    let moment = cluster.node(leader).parts().observer.observe();
    let membership = moment.membership().unwrap();
    let nodes: std::collections::BTreeMap<_, _> =
        membership.membership().nodes().map(|(id, member)| (*id, member.clone())).collect();
    let voters: std::collections::BTreeSet<RaftId> = nodes.keys().copied().collect();
    let others = voters.iter().copied().filter(|id| *id != moment.identity.raft_id).collect();
    let joint = Membership::new(vec![others, voters], nodes).unwrap();
    let node = moment.node.unwrap();
    let blank = openraft::EntryPayload::Blank;
    block_on(node.raft.append_membership(joint, blank, [])).unwrap();
    drop((node, moment.metrics));
    assert!(cluster.node(leader).members().joint);

    cluster.kill(leader);
    for node in cluster.nodes.iter().flatten() {
        node.parts().reconciler.held.store(false, Ordering::Relaxed);
    }
    cluster.until("finished change", |nodes| {
        let joint = cluster.nodes.iter().flatten().any(|node| node.members().joint);
        !joint && nodes.iter().all(|status| status.quorum && status.voters == NAMES)
    });
}

#[test]
fn a_wiped_node_comes_back_as_a_new_one_and_takes_its_old_place() {
    let mut cluster = Cluster::all();
    write(cluster.node(0), note("k", "a", "kept"));
    let ids_of = |cluster: &Cluster, n: usize| -> Vec<(String, RaftId, bool)> {
        let members = cluster.node(n).members().members.into_iter();
        members.map(|member| (member.name, member.raft_id, member.voter)).collect()
    };
    let old = cluster.node(0).parts().observer.identity().raft_id;
    let cluster_id = cluster.node(1).status().cluster_id;
    cluster.kill(0);
    std::fs::remove_dir_all(cluster.dir.path().join("n1")).unwrap();
    cluster.start(0);
    let new = cluster.node(0).parts().observer.identity().raft_id;
    assert_ne!(new, old);
    let replaced = |members: &[(String, RaftId, bool)]| {
        members.len() == 3
            && members.iter().any(|(_, id, _)| *id == new)
            && members.iter().all(|(_, _, voter)| *voter)
    };
    let deadline = Instant::now() + LIMIT;
    while !(0..3).all(|n| replaced(&ids_of(&cluster, n))) {
        assert!(Instant::now() < deadline, "the old id is still there: {:?}", ids_of(&cluster, 1));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(cluster.node(0).status().cluster_id, cluster_id);
    assert_eq!(read(cluster.node(0), "a"), Some(SettingValue::Text("kept".to_owned())));
}

#[test]
fn a_node_that_is_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::all();
    let behind = (cluster.leader() + 1) % 3;
    cluster.kill(behind);
    let writer = cluster.leader();
    for n in 0..1200 {
        write(cluster.node(writer), note(&format!("k{n}"), &(n % 10).to_string(), &n.to_string()));
    }
    let observer = Arc::clone(&cluster.node(writer).parts().observer);
    let purged = || observer.observe().metrics.and_then(|metrics| metrics.purged).is_some();
    let deadline = Instant::now() + LIMIT;
    while !purged() {
        assert!(Instant::now() < deadline, "the log was not compacted");
        std::thread::sleep(Duration::from_millis(10));
    }
    cluster.start(behind);
    assert_eq!(read(cluster.node(behind), "9"), Some(SettingValue::Text("1199".to_owned())));
}

#[test]
fn a_minority_commits_nothing_and_says_so() {
    let mut cluster = Cluster::all();
    cluster.kill(1);
    cluster.kill(2);
    cluster.until("loss of the quorum", |nodes| !nodes[0].quorum && nodes[0].leader_id.is_none());
    let deadline = Instant::now() + Duration::from_secs(5);
    let refused = block_on(cluster.node(0).submit(note("k", "a", "x"), deadline)).unwrap_err();
    assert!(
        matches!(&refused, ControlError::NoQuorum { reason } if reason.contains("n2, n3 are missing")),
        "{refused}"
    );
    let refused =
        block_on(cluster.node(0).setting(&SettingKey::Bits, Read::Linearizable { deadline })).unwrap_err();
    assert_eq!(refused.code(), Code::NoQuorum);
    cluster.start(2);
    write(cluster.node(0), note("k", "a", "x"));
}

#[test]
fn leadership_is_handed_over_on_a_stop() {
    let mut cluster = Cluster::all();
    let leader = cluster.leader();
    let term = cluster.node(leader).status().term;
    let stopped = cluster.nodes[leader].take().unwrap();
    let before = Instant::now();
    block_on(stopped.stop());
    drop(stopped);
    let after = cluster.leader();
    assert_ne!(after, leader);
    assert_eq!(cluster.node(after).status().term, term + 1, "one election, after {:?}", before.elapsed());
}

#[test]
fn the_directory_can_be_opened_again_at_once_after_a_stop() {
    let mut cluster = Cluster::new();
    for _ in 0..3 {
        cluster.start(0);
        cluster.until("leader", |nodes| nodes[0].leader_id.is_some());
        let node = cluster.nodes[0].take().unwrap();
        block_on(node.stop());
    }
}

#[test]
fn clocks_that_differ_are_told_by_every_node() {
    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
    let mut cluster = Cluster::new();
    cluster.clocks_ms[2] = || crate::events::unix_ms() + YEAR_MS;
    let cluster = cluster.started();
    let told = |status: &ClusterStatus| -> Vec<(Option<String>, bool)> {
        let clocks = status.notices.iter().filter(|notice| notice.code == "clocks_differ");
        clocks.map(|notice| (notice.node.clone(), notice.message.contains("ahead of"))).collect()
    };
    let ahead = vec![(Some("n3".to_owned()), true)];
    let behind = vec![(Some("n1".to_owned()), false), (Some("n2".to_owned()), false)];
    cluster.until("notices about clocks", |nodes| {
        [&ahead, &ahead, &behind].iter().zip(nodes).all(|(expected, status)| told(status) == **expected)
    });
}

#[test]
fn a_majority_that_was_wiped_is_told_as_votes_lost() {
    let mut cluster = Cluster::all();
    let left = cluster.leader();
    let wiped = [(left + 1) % 3, (left + 2) % 3];
    for n in wiped {
        cluster.kill(n);
        std::fs::remove_dir_all(cluster.dir.path().join(NAMES[n])).unwrap();
    }
    for n in wiped {
        cluster.start(n);
    }
    cluster.until("lost votes", |nodes| nodes[left].notices.iter().any(|notice| notice.code == "votes_lost"));
    cluster.until("no leader anywhere", |nodes| {
        nodes.iter().all(|status| !status.quorum && status.leader_id.is_none())
    });
    // Permanently: no fresh node names the leader that sends the log, or a quorum, even for a moment.
    let settled = Instant::now() + Duration::from_secs(2);
    while Instant::now() < settled {
        for status in cluster.nodes.iter().flatten().map(ControlPlane::status) {
            assert_eq!(status.contradictions(), [""; 0], "{status:#?}");
            assert_eq!((status.quorum, &status.leader_id), (false, &None), "{status:#?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

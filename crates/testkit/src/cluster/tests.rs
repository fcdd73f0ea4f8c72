//! Tests with shell scripts in place of servers: the subject is the handling of processes.

use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::wait_for;

/// A program which prints its arguments, logs that it listens, leaves data, and ends on SIGTERM.
const SCRIPT: &str = r#"#!/bin/sh
trap 'echo stopped; exit 7' TERM
while [ $# -gt 0 ]; do
    case "$1" in
        --data-dir) data="$2" ;;
        --refuse) echo "refused to start"; exit 3 ;;
    esac
    echo "argument $1"
    shift
done
mkdir -p "$data"
echo here >"$data/file"
echo "listening on http://127.0.0.1:1"
while :; do sleep 1 & wait $!; done
"#;

fn builder() -> (TempDir, ClusterBuilder) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    fs::write(&program, SCRIPT).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, ClusterBuilder::new().program(program))
}

/// Returns the state letter of a process (proc(5)).
#[cfg(target_os = "linux")]
fn state(cluster: &Cluster, i: usize) -> char {
    let id = cluster.members[i].node.process().unwrap().id();
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

#[test]
fn nodes_are_started_and_ended() {
    let (_script, builder) = builder();
    let mut cluster = builder.set("log.filter", "debug").flags_on(1, ["--join"]).start();
    assert_eq!((cluster.len(), cluster.id(2), cluster.index("n2")), (3, "n3", Some(1)));
    for i in 0..3 {
        assert!(cluster.node(i).is_running());
        assert!(cluster.log_contains(i, "log.filter=debug") && cluster.log_contains(i, cluster.id(i)));
        assert_eq!(cluster.log_contains(i, "--join"), i == 1);
        assert!(cluster.status(i).is_none(), "a script does not answer");
    }
    cluster.kill(0);
    assert!(!cluster.node(0).is_running() && cluster.node(1).is_running());
    assert_eq!(cluster.terminate(1).code(), Some(7));
    cluster.start(0);
    cluster.restart(2);
    assert_eq!(cluster.log(2).matches("listening").count(), 2);
    assert_eq!(cluster.log_since_start(2).matches("listening").count(), 1);
    cluster.kill_all();
    cluster.start_all();
    assert!((0..3).all(|i| cluster.node(i).is_running()));
}

#[test]
#[cfg(target_os = "linux")]
fn the_clock_of_a_kill_starts_before_it() {
    let (_script, builder) = builder();
    let place = tempfile::tempdir().unwrap();
    let mut cluster = builder.nodes(2).under(place.path()).start();
    assert!(cluster.folder().starts_with(place.path()));
    let id = cluster.process_id(0).unwrap();
    assert!(cluster.resident_bytes(0).unwrap() > 0 && cluster.open_files(0).unwrap() > 0);
    let logged = cluster.log_len_bytes(0);
    let before = Instant::now();
    assert!(cluster.send_kill(0) >= before);
    wait_for("its end", || cluster.process_id(0).is_none().then_some(()));
    assert_eq!((cluster.resident_bytes(0), cluster.open_files(0)), (None, None));
    assert!(catch_unwind(AssertUnwindSafe(|| cluster.send_kill(0))).is_err(), "it does not run");
    cluster.restart(0);
    assert_ne!(cluster.process_id(0).unwrap(), id);
    let later = cluster.log_from(0, logged);
    assert!(later.contains("listening") && later.len() < cluster.log(0).len(), "{later}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_paused_node_stands_still_and_can_be_ended() {
    let (_script, builder) = builder();
    let mut cluster = builder.nodes(2).start();
    for end in [true, false] {
        cluster.pause(0);
        wait_for("a node that stands still", || (state(&cluster, 0) == 'T').then_some(()));
        assert_eq!(cluster.get(0, "/livez"), None);
        if end {
            cluster.resume(0);
            wait_for("a node that goes on", || (state(&cluster, 0) != 'T').then_some(()));
        }
    }
    assert_eq!(cluster.terminate(0).code(), Some(7));
    cluster.pause(1);
    cluster.restart(1);
    assert!(cluster.node(1).is_running());
}

#[test]
fn data_is_wiped_moved_and_found_elsewhere() {
    let (_script, builder) = builder();
    let mut cluster = builder.start();
    let data = |cluster: &Cluster, i| cluster.node(i).data_dir().join("file").exists();
    assert!(catch_unwind(AssertUnwindSafe(|| cluster.wipe(0))).is_err(), "not while it runs");
    assert!(data(&cluster, 0));
    cluster.kill(0);
    cluster.wipe(0);
    assert!(!data(&cluster, 0) && data(&cluster, 1));
    cluster.wipe(0);

    cluster.kill(1);
    let elsewhere = cluster.folder().join("elsewhere");
    cluster.move_data(1, &elsewhere);
    assert!(!data(&cluster, 1) && elsewhere.join("file").exists());
    cluster.set_data_dir(1, &elsewhere);
    cluster.start(1);
    assert!(cluster.log_since_start(1).contains(elsewhere.to_str().unwrap()));
}

#[test]
fn every_device_has_the_same_configuration_and_a_closed_key() {
    let (_script, builder) = builder();
    let mut cluster = builder.name("phase1").build();
    let read = |cluster: &Cluster, i: usize| fs::read_to_string(cluster.node(i).config_path()).unwrap();
    let key = fs::read_to_string(cluster.node(0).key_path()).unwrap();
    assert!(key.trim().len() == 64 && key.trim().chars().all(|c| c.is_ascii_hexdigit()), "{key}");
    let before: Vec<SocketAddr> = (0..3).map(|i| cluster.address(i)).collect();
    for i in 0..3 {
        assert_eq!(fs::read_to_string(cluster.node(i).key_path()).unwrap(), key);
        assert_eq!(fs::metadata(cluster.node(i).key_path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&cluster, i), read(&cluster, 0));
        assert!(read(&cluster, i).starts_with("cluster_name: phase1\nnodes:\n  - { id: n1, ip: 127."));
        assert!(before.iter().all(|a| read(&cluster, i).contains(&a.ip().to_string())));
    }
    cluster.readdress();
    for (i, old) in before.iter().enumerate() {
        assert!(!before.contains(&cluster.address(i)));
        assert!(!read(&cluster, i).contains(&format!("ip: {},", old.ip())), "{}", read(&cluster, i));
        assert!(read(&cluster, i).contains(&cluster.raft_address(i).ip().to_string()));
    }
}

#[test]
fn a_refusal_is_seen_and_told() {
    let (_script, builder) = builder();
    let mut cluster = builder.nodes(2).flags_on(1, ["--refuse"]).build();
    cluster.spawn(1);
    assert_eq!(cluster.wait_exit(1).code(), Some(3));
    let panic = catch_unwind(AssertUnwindSafe(|| cluster.start_all())).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("n2 ended") && message.contains("refused to start"), "{message}");
    let panic = catch_unwind(|| cluster.wait_until("the moon", Duration::from_millis(1), |_| None::<()>))
        .unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    for part in
        ["in vain for the moon", "--- n1 at 127.", "running", "status: no answer", "argument --data-dir"]
    {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
}

#[test]
fn nothing_stays_unless_the_test_failed() {
    let (_script, builder) = builder();
    let cluster = builder.nodes(1).start();
    let folder = cluster.folder().to_owned();
    let process = Path::new("/proc").join(cluster.members[0].node.process().unwrap().id().to_string());
    drop(cluster);
    assert!(!folder.exists() && !process.exists());

    let (_script, builder) = self::builder();
    let cluster = builder.nodes(1).start();
    let folder = cluster.folder().to_owned();
    let process = Path::new("/proc").join(cluster.members[0].node.process().unwrap().id().to_string());
    let failed = catch_unwind(AssertUnwindSafe(move || {
        let _cluster = cluster;
        panic!("a test fails");
    }));
    assert!(failed.is_err() && folder.join("n1/log").exists() && !process.exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn nodes_live_in_namespaces() {
    if !Net::available() {
        return;
    }
    let (_script, builder) = builder();
    let mut cluster = builder.nodes(2).in_namespaces().start();
    for i in 0..2 {
        assert_eq!(cluster.address(i).ip(), cluster.net().ip(i));
        let process = cluster.members[i].node.process().unwrap().id();
        let namespace = |what: String| fs::read_link(format!("/proc/{what}/ns/net")).unwrap();
        let inside = cluster.net().inside(i, || namespace("thread-self".to_owned()));
        assert_eq!(namespace(process.to_string()), inside, "the very process, not a wrapper");
        assert_ne!(namespace("self".to_owned()), inside);
    }
    assert_eq!(cluster.terminate(0).code(), Some(7));
}

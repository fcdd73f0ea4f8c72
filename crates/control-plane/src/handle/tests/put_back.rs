//! Data directories that went back in time: recognised, excluded, and replaced once a quorum stands without
//! them.

use std::fs;

use api::status::Health;

use super::*;
use crate::ids::RaftId;

/// Copies a folder with all in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

impl Cluster {
    fn data_dir(&self, n: usize) -> std::path::PathBuf {
        self.dir.path().join(NAMES[n])
    }

    /// Returns the directories of a node that were set aside.
    fn set_aside(&self, n: usize) -> usize {
        let prefix = format!("{}.reverted-", NAMES[n]);
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(&prefix)).count()
    }

    fn until_whole(&self) {
        self.until("three healthy voters", |nodes| {
            nodes.len() == 3
                && nodes.iter().all(|status| {
                    status.voters == NAMES
                        && status.learners.is_empty()
                        && status.nodes.iter().all(|row| row.healthy)
                })
        });
    }

    /// Copies the directory of a stopped node.
    fn backup(&self, n: usize) -> std::path::PathBuf {
        let to = self.dir.path().join(format!("backup-of-{}", NAMES[n]));
        copy(&self.data_dir(n), &to);
        to
    }

    fn put_back(&self, n: usize, copy: &Path) {
        fs::remove_dir_all(self.data_dir(n)).unwrap();
        fs::rename(copy, self.data_dir(n)).unwrap();
    }

    /// Returns the id that a peer shows in the row of a node.
    fn health(&self, at: usize, of: usize) -> Health {
        self.node(at).status().nodes[of].health
    }
}

/// Ends a node, harms its directory, and expects a new identity in its place, with nothing lost.
fn is_replaced(cluster: &mut Cluster, n: usize, harm: impl FnOnce(&Path)) {
    let before = cluster.raft_id(n);
    let aside = cluster.set_aside(n);
    let text = format!("kept-{n}-{aside}");
    write(cluster.node((n + 1) % 3), note(&text, "a", &text));
    // Without an acknowledgement of this node there is nothing to lose.
    let kept = Some(SettingValue::Text(text));
    cluster.until("the write to arrive", |_| local(cluster.node(n)) == kept);
    cluster.kill(n);
    harm(&cluster.data_dir(n));
    cluster.start(n);
    cluster.until("a new identity", |_| ![before, RaftId::UNKNOWN].contains(&cluster.raft_id(n)));
    cluster.until_whole();
    assert_eq!(cluster.set_aside(n), aside + 1, "the old directory is kept");
    assert_eq!(read(cluster.node(n), "a"), kept);
    let id = |n: usize| cluster.node(n).members().cluster_id;
    assert_eq!(id(n), id((n + 1) % 3), "the same cluster");
}

#[test]
fn a_directory_put_back_from_a_copy_is_replaced() {
    let mut cluster = Cluster::all();
    for n in [0, 2] {
        cluster.kill(n);
        let backup = cluster.backup(n);
        cluster.start(n);
        cluster.until_whole();
        write(cluster.node(1), note(&format!("later-{n}"), "a", "later"));
        is_replaced(&mut cluster, n, |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::rename(&backup, dir).unwrap();
        });
    }
}

#[test]
fn a_log_that_is_empty_truncated_damaged_or_anothers_is_replaced() {
    let mut cluster = Cluster::all();
    let log = |dir: &Path| dir.join("log.redb");
    is_replaced(&mut cluster, 1, |dir| fs::write(log(dir), "").unwrap());
    is_replaced(&mut cluster, 2, |dir| {
        let file = fs::OpenOptions::new().write(true).open(log(dir)).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
    let other = cluster.data_dir(2).join("log.redb");
    let bytes = fs::read(other).unwrap();
    is_replaced(&mut cluster, 1, |dir| fs::write(log(dir), bytes).unwrap());
    is_replaced(&mut cluster, 0, |dir| fs::remove_file(log(dir)).unwrap());
}

/// The directory of the time before the node joined: n1 as a cluster of one voter.
#[test]
fn the_first_nodes_directory_of_the_time_before_the_others_joined_is_replaced() {
    let mut cluster = Cluster::new();
    cluster.start(0);
    cluster.until("leader", |nodes| nodes[0].leader_id.as_deref() == Some("n1"));
    write(cluster.node(0), note("alone", "a", "alone"));
    cluster.kill(0);
    let backup = cluster.backup(0);
    (0..3).for_each(|n| cluster.start(n));
    cluster.until_whole();
    is_replaced(&mut cluster, 0, |dir| {
        fs::remove_dir_all(dir).unwrap();
        fs::rename(&backup, dir).unwrap();
    });
}

/// Two directories of three went back: the one that knows more is no quorum, and nobody is replaced.
#[test]
fn of_two_directories_that_went_back_none_is_replaced() {
    let mut cluster = Cluster::all();
    cluster.kill(1);
    let first = cluster.backup(1);
    cluster.start(1);
    cluster.until_whole();
    cluster.kill(2);
    let second = cluster.backup(2);
    cluster.start(2);
    cluster.until_whole();
    write(cluster.node(0), note("later", "a", "later"));
    let ids = [1, 2].map(|n| cluster.raft_id(n));
    // The marks of a moment later, at the latest, name the entry.
    cluster.until("marks", |_| {
        let node = cluster.node(0).parts().raft.node().unwrap();
        let committed = node.log.committed();
        ids.iter().all(|id| node.log.mark_of(*id).is_some_and(|mark| mark.committed >= committed))
    });
    let latest = [1, 2].map(|n| {
        cluster.kill(n);
        let kept = cluster.dir.path().join(format!("latest-{n}"));
        fs::rename(cluster.data_dir(n), &kept).unwrap();
        kept
    });
    fs::rename(&first, cluster.data_dir(1)).unwrap();
    fs::rename(&second, cluster.data_dir(2)).unwrap();
    (1..3).for_each(|n| cluster.start(n));
    cluster.until("both recognised", |_| {
        (0..3).all(|at| (1..3).all(|of| cluster.health(at, of) == Health::Reverted))
    });
    let status = cluster.node(0).status();
    assert!(!status.quorum && status.leader_id.is_none(), "{status:?}");
    let notices = status.notices.iter().filter(|notice| notice.code == api::notices::REVERTED);
    let remedies: Vec<String> = notices.filter_map(|notice| notice.remedy.clone()).collect();
    assert!(remedies.len() == 2 && remedies[0].contains("went back in time together"), "{remedies:?}");
    let refused = block_on(cluster.node(0).submit(note("k", "a", "x"), Instant::now() + LIMIT)).unwrap_err();
    let ControlError::NoQuorum { reason } = &refused else { panic!("{refused}") };
    assert!(reason.contains("n2") && reason.contains("n3"), "{reason}");
    assert_eq!([1, 2].map(|n| cluster.set_aside(n)), [0, 0]);
    // The latest content of the directories mends it.
    for n in [1, 2] {
        cluster.kill(n);
        fs::remove_dir_all(cluster.data_dir(n)).unwrap();
        fs::rename(&latest[n - 1], cluster.data_dir(n)).unwrap();
        cluster.start(n);
    }
    cluster.until_whole();
    assert_eq!(read(cluster.node(1), "a"), Some(SettingValue::Text("later".to_owned())));
    assert_eq!([1, 2].map(|n| cluster.raft_id(n)), ids);
}

/// The worst case: two nodes without acknowledged entries, neither of which can know, elect a leader; the
/// third returns. What it has applied is not cut, nothing is moved, and its settings remain readable.
#[test]
fn a_history_that_differs_is_told_and_not_cut() {
    let mut cluster = Cluster::all();
    // n1 leads, so that n2 and n3 can be put back together.
    write(cluster.node(0), note("first", "a", "first"));
    cluster.kill(2);
    let away = cluster.backup(2);
    cluster.kill(1);
    let earlier = cluster.backup(1);
    cluster.start(1);
    cluster.until("a quorum of two", |nodes| nodes.iter().all(|status| status.quorum));
    write(cluster.node(0), note("second", "a", "acknowledged"));
    cluster.until("applied", |_| {
        (0..2).all(|n| local(cluster.node(n)) == Some(SettingValue::Text("acknowledged".to_owned())))
    });
    cluster.kill(1);
    cluster.kill(0);
    cluster.put_back(1, &earlier);
    cluster.put_back(2, &away);
    (1..3).for_each(|n| cluster.start(n));
    cluster.until("another leader", |nodes| nodes.iter().all(|status| status.leader_id.is_some()));
    write(cluster.node(1), note("third", "a", "of the other history"));
    cluster.start(0);
    cluster.until("the difference to be told", |_| {
        (0..3).all(|at| cluster.health(at, 0) == Health::HistoryDiverged)
    });
    let status = cluster.node(1).status();
    let notice = status.notices.iter().find(|notice| notice.code == api::notices::HISTORY_DIVERGED).unwrap();
    assert!(notice.message.contains("are lost to the cluster"), "{}", notice.message);
    assert_eq!(local(cluster.node(0)), Some(SettingValue::Text("acknowledged".to_owned())));
    assert_eq!((0..3).map(|n| cluster.set_aside(n)).sum::<usize>(), 0);
    assert_eq!(read(cluster.node(1), "a"), Some(SettingValue::Text("of the other history".to_owned())));
}

fn local(node: &ControlPlane) -> Option<SettingValue> {
    node.local_setting(&"note.a".parse().unwrap()).map(|setting| setting.value)
}

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::assess::tests::{cluster, node, report, well};
use crate::format::{Announcement, FormatVersion};
use crate::peers::ClockOffset;

/// Checks the codes of the conditions after `change` to a healthy view. Every text is complete: no empty
/// list, no contradicting figures.
fn check(change: impl FnOnce(&mut View), codes: &[&str], texts: &[&str]) {
    let mut view = well();
    change(&mut view);
    let situation =
        Situation { view: &view, conflict: None, joint: view.configs.len() > 1, waiting_for: Vec::new() };
    check_all(&situation.conditions(), codes, texts);
}

fn check_all(conditions: &[Condition], codes: &[&str], texts: &[&str]) {
    let found: Vec<&str> = conditions.iter().map(|condition| condition.code).collect();
    assert_eq!(found, codes, "{conditions:#?}");
    let all: Vec<String> = conditions
        .iter()
        .map(|condition| format!("{} [{}]", condition.message, condition.remedy.as_deref().unwrap_or("-")))
        .collect();
    for text in &all {
        for gap in ["()", "  ", " ,", ", ]", "from ;", "start ]", " ]", "0 of 0", "3 of 3 voters are healthy"]
        {
            assert!(!text.contains(gap), "{gap:?} in {text:?}");
        }
    }
    for expected in texts {
        assert!(all.iter().any(|text| text.contains(expected)), "no {expected:?} in {all:#?}");
    }
}

fn change_report(view: &mut View, i: usize, change: impl FnOnce(&mut crate::message::Report)) {
    let mut report = crate::message::Report::clone(view.nodes[i].report.as_ref().unwrap());
    change(&mut report);
    view.nodes[i].report = Some(Arc::new(report));
}

#[test]
fn a_well_cluster_has_no_notices() {
    check(|_| {}, &[], &[]);
}

#[test]
fn storage_and_progress() {
    let full = |i| {
        move |view: &mut View| {
            change_report(view, i, |report| {
                report.storage_failure = Some("cannot write log.redb: No space left on device".to_owned());
                report.storage_remedy = Some("free space on the file system of data/n".to_owned());
            });
        }
    };
    let texts = [
        "the storage of n2 failed: cannot write log.redb: No space left on device [free space on the file system of data/n",
    ];
    check(full(1), &["storage_failed"], &texts);
    check(full(2), &["storage_failed"], &["the storage of n3 failed"]);
    let short = |i| {
        move |view: &mut View| {
            change_report(view, i, |report| {
                report.storage_full = Some("7 bytes of the disk are free, 9 are needed".to_owned());
                report.snapshot_trouble = Some("data/n/snapshots: Input/output error".to_owned());
            });
        }
    };
    let texts = [
        "refuses changes for lack of disk space: 7 bytes of the disk are free, 9 are needed [free space on",
        "cannot write snapshots: data/n/snapshots: Input/output error; its log grows up to",
    ];
    check(short(0), &["storage_full", "snapshots_fail"], &texts);
    check(short(2), &["storage_full", "snapshots_fail"], &texts);
    let unread = |view: &mut View| {
        view.cluster_id = None;
        change_report(view, 1, |report| {
            report.raft_id = RaftId::UNKNOWN;
            report.storage_failure = Some("data/n2/identity.json: Permission denied".to_owned());
        });
    };
    check(unread, &["storage_failed"], &["the storage of n2 failed: data/n2/identity.json"]);
    let lagging = |view: &mut View| (view.nodes[2].lagging, view.nodes[2].behind) = (true, 24);
    check(
        lagging,
        &["lagging"],
        &["n3 is 24 entries behind the leader and does not catch up [check its disk"],
    );
}

#[test]
fn a_release_that_does_not_read_what_the_cluster_writes() {
    let ended = |i| {
        move |view: &mut View| {
            change_report(view, i, |report| {
                report.storage_failure = Some("log.redb: a command has version 9".to_owned());
                report.needs_release = Some("1.7".to_owned());
            });
        }
    };
    let texts = [
        "cannot read what the cluster has stored: log.redb: a command has version 9 [start release 1.7 or a newer",
    ];
    check(ended(1), &["needs_release"], &texts);
    check(ended(0), &["needs_release"], &texts);
    let older = |covered: &'static [usize]| {
        move |view: &mut View| {
            view.activated = Activated::of(FormatVersion::SECOND);
            for &i in covered {
                let id = view.nodes[i].report.as_ref().unwrap().raft_id;
                let announcement = Some(Announcement::of_this_release(id, "0.2.0"));
                change_report(view, i, |report| report.announcement = announcement);
            }
        }
    };
    // A node without an announcement is of release 0.1. About itself, a node reports a required release only
    // once stopped.
    let texts = [
        "n3 runs release test, which does not read format version 2 that the cluster has activated [start release \
                  0.2 or a newer one on n3]",
    ];
    check(older(&[0]), &["needs_release"], &texts);
    check(older(&[0, 2]), &[], &[]);
}

#[test]
fn another_cluster() {
    let foreign = |view: &mut View| change_report(view, 2, |report| report.cluster_id = Some(cluster(2)));
    check(
        foreign,
        &["foreign_node"],
        &["n3 belongs to another cluster than n2 [stop n3, move its data directory away"],
    );
    let gave_way = |view: &mut View| {
        view.superseded_by = Some(cluster(2));
        view.leader = None;
    };
    check(
        gave_way,
        &["foreign_cluster"],
        &["had one voter only and gave way to cluster 00000000", "stop n2, move"],
    );
    let view = well();
    let conflict = Some("n3 belongs to another cluster".to_owned());
    let situation = Situation { view: &view, conflict, joint: false, waiting_for: Vec::new() };
    check_all(&situation.conditions(), &["foreign_cluster_met"], &["[decide which cluster stays"]);
}

#[test]
fn a_node_without_a_cluster() {
    let waiting = |nodes: [Option<bool>; 2]| {
        move |view: &mut View| {
            (view.cluster_id, view.leader, view.leader_age) = (None, None, None);
            (view.configs, view.voters) = (Vec::new(), Default::default());
            change_report(view, 1, |report| (report.cluster_id, report.role) = (None, Role::Learner));
            for (i, member) in [0, 2].into_iter().zip(nodes) {
                match member {
                    None => view.nodes[i] = node(i, 0, None),
                    Some(member) => change_report(view, i, |report| {
                        report.role = Role::Candidate;
                        report.cluster_id = report.cluster_id.filter(|_| member);
                    }),
                }
            }
        }
    };
    let alone =
        ["n2 belongs to no cluster yet and waits to join one; no answer from n1, n3 [start n1: as the first"];
    check(waiting([None, None]), &["not_joined"], &alone);
    check(
        waiting([None, Some(false)]),
        &["not_joined"],
        &["; n3 without a cluster answers too; no answer from n1"],
    );
    let leaderless = ["; n1 of a cluster without a leader answers; no answer from n3 [start n1"];
    check(waiting([Some(true), None]), &["not_joined"], &leaderless);
    let both = ["; n1, n3 of a cluster without a leader answers [-]"];
    check(waiting([Some(true), Some(true)]), &["not_joined"], &both);
}

#[test]
fn a_lost_quorum() {
    let gone = |view: &mut View| {
        view.leader = None;
        view.nodes[0].port_refused = true;
        view.nodes[2].port_refused = true;
    };
    let texts = ["1 of 3 voters are healthy (n2); 2 are needed, n1, n3 are missing [start n1, n3, or follow"];
    check(gone, &["no_quorum"], &texts);
    let leaderless = |view: &mut View| (view.leader, view.leader_age) = (None, Some(Duration::from_secs(3)));
    check(leaderless, &["no_quorum"], &["no leader is known; 3 of 3 voters are enough for an election [-]"]);
    let empty = |view: &mut View| {
        (view.configs, view.voters) = (Vec::new(), Default::default());
        (view.leader, view.leader_age) = (None, None);
    };
    check(empty, &["no_quorum"], &["n2 has not received the membership of its cluster yet"]);
    let all_ill = |view: &mut View| {
        view.leader = None;
        view.nodes[1].answered_age = None;
        (0..3).for_each(|i| view.nodes[i].port_refused = true);
    };
    check(all_ill, &["no_quorum"], &["0 of 3 voters are healthy; 2 are needed, n1, n2, n3 are missing"]);
}

#[test]
fn votes_that_are_lost_for_ever() {
    let wiped = |indices: &'static [usize]| {
        move |view: &mut View| {
            for i in indices.iter().copied() {
                let fresh = report(10 + i as u64, Role::Learner, 3);
                view.nodes[i] = node(i, 0, Some(crate::message::Report { cluster_id: None, ..fresh }));
            }
            view.leader = view.leader.take().filter(|_| !indices.contains(&0));
        }
    };
    check(wiped(&[2]), &[], &[]);
    let texts = ["n1, n3 returned with new data directories: 2 of 3 votes are lost", "[stop n1, n3 and put"];
    check(wiped(&[0, 2]), &["votes_lost", "no_quorum"], &texts);
}

#[test]
fn nodes_that_are_waited_for() {
    let mut view = well();
    view.voters = [(RaftId::from(1), "n1".to_owned())].into();
    view.configs = vec![[RaftId::from(1)].into()];
    let waiting_for = vec!["n3".to_owned()];
    let situation = Situation { view: &view, conflict: None, joint: false, waiting_for };
    let texts = ["1 of 3 configured nodes vote (n1); n3 must join and catch up before all vote [start n3]"];
    check_all(&situation.conditions(), &["waiting_for_nodes"], &texts);
    view.nodes.pop();
    let situation = Situation { view: &view, conflict: None, joint: false, waiting_for: Vec::new() };
    check_all(
        &situation.conditions(),
        &["two_nodes"],
        &["n1 votes alone of 2 configured nodes", "[add a third node"],
    );
}

#[test]
fn peers_that_differ() {
    let config = |view: &mut View| change_report(view, 2, |report| report.config_hash = "another".to_owned());
    check(config, &["config_differs"], &["n3 runs with another configuration than n2 [give both"]);
    let refuses = |view: &mut View| {
        view.nodes[2].answered_age = None;
        view.nodes[2].handshake_failure = Some("it has another key".to_owned());
    };
    check(
        refuses,
        &["peer_refuses"],
        &["n3 answers, but its handshake with n2 failed: it has another key [give both"],
    );
    let clock =
        |ms, error_ms| move |view: &mut View| view.nodes[2].clock = Some(ClockOffset { ms, error_ms });
    check(clock(2000, 0), &[], &[]);
    check(clock(-2400, 400), &[], &[]);
    check(
        clock(2401, 400),
        &["clocks_differ"],
        &["the clock of n3 is 2.4 s ahead of the one of n2 [synchronize"],
    );
    check(clock(-31_536_000_000, 1), &["clocks_differ"], &["is 31536000.0 s behind the one of n2"]);
    check(
        |view| view.configs.push([1, 2].map(RaftId::from).into()),
        &["joint_membership"],
        &["in progress [none needed"],
    );
}

#[test]
fn a_table_of_keys_without_room_is_told_before_changes_are_refused() {
    let filled = |bytes| move |view: &mut View| view.key_bytes = (bytes, 1000);
    check(filled(899), &[], &[]);
    check(filled(900), &["idempotency_keys_full"], &["take 900 of 1000 bytes", "[find the client"]);
    check(filled(1000), &["idempotency_keys_full"], &["take 1000 of 1000 bytes"]);
}

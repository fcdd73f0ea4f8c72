//! Links cut between two of three nodes, links with packets in one direction only, and flapping links.

use std::time::Duration;

use crate::journal::{self, Writers};
use crate::observer::Observer;
use crate::partition::{others, three_hosts};

/// Cuts of one flapping link.
const FLAPS: u64 = 20;
/// Terms per cut and healing: one for an election, one for two simultaneous candidates.
const TERMS_OF_A_CUT: u64 = 2;

/// Causes each fault in turn, with the leader of the moment as 0 and the others as 1 and 2. During and after
/// each fault, elections end, and every node with a path to the leader acknowledges writes.
async fn check(faults: &[&[(usize, usize)]]) {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start(&cluster));
    let (mut leader, mut term) = observer.settled(&cluster);
    for fault in faults {
        let nodes = [leader, others(leader)[0], others(leader)[1]];
        let cut: Vec<_> = fault.iter().map(|&(from, to)| (nodes[from], nodes[to])).collect();
        cut.iter().for_each(|&(from, to)| cluster.net().cut_one_way(from, to));
        (leader, _) = observer.settled(&cluster);
        for through in (0..3).filter(|&i| reach_each_other(&cut, leader, i)) {
            writers.wait_going_on(&cluster, through);
        }
        cluster.net().heal();
        cluster.wait_all_healthy();
        let before = term;
        (leader, term) = observer.settled(&cluster);
        observer.check(&cluster, before, TERMS_OF_A_CUT);
    }
    journal::check(&cluster, &writers.stop().writes);
}

fn reach_each_other(cut: &[(usize, usize)], i: usize, j: usize) -> bool {
    !cut.contains(&(i, j)) && !cut.contains(&(j, i))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_both_see_the_third_do_not_depose_each_other() {
    check(&[&[(0, 1), (1, 0)], &[(0, 2), (2, 0)], &[(1, 2), (2, 1)]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_carries_one_way_costs_no_quorum() {
    check(&[&[(0, 1)], &[(1, 0)], &[(1, 2)], &[(2, 1)]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_can_only_talk_or_only_listen_gives_way() {
    check(&[&[(0, 1), (0, 2)], &[(1, 0), (2, 0)]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_come_and_go_lose_nothing() {
    let Some(builder) = three_hosts() else { return };
    let cluster = builder.start();
    let leader = cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start(&cluster));
    let term = observer.term();
    for flap in 0..FLAPS {
        // The link of the first leader, then whole nodes in turn.
        match flap % 2 {
            0 => cluster.net().cut(leader, others(leader)[0]),
            _ => cluster.net().isolate(flap as usize % 3),
        }
        // From shorter than a probe to longer than what a leader is given up after.
        tokio::time::sleep(Duration::from_millis(20 + 30 * (flap % 10))).await;
        cluster.net().heal();
        tokio::time::sleep(Duration::from_millis(200 - 20 * (flap % 10))).await;
    }
    cluster.wait_all_healthy();
    observer.settled(&cluster);
    (0..3).for_each(|i| writers.wait_going_on(&cluster, i));
    journal::check(&cluster, &writers.stop().writes);
    observer.check(&cluster, term, TERMS_OF_A_CUT * FLAPS);
}

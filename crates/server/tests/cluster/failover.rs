//! Successive deaths of nodes, leaders above all, under continuous load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use testkit::{Cluster, ClusterBuilder, Role};
use tokio::task::JoinHandle;

use crate::journal::{self, Writers};
use crate::observer::Observer;
use crate::request::{LIMIT, embeds_and_extracts_at, wait_for_status};

/// Leaders killed.
const KILLED: u64 = 5;
/// Files hidden and found again after a fault, at least.
const ROUND_TRIPS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn five_leaders_killed_in_a_row_lose_nothing() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start(&cluster));
    let first = observer.term();
    for _ in 0..KILLED {
        let old = cluster.wait_for_leader();
        cluster.kill(old);
        let new =
            cluster.wait_until("another leader", LIMIT, |cluster| cluster.leader().filter(|new| *new != old));
        writers.wait_going_on(&cluster, new);
        cluster.start(old);
        cluster.wait_all_healthy();
        writers.wait_going_on(&cluster, old);
    }
    observer.settled(&cluster);
    journal::check(&cluster, &writers.stop().writes);
    // Two that stand at the same time cost a term more.
    observer.check(&cluster, first, 2 * KILLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_three_goes_on_hiding_and_finding() {
    let mut cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let observer = Observer::watch(&cluster);
    let first = observer.term();
    for the_leader_survives in [true, false] {
        let leader = cluster.wait_for_leader();
        let survivor = if the_leader_survives { leader } else { (leader + 1) % 3 };
        let others = [(survivor + 1) % 3, (survivor + 2) % 3];
        let loop_of_embeds = Embeds::start(&cluster, survivor);
        loop_of_embeds.wait_for_more(&cluster);
        others.iter().for_each(|&i| cluster.kill(i));
        let alone = wait_for_status(&cluster, survivor, "a lost quorum", |status| !status.quorum);
        assert_eq!(alone.leader_id, None);
        assert_ne!(alone.role(cluster.id(survivor)), Role::Leader);
        loop_of_embeds.wait_for_more(&cluster);

        cluster.start(others[0]);
        cluster.wait_for_leader();
        wait_for_status(&cluster, survivor, "a quorum of two", |status| status.quorum);
        loop_of_embeds.stop().await;
        cluster.start(others[1]);
        cluster.wait_all_healthy();
    }
    observer.settled(&cluster);
    // Each of the two losses costs an election, and a term more where two stand at the same time.
    observer.check(&cluster, first, 2 * 2);
}

/// Embeds and extracts a file in a loop, and fails on any error.
struct Embeds {
    done: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Embeds {
    fn start(cluster: &Cluster, i: usize) -> Self {
        let (done, stopped): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let (url, of_task) = (cluster.url(i), (Arc::clone(&done), Arc::clone(&stopped)));
        let task = tokio::spawn(async move {
            let (done, stopped) = of_task;
            while !stopped.load(Ordering::Relaxed) {
                embeds_and_extracts_at(&url).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { done, stopped, task }
    }

    fn wait_for_more(&self, cluster: &Cluster) {
        let enough = self.done.load(Ordering::Relaxed) + ROUND_TRIPS;
        cluster.wait_until("more files hidden and found", LIMIT, |_| {
            assert!(!self.task.is_finished(), "the data plane failed\n{}", cluster.report());
            (self.done.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

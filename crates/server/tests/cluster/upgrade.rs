//! Two releases in one cluster: nodes of the previous release are replaced one by one under writes, and the
//! stored formats change after the last. The previous release is built from the commit in
//! `tests/previous-release`.

use std::path::Path;

use local_cluster::Journal;
use testkit::{Cluster, ClusterBuilder, previous_server};

use crate::journal::{self, Writers};
use crate::observer::Observer;
use crate::request::{LATEST_FORMAT, LIMIT, embeds_and_extracts, wait_for_status, wait_ready};

/// Log line of each node once the cluster writes the formats of this release.
const ACTIVATED: &str = "format version activated version=3 release=\"0.2\"";

fn is_activated(cluster: &Cluster, i: usize) -> bool {
    cluster.log_contains(i, ACTIVATED)
}

/// Replaces the binary of a node by this release's.
fn upgrade(cluster: &mut Cluster, i: usize) {
    upgrade_to(cluster, i, None);
}

/// Replaces the binary of a node, as an operator does: in good order.
fn upgrade_to(cluster: &mut Cluster, i: usize, program: Option<&Path>) {
    assert!(cluster.terminate(i).success());
    cluster.set_program(i, program);
    cluster.start(i);
    cluster.wait_all_healthy();
}

fn wait_activated(cluster: &Cluster) {
    cluster.wait_until("the next format version on every node", LIMIT, |cluster| {
        let named = |i| cluster.status(i).is_some_and(|status| status.format_version == LATEST_FORMAT);
        (0..cluster.len()).all(|i| is_activated(cluster, i) && named(i)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_upgraded_one_by_one_under_writes_and_cannot_go_back() {
    let Some(previous) = previous_server() else { return };
    let mut cluster = ClusterBuilder::new().build();
    (0..3).for_each(|i| cluster.set_program(i, Some(&previous)));
    cluster.start_all();
    cluster.wait_all_healthy();
    let (observer, writers) = (Observer::watch(&cluster), Writers::start_persistent(&cluster));
    let first = observer.term();
    for i in 0..3 {
        writers.wait_going_on(&cluster, i);
        // Both releases write and read beside each other, and nothing is stored that the previous one does
        // not read.
        assert!((0..3).all(|other| !is_activated(&cluster, other)), "{}", cluster.report());
        upgrade(&mut cluster, i);
        writers.wait_going_on(&cluster, i);
    }
    wait_activated(&cluster);
    (0..3).for_each(|i| writers.wait_going_on(&cluster, i));
    wait_ready(&cluster, 0);
    embeds_and_extracts(&cluster, 0).await;
    observer.settled(&cluster);
    let Journal { writes: acknowledged, unanswered } = writers.stop();
    assert_eq!(unanswered, [""; 0], "{}", cluster.report());
    journal::check(&cluster, &acknowledged);
    // Each restart costs an election at most, and a term more where two stand at the same time.
    observer.check(&cluster, first, 2 * 3);
    drop(observer);
    goes_back(&mut cluster, 2, &previous);
    upgrade_of_the_empty_one(&mut cluster, 2);
    journal::check(&cluster, &acknowledged);
}

/// The previous release refuses the data of the new one; with an empty directory, it is refused by its peers.
fn goes_back(cluster: &mut Cluster, i: usize, previous: &Path) {
    assert!(cluster.terminate(i).success());
    cluster.set_program(i, Some(previous));
    cluster.spawn(i);
    assert!(!cluster.wait_exit(i).success(), "{}", cluster.report());
    let refusal = "record version 2; this release knows version 1";
    assert!(cluster.log_since_start(i).contains(refusal), "{}", cluster.report());

    cluster.kill(i);
    cluster.wipe(i);
    cluster.start(i);
    let id = cluster.id(i).to_owned();
    let told = format!("start release 0.2 or a newer one on {id}");
    cluster.wait_until("a node that is not taken in", LIMIT, |cluster| {
        cluster.log_since_start(i).contains(&told).then_some(())
    });
    for other in (0..3).filter(|other| *other != i) {
        let status = wait_for_status(cluster, other, "a notice", |status| status.has_notice("needs_release"));
        let notice = status.notices.iter().find(|notice| notice.code == "needs_release").unwrap();
        assert_eq!((notice.node.as_ref(), notice.remedy.as_ref()), (Some(&id), Some(&told)));
        assert!(!status.learners.contains(&id), "{status:?}");
    }
}

/// The same empty directory under the new release is taken in.
fn upgrade_of_the_empty_one(cluster: &mut Cluster, i: usize) {
    upgrade(cluster, i);
    cluster.wait_until("the format version on a node that joined later", LIMIT, |cluster| {
        cluster.log_since_start(i).contains(ACTIVATED).then_some(())
    });
}

/// The new release founds the cluster, and nodes of the previous release can still join.
#[tokio::test(flavor = "multi_thread")]
async fn both_releases_form_a_cluster_together() {
    let Some(previous) = previous_server() else { return };
    let mut cluster = ClusterBuilder::new().build();
    [1, 2].into_iter().for_each(|i| cluster.set_program(i, Some(&previous)));
    cluster.start(0);
    wait_for_status(&cluster, 0, "a leader", |status| status.leader_id.is_some());
    cluster.start(1);
    cluster.start(2);
    cluster.wait_all_healthy();
    // Until all have changed, each may go back.
    upgrade_to(&mut cluster, 0, Some(&previous));
    (0..3).for_each(|i| upgrade(&mut cluster, i));
    wait_activated(&cluster);
}

//! Idempotency keys while the wall clocks of real nodes are set.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;
use testkit::{Cluster, ClusterBuilder, can_set_wall_clocks};

use crate::request::{LATEST_FORMAT, LIMIT, get, must_put, put_request, value, wait_for_status};

const HOURS_A_YEAR: f64 = 365.0 * 24.0;

/// Sets `note.a` to `first` under a key. Returns the bytes of the answer.
async fn first(cluster: &Cluster, i: usize) -> String {
    let request = put_request(cluster, i, "note.a", json!("first")).header("idempotency-key", "the-same");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", cluster.report());
    answer.text().await.unwrap()
}

/// Has changes made until one has the time of a wall clock that deviates by `hours`.
async fn wait_stamped(cluster: &Cluster, i: usize, hours: f64) {
    let until = Instant::now() + LIMIT;
    loop {
        must_put(cluster, i, "note.time", json!("x")).await;
        let (_, found) = get(cluster, i, "/cluster/settings/note.time?consistency=linearizable").await;
        let stamped: Timestamp = found["updated_at"].as_str().unwrap().parse().unwrap();
        let deviation = (stamped - Timestamp::now()).total(jiff::Unit::Hour).unwrap();
        if (deviation - hours).abs() < 12.0 {
            return;
        }
        assert!(Instant::now() < until, "{deviation} hours in place of {hours}\n{}", cluster.report());
    }
}

/// A request repeated under its key, at every node, after another change of the same setting.
async fn is_not_done_again(cluster: &Cluster, answer: &str) {
    let now = Timestamp::now().to_string();
    must_put(cluster, 0, "note.a", json!(now)).await;
    for i in 0..cluster.len() {
        assert_eq!(first(cluster, i).await, answer, "{}", cluster.report());
    }
    assert_eq!(value(cluster, 0, "note.a?consistency=linearizable").await, json!(now));
}

#[tokio::test]
async fn a_key_outlives_steps_of_the_wall_clock_and_changes_of_the_leader() {
    if !can_set_wall_clocks() {
        return;
    }
    let mut cluster = ClusterBuilder::new().with_wall_clocks().start();
    let mut leader = cluster.wait_all_healthy();
    wait_for_status(&cluster, 0, "the latest format", |status| status.format_version == LATEST_FORMAT);
    let answer = first(&cluster, 0).await;
    let steps = [("+2d", 48.0), ("-2d", -48.0), ("+1y", HOURS_A_YEAR), ("-1y", -HOURS_A_YEAR), ("+0", 0.0)];
    for (deviation, hours) in steps {
        // The clock of the leader alone.
        cluster.set_wall_clock(leader, deviation);
        wait_stamped(&cluster, leader, hours).await;
        is_not_done_again(&cluster, &answer).await;
        // A leader that was suspended returns to another one, whose clock is right until the next step.
        cluster.pause(leader);
        let other = (leader + 1) % cluster.len();
        let old = cluster.id(leader).to_owned();
        wait_for_status(&cluster, other, "another leader", |status| {
            status.quorum && status.leader_id.as_ref().is_some_and(|id| *id != old)
        });
        cluster.resume(leader);
        cluster.set_wall_clock(leader, "+0");
        leader = cluster.wait_all_healthy();
        is_not_done_again(&cluster, &answer).await;
    }
    // Every node starts with a clock that is a year ahead.
    for i in 0..cluster.len() {
        cluster.kill(i);
        cluster.set_wall_clock(i, "+1y");
    }
    cluster.start_all();
    leader = cluster.wait_all_healthy();
    wait_stamped(&cluster, leader, HOURS_A_YEAR).await;
    is_not_done_again(&cluster, &answer).await;
}

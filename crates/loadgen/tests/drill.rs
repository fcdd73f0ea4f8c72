//! Drills on real clusters, by the binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Cluster, ClusterBuilder};

fn drill(cluster: &Cluster, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["drill", "--server-list", &cluster.urls().join(","), "--output", "json"])
        // Few and patient clients: the machine may be busy with other tests.
        .args(["--num-clients", "2", "--request-timeout-ms", "60000", "--before", "500ms", "--after", "3s"])
        .args(args)
        .output()
        .unwrap()
}

fn report(cluster: &Cluster, output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{stderr}\n{}", cluster.report()));
    assert!(output.status.success(), "{report:#}\n{stderr}\n{}", cluster.report());
    report
}

#[test]
fn the_leader_is_killed_and_another_one_takes_over() {
    let cluster = ClusterBuilder::new().flags(["--enable-fault-injection"]).start();
    let leader = cluster.wait_all_healthy();
    let report = report(&cluster, &drill(&cluster, &["--kind", "crash"]));
    assert!(!cluster.node(leader).is_running());
    let step = &report["steps"][0];
    assert_eq!(
        (step["node_id"].as_str(), step["was_leader"].as_bool()),
        (Some(cluster.id(leader)), Some(true))
    );
    for moment in ["detection_ms", "election_ms", "agreed_ms", "first_write_ms"] {
        assert!(step[moment].is_number(), "{moment} in {report:#}");
    }
    assert_eq!(report["leader_before"], cluster.id(leader));
    assert_eq!(report["leader_after"], step["new_leader_id"]);
    assert_eq!((&report["requests"]["failed"], &report["writes"]["lost"]), (&0.into(), &false.into()));
    assert!(report["writes"]["acknowledged"].as_u64() > Some(0));
    let setting = cluster.get((leader + 1) % 3, "/cluster/settings/note.drill").unwrap();
    assert_eq!(setting.status, 404, "what the drill wrote is still there");
    assert_eq!(report["buckets"].as_array().unwrap().len(), 60);
}

#[test]
fn every_node_is_restarted_and_the_leader_last() {
    let cluster = ClusterBuilder::new().flags(["--enable-fault-injection"]).start();
    let leader = cluster.wait_all_healthy();
    let report = report(&cluster, &drill(&cluster, &["--kind", "rolling-restart"]));
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3, "{report:#}");
    assert_eq!(steps[2]["node_id"], cluster.id(leader));
    assert!(steps.iter().all(|step| step["well_ms"].is_number()), "{report:#}");
    for i in 0..3 {
        assert_eq!(cluster.log(i).matches("listening on http://").count(), 2);
    }
}

#[test]
fn a_cluster_that_allows_no_drills_says_how() {
    let cluster = ClusterBuilder::new().start();
    cluster.wait_all_healthy();
    let output = drill(&cluster, &["--kind", "crash"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("--enable-fault-injection"), "{stderr}");
    assert!(output.stdout.is_empty());
    cluster.wait_all_healthy();
}

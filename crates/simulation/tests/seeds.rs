//! Runs from fixed seeds.

use std::time::Duration;

use simulation::{Fault, NODES, Run, RunOptions, plan, run};

fn run_seed(seed: u64, kinds: &[Fault]) -> Run {
    let duration = Duration::from_secs(10);
    run(&RunOptions {
        seed,
        duration,
        faults: plan(seed, kinds, NODES, duration),
        #[cfg(feature = "planted")]
        mistake: None,
    })
}

#[test]
fn a_seed_gives_one_trace() {
    let first = run_seed(7, &Fault::withstood());
    assert_eq!(run_seed(7, &Fault::withstood()), first);
    assert_ne!(run_seed(8, &Fault::withstood()).hash, first.hash);
}

#[test]
fn a_cluster_without_faults_has_one_leader() {
    let calm = run_seed(1, &[]);
    assert_eq!(calm.violation, None);
    assert!(calm.operations > 10 && calm.unknown == 0 && calm.counters.leaders == 1, "{calm}");
}

/// Kills and losses of power leave nothing acknowledged undone.
#[test]
fn invariants_hold_through_crashes() {
    for seed in 1..=4 {
        let run = run_seed(seed, &[Fault::Kill, Fault::PowerLoss, Fault::PowerLossOfAll]);
        assert_eq!(run.violation, None, "seed {seed}");
        assert!(run.operations > 10, "{run}");
    }
}

/// A call that waits for a Raft which ended does not look at the clock without a pause.
#[test]
fn invariants_hold_while_syncs_fail() {
    for seed in 1..=4 {
        assert_eq!(run_seed(seed, &[Fault::FailingDisk]).violation, None, "seed {seed}");
    }
}

//! Runs from fixed seeds.

use std::time::Duration;

use simulation::{Fault, NODES, PlannedFault, Run, RunOptions, plan, run};

fn run_seed(seed: u64, kinds: &[Fault]) -> Run {
    let duration = Duration::from_secs(10);
    run_planned(seed, duration, plan(seed, kinds, NODES, duration))
}

fn run_planned(seed: u64, duration: Duration, faults: Vec<PlannedFault>) -> Run {
    run(&RunOptions {
        seed,
        duration,
        faults,
        #[cfg(feature = "planted")]
        mistake: None,
    })
}

#[test]
fn a_seed_gives_one_trace() {
    let first = run_seed(7, &Fault::ALL);
    assert_eq!(run_seed(7, &Fault::ALL), first);
    assert_ne!(run_seed(8, &Fault::ALL).hash, first.hash);
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

/// Keys are kept for a day of the catalogue's clock, however the wall clocks are set: by up to a year.
#[test]
fn keys_are_kept_while_clocks_lie() {
    let kinds = [Fault::ClockJump, Fault::Sleep, Fault::Suspend, Fault::Restart, Fault::Kill];
    for seed in 1..=4 {
        let run = run_seed(seed, &kinds);
        assert_eq!(run.violation, None, "{run}");
    }
}

/// The clock of the catalogue goes on from leader to leader.
#[test]
fn keys_are_kept_through_twenty_changes_of_the_leader() {
    let duration = Duration::from_secs(50);
    let mut faults = plan(3, &[Fault::Kill, Fault::ClockJump], NODES, 4 * duration);
    for fault in &mut faults {
        (fault.lane, fault.pause, fault.duration) =
            (0, Duration::from_millis(300), Duration::from_millis(200));
    }
    let run = run_planned(3, duration, faults);
    assert_eq!(run.violation, None, "{run}");
    assert!(run.counters.leaders > 20, "{run}");
}

/// While the machines sleep the clock goes on with the leader, and keys are forgotten after their day.
#[test]
fn keys_are_forgotten_after_a_day_with_the_same_leader() {
    let mut late = 0;
    for seed in 1..=2 {
        let duration = Duration::from_secs(20);
        let run = run_planned(seed, duration, plan(seed, &[Fault::Sleep], NODES, duration));
        assert_eq!((&run.violation, run.counters.leaders), (&None, 1), "{run}");
        assert_eq!(run.forgotten, run.late_repeats, "{run}");
        late += run.late_repeats;
    }
    assert!(late > 0, "no repeat after a day");
}

/// A directory put back from a copy is replaced before it harms anything, also beside other faults.
#[test]
fn invariants_hold_while_directories_are_put_back() {
    let mut set_aside = 0;
    for seed in 1..=4 {
        let run = run_seed(seed, &[Fault::PutBack, Fault::Kill, Fault::Isolate]);
        assert_eq!(run.violation, None, "seed {seed}");
        set_aside += run.counters.set_aside;
    }
    assert!(set_aside > 0);
}

/// A call that waits for a Raft which ended does not look at the clock without a pause.
#[test]
fn invariants_hold_while_syncs_fail() {
    for seed in 1..=4 {
        assert_eq!(run_seed(seed, &[Fault::FailingDisk]).violation, None, "seed {seed}");
    }
}

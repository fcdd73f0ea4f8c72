use super::*;

fn timing() -> Timing {
    Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout_min: Duration::from_millis(500),
        election_timeout_max: Duration::from_millis(1000),
        probe_interval: Duration::from_millis(50),
        probe_failures: 3,
    }
}

/// Four settings of openraft whose defaults would cost safety or availability, and two that are never used.
#[test]
fn openraft_is_set_up_as_measured() {
    let config =
        raft_config("phase1", &timing(), 5000, entries_kept(256 << 20)).expect("a legal configuration");
    assert_eq!(config.enable_leader_restore, Some(false), "a restarted leader would lead without a vote");
    assert_eq!(config.enable_pre_vote, Some(true), "a node that comes back would depose a live leader");
    assert_eq!(
        config.quorum_loss_probe_interval,
        Some(2000),
        "a leader without a quorum would pin its voters"
    );
    assert_eq!(
        config.backoff, "20ms 20ms 50ms ...100ms",
        "a peer that comes back would wait for up to a second"
    );
    assert_eq!(config.allow_log_reversion, None, "a log that goes back has lost what it promised");
    assert_eq!(config.max_in_snapshot_log_to_keep, ENTRIES_KEPT);
}

#[test]
fn illegal_timers_are_refused() {
    let timing = Timing { election_timeout_min: Duration::from_millis(40), ..timing() };
    assert!(raft_config("phase1", &timing, 5000, ENTRIES_KEPT).is_err());
}

#[test]
fn a_short_log_keeps_fewer_entries() {
    for (max_log_bytes, kept) in [(u64::MAX, 1000), (256 << 20, 1000), (16 << 20, 256), (1 << 20, 16)] {
        assert_eq!(entries_kept(max_log_bytes), kept, "{max_log_bytes}");
    }
}

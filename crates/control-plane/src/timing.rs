//! All timing of the crate: configured timers, intervals, deadlines, ages and backoffs.
//!
//! Every value has its unit in its type ([`Duration`]) or at the end of its name. The assertions at the end
//! state the order on which the rules rely; a value that breaks the order does not compile.

use std::time::Duration;

/// Timers of Raft and of the probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Lower bound of the election timeout. A follower becomes a candidate after the lease and a random time
    /// between the two bounds.
    pub election_timeout_min: Duration,
    /// Upper bound of the election timeout, and duration of the lease.
    pub election_timeout_max: Duration,
    /// Time between two probes of a peer, and limit on an answer.
    pub probe_interval: Duration,
    /// Unanswered probes of the leader in a row that trigger an early election; 0 disables early elections.
    pub probe_failures: u32,
}

impl Timing {
    /// Timers of a node whose configuration names none.
    pub const DEFAULT: Self = Self {
        heartbeat: Duration::from_millis(100),
        election_timeout_min: Duration::from_millis(500),
        election_timeout_max: Duration::from_millis(1000),
        probe_interval: Duration::from_millis(50),
        probe_failures: 3,
    };
}

// Probes and the status derived from them.

/// Age of the latest answer below which a node is healthy, limit on a dial for probes, and silence after
/// which a connection for probes is replaced. Ten probes at the default interval.
pub(crate) const HEALTHY_WITHIN: Duration = Duration::from_millis(500);
/// Age of the latest answer below which a report counts. Twice [`HEALTHY_WITHIN`], so that a node that has
/// just become unhealthy does not lose its role at once.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// Time for which a leader has to deny its leadership before the leader counts as deposed. Longer than the
/// first acknowledgement by a quorum takes to arrive and to be reported.
pub(crate) const DISCLAIMED_AFTER: Duration = Duration::from_millis(300);
/// Time for which a refused handshake counts: longer than the limit on a handshake, so that repeated refusals
/// leave no gap.
pub(crate) const REFUSAL_VALID_FOR: Duration = Duration::from_secs(2);
/// Pause between two immediate redials after a connection that ended before the handshake: a dying process
/// closes its port within a few milliseconds after its connections.
pub(crate) const REDIAL_AFTER: Duration = Duration::from_millis(1);
/// Time without an advance after which a node behind the leader lags. Longer than a slow flush of a disk.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(2);
/// Largest unreported difference between two clocks, in milliseconds: far beyond the offset of a machine that
/// runs NTP.
pub(crate) const MAX_CLOCK_OFFSET_MS: u64 = 2000;

// Leadership as shown.

/// Age of the latest acknowledgement by a quorum below which a leader leads. Shorter than the lease, so that
/// a leader stops to claim leadership before any other node can win an election by the timers.
pub(crate) const ACKED_WITHIN: Duration = Duration::from_millis(800);
/// Age of the latest append below which a follower names the leader.
pub(crate) const LEADER_APPEND_WITHIN: Duration = Duration::from_secs(1);
/// Time after a known leader for which the quorum counts as present: an election is not an outage.
pub(crate) const ELECTION_GRACE: Duration = Duration::from_secs(1);

// Suspicion of a leader, and early elections.

/// Time after which a blocked leader transfers leadership.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(2);
/// Time after [`STUCK_AFTER`] at which a blocked leader without a transfer counts as dead.
pub(crate) const STUCK_TRANSFER_GRACE: Duration = Duration::from_millis(500);
/// Longest silence of a leader before it is evidence, whatever was seen before.
pub(crate) const MAX_SILENCE: Duration = Duration::from_millis(900);
/// Time for which a silence that ended counts.
pub(crate) const SILENCES_KEPT_FOR: Duration = Duration::from_secs(60);
/// Time for which evidence counts without renewal. Longer than all attempts of one campaign.
pub(crate) const EVIDENCE_VALID_FOR: Duration = Duration::from_millis(500);
/// Time for which appends in flight at the leader's death may still be handled; later appends disprove the
/// death.
pub(crate) const IN_FLIGHT_APPEND_GRACE: Duration = Duration::from_millis(30);
/// Time for which one candidacy excludes competing candidacies: two rounds of votes on a fast disk.
pub(crate) const CANDIDACY_EXCLUSIVE_FOR: Duration = Duration::from_millis(80);
/// Window in which campaigns without effect are counted.
pub(crate) const FUTILE_CAMPAIGN_WINDOW: Duration = Duration::from_secs(60);
/// Head start for each node in a better position: longer than a pre-vote on a local network.
pub(crate) const CAMPAIGN_STAGGER: Duration = Duration::from_millis(15);
/// Shortest pause between two attempts on the same evidence.
pub(crate) const CAMPAIGN_RETRY_AFTER: Duration = Duration::from_millis(25);
/// Increase of [`CAMPAIGN_RETRY_AFTER`] for each node in a better position.
pub(crate) const CAMPAIGN_RETRY_STAGGER: Duration = Duration::from_millis(10);
/// Largest random part of the pause between two attempts.
pub(crate) const CAMPAIGN_RETRY_JITTER: Duration = Duration::from_millis(5);
/// Base pause before an attempt while no leader exists and no vote moves.
pub(crate) const LEADERLESS_AFTER: Duration = Duration::from_millis(60);
/// Increase of [`LEADERLESS_AFTER`] with each attempt.
pub(crate) const LEADERLESS_STEP: Duration = Duration::from_millis(10);
/// Increase of [`LEADERLESS_AFTER`] for each node in a better position.
pub(crate) const LEADERLESS_STAGGER: Duration = Duration::from_millis(40);
/// Largest random part of the pause without a leader: splits a tie.
pub(crate) const LEADERLESS_JITTER: Duration = Duration::from_millis(20);
/// Upper bound on a flush of the disk that is added to the pause without a leader.
pub(crate) const LEADERLESS_MAX_FLUSH: Duration = Duration::from_millis(150);
/// Time for which a request for a vote waits for the voter's own evidence. All nodes probe on the same grid,
/// so that evidence arrives within half an interval.
pub(crate) const VOTE_WAITS_FOR_EVIDENCE: Duration = Duration::from_millis(25);
/// Longest pause between two checks for evidence, or for a reopened Raft: every change wakes the task.
pub(crate) const ELECTION_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after the end of a Raft, which reports no more changes.
pub(crate) const ENDED_RAFT_CHECK_AFTER: Duration = Duration::from_millis(50);
/// Pause between two checks while another node campaigns.
pub(crate) const COMPETING_CAMPAIGN_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two liveness checks of a leader's Raft.
pub(crate) const LIVENESS_CHECK_INTERVAL: Duration = Duration::from_millis(250);

// Leadership transfers.

/// Limit on the start of the target's candidacy: a transfer without a candidacy by then has failed.
pub(crate) const TRANSFER_BEGINS_WITHIN: Duration = Duration::from_millis(300);
/// Limit on the wait for news of the new leader: a vote on a slow disk, and the first acknowledgement.
pub(crate) const TRANSFER_HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two checks of the progress of a transfer.
pub(crate) const TRANSFER_CHECK_INTERVAL: Duration = Duration::from_millis(2);
/// Limit on the transfer before a stop: two successors may fail.
pub(crate) const TRANSFER_BEFORE_STOP_WITHIN: Duration = Duration::from_secs(6);
/// Pause between two checks for a blocked Raft or disk.
pub(crate) const STUCK_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Pause after a failed transfer of a blocked leader.
pub(crate) const STUCK_TRANSFER_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Pause between two transfers of a leader with a full disk.
pub(crate) const FULL_DISK_TRANSFER_INTERVAL: Duration = Duration::from_secs(5);

// Reads and writes.

/// Longest pause between two attempts; a changed vote or leader ends the pause early.
pub(crate) const CALL_RETRY_AFTER: Duration = Duration::from_millis(20);
/// Longest pause during an election. A leader counts only after an acknowledgement by a quorum, which changes
/// no watched metric.
pub(crate) const CALL_RETRY_DURING_ELECTION: Duration = Duration::from_millis(3);
/// Limit on one attempt with a leader; the next attempt asks the leader known by then.
pub(crate) const CALL_ATTEMPT_WITHIN: Duration = Duration::from_secs(2);
/// Upper bound on the time limit named in a call of another node.
pub(crate) const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Retention of the outcome under a client's key, in milliseconds of the catalogue's clock. Part of the
/// replicated state machine: every release decides alike.
pub const KEEP_CLIENT_KEYS_MS: u64 = 24 * 60 * 60 * 1000;
/// Retention of the outcome under a minted key, in milliseconds: only the minting node can repeat the
/// request, within the deadline. Part of the replicated state machine.
pub const KEEP_MINTED_KEYS_MS: u64 = 10 * 60 * 1000;

// The catalogue's clock.

/// Time without a command after which the leader proposes a tick. A change of leaders loses as much of the
/// clock at most.
pub(crate) const TICK_AFTER: Duration = Duration::from_secs(600);
/// Pause between two checks for a due tick.
pub(crate) const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two ticks while expired keys are left, which a tick removes a bounded number of.
pub(crate) const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// Limit on one tick before the next check.
pub(crate) const TICKED_WITHIN: Duration = Duration::from_secs(5);

// Replication and snapshots.

/// Limit on a peer's durable append of entries: openraft's own limit is made for heartbeats.
pub(crate) const APPEND_DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// Limit on Raft's answer to an append or a vote: the caller gives up earlier.
pub(crate) const RAFT_ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// openraft's pauses after an unreachable peer: a returning peer is found within a tenth of a second.
pub(crate) const REPLICATION_BACKOFF: &str = "20ms 20ms 50ms ...100ms";
/// Limit on the dial for a snapshot, and on the transfer of each chunk: 100 KiB/s suffice.
pub(crate) const SNAPSHOT_CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// Limit on a peer's verification and installation of a complete snapshot.
pub(crate) const SNAPSHOT_INSTALL_WITHIN: Duration = Duration::from_secs(120);
/// Pause after a failed snapshot transfer. Without the pause the leader would send the snapshot ten times a
/// second to a peer short of disk space.
pub(crate) const SNAPSHOT_TRANSFER_RETRY_AFTER: Duration = Duration::from_secs(1);

// Joining, membership and formats.

/// Time without an answer from a cluster member after which the first configured node founds a cluster.
pub(crate) const FOUND_AFTER: Duration = Duration::from_millis(700);
/// Longest wait of a started node for its peers' word about its data directory.
pub(crate) const VERIFIED_WITHIN: Duration = Duration::from_millis(700);
/// Time for which a directory that went back in time takes no part before it is replaced: what a leader
/// reports afterwards rests on the others alone.
pub(crate) const EXCLUDED_BEFORE_REPLACED: Duration = Duration::from_secs(1);
/// Pause between two checks whether a directory may be replaced.
pub(crate) const REPLACEMENT_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Pause after a directory could not be set aside.
pub(crate) const SET_ASIDE_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Pause between two checks of a node without a cluster: one probe at the default interval.
pub(crate) const JOIN_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Pause between two attempts to join, and between two checks of a member.
pub(crate) const JOIN_RETRY_AFTER: Duration = Duration::from_millis(250);
/// Limit on the leader's answer to a request to join, and on each step of the admission.
pub(crate) const JOIN_WITHIN: Duration = Duration::from_secs(5);
/// Time after the start before which the condition for joining is not logged: most starts need no word.
pub(crate) const WAITING_LOGGED_AFTER: Duration = Duration::from_secs(3);
/// Longest pause between two checks of the membership.
pub(crate) const MEMBERSHIP_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Limit on one change of the membership before the next check.
pub(crate) const MEMBERSHIP_CHANGE_WITHIN: Duration = Duration::from_secs(10);
/// Longest pause between two checks of the format versions.
pub(crate) const FORMAT_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Limit on one announcement before the next check.
pub(crate) const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);
/// Limit on an activation. Long, since no joining node may overtake a pending activation, and without a
/// quorum no node joins.
pub(crate) const ACTIVATED_WITHIN: Duration = Duration::from_secs(600);

// Events.

/// Longest pause between two checks for changes. Some changes come with time alone, such as the age of an
/// acknowledgement, and wake no task.
pub(crate) const CHANGE_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Pause after a moved vote: a leader counts only after an acknowledgement by a quorum, which wakes no task.
pub(crate) const CHANGE_CHECK_SOON: Duration = Duration::from_millis(2);

// Storage and threads.

/// Limit on the wait for the storage at the start: a disk that hangs must not keep a node from serving
/// images.
pub(crate) const STORAGE_OPEN_WITHIN: Duration = Duration::from_secs(10);
/// First and longest pause between two attempts to reopen a failed storage.
pub(crate) const STORAGE_REOPEN_BACKOFF: (Duration, Duration) =
    (Duration::from_millis(500), Duration::from_secs(10));
/// Limit on closing the storage: a disk that hangs must not keep a node from ending.
pub(crate) const STORAGE_CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Limit on the time of tasks after the stop.
pub(crate) const TASKS_END_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two measurements of the disk space while nothing is written.
pub(crate) const DISK_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Time without a write after which the disk is tested by a trial write. Equal to [`STUCK_AFTER`], so that an
/// idle disk that hangs is reported as soon as a busy one.
pub(crate) const TRIAL_WRITE_AFTER: Duration = Duration::from_secs(2);
/// First and longest pause after a failed snapshot.
pub(crate) const SNAPSHOT_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

// Connections.

/// Limit from a connection to the first byte. A dialer sends the first message at once.
pub(crate) const FIRST_BYTE_WITHIN: Duration = Duration::from_millis(250);
/// Limit on a handshake.
pub(crate) const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// Limit on a dial for calls, independent of the waiting caller.
pub(crate) const DIAL_WITHIN: Duration = Duration::from_secs(3);
/// Limit from the first byte of a frame to the last.
pub(crate) const FRAME_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept, mostly for lack of file descriptors.
pub(crate) const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);
/// Shortest time between two log lines about refused connections.
pub(crate) const REFUSED_CONNECTION_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Silence on a connection before the first keepalive probe.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two keepalive probes.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two lookups of a host name without failures.
pub(crate) const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two lookups of a host name, however many dials fail.
pub(crate) const MIN_LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// True if `earlier` is shorter than `later`.
pub(crate) const fn is_before(earlier: Duration, later: Duration) -> bool {
    earlier.as_nanos() < later.as_nanos()
}

const _: () = {
    let Timing {
        heartbeat,
        election_timeout_min,
        election_timeout_max: lease,
        probe_interval,
        probe_failures,
    } = Timing::DEFAULT;
    let silence = Duration::from_millis(probe_interval.as_millis() as u64 * probe_failures as u64);
    // Evidence by probes, then ill health, then the lease, then the timers.
    assert!(is_before(silence, HEALTHY_WITHIN));
    assert!(is_before(silence, MAX_SILENCE));
    assert!(is_before(MAX_SILENCE, lease));
    assert!(is_before(HEALTHY_WITHIN, lease));
    assert!(is_before(HEALTHY_WITHIN, HEARD_WITHIN));
    assert!(!is_before(lease, election_timeout_min));
    // A few lost heartbeats end no leadership.
    assert!(4 * heartbeat.as_millis() < ACKED_WITHIN.as_millis());
    // A leader gives up its claim before its followers do, and before another node can be elected.
    assert!(is_before(ACKED_WITHIN, LEADER_APPEND_WITHIN));
    assert!(is_before(ACKED_WITHIN, lease));
    assert!(!is_before(lease, LEADER_APPEND_WITHIN));
    assert!(is_before(DISCLAIMED_AFTER, LEADER_APPEND_WITHIN));
    // The evidence of two voters on the same grid of probes meets in time.
    assert!(is_before(VOTE_WAITS_FOR_EVIDENCE, probe_interval));
    assert!(is_before(IN_FLIGHT_APPEND_GRACE, probe_interval));
    assert!(is_before(CANDIDACY_EXCLUSIVE_FOR, EVIDENCE_VALID_FOR));
    assert!(is_before(EVIDENCE_VALID_FOR, lease));
    // A blocked leader is checked, then transfers leadership, then counts as dead.
    assert!(is_before(LIVENESS_CHECK_INTERVAL, STUCK_AFTER));
    assert!(is_before(STUCK_CHECK_INTERVAL, STUCK_TRANSFER_GRACE));
    assert!(is_before(TRANSFER_CHECK_INTERVAL, TRANSFER_BEGINS_WITHIN));
    assert!(is_before(TRANSFER_BEGINS_WITHIN, STUCK_TRANSFER_GRACE));
    let transfer_ms = TRANSFER_BEGINS_WITHIN.as_millis() + TRANSFER_HEARD_WITHIN.as_millis();
    assert!(2 * transfer_ms < TRANSFER_BEFORE_STOP_WITHIN.as_millis());
    // Every peer had the time of a dial to name its cluster before one is founded.
    assert!(is_before(HEALTHY_WITHIN, FOUND_AFTER));
    assert!(is_before(HEALTHY_WITHIN, VERIFIED_WITHIN));
    assert!(is_before(ACKED_WITHIN, EXCLUDED_BEFORE_REPLACED));
    assert!(is_before(JOIN_CHECK_INTERVAL, JOIN_RETRY_AFTER));
};

const _: () = {
    // The answer is given up after its caller, a command is forgotten long after its last attempt.
    assert!(is_before(APPEND_DURABLE_WITHIN, RAFT_ANSWER_WITHIN));
    assert!(is_before(CALL_RETRY_DURING_ELECTION, CALL_RETRY_AFTER));
    assert!(is_before(CALL_RETRY_AFTER, CALL_ATTEMPT_WITHIN));
    assert!(is_before(CALL_ATTEMPT_WITHIN, MAX_CALL_TIMEOUT));
    assert!(MAX_CALL_TIMEOUT.as_millis() < KEEP_MINTED_KEYS_MS as u128);
    assert!(KEEP_MINTED_KEYS_MS < KEEP_CLIENT_KEYS_MS);
    // Keys are forgotten within a fraction of their time.
    assert!(TICK_AFTER.as_millis() * 100 <= KEEP_CLIENT_KEYS_MS as u128);
    assert!(is_before(CLOCK_CHECK_INTERVAL, TICK_AFTER));
    assert!(is_before(EXPIRY_INTERVAL, CLOCK_CHECK_INTERVAL));
    // Connections: first byte, handshake, dial.
    assert!(is_before(FIRST_BYTE_WITHIN, HANDSHAKE_WITHIN));
    assert!(is_before(HANDSHAKE_WITHIN, DIAL_WITHIN));
    assert!(!is_before(REFUSAL_VALID_FOR, HANDSHAKE_WITHIN));
    assert!(is_before(MIN_LOOKUP_INTERVAL, LOOKUP_INTERVAL));
    // Disks: measured often, tested rarely, and reported when idle as when busy.
    assert!(is_before(DISK_CHECK_INTERVAL, TRIAL_WRITE_AFTER));
    assert!(!is_before(STUCK_AFTER, TRIAL_WRITE_AFTER));
    assert!(is_before(STORAGE_REOPEN_BACKOFF.0, STORAGE_REOPEN_BACKOFF.1));
    assert!(is_before(SNAPSHOT_BACKOFF.0, SNAPSHOT_BACKOFF.1));
    assert!(is_before(SNAPSHOT_CHUNK_WITHIN, SNAPSHOT_INSTALL_WITHIN));
    assert!(is_before(CHANGE_CHECK_SOON, CHANGE_CHECK_INTERVAL));
};

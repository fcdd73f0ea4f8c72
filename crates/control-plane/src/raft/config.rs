//! Configuration of openraft.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::timing::{REPLICATION_BACKOFF, Timing};

/// Entries kept in the log after a snapshot, for followers slightly behind.
const ENTRIES_KEPT: u64 = 1000;
/// Upper estimate of the length of an entry.
const ENTRY_BYTES: u64 = 8 << 10;
/// Limit on the entries of one append, so that an append fits into a frame by far.
const MAX_ENTRIES_PER_APPEND: u64 = 128;

/// Returns the number of entries kept after a snapshot: at most an eighth of the log's limit.
pub(crate) fn entries_kept(max_log_bytes: u64) -> u64 {
    ENTRIES_KEPT.min(max_log_bytes / 8 / ENTRY_BYTES)
}

/// Returns the configuration of openraft. A test pins the values that must not keep their defaults.
pub(crate) fn raft_config(
    cluster_name: &str,
    timing: &Timing,
    snapshot_every: u64,
    entries_kept: u64,
) -> Result<Config, openraft::ConfigError> {
    let ms = |duration: Duration| duration.as_millis() as u64;
    let lease_ms = ms(timing.election_timeout_max);
    Config {
        cluster_name: cluster_name.to_owned(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_timeout_min),
        election_timeout_max: lease_ms,
        // A deposed leader does not disturb the cluster; after a restart no node leads without a vote.
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        // Without a probe, a leader that lost its quorum pins the voters within reach. The value is the
        // smallest allowed.
        quorum_loss_probe_interval: Some(2 * lease_ms),
        backoff: REPLICATION_BACKOFF.to_owned(),
        max_payload_entries: MAX_ENTRIES_PER_APPEND,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: entries_kept,
        ..Config::default()
    }
    .validate()
}

#[cfg(test)]
mod tests;

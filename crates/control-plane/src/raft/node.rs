//! A running Raft and its storage.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Raft, RaftMetrics};

use super::config::entries_kept;
use super::directories::Directories;
use crate::format::NeedsRelease;
use crate::ids::RaftId;
use crate::message::Divergence;
use crate::storage::{DiskSpace, LogStore, Shortage, StateMachine, StateView};
use crate::types::{LogId, TypeConfig, Vote};
use crate::verification::Verification;
use crate::world::clock;
use crate::world::task;

/// A running Raft.
pub(crate) struct Node {
    pub raft: Raft<TypeConfig, StateMachine>,
    /// Applied state.
    pub state: StateView,
    /// Log, for its figures.
    pub log: LogStore,
    /// Disk space.
    pub disk: Arc<DiskSpace>,
    /// Data directories of the peers.
    pub directories: Arc<Directories>,
    /// Wait for the peers' word about the local directory.
    pub verification: Verification,
    /// True once the local directory is known to have lost votes or entries, or the history to differ.
    excluded: AtomicBool,
    /// Contradiction between a leader's entries and the local committed ones.
    contradiction: OnceLock<Divergence>,
    opened: Instant,
    /// Time at which an append of the leader was last taken.
    appended: AtomicInstant,
    /// Time at which an append of the leader of the current vote last arrived.
    heard: AtomicInstant,
    /// Start of the pending liveness check of Raft; none while no check is pending.
    asked: AtomicInstant,
}

/// Point in time, or none.
#[derive(Default)]
struct AtomicInstant(AtomicU64);

impl AtomicInstant {
    fn set(&self, since_opened: Duration) {
        self.0.store(since_opened.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    /// Sets the moment, unless the present one is later.
    fn set_later(&self, since_opened: Duration) {
        self.0.fetch_max(since_opened.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn since_opened(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }
}

impl Node {
    /// Wraps a Raft that has just started.
    pub(crate) fn new(
        raft: Raft<TypeConfig, StateMachine>,
        state: StateView,
        log: LogStore,
        disk: Arc<DiskSpace>,
        directories: Arc<Directories>,
        verification: Verification,
    ) -> Self {
        let (appended, heard, asked) = Default::default();
        let (opened, excluded, contradiction) = (clock::now(), AtomicBool::new(false), OnceLock::new());
        Self {
            raft,
            state,
            log,
            disk,
            directories,
            verification,
            excluded,
            contradiction,
            opened,
            appended,
            heard,
            asked,
        }
    }

    /// True if the node may vote, stand for election and acknowledge.
    pub(crate) fn may_promise(&self) -> bool {
        !self.excluded.load(Ordering::Relaxed) && self.verification.is_done(clock::now())
    }

    /// Records that a leader's entry contradicts a local committed one.
    pub(crate) fn note_contradiction(&self, divergence: Divergence) {
        // The first one is known best: the leader goes back from there.
        let _ = self.contradiction.set(divergence);
    }

    /// Returns a contradiction between a leader's entries and the local committed ones.
    pub(crate) fn contradiction(&self) -> Option<Divergence> {
        self.contradiction.get().copied()
    }

    /// Takes the node out of the cluster: from now on it promises nothing, and Raft ends. False if the node
    /// was taken out before.
    pub(crate) fn exclude(&self) -> bool {
        !self.excluded.swap(true, Ordering::Relaxed)
    }

    /// Returns a copy of Raft's metrics: a borrowed view would stop Raft.
    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        self.raft.metrics().borrow_watched().clone()
    }

    /// Ends Raft, since only another release reads the committed entries.
    pub(crate) fn stop_for(&self, needed: &NeedsRelease) {
        self.state.note_needed(needed);
        let raft = self.raft.clone();
        // The supervisor observes the end and does the rest.
        task::spawn(async move { raft.shutdown().await });
    }

    /// Records that an append of the leader that arrived at `arrived` was taken, heartbeats included. The
    /// disk may have taken long: the append says nothing about the leader since it arrived.
    pub(crate) fn note_append(&self, arrived: Instant) {
        self.appended.set_later(arrived.saturating_duration_since(self.opened));
    }

    /// Returns the time since the arrival of the latest append of the leader that was taken.
    pub(crate) fn append_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.appended, now)
    }

    /// Records the arrival of an append under `vote`, before any processing. True if the vote is the current
    /// leader's.
    pub(crate) fn note_arrival(&self, vote: &Vote) -> bool {
        let is_leaders = *vote == self.vote();
        if is_leaders {
            self.heard.set(clock::since(self.opened));
        }
        is_leaders
    }

    /// Returns the time since an append of the leader last arrived, whether or not the append is on disk.
    pub(crate) fn heard_age(&self, now: Instant) -> Option<Duration> {
        self.age(&self.heard, now)
    }

    /// Checks the liveness of Raft: the check is pending until Raft answers.
    pub(crate) async fn check_liveness(&self) {
        self.asked.set(clock::since(self.opened));
        // After an error Raft has ended, and no answer is awaited any more.
        let _ = self.raft.with_raft_state(|_| ()).await;
        self.asked.clear();
    }

    /// Returns the reason to refuse clients' writes for lack of disk space. From memory.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.disk.admit(self.log.bytes()).err()
    }

    /// True if the log has reached half its limit in bytes, and a snapshot would shorten the log: long
    /// entries reach the limit before their number triggers a snapshot.
    pub(crate) fn log_needs_snapshot(&self) -> bool {
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let metrics = self.metrics();
        let since_snapshot = index(metrics.last_applied).saturating_sub(index(metrics.snapshot));
        let max_bytes = self.disk.max_log_bytes();
        self.log.bytes() > max_bytes / 2 && since_snapshot > entries_kept(max_bytes)
    }

    /// Returns the time for which Raft or the disk has been blocked.
    pub(crate) fn stuck(&self, now: Instant) -> Duration {
        let raft = self.age(&self.asked, now).unwrap_or_default();
        raft.max(self.log.oldest_unfinished().unwrap_or_default())
    }

    fn age(&self, mark: &AtomicInstant, now: Instant) -> Option<Duration> {
        mark.since_opened().map(|at| now.saturating_duration_since(self.opened + at))
    }

    /// True once an entry of `term` is applied, and with it everything committed by earlier leaders.
    pub(crate) fn has_applied_term(&self, term: u64) -> bool {
        self.state.last_applied().is_some_and(|id| id.leader_id.term == term)
    }

    /// Returns the id of the last log entry.
    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
    }

    /// Returns a receiver of later changes to vote, role, leader or membership.
    pub(crate) fn watch(&self) -> WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>> {
        let mut metrics = self.raft.server_metrics();
        // A fresh receiver of openraft counts the present value as unseen.
        drop(metrics.borrow_and_update());
        metrics
    }

    /// Returns the vote stored by the node.
    pub(crate) fn vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    /// Returns the id of the committed leader, according to the stored vote.
    pub(crate) fn voted_leader(&self) -> Option<RaftId> {
        self.raft.server_metrics().borrow_watched().current_leader
    }
}

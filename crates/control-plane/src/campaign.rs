//! Early candidacies, and admission of requests for a vote. Pure: time is an argument.
//!
//! Evidence against the leader ([`crate::detector`]) is held for a while and renewed as long as the cause
//! lasts. A node with evidence becomes a candidate, the nodes with the longest log first, and admits requests
//! of other candidates. A node without evidence refuses: openraft never takes back a lease that was given up,
//! so requests are admitted before they reach Raft. To refuse a vote is always safe.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::detector::Evidence;
use crate::ids::RaftId;
use crate::planted::{Mistake, is_planted};
use crate::timing::{
    CAMPAIGN_RETRY_AFTER, CAMPAIGN_RETRY_JITTER, CAMPAIGN_RETRY_STAGGER, CAMPAIGN_STAGGER,
    CANDIDACY_EXCLUSIVE_FOR, EVIDENCE_VALID_FOR, FUTILE_CAMPAIGN_WINDOW, IN_FLIGHT_APPEND_GRACE,
    LEADERLESS_AFTER, LEADERLESS_JITTER, LEADERLESS_MAX_FLUSH, LEADERLESS_STAGGER, LEADERLESS_STEP,
};
use crate::types::{LogId, Vote};

/// Limit on campaigns without effect within [`FUTILE_CAMPAIGN_WINDOW`]; at the limit, Raft's timers decide
/// alone.
pub(crate) const MAX_FUTILE: usize = 5;
/// Limit on the attempts on the same evidence.
pub(crate) const MAX_ATTEMPTS: u32 = 6;
/// Flushes of the disk that are added to the pause, for votes on a slow disk.
const LEADERLESS_FLUSHES: u32 = 3;
/// Limit on the attempts without a leader.
pub(crate) const MAX_LEADERLESS_ATTEMPTS: u32 = 11;

/// Knowledge of one node about candidacies, its own and those of peers.
#[derive(Debug, Default)]
pub(crate) struct Campaigns {
    held: Option<HeldEvidence>,
    own_at: Option<Instant>,
    peer_at: Option<Instant>,
    futile: VecDeque<(Instant, HeldEvidence)>,
}

/// Evidence against the leader of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldEvidence {
    /// Vote of the leader.
    pub vote: Vote,
    /// Kind of the evidence.
    pub evidence: Evidence,
    /// Time of the latest renewal.
    pub at: Instant,
}

/// Facts about a request for a vote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestFacts {
    /// True if the request is for a pre-vote.
    pub pre_vote: bool,
    /// True if the leader itself requests a transfer.
    pub transfer: bool,
    /// Last log id and Raft id of the candidate.
    pub from: (Option<LogId>, RaftId),
    /// Last log id and Raft id of the local node.
    pub me: (Option<LogId>, RaftId),
    /// Vote of the leader that the local node follows, or of the local node as the leader.
    pub led_by: Option<Vote>,
    /// Time since the leader was heard.
    pub heard_ago: Option<Duration>,
    /// Time for which the votes of a node belong to a leader that was heard.
    pub lease: Duration,
}

/// Decision on a request for a vote, before Raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoteAdmission {
    /// Raft decides.
    Admit,
    /// The request is refused.
    Refuse,
    /// The request is refused unless evidence arrives: the candidate has evidence, and the local node may be
    /// about to.
    AwaitEvidence,
}

impl Campaigns {
    /// Records evidence against the leader of `vote`. True if there was none before.
    pub(crate) fn record_evidence(&mut self, vote: Vote, evidence: Evidence, now: Instant) -> bool {
        debug_assert!(vote.is_committed(), "evidence is held against an elected leader");
        let held = self.evidence_against(vote, now).is_some();
        self.held = Some(HeldEvidence { vote, evidence, at: now });
        !held
    }

    /// Records an append of the leader, which disproves evidence. An append may have been in flight when the
    /// leader died, which does not disprove a closed port. A blocked leader appends for ever, so evidence of
    /// the kind stuck remains.
    pub(crate) fn append(&mut self, now: Instant) {
        self.held = self.held.filter(|held| match held.evidence {
            Evidence::Stuck => true,
            Evidence::Unanswered => false,
            Evidence::Refused | Evidence::Drill => {
                now.saturating_duration_since(held.at) <= IN_FLIGHT_APPEND_GRACE
            }
        });
    }

    /// Records an answer of a node, which disproves that the node leaves probes unanswered.
    pub(crate) fn answer(&mut self, from: RaftId) {
        self.held = self
            .held
            .filter(|held| held.evidence != Evidence::Unanswered || held.vote.leader_id.voted_for != from);
    }

    /// Returns the evidence against the leader of `vote`, while valid.
    pub(crate) fn evidence_against(&self, vote: Vote, now: Instant) -> Option<HeldEvidence> {
        let held = if is_planted(Mistake::StaleEvidence) {
            self.held.map(|held| HeldEvidence { vote, ..held })
        } else {
            self.held.filter(|held| held.vote == vote)
        };
        held.filter(|held| now.saturating_duration_since(held.at) < EVIDENCE_VALID_FOR)
    }

    /// Decides whether a request reaches Raft.
    pub(crate) fn admit(&mut self, asked: &RequestFacts, now: Instant) -> VoteAdmission {
        if asked.transfer {
            return VoteAdmission::Admit;
        }
        if let Some(vote) = asked.led_by
            && !is_planted(Mistake::NoGate)
        {
            // Raft's own lease may have been given up on evidence that was disproved since.
            let alive = asked.heard_ago.is_some_and(|ago| ago < asked.lease);
            if alive && self.evidence_against(vote, now).is_none() {
                return if asked.pre_vote { VoteAdmission::AwaitEvidence } else { VoteAdmission::Refuse };
            }
        }
        if asked.pre_vote && asked.from < asked.me && is_recent(self.own_at, now) {
            return VoteAdmission::Refuse;
        }
        if asked.from.0 >= asked.me.0 {
            self.peer_at = Some(now);
        }
        VoteAdmission::Admit
    }

    /// True while campaigns on this evidence are permitted.
    pub(crate) fn may_begin(&self, held: &HeldEvidence, now: Instant) -> bool {
        self.count_futile(held, now) < MAX_FUTILE
    }

    /// Records a campaign on evidence without effect. True if the limit is reached.
    pub(crate) fn was_futile(&mut self, held: &HeldEvidence, now: Instant) -> bool {
        if self.futile.len() == 2 * MAX_FUTILE {
            self.futile.pop_front();
        }
        self.futile.push_back((now, *held));
        self.count_futile(held, now) >= MAX_FUTILE
    }

    /// Counts the recent campaigns without effect that speak against another one. A closed port is no guess:
    /// only campaigns on a closed port of the same leader do.
    fn count_futile(&self, held: &HeldEvidence, now: Instant) -> usize {
        let counts = |(at, earlier): &&(Instant, HeldEvidence)| {
            let is_recent = now.saturating_duration_since(*at) < FUTILE_CAMPAIGN_WINDOW;
            is_recent
                && (held.evidence != Evidence::Refused
                    || (earlier.evidence, earlier.vote) == (held.evidence, held.vote))
        };
        self.futile.iter().filter(counts).count()
    }

    /// Begins an attempt of the local node. False while a peer's candidacy excludes the attempt.
    pub(crate) fn begin_attempt(&mut self, now: Instant) -> bool {
        if is_recent(self.peer_at, now) {
            return false;
        }
        self.own_at = Some(now);
        true
    }
}

fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < CANDIDACY_EXCLUSIVE_FOR)
}

/// Returns the wait before the first attempt on evidence, for a node with `rank` nodes in a better position.
pub(crate) fn head_start(rank: u32) -> Duration {
    CAMPAIGN_STAGGER * rank
}

/// Returns the wait for an attempt on evidence to succeed. `chance` is between 0 and 1.
pub(crate) fn retry_after(rank: u32, chance: f64) -> Duration {
    debug_assert!((0.0..=1.0).contains(&chance));
    CAMPAIGN_RETRY_AFTER + CAMPAIGN_RETRY_STAGGER * rank + CAMPAIGN_RETRY_JITTER.mul_f64(chance)
}

/// Returns the wait for a leader before attempt `attempt`, counted from 0, on a disk with recent flushes of
/// up to `worst_flush`: the next attempt must not cut off a running election. `chance` is between 0 and 1.
pub(crate) fn leaderless_after(
    attempt: u32,
    rank: u32,
    worst_flush: Option<Duration>,
    chance: f64,
) -> Duration {
    debug_assert!((0.0..=1.0).contains(&chance));
    let steps = LEADERLESS_STEP * attempt + LEADERLESS_STAGGER * rank;
    let flushes = LEADERLESS_FLUSHES * worst_flush.unwrap_or_default().min(LEADERLESS_MAX_FLUSH);
    LEADERLESS_AFTER + steps + flushes + LEADERLESS_JITTER.mul_f64(chance)
}

#[cfg(test)]
mod tests;

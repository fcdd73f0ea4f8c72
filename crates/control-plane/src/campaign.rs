//! When a node stands for election before its timers say so, and whose request for a vote it listens to. Pure: time is an
//! argument.
//!
//! Evidence against the leader ([`crate::detector`]) is held for a while and renewed as long as it lasts. A node that
//! holds it stands for election, those with the longest log first, and listens to others who do. A node that holds none
//! refuses to help: openraft never takes back a lease that was given up, so this gate stands before it. To refuse a vote is
//! always safe.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::detector::Evidence;
use crate::types::{LogId, RaftId, Vote};

/// For how long evidence counts if it is not renewed.
pub(crate) const HELD_FOR: Duration = Duration::from_millis(500);
/// Appends that were under way when the leader died may still be handled for this time; later ones disprove its death.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// A leader whose last append is younger is taken for alive where there is no evidence.
const ALIVE_WITHIN: Duration = Duration::from_millis(300);
/// For so long one campaign has the field to itself.
const CAMPAIGN_FOR: Duration = Duration::from_millis(80);
/// Campaigns on evidence that came to nothing, at most in [`FUTILE_WITHIN`]: then the timers decide alone.
const MAX_FUTILE: usize = 5;
const FUTILE_WITHIN: Duration = Duration::from_secs(60);
/// The head start of each better placed node.
const STAGGER: Duration = Duration::from_millis(15);
/// Between two attempts on the same evidence, at least; the lower placed wait longer.
const RETRY_AFTER: Duration = Duration::from_millis(25);
const RETRY_STAGGER: Duration = Duration::from_millis(10);
/// Attempts on the same evidence.
pub(crate) const MAX_ATTEMPTS: u32 = 6;
/// Without a leader and while no vote moves, an election is tried again after this time, ...
const LEADERLESS_AFTER: Duration = Duration::from_millis(60);
/// ... longer each time, ...
const LEADERLESS_STEP: Duration = Duration::from_millis(10);
/// ... and longer for those with a shorter log, ...
const LEADERLESS_STAGGER: Duration = Duration::from_millis(40);
/// ... and by what votes take on a slow disk, ...
const LEADERLESS_FLUSHES: u32 = 3;
const MAX_FLUSH: Duration = Duration::from_millis(150);
/// ... so often at most.
pub(crate) const MAX_LEADERLESS_ATTEMPTS: u32 = 11;

/// What one node knows of elections, its own and those of others.
#[derive(Debug, Default)]
pub(crate) struct Campaigns {
    held: Option<Held>,
    own_at: Option<Instant>,
    peer_at: Option<Instant>,
    futile: VecDeque<Instant>,
}

/// Evidence against the leader of a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// The leader's vote.
    pub vote: Vote,
    /// Why.
    pub evidence: Evidence,
    /// When it was last renewed.
    pub at: Instant,
}

/// A request for a vote, as the gate sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Whether it is only asked whether this node would.
    pub pre_vote: bool,
    /// Whether the leader itself wants it.
    pub transfer: bool,
    /// Who asks, and how far its log is.
    pub from: (Option<LogId>, RaftId),
    /// This node.
    pub me: (Option<LogId>, RaftId),
    /// The vote of the leader that this node follows or is.
    pub led_by: Option<Vote>,
    /// How long ago that leader was heard.
    pub heard_ago: Option<Duration>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Raft decides.
    Open,
    /// Refused.
    Shut,
    /// Refused, unless evidence arrives: whoever asks has some, and this node may be about to.
    Wait,
}

impl Campaigns {
    /// There is evidence against the leader of `vote`. Whether that is news.
    pub(crate) fn hold(&mut self, vote: Vote, evidence: Evidence, now: Instant) -> bool {
        let held = self.held(vote, now).is_some();
        self.held = Some(Held { vote, evidence, at: now });
        !held
    }

    /// The leader appended: it lives, unless it had sent that before. One that is stuck appends for ever.
    pub(crate) fn append(&mut self, now: Instant) {
        self.held = self.held.filter(|held| {
            held.evidence == Evidence::Stuck || now.saturating_duration_since(held.at) <= LAST_WORDS
        });
    }

    /// The evidence against the leader of `vote`, while it counts.
    pub(crate) fn held(&self, vote: Vote, now: Instant) -> Option<Held> {
        self.held.filter(|held| held.vote == vote && now.saturating_duration_since(held.at) < HELD_FOR)
    }

    /// Whether to let Raft decide on a request.
    pub(crate) fn gate(&mut self, asked: &Asked, now: Instant) -> Gate {
        if asked.transfer {
            return Gate::Open;
        }
        if let Some(vote) = asked.led_by {
            let alive = asked.heard_ago.is_some_and(|ago| ago < ALIVE_WITHIN);
            if alive && self.held(vote, now).is_none() {
                return if asked.pre_vote { Gate::Wait } else { Gate::Shut };
            }
        }
        if asked.pre_vote && asked.from < asked.me && is_recent(self.own_at, now) {
            return Gate::Shut;
        }
        if asked.from.0 >= asked.me.0 {
            self.peer_at = Some(now);
        }
        Gate::Open
    }

    /// Whether campaigns on evidence are still tried.
    pub(crate) fn may_begin(&mut self, now: Instant) -> bool {
        while self.futile.front().is_some_and(|at| now.saturating_duration_since(*at) >= FUTILE_WITHIN) {
            self.futile.pop_front();
        }
        self.futile.len() < MAX_FUTILE
    }

    /// A campaign on evidence moved no vote. Whether it was the last for a while.
    pub(crate) fn was_futile(&mut self, now: Instant) -> bool {
        self.futile.push_back(now);
        if self.futile.len() > MAX_FUTILE {
            self.futile.pop_front();
        }
        self.futile.len() == MAX_FUTILE
    }

    /// Begins an attempt of this node's own, unless another node's has the field.
    pub(crate) fn stand(&mut self, now: Instant) -> bool {
        if is_recent(self.peer_at, now) {
            return false;
        }
        self.own_at = Some(now);
        true
    }
}

fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < CAMPAIGN_FOR)
}

/// How long a node waits before its first attempt on evidence; so many others are better placed.
pub(crate) fn head_start(rank: u32) -> Duration {
    STAGGER * rank
}

/// How long it waits for an attempt on evidence to succeed. `chance` is between 0 and 1.
pub(crate) fn retry_after(rank: u32, chance: f64) -> Duration {
    RETRY_AFTER + RETRY_STAGGER * rank + Duration::from_millis(5).mul_f64(chance)
}

/// How long it waits for a leader before attempt `attempt`, counted from 0, on a disk whose flushes took up to
/// `worst_flush` of late: an election that is under way must not be cut off by the next one. `chance` is between 0 and 1.
pub(crate) fn leaderless_after(
    attempt: u32,
    rank: u32,
    worst_flush: Option<Duration>,
    chance: f64,
) -> Duration {
    let steps = LEADERLESS_STEP * attempt + LEADERLESS_STAGGER * rank;
    let flushes = LEADERLESS_FLUSHES * worst_flush.unwrap_or_default().min(MAX_FLUSH);
    LEADERLESS_AFTER + steps + flushes + Duration::from_millis(20).mul_f64(chance)
}

#[cfg(test)]
mod tests;

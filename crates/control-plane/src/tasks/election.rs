//! Early elections, triggered by evidence that the leader is dead. The modules `detector` and `campaign`
//! decide, and this module acts; Raft's long timers remain as the fallback.

use std::sync::Arc;
use std::time::Duration;

use api::events::EventKind;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{TransferLeaderRequest, VoteRequest, VoteResponse};
use tracing::{info, warn};

use crate::campaign::{
    HeldEvidence, MAX_ATTEMPTS, MAX_FUTILE, MAX_LEADERLESS_ATTEMPTS, RequestFacts, VoteAdmission, head_start,
    leaderless_after, retry_after,
};
use crate::detector::Evidence;
use crate::events::Events;
use crate::ids::RaftId;
use crate::observer::Observer;
use crate::planted::{Mistake, is_planted};
use crate::raft::node::Node;
use crate::raft::slot::RaftSlot;
use crate::signals::Signals;
use crate::suspicion::Suspicion;
use crate::timing::{
    COMPETING_CAMPAIGN_PAUSE, ELECTION_CHECK_INTERVAL, ENDED_RAFT_CHECK_AFTER, FUTILE_CAMPAIGN_WINDOW,
    VOTE_WAITS_FOR_EVIDENCE,
};
use crate::types::{TypeConfig, Vote};
use crate::world::task::Spawner;
use crate::world::{self, Note, clock, random};

/// Leader followed by the local node.
pub(crate) struct Followed {
    node: Arc<Node>,
    /// Raft id of the leader.
    pub id: RaftId,
    /// Name of the leader.
    pub name: String,
    other_voters: Vec<String>,
}

/// Early elections of the local node.
pub(crate) struct Elections {
    pub observer: Arc<Observer>,
    pub raft: Arc<RaftSlot>,
    pub suspicion: Arc<Suspicion>,
    pub events: Arc<Events>,
    pub signals: Arc<Signals>,
}

impl Elections {
    /// Returns the leader of the current vote, if the local node votes and does not lead.
    pub(crate) fn followed(&self) -> Option<Followed> {
        let node = self.raft.node()?;
        let me = self.observer.identity().raft_id;
        let (id, membership) = {
            let metrics = node.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            (metrics.current_leader?, Arc::clone(&metrics.membership_config))
        };
        let membership = membership.membership();
        let name_of = |id: &RaftId| membership.get_node(id).map(|member| member.name.clone());
        if id == me || !membership.voter_ids().any(|voter| voter == me) {
            return None;
        }
        let others = membership.voter_ids().filter(|voter| *voter != me);
        let other_voters = others.filter_map(|voter| name_of(&voter)).collect();
        Some(Followed { node, id, name: name_of(&id)?, other_voters })
    }

    /// Judges the probes of `peer`, and suspects a leader with evidence against it.
    pub(crate) fn judge(self: &Arc<Self>, peer: &str, raft: &Spawner) {
        let Some(followed) = self.followed().filter(|followed| followed.name == peer) else { return };
        if let Some(evidence) = self.evidence_against(&followed) {
            raft.spawn(Arc::clone(self).suspect(followed, evidence));
        }
    }

    fn evidence_against(&self, leader: &Followed) -> Option<Evidence> {
        self.suspicion.detector().evidence(&leader.name, &leader.other_voters, clock::now())
    }

    /// Gives up the local lease on exactly the followed leader, and only then holds the evidence: a request
    /// for a vote that is admitted meets no lease.
    pub(crate) async fn suspect(self: Arc<Self>, followed: Followed, evidence: Evidence) {
        // While Raft waits for its disk, later probes do not repeat the request.
        let Some(_one_at_a_time) = self.suspicion.begin_to_give_up_lease() else { return };
        // The leader may have answered meanwhile.
        let is_disproved =
            || evidence == Evidence::Unanswered && self.evidence_against(&followed) != Some(evidence);
        if is_disproved() {
            return;
        }
        let Some(vote) = drop_lease(&followed.node, followed.id).await.filter(|_| !is_disproved()) else {
            return;
        };
        let name = followed.name;
        let news = self.suspicion.campaigns().record_evidence(vote, evidence, clock::now());
        self.suspicion.announce_evidence();
        if news {
            let silence = self.suspicion.detector().silence(&name, clock::now());
            let [silent_ms, limit_ms] =
                silence.map_or([0, 0], |(lasts, limit)| [lasts, limit].map(|time| time.as_millis() as u64));
            let (evidence, term) = (evidence.as_str(), vote.leader_id.term);
            warn!(peer = name, evidence, term, silent_ms, limit_ms, "leader suspected");
            self.events.publish(EventKind::Suspicion { peer: name, evidence: evidence.to_owned() });
        }
    }

    /// Becomes a candidate on evidence or without a leader, until the node stops.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut evidence = self.suspicion.watch_evidence();
        while !self.signals.is_stopping() {
            let Some(node) = self.raft.node() else {
                clock::sleep(ELECTION_CHECK_INTERVAL).await;
                continue;
            };
            if !node.may_promise() {
                let verified = async {
                    node.verification.done().await;
                    // Raft of an excluded node ends.
                    clock::sleep(ENDED_RAFT_CHECK_AFTER).await;
                };
                self.signals.unless_stopped(verified).await;
                continue;
            }
            let mut metrics = node.watch();
            if let Some(held) = self.held(&node) {
                self.campaign(&node, held).await;
            }
            if self.is_leaderless(&node) {
                self.seek_leader(&node).await;
            }
            drop(node);
            tokio::select! {
                biased;
                _ = evidence.changed() => {}
                // A Raft that ended reports no more changes; a new Raft follows soon.
                changed = metrics.changed() => if changed.is_err() {
                    clock::sleep(ENDED_RAFT_CHECK_AFTER).await;
                },
                () = clock::sleep(ELECTION_CHECK_INTERVAL) => {}
                () = self.signals.stopping().cancelled() => {}
            }
        }
    }

    /// Returns the evidence against the present leader.
    fn held(&self, node: &Node) -> Option<HeldEvidence> {
        self.suspicion.campaigns().evidence_against(node.vote(), clock::now())
    }

    /// Runs one campaign against a suspect leader: attempts until a vote moves, the evidence ends, or all
    /// attempts are used.
    async fn campaign(&self, node: &Node, held: HeldEvidence) {
        if !self.suspicion.campaigns().may_begin(&held, clock::now()) {
            return;
        }
        debug_assert!(held.vote.is_committed(), "a campaign is against an elected leader");
        let rank = self.rank(node);
        if rank > 0 {
            clock::sleep(head_start(rank)).await;
        }
        let mut asked = false;
        for attempt in 1..=MAX_ATTEMPTS {
            if node.vote() != held.vote || self.held(node).is_none() {
                break;
            }
            if !self.suspicion.campaigns().begin_attempt(clock::now()) {
                moved_within(node, held.vote, COMPETING_CAMPAIGN_PAUSE).await;
                continue;
            }
            world::note(Note::Campaigns { against: held.vote.leader_id.term });
            info!(rank, attempt, term = held.vote.leader_id.term, "election requested");
            if node.raft.trigger().elect(true).await.is_err() {
                return;
            }
            asked = true;
            moved_within(node, held.vote, retry_after(rank, random())).await;
        }
        // Evidence that was disproved meanwhile says nothing about the others.
        let is_futile = asked && self.held(node).is_some_and(|now| now.vote == held.vote);
        if is_futile && self.suspicion.campaigns().was_futile(&held, clock::now()) {
            info!(
                term = held.vote.leader_id.term,
                failed = MAX_FUTILE,
                window_s = FUTILE_CAMPAIGN_WINDOW.as_secs(),
                "suspicion-driven elections failed; falling back to election timeouts"
            );
        }
    }

    /// True if no node leads in the current vote, and the local node may become a candidate.
    fn is_leaderless(&self, node: &Node) -> bool {
        let me = self.observer.identity().raft_id;
        let metrics = node.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.membership();
        self.observer.options().timing.probe_failures > 0
            && metrics.current_leader.is_none()
            && voters.voter_ids().any(|voter| voter == me)
    }

    /// Seeks a leader after a vote without a winner. Such a vote carries no lease, so a quorum is asked long
    /// before Raft's timers expire.
    async fn seek_leader(&self, node: &Node) {
        let vote = node.vote();
        for attempt in 0..MAX_LEADERLESS_ATTEMPTS {
            let rank = self.rank(node);
            let wait = leaderless_after(attempt, rank, node.log.flush_stats().worst, random());
            if moved_within(node, vote, wait).await || self.signals.is_stopping() {
                return;
            }
            if self.is_leaderless(node) && self.suspicion.campaigns().begin_attempt(clock::now()) {
                info!(rank, attempt, "no leader; election requested");
                if node.raft.trigger().elect(true).await.is_err() {
                    return;
                }
            }
        }
        // From here on Raft's timers decide alone.
        let mut metrics = node.watch();
        while node.vote() == vote && !self.signals.is_stopping() {
            tokio::select! {
                biased;
                changed = metrics.changed() => if changed.is_err() { return },
                () = self.signals.stopping().cancelled() => {}
            }
        }
    }

    /// Returns the number of responsive voters in a better position to lead: a longer log, or an equal log
    /// and a greater id.
    fn rank(&self, node: &Node) -> u32 {
        let seen = self.observer.observe();
        let mine = (node.last_log_id(), seen.identity.raft_id);
        let led_by = node.voted_leader();
        let peers = self.observer.peers().all();
        let reports =
            peers.values().filter(|peer| peer.is_healthy(seen.now)).filter_map(|peer| peer.report.as_ref());
        let better = reports.filter(|report| {
            Some(report.raft_id) != led_by
                && seen.is_voter(report.raft_id)
                && (report.last_log_id, report.raft_id) > mine
        });
        better.count() as u32
    }

    /// Answers a request for a vote or a pre-vote: the rules of candidacies decide first, then Raft.
    pub(crate) async fn answer(
        &self,
        node: &Node,
        from: RaftId,
        request: VoteRequest<TypeConfig>,
        pre_vote: bool,
    ) -> Result<VoteResponse<TypeConfig>, String> {
        if !self.passes(node, from, &request, pre_vote).await {
            return Ok(VoteResponse::new(node.vote(), node.last_log_id(), false));
        }
        let answered =
            if pre_vote { node.raft.pre_vote(request).await } else { node.raft.vote(request).await };
        answered.map_err(|fatal| fatal.to_string())
    }

    async fn passes(
        &self,
        node: &Node,
        from: RaftId,
        request: &VoteRequest<TypeConfig>,
        pre_vote: bool,
    ) -> bool {
        // The candidate has lost what its peers remember.
        let (term, last) = (request.vote.leader_id.term, request.last_log_id);
        if node.log.mark_of(from).is_some_and(|mark| mark.is_ahead_of(term, last)) {
            warn!(%from, term, "request for a vote refused: data directory of the candidate went back in time");
            return false;
        }
        let deadline = clock::now() + VOTE_WAITS_FOR_EVIDENCE;
        let mut evidence = self.suspicion.watch_evidence();
        loop {
            let now = clock::now();
            let asked = RequestFacts {
                pre_vote,
                transfer: request.leadership_transfer,
                from: (request.last_log_id, from),
                me: (node.last_log_id(), self.observer.identity().raft_id),
                led_by: node.voted_leader().map(|_| node.vote()),
                heard_ago: node.heard_age(now),
                lease: self.observer.options().timing.election_timeout_max,
            };
            let admission = self.suspicion.campaigns().admit(&asked, now);
            match admission {
                VoteAdmission::Admit => return true,
                VoteAdmission::Refuse => return false,
                VoteAdmission::AwaitEvidence => {}
            }
            // The candidate may be right, and evidence may be about to arrive here.
            if clock::timeout_at(deadline, evidence.changed()).await.is_err() {
                return false;
            }
        }
    }
}

/// Gives up the lease on `leader`, if still the leader. Returns the leader's vote.
///
/// An off-label use of a public call: a transfer from the leader to itself makes a follower give up the lease
/// on exactly the given vote, and nothing else. A test pins the effect.
async fn drop_lease(node: &Node, leader: RaftId) -> Option<Vote> {
    let vote = node.raft.with_raft_state(|state| *state.vote_ref()).await.ok()?;
    let is_leaders = vote.leader_id.voted_for == leader || is_planted(Mistake::LeaseOfAnyLeader);
    if !vote.is_committed() || !is_leaders {
        return None;
    }
    let leader = vote.leader_id.voted_for;
    let request = TransferLeaderRequest::new(vote, leader, None);
    let _ = node.raft.handle_transfer_leader(request).await.ok()?;
    Some(vote)
}

/// Waits until the vote differs from `vote`, at most for `limit`. True if the vote has changed.
async fn moved_within(node: &Node, vote: Vote, limit: Duration) -> bool {
    let mut metrics = node.watch();
    let moved = async {
        while metrics.borrow_watched().vote == vote {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    };
    clock::timeout(limit, moved).await.is_ok()
}

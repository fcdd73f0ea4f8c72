//! Role of a node and leader of the cluster, derived from a node's Raft. Pure: ages are arguments.

use std::time::Duration;

use api::status::Role;
use openraft::ServerState;

use crate::ids::RaftId;
use crate::timing::{ACKED_WITHIN, LEADER_APPEND_WITHIN};

/// Knowledge of a node about its own Raft at one moment.
#[derive(Debug, Clone)]
pub(crate) struct RaftFacts {
    /// Raft id of the node.
    pub me: RaftId,
    /// Role in openraft. Not sufficient, since openraft does not change the role after the loss of a quorum.
    pub state: ServerState,
    /// Leader according to the stored vote, which also names a dead leader, without a time limit.
    pub voted_leader: Option<RaftId>,
    /// Age of the latest acknowledgement by a quorum, for a leader.
    pub acked_age: Option<Duration>,
    /// Age of the latest append from the leader, for all nodes but the leader.
    pub append_age: Option<Duration>,
    /// True if nothing confirms the voted leader any more, despite recent appends: its port refuses
    /// connections, its name belongs to another data directory, or its own reports deny the leadership.
    pub leader_denied: bool,
    /// True if the node is a voter.
    pub voter: bool,
    /// True if the node is the only voter.
    pub only_voter: bool,
}

/// Role of a node and known leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// Role of the node.
    pub role: Role,
    /// Leader, if certain enough.
    pub leader: Option<RaftId>,
}

impl RaftFacts {
    /// Applies the rules.
    pub(crate) fn leadership(&self) -> Leadership {
        if self.state == ServerState::Leader {
            let acked = self.only_voter || self.acked_age.is_some_and(|age| age < ACKED_WITHIN);
            let role = if acked { Role::Leader } else { Role::Candidate };
            return Leadership { role, leader: acked.then_some(self.me) };
        }
        let heard = !self.leader_denied && self.append_age.is_some_and(|age| age < LEADER_APPEND_WITHIN);
        let leader = self.voted_leader.filter(|leader| heard && *leader != self.me);
        let role = match self.state {
            _ if !self.voter => Role::Learner,
            ServerState::Candidate => Role::Candidate,
            // Without a leader a voter requests pre-votes repeatedly, which openraft's state does not show.
            _ if leader.is_none() => Role::Candidate,
            _ => Role::Follower,
        };
        Leadership { role, leader }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(state: ServerState) -> RaftFacts {
        let me = RaftId::from(1);
        RaftFacts {
            me,
            state,
            voted_leader: Some(RaftId::from(2)),
            acked_age: None,
            append_age: None,
            leader_denied: false,
            voter: true,
            only_voter: false,
        }
    }

    fn check(facts: &RaftFacts, role: Role, leader: Option<u64>) {
        assert_eq!(facts.leadership(), Leadership { role, leader: leader.map(RaftId::from) }, "{facts:?}");
    }

    const fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn a_leader_leads_while_a_quorum_acknowledges_it() {
        let leader = facts(ServerState::Leader);
        check(&RaftFacts { acked_age: ms(799), ..leader.clone() }, Role::Leader, Some(1));
        check(&RaftFacts { acked_age: ms(800), ..leader.clone() }, Role::Candidate, None);
        check(&leader, Role::Candidate, None);
        check(&RaftFacts { only_voter: true, ..leader }, Role::Leader, Some(1));
    }

    #[test]
    fn a_follower_names_a_leader_that_it_hears() {
        let follower = facts(ServerState::Follower);
        check(&RaftFacts { append_age: ms(999), ..follower.clone() }, Role::Follower, Some(2));
        check(&RaftFacts { append_age: ms(1000), ..follower.clone() }, Role::Candidate, None);
        check(&follower, Role::Candidate, None);
        let denied = RaftFacts { append_age: ms(1), leader_denied: true, ..follower.clone() };
        check(&denied, Role::Candidate, None);
        // The vote of a restarted leader names the node itself.
        let own = RaftFacts { voted_leader: Some(RaftId::from(1)), append_age: ms(1), ..follower };
        check(&own, Role::Candidate, None);
    }

    #[test]
    fn without_a_vote_a_node_is_a_learner() {
        let learner = RaftFacts { voter: false, ..facts(ServerState::Learner) };
        check(&learner, Role::Learner, None);
        check(&RaftFacts { append_age: ms(1), ..learner }, Role::Learner, Some(2));
    }
}

//! Agreement of nodes on their leader, from their status documents. Pure.

use std::error::Error;
use std::fmt;

use super::{ClusterStatus, Health};

/// Leader and term named by a node that sees a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// Name of the leader.
    pub leader_id: String,
    /// Raft term.
    pub term: u64,
}

/// Reason for which documents name no common leader: the first one found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// There is no document.
    NoDocument,
    /// A node names no leader, or sees no quorum.
    NoLeader {
        /// Node that answered.
        by: String,
    },
    /// Two nodes name different leaders or terms.
    DifferentLeaders {
        /// Node that answered first.
        first: String,
        /// Node that differs.
        second: String,
    },
    /// A configured node is not healthy.
    NotHealthy {
        /// Node that answered.
        by: String,
        /// Node concerned.
        node: String,
        /// Its health as reported.
        health: Health,
    },
    /// A configured node has no vote.
    NotVoting {
        /// Node that answered.
        by: String,
        /// Node concerned.
        node: String,
    },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDocument => f.write_str("no node gave its status"),
            Self::NoLeader { by } => write!(f, "{by} names no leader"),
            Self::DifferentLeaders { first, second } => {
                write!(f, "{first} and {second} name different leaders or terms")
            }
            Self::NotHealthy { by, node, health } => write!(f, "{by} reports {node} as {health}"),
            Self::NotVoting { by, node } => write!(f, "{by} reports {node} without a vote"),
        }
    }
}

impl Error for Disagreement {}

/// Returns the value given by every vote; `None` without votes, or if a vote is missing or differs.
pub fn unanimous<T: PartialEq>(votes: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    let mut votes = votes.into_iter();
    let first = votes.next()??;
    votes.all(|vote| vote.as_ref() == Some(&first)).then_some(first)
}

/// Returns the leadership named by all documents.
///
/// # Errors
/// The first reason against an agreement.
pub fn agreed_leadership(statuses: &[ClusterStatus]) -> Result<Leadership, Disagreement> {
    if let Some(leadership) = unanimous(statuses.iter().map(ClusterStatus::leadership)) {
        return Ok(leadership);
    }
    let Some(first) = statuses.first() else { return Err(Disagreement::NoDocument) };
    if let Some(status) = statuses.iter().find(|status| status.leadership().is_none()) {
        return Err(Disagreement::NoLeader { by: status.node_id.clone() });
    }
    let second = statuses.iter().find(|status| status.leadership() != first.leadership()).unwrap_or(first);
    Err(Disagreement::DifferentLeaders { first: first.node_id.clone(), second: second.node_id.clone() })
}

/// Returns the leadership named by all documents, if all report every configured node as healthy.
///
/// # Errors
/// The first reason against an agreement.
pub fn agreed_if_healthy(statuses: &[ClusterStatus]) -> Result<Leadership, Disagreement> {
    for status in statuses {
        if let Some(node) = status.nodes.iter().find(|node| !node.healthy) {
            let (by, node, health) = (status.node_id.clone(), node.id.clone(), node.health);
            return Err(Disagreement::NotHealthy { by, node, health });
        }
    }
    agreed_leadership(statuses)
}

/// Returns the leadership named by all documents, if all report every configured node as a healthy voter: the
/// cluster survives the loss of a node.
///
/// # Errors
/// The first reason against an agreement.
pub fn agreed_if_complete(statuses: &[ClusterStatus]) -> Result<Leadership, Disagreement> {
    let leadership = agreed_if_healthy(statuses)?;
    for status in statuses {
        let votes = |id: &String| status.voters.contains(id);
        if let Some(node) = status.nodes.iter().find(|node| !(node.voter && votes(&node.id))) {
            return Err(Disagreement::NotVoting { by: status.node_id.clone(), node: node.id.clone() });
        }
    }
    Ok(leadership)
}

impl ClusterStatus {
    /// Leadership as named by the answering node; `None` without a leader or a quorum.
    pub fn leadership(&self) -> Option<Leadership> {
        let leader_id = self.leader_id.clone().filter(|_| self.quorum)?;
        Some(Leadership { leader_id, term: self.term })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::NodeStatus;

    fn status(by: &str, leader: Option<&str>, term: u64) -> ClusterStatus {
        let row = |id: &str| NodeStatus {
            id: id.to_owned(),
            health: Health::Ok,
            healthy: true,
            voter: true,
            ..NodeStatus::default()
        };
        ClusterStatus {
            node_id: by.to_owned(),
            term,
            leader_id: leader.map(str::to_owned),
            quorum: leader.is_some(),
            voters: ["n1", "n2"].map(str::to_owned).into(),
            nodes: ["n1", "n2"].map(row).into(),
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn a_vote_that_is_missing_or_differs_breaks_unanimity() {
        assert_eq!(unanimous([Some(1), Some(1)]), Some(1));
        for votes in [vec![], vec![None], vec![Some(1), None], vec![None, Some(1)], vec![Some(1), Some(2)]] {
            assert_eq!(unanimous(votes.clone()), None, "{votes:?}");
        }
    }

    #[test]
    fn a_leader_is_agreed_on_when_all_name_it_in_one_term() {
        let check = |second: ClusterStatus, expected: Result<u64, &str>| {
            let found = agreed_if_complete(&[status("n1", Some("n2"), 3), second]);
            let expected = expected.map(|term| Leadership { leader_id: "n2".to_owned(), term });
            assert_eq!(found.map_err(|why| why.to_string()), expected.map_err(str::to_owned));
        };
        check(status("n2", Some("n2"), 3), Ok(3));
        check(status("n2", None, 3), Err("n2 names no leader"));
        check(status("n2", Some("n1"), 3), Err("n1 and n2 name different leaders or terms"));
        check(status("n2", Some("n2"), 4), Err("n1 and n2 name different leaders or terms"));
        check(ClusterStatus { quorum: false, ..status("n2", Some("n2"), 3) }, Err("n2 names no leader"));
        let mut silent = status("n2", Some("n2"), 3);
        (silent.nodes[0].healthy, silent.nodes[0].health) = (false, Health::Silent);
        check(silent, Err("n2 reports n1 as silent"));
        let mut learns = status("n2", Some("n2"), 3);
        learns.nodes[0].voter = false;
        check(learns, Err("n2 reports n1 without a vote"));
        let fewer = ClusterStatus { voters: vec!["n2".to_owned()], ..status("n2", Some("n2"), 3) };
        check(fewer, Err("n2 reports n1 without a vote"));
        assert_eq!(agreed_leadership(&[]), Err(Disagreement::NoDocument));
    }

    #[test]
    fn health_and_votes_count_only_where_they_are_asked_for() {
        let mut status = status("n1", Some("n1"), 1);
        status.nodes[1].voter = false;
        assert!(agreed_if_complete(std::slice::from_ref(&status)).is_err());
        assert!(agreed_if_healthy(std::slice::from_ref(&status)).is_ok());
        status.nodes[1].healthy = false;
        assert!(agreed_if_healthy(std::slice::from_ref(&status)).is_err());
        assert!(agreed_leadership(&[status]).is_ok());
    }
}

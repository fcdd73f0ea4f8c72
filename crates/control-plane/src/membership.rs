//! Membership of the voters: the leader's next step, decided from the leader's knowledge. Pure.
//!
//! The rules:
//! - An open joint configuration is finished first.
//! - The voters grow to all configured nodes in one change, once each configured node has a member with a log
//!   that has caught up. Two voters are never formed: they survive no failure.
//! - A node with a new data directory has a new id under the old name. Once the new id has caught up, one
//!   change replaces the old id.
//! - A learner replaced by another id is removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::RaftId;
use crate::planted::{Mistake, is_planted};
use crate::types::StoredMembership;

/// Knowledge of a leader.
pub(crate) struct MembershipFacts<'a> {
    /// Names of the configured nodes.
    pub configured: &'a [String],
    /// The effective membership.
    pub membership: &'a StoredMembership,
    /// Raft id of the recently heard process under each name.
    pub present: &'a BTreeMap<String, RaftId>,
    /// Members with a log about as long as the leader's.
    pub caught_up: &'a BTreeSet<RaftId>,
}

/// Next step of a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MembershipStep {
    /// Finish the change begun by an earlier leader.
    FinishJoint {
        /// Voters after the change.
        voters: BTreeSet<RaftId>,
    },
    /// Change the voters, through one joint configuration.
    ChangeVoters {
        /// Voters after the change.
        voters: BTreeSet<RaftId>,
    },
    /// Remove learners whose name has another id now.
    RemoveLearners {
        /// Learners to remove.
        learners: BTreeSet<RaftId>,
    },
}

/// Returns the leader's next step, if any.
pub(crate) fn next_step(view: &MembershipFacts<'_>) -> Option<MembershipStep> {
    let membership = view.membership.membership();
    if let [.., _, last] = membership.get_joint_config().as_slice() {
        return Some(MembershipStep::FinishJoint { voters: last.clone() });
    }
    let voters: BTreeSet<RaftId> = membership.voter_ids().collect();
    let target = target(view, &voters);
    if target != voters {
        return Some(MembershipStep::ChangeVoters { voters: target });
    }
    let learners: BTreeSet<RaftId> = membership
        .nodes()
        .filter(|(id, member)| {
            let replaced = view.present.get(&member.name).is_some_and(|present| present != *id);
            !voters.contains(id) && replaced
        })
        .map(|(id, _)| *id)
        .collect();
    (!learners.is_empty()).then_some(MembershipStep::RemoveLearners { learners })
}

/// Returns the names of configured nodes without a member that has caught up.
pub(crate) fn waiting_for(view: &MembershipFacts<'_>) -> Vec<String> {
    view.configured.iter().filter(|name| candidate(view, name).is_none()).cloned().collect()
}

fn target(view: &MembershipFacts<'_>, voters: &BTreeSet<RaftId>) -> BTreeSet<RaftId> {
    // Each voter, or its replacement.
    let kept: BTreeSet<RaftId> = voters
        .iter()
        .map(|id| {
            let name = view.membership.membership().get_node(id).map(|member| member.name.as_str());
            name.and_then(|name| candidate(view, name)).unwrap_or(*id)
        })
        .collect();
    let all: Option<BTreeSet<RaftId>> = view
        .configured
        .iter()
        .map(|name| candidate(view, name).or_else(|| voter(view, voters, name)))
        .collect();
    let target: BTreeSet<RaftId> = match all {
        Some(all) if all.union(&kept).count() != 2 => all.union(&kept).copied().collect(),
        _ => kept,
    };
    debug_assert!(target.len() != 2 || voters.len() == 2, "two voters are never formed");
    debug_assert!(target.len() >= voters.len(), "no vote is taken away without a replacement");
    target
}

/// Returns the present id of the named node, if a member that has caught up.
fn candidate(view: &MembershipFacts<'_>, name: &str) -> Option<RaftId> {
    let id = view.present.get(name)?;
    let member = view.membership.membership().get_node(id)?;
    let caught_up = view.caught_up.contains(id) || is_planted(Mistake::LearnerCounted);
    (member.name == name && caught_up).then_some(*id)
}

fn voter(view: &MembershipFacts<'_>, voters: &BTreeSet<RaftId>, name: &str) -> Option<RaftId> {
    let named =
        |id: &&RaftId| view.membership.membership().get_node(id).is_some_and(|member| member.name == name);
    voters.iter().find(named).copied()
}

#[cfg(test)]
mod tests {
    use openraft::Membership;

    use super::*;
    use crate::types::Member;

    /// Checks the next step. `configs`: voter sets; `members`: id and name; `present`: name and id;
    /// `caught_up`: ids.
    fn check(
        configured: &[&str],
        configs: &[&[u64]],
        members: &[(u64, &str)],
        present: &[(&str, u64)],
        caught_up: &[u64],
        expected: Option<MembershipStep>,
    ) {
        let nodes: BTreeMap<RaftId, Member> = members
            .iter()
            .map(|(id, name)| (RaftId::from(*id), Member { name: (*name).to_owned() }))
            .collect();
        let configs = configs.iter().map(|ids| set(ids)).collect();
        let membership = StoredMembership::new(None, Membership::new(configs, nodes).unwrap());
        let configured: Vec<String> = configured.iter().map(|name| (*name).to_owned()).collect();
        let present = present.iter().map(|(name, id)| ((*name).to_owned(), RaftId::from(*id))).collect();
        let caught_up = set(caught_up);
        let view = MembershipFacts {
            configured: &configured,
            membership: &membership,
            present: &present,
            caught_up: &caught_up,
        };
        assert_eq!(next_step(&view), expected);
    }

    fn set(ids: &[u64]) -> BTreeSet<RaftId> {
        ids.iter().copied().map(RaftId::from).collect()
    }

    fn change(ids: &[u64]) -> Option<MembershipStep> {
        Some(MembershipStep::ChangeVoters { voters: set(ids) })
    }

    const THREE: [&str; 3] = ["n1", "n2", "n3"];

    #[test]
    fn all_become_voters_in_one_step_or_none_does() {
        let members = [(1, "n1"), (2, "n2"), (3, "n3")];
        let present = [("n1", 1), ("n2", 2), ("n3", 3)];
        check(&THREE, &[&[1]], &members, &present, &[1, 2, 3], change(&[1, 2, 3]));
        check(&THREE, &[&[1]], &members, &present, &[1, 2], None);
        check(&THREE, &[&[1]], &members[..2], &present[..2], &[1, 2], None);
        check(&THREE, &[&[1, 2, 3]], &members, &present, &[1, 2, 3], None);
    }

    #[test]
    fn two_voters_are_never_formed() {
        check(&["n1", "n2"], &[&[1]], &[(1, "n1"), (2, "n2")], &[("n1", 1), ("n2", 2)], &[1, 2], None);
    }

    #[test]
    fn a_new_directory_takes_the_place_of_the_old_one_in_one_step() {
        let members = [(1, "n1"), (2, "n2"), (3, "n3"), (4, "n1")];
        let present = [("n1", 4), ("n2", 2), ("n3", 3)];
        check(&THREE, &[&[1, 2, 3]], &members, &present, &[2, 3, 4], change(&[2, 3, 4]));
        check(&THREE, &[&[1, 2, 3]], &members, &present, &[2, 3], None);
        // Also while another node is away; the absent node keeps its vote.
        check(&THREE, &[&[1, 2, 3]], &members, &[("n1", 4), ("n2", 2)], &[2, 4], change(&[2, 3, 4]));
    }

    #[test]
    fn a_joint_configuration_is_finished_first() {
        let members = [(1, "n1"), (2, "n2"), (3, "n3")];
        let expected = Some(MembershipStep::FinishJoint { voters: set(&[1, 2, 3]) });
        check(&THREE, &[&[1], &[1, 2, 3]], &members, &[("n1", 1)], &[1], expected);
    }

    #[test]
    fn learners_that_were_replaced_are_forgotten() {
        let members = [(1, "n1"), (2, "n2"), (5, "n2")];
        let present = [("n1", 1), ("n2", 5)];
        let expected = Some(MembershipStep::RemoveLearners { learners: set(&[2]) });
        check(&THREE, &[&[1]], &members, &present, &[1, 5], expected);
        // Not while the present id of the name is unknown.
        check(&THREE, &[&[1]], &members, &[("n1", 1)], &[1, 5], None);
    }

    #[test]
    fn voters_grow_from_three_to_five_together_and_unconfigured_ones_stay() {
        let five = ["n1", "n2", "n3", "n4", "n5"];
        let members = [(1, "n1"), (2, "n2"), (3, "n3"), (4, "n4"), (5, "n5")];
        let present = [("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4), ("n5", 5)];
        check(&five, &[&[1, 2, 3]], &members, &present, &[1, 2, 3, 4, 5], change(&[1, 2, 3, 4, 5]));
        check(&five, &[&[1, 2, 3]], &members[..4], &present[..4], &[1, 2, 3, 4], None);
        check(&["n1", "n2"], &[&[1, 2, 3]], &members[..3], &present[..2], &[1, 2], None);
    }
}

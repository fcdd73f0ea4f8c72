//! Admission of writes by the leader: refused while the disks of too many voters are full. Pure.
//!
//! A voter with a full disk continues to take entries into its reserve, so that proposed entries are not
//! lost. The leader proposes nothing more once the voters with room are no quorum.

use std::collections::BTreeSet;

use crate::ids::RaftId;

/// Disk space of the voters, as known to the leader.
pub(crate) struct VoterSpace<'a> {
    /// Voters of each part of the membership: two sets during a joint change.
    pub configs: &'a [BTreeSet<RaftId>],
    /// Responsive voters, the leader included.
    pub present: &'a BTreeSet<RaftId>,
    /// Nodes that reported a full disk.
    pub full: &'a BTreeSet<RaftId>,
}

impl VoterSpace<'_> {
    /// False if a write should be refused for lack of disk space: the present voters with room are no quorum,
    /// but all present voters are. A lack of present voters is no reason to refuse.
    pub(crate) fn admit(&self) -> bool {
        self.configs.iter().all(|voters| {
            let present = voters.intersection(self.present).count();
            let with_space = voters.intersection(self.present).filter(|id| !self.full.contains(id)).count();
            let quorum = voters.len() / 2 + 1;
            debug_assert!(with_space <= present && present <= voters.len(), "parts of one set of voters");
            with_space >= quorum || present < quorum
        })
    }

    /// True if a quorum has room without `me`, whose disk is full: another voter should lead.
    pub(crate) fn others_have_space(&self, me: RaftId) -> bool {
        self.configs.iter().all(|voters| {
            let with_space = |id: &&RaftId| **id != me && !self.full.contains(id);
            voters.intersection(self.present).filter(with_space).count() > voters.len() / 2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(configs: &[&[u64]], present: &[u64], full: &[u64], admitted: bool, others: bool) {
        let set = |ids: &[u64]| -> BTreeSet<RaftId> { ids.iter().map(|id| RaftId::from(*id)).collect() };
        let configs: Vec<_> = configs.iter().map(|ids| set(ids)).collect();
        let space = VoterSpace { configs: &configs, present: &set(present), full: &set(full) };
        let found = (space.admit(), space.others_have_space(RaftId::from(1)));
        assert_eq!(found, (admitted, others), "{configs:?}, present {present:?}, full {full:?}");
    }

    #[test]
    fn writes_need_room_on_a_quorum() {
        let three: &[&[u64]] = &[&[1, 2, 3]];
        check(three, &[1, 2, 3], &[], true, true);
        check(three, &[1, 2, 3], &[3], true, false);
        check(three, &[1, 2, 3], &[1], true, true);
        check(three, &[1, 2, 3], &[2, 3], false, false);
        check(three, &[1, 2, 3], &[1, 2, 3], false, false);
        // One voter is away and one is full.
        check(three, &[1, 2], &[2], false, false);
        // Without a quorum present, full or not, writes are not refused for want of room.
        check(three, &[1], &[], true, false);
        check(three, &[1], &[1], true, false);
        // A full disk of a node without a vote.
        check(three, &[1, 2, 3, 4], &[4], true, true);
        check(&[&[1]], &[1], &[1], false, false);
        check(&[&[1]], &[1], &[], true, false);
        check(&[&[1, 2, 3, 4, 5]], &[1, 2, 3, 4, 5], &[1, 2], true, true);
        check(&[&[1, 2, 3, 4, 5]], &[1, 2, 3, 4, 5], &[1, 2, 3], false, false);
    }

    #[test]
    fn both_halves_of_a_change_need_room() {
        let joint: &[&[u64]] = &[&[1], &[1, 2, 3]];
        check(joint, &[1, 2, 3], &[], true, false);
        check(joint, &[1, 2, 3], &[2, 3], false, false);
        check(joint, &[1, 2, 3], &[1], false, false);
    }
}

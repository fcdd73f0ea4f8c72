//! Data directories of the peers: what they have acknowledged, and which of them went back in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::error;

use crate::ids::RaftId;
use crate::marks::{Mark, Marks, OwnMark};
use crate::storage::LogStore;
use crate::types::{LogId, Vote};

/// Knowledge of the peers' directories, for one opened storage.
pub(crate) struct Directories {
    log: LogStore,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Term in which the local node leads, and the last entry acknowledged by each follower in that term.
    acknowledged: (u64, BTreeMap<RaftId, LogId>),
    /// Directories that have lost a part of their mark.
    reverted: BTreeSet<RaftId>,
}

impl Directories {
    /// Creates the knowledge, beside the marks in the log.
    pub(crate) fn new(log: LogStore) -> Self {
        Self { log, known: Mutex::default() }
    }

    /// Returns the last entry acknowledged by a follower in the local node's term as the leader.
    pub(super) fn acknowledged(&self, id: RaftId, vote: &Vote) -> Option<LogId> {
        let known = self.lock();
        let (term, followers) = &known.acknowledged;
        followers.get(&id).copied().filter(|_| *term == vote.leader_id.term)
    }

    /// Records an acknowledgement of a follower.
    pub(super) fn note_acknowledged(&self, id: RaftId, vote: &Vote, last: LogId) {
        let mut known = self.lock();
        if known.acknowledged.0 < vote.leader_id.term {
            known.acknowledged = (vote.leader_id.term, BTreeMap::new());
        }
        let (term, followers) = &mut known.acknowledged;
        if *term == vote.leader_id.term {
            let acknowledged = followers.entry(id).or_insert(last);
            *acknowledged = (*acknowledged).max(last);
        }
    }

    /// Returns the marks of all directories. Those of followers include what was acknowledged to the local
    /// node and is committed.
    pub(crate) fn marks(&self) -> Marks {
        let committed = self.log.committed();
        let acknowledged: Vec<(RaftId, Mark)> = {
            let known = self.lock();
            let (term, followers) = &known.acknowledged;
            // An entry of the leader's own term commits everything before.
            let committed = committed.filter(|id| id.leader_id.term == *term);
            let mark = |last: LogId, committed: LogId| Mark {
                term: *term,
                voted_for: None,
                committed: Some(if last.index < committed.index { last } else { committed }),
            };
            let marked = |(id, last): (&RaftId, &LogId)| Some((*id, mark(*last, committed?)));
            followers.iter().filter_map(marked).collect()
        };
        self.log.raise_marks(&acknowledged);
        self.log.marks()
    }

    /// Records that a follower has lost an entry that it had acknowledged under `vote`. Within the term of
    /// its leader, a follower removes no such entry.
    pub(super) fn note_lost(&self, id: RaftId, vote: &Vote, acknowledged: LogId) {
        let leader = &vote.leader_id;
        let mark =
            Mark { term: leader.term, voted_for: Some(leader.voted_for), committed: Some(acknowledged) };
        self.log.raise_marks(&[(id, mark)]);
        if self.lock().reverted.insert(id) {
            error!(%id, %acknowledged, "follower lost an acknowledged entry; it no longer counts");
        }
    }

    /// Compares the report of a directory with the mark that was known when the report was requested. True if
    /// the directory went back in time, which was not known before.
    pub(crate) fn judge(&self, id: RaftId, own: &OwnMark, held: &Mark) -> bool {
        if own.is_behind(held) {
            return self.lock().reverted.insert(id);
        }
        if self.log.mark_of(id).is_none_or(|mark| !own.is_behind(&mark)) {
            self.lock().reverted.remove(&id);
        }
        false
    }

    /// True if the directory went back in time: nothing of its node counts.
    pub(crate) fn is_reverted(&self, id: RaftId) -> bool {
        self.lock().reverted.contains(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use openraft::storage::{RaftLogStorage, RaftLogStorageExt};

    use super::*;
    use crate::storage::tests::{blank, log_id, open_log, vote};

    fn last(term: u64, index: u64) -> OwnMark {
        let mark = Mark { term, voted_for: None, committed: None };
        OwnMark { boot: 1, mark, last: Some(log_id(term, index)) }
    }

    #[tokio::test]
    async fn what_a_follower_acknowledged_counts_once_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open_log(&dir.path().join("log.redb")).unwrap();
        log.blocking_append((0..8).map(|index| blank(3, index))).await.unwrap();
        let (known, follower) = (Directories::new(log.clone()), RaftId::from(2));
        known.note_acknowledged(follower, &vote(3), log_id(3, 5));
        assert_eq!(known.marks().of(follower), None, "nothing is committed");
        log.save_committed(Some(log_id(3, 4))).await.unwrap();
        assert_eq!(known.marks().of(follower).unwrap().committed, Some(log_id(3, 4)));
        log.save_committed(Some(log_id(3, 7))).await.unwrap();
        assert_eq!(known.marks().of(follower).unwrap().committed, Some(log_id(3, 5)));
        // The directory was put back since.
        let held = known.marks().of(follower).unwrap();
        assert!(known.judge(follower, &last(3, 4), &held) && known.is_reverted(follower));
        assert!(!known.judge(follower, &last(3, 4), &held), "no news");
        // Its latest content is there again.
        assert!(!known.judge(follower, &last(3, 5), &held) && !known.is_reverted(follower));
    }

    #[tokio::test]
    async fn acknowledgements_count_in_their_term_only() {
        let dir = tempfile::tempdir().unwrap();
        let known = Directories::new(open_log(&dir.path().join("log.redb")).unwrap());
        let follower = RaftId::from(2);
        known.note_acknowledged(follower, &vote(3), log_id(3, 5));
        known.note_acknowledged(follower, &vote(3), log_id(3, 4));
        assert_eq!(known.acknowledged(follower, &vote(3)), Some(log_id(3, 5)));
        known.note_acknowledged(follower, &vote(4), log_id(3, 2));
        known.note_acknowledged(follower, &vote(3), log_id(3, 6));
        assert_eq!(known.acknowledged(follower, &vote(3)), None);
        assert_eq!(known.acknowledged(follower, &vote(4)), Some(log_id(3, 2)));
        known.note_lost(follower, &vote(4), log_id(3, 2));
        assert!(known.is_reverted(follower));
        assert_eq!(known.marks().of(follower).unwrap().term, 4);
    }
}

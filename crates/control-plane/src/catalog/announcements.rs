//! Announcements of the nodes: the versions readable by each node.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Row, RowError, Table};
use crate::format::{self, Announcement, FormatVersion};
use crate::ids::RaftId;

/// Announcements by node. One for each member, and one for a joining node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Announcements(BTreeMap<RaftId, Announcement>);

impl Announcements {
    /// Replaces the announcement of a node, and removes the announcements of other nodes outside the
    /// membership.
    pub(super) fn announce(&mut self, announcement: &Announcement, members: &BTreeSet<RaftId>) -> Vec<Row> {
        let id = announcement.raft_id;
        let gone: Vec<RaftId> =
            self.0.keys().filter(|known| **known != id && !members.contains(known)).copied().collect();
        let mut rows: Vec<Row> =
            gone.iter().map(|id| Row::deleted(Table::Announcements, id.to_string())).collect();
        self.0.retain(|known, _| !gone.contains(known));
        self.0.insert(id, announcement.clone());
        rows.push(row(announcement));
        debug_assert!(self.0.len() <= members.len() + 1, "one row for each member and for a joining node");
        rows
    }

    /// Returns the members without an announcement that covers `version`, in `added` (which takes
    /// precedence) or in the catalogue.
    pub(super) fn uncovered(
        &self,
        added: &[Announcement],
        members: &BTreeSet<RaftId>,
        version: FormatVersion,
    ) -> Vec<RaftId> {
        let announced = |id: &RaftId| {
            let added = added.iter().rev().find(|announcement| announcement.raft_id == *id);
            added.or_else(|| self.0.get(id))
        };
        format::uncovered(members, announced, version)
    }

    pub(super) fn all(&self) -> &BTreeMap<RaftId, Announcement> {
        &self.0
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.values().map(row)
    }

    pub(super) fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        if let Some(announcement) = row.read::<Announcement>()? {
            self.0.insert(announcement.raft_id, announcement);
        }
        Ok(())
    }
}

fn row(announcement: &Announcement) -> Row {
    Row::put(Table::Announcements, announcement.raft_id.to_string(), announcement)
}

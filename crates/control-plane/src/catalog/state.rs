//! The catalogue: its parts, and the effect of each action.

use std::collections::{BTreeMap, BTreeSet};

use super::announcements::Announcements;
use super::command::{Action, Command};
use super::outcome::{Outcome, Refusal};
use super::requests::Requests;
use super::rows::{Row, RowError, Table};
use super::setting::{Setting, SettingKey};
use super::settings::{self, PageBounds, Settings, SettingsPage};
use crate::format::{Activated, Announcement};
use crate::ids::RaftId;

/// The state agreed on by every node of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    settings: Settings,
    requests: Requests,
    announcements: Announcements,
}

/// Replicated state outside the catalogue, an input of applying a command.
#[derive(Debug)]
pub struct Context<'a> {
    /// Index of the command's entry.
    pub index: u64,
    /// Members of the applied membership: voters of every configuration, and learners.
    pub members: &'a BTreeSet<RaftId>,
    /// Activated version of the formats, which the command may raise.
    pub activated: &'a mut Activated,
}

impl Catalog {
    /// Applies a command. Returns the outcome and the rows to write.
    ///
    /// A command under an already applied key has no effect and gets the outcome of the first. An action
    /// above the activated version changes nothing.
    pub fn apply(&mut self, command: &Command, context: Context<'_>) -> (Outcome, Vec<Row>) {
        let before = context.activated.version;
        if let Some(done) = self.apply_to_formats(command, context.members, &mut *context.activated) {
            debug_assert!(context.activated.version >= before, "the activated version never decreases");
            return done;
        }
        let mut rows = self.requests.remove_expired(command.proposed_at_ms);
        if let Some(outcome) = self.requests.replay(&command.request) {
            return (outcome, rows);
        }
        let request_id = command.request.request_id.clone();
        if let Err(refusal) = self.requests.check_room() {
            return (Outcome::Refused { refusal, request_id }, rows);
        }
        let done = check_activated(&command.action, context.activated)
            .and_then(|()| self.carry_out(command, context.index, &mut rows));
        let outcome = done.unwrap_or_else(|refusal| Outcome::Refused { refusal, request_id });
        rows.push(self.requests.remember(&command.request, command.proposed_at_ms, outcome.clone()));
        (outcome, rows)
    }

    /// Applies a client's request.
    fn carry_out(&mut self, command: &Command, index: u64, rows: &mut Vec<Row>) -> Result<Outcome, Refusal> {
        let request_id = command.request.request_id.clone();
        match &command.action {
            Action::PutSetting { key, value, if_version } => {
                let entry = settings::Put { key, value, if_version: *if_version, index };
                let (setting, row) = self.settings.put(&entry, &command.actor, command.proposed_at_ms)?;
                rows.push(row);
                Ok(Outcome::SettingPut { setting, request_id })
            }
            Action::DeleteSetting { key, if_version } => {
                let (setting, row) = self.settings.delete(key, *if_version)?;
                rows.push(row);
                Ok(Outcome::SettingDeleted { setting, request_id })
            }
            // Taken by `apply_to_formats`.
            Action::Announce { .. } | Action::Activate { .. } => Ok(Outcome::Nothing),
        }
    }

    /// Applies a node's proposal about formats; returns none for requests of clients. Not remembered for
    /// deduplication: each proposal may be repeated.
    fn apply_to_formats(
        &mut self,
        command: &Command,
        members: &BTreeSet<RaftId>,
        activated: &mut Activated,
    ) -> Option<(Outcome, Vec<Row>)> {
        let done = match &command.action {
            Action::PutSetting { .. } | Action::DeleteSetting { .. } => return None,
            Action::Announce { announcement } => check_activated(&command.action, activated)
                .map(|()| (Outcome::Announced, self.announcements.announce(announcement, members))),
            Action::Activate { version, release, announced } => {
                let raised = Activated { version: *version, release: release.clone() };
                self.activate(raised, announced, members, activated)
            }
        };
        let request_id = command.request.request_id.clone();
        Some(done.unwrap_or_else(|refusal| (Outcome::Refused { refusal, request_id }, Vec::new())))
    }

    /// Raises the activated version if covered by the announcements of all members. The only action
    /// accepted above the activated version: a node unable to read the action stops there.
    fn activate(
        &mut self,
        raised: Activated,
        announced: &[Announcement],
        members: &BTreeSet<RaftId>,
        activated: &mut Activated,
    ) -> Result<(Outcome, Vec<Row>), Refusal> {
        if raised.version <= activated.version {
            return Ok((Outcome::Activated { version: activated.version }, Vec::new()));
        }
        let nodes = self.announcements.uncovered(announced, members, raised.version);
        if !nodes.is_empty() || members.is_empty() {
            return Err(Refusal::NotCovered { version: raised.version, nodes });
        }
        let announce = |announcement| self.announcements.announce(announcement, members);
        let rows = announced.iter().flat_map(announce).collect();
        *activated = raised;
        Ok((Outcome::Activated { version: activated.version }, rows))
    }

    /// Returns the announcements by node.
    pub fn announcements(&self) -> &BTreeMap<RaftId, Announcement> {
        self.announcements.all()
    }

    /// Returns one setting.
    pub fn setting(&self, key: &SettingKey) -> Option<&Setting> {
        self.settings.find(key)
    }

    /// Returns the settings after this key, or from the first on, within the bounds of a page.
    pub fn settings(&self, after: Option<&SettingKey>, bounds: PageBounds) -> SettingsPage {
        self.settings.page(after, bounds)
    }

    /// Returns the number of requests remembered for deduplication.
    pub fn remembered_requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns every row of the state in the order of a snapshot: by table, then by key.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.settings.rows().chain(self.requests.rows()).chain(self.announcements.rows())
    }

    /// Restores a row from the storage or from a snapshot.
    ///
    /// # Errors
    /// [`RowError`] if the row is damaged or of a version unreadable by this release.
    pub fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        match row.table {
            Table::Settings => self.settings.restore(row),
            Table::Requests => self.requests.restore(row),
            Table::Announcements => self.announcements.restore(row),
        }
    }
}

fn check_activated(action: &Action, activated: &Activated) -> Result<(), Refusal> {
    if action.since() <= activated.version {
        return Ok(());
    }
    Err(Refusal::NotActivated { needed: action.since(), activated: activated.version })
}

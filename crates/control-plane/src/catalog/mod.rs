//! The replicated state machine: what must not be lost, and how commands change it.
//!
//! Pure: no I/O, no clock, no randomness. Every node applies the same commands in the same order and comes to the same
//! state, so whatever a command needs to know of the outside (time, who asks) travels in the command.
//! [`Catalog::apply`] decides and returns what changed as [`Row`]s; the storage writes those and nothing else.
//!
//! Formats are versioned and pinned by golden files: commands ([`Command`]) and rows ([`Row`]).

mod announcements;
mod command;
mod requests;
mod rows;
mod settings;

pub use command::{
    Action, Actor, Authority, Command, CommandError, MAX_IDEMPOTENCY_KEY_CHARS, RequestKey, StoredCommand,
    UnreadableCommand,
};
pub use requests::{KEEP_CLIENT_KEYS_MS, KEEP_MINTED_KEYS_MS};
pub use rows::{Row, RowError, Table};
pub use settings::{
    MAX_NOTE_BYTES, MAX_SETTINGS, PageBounds, Setting, SettingKey, SettingKeyError, SettingValue,
    SettingValueError, SettingsPage,
};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::RaftId;
use crate::format::{Activated, Announcement, FormatVersion};
use announcements::Announcements;
use requests::Requests;
use settings::Settings;

/// The state that every node of the cluster agrees on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    settings: Settings,
    requests: Requests,
    announcements: Announcements,
}

/// Replicated state beside the catalogue that applying a command depends on.
#[derive(Debug)]
pub struct Context<'a> {
    /// Index of the command's entry.
    pub index: u64,
    /// Members of the applied membership: voters of every configuration, and learners.
    pub members: &'a BTreeSet<RaftId>,
    /// Activated version of the formats, which the command may raise.
    pub activated: &'a mut Activated,
}

/// What came of a command, the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The entry carried no command (a new leader's first entry, a membership).
    Nothing,
    /// The setting as it is now.
    SettingPut {
        /// With who, when and what it was before.
        setting: Setting,
        /// The id of the request that did it.
        request_id: String,
    },
    /// The setting as it was before it was deleted.
    SettingDeleted {
        /// As it was.
        setting: Setting,
        /// The id of the request that did it.
        request_id: String,
    },
    /// The announcement of a node was taken in.
    Announced,
    /// The cluster writes at least the version that was asked for.
    Activated {
        /// Activated version.
        version: FormatVersion,
    },
    /// Nothing was changed.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The id of the request that was refused.
        request_id: String,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The same idempotency key came with another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// As many keys are remembered as there may be.
    #[error("{max} idempotency keys are remembered, and none of them is old enough to forget")]
    TooManyKeys {
        /// How many.
        max: u64,
    },
    /// There is no such setting.
    #[error("there is no setting `{key}`")]
    NoSuchSetting {
        /// Its key.
        key: SettingKey,
    },
    /// The setting is not at the version that the caller has seen.
    #[error("the setting is at version {actual}, not {expected}")]
    VersionMismatch {
        /// What the caller asked for.
        expected: u64,
        /// What it is; 0: there is none.
        actual: u64,
    },
    /// As many settings as there may be.
    #[error("there are {max} settings already")]
    TooManySettings {
        /// How many.
        max: u64,
    },
    /// The action is of a newer version than the cluster has activated.
    #[error("this takes format version {needed}, and the cluster has activated version {activated}")]
    NotActivated {
        /// Version of the action.
        needed: FormatVersion,
        /// Activated version.
        activated: FormatVersion,
    },
    /// Members have not announced that they read the version to activate.
    #[error("format version {version} is not covered by the announcements of {nodes:?}")]
    NotCovered {
        /// The version.
        version: FormatVersion,
        /// Members without an announcement that covers it.
        nodes: Vec<RaftId>,
    },
}

impl Catalog {
    /// Carries out a command. Returns its outcome and the rows to write.
    ///
    /// A command whose key was applied before does nothing and has the first one's outcome. An action above
    /// the activated version changes nothing.
    pub fn apply(&mut self, command: &Command, context: Context<'_>) -> (Outcome, Vec<Row>) {
        if let Some(done) = self.apply_to_formats(command, context.members, &mut *context.activated) {
            return done;
        }
        let mut rows = self.requests.forget_old(command.proposed_at_ms);
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

    /// Carries out a request of a client.
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

    /// Carries out what nodes propose about formats; none for requests of clients. Not remembered: each may
    /// be repeated.
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

    /// Raises the activated version if the announcements of all members cover it. The one action that is
    /// taken above the activated version: a node that cannot read it stops there.
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

    /// Announcements by node.
    pub fn announcements(&self) -> &BTreeMap<RaftId, Announcement> {
        self.announcements.all()
    }

    /// One setting.
    pub fn setting(&self, key: &SettingKey) -> Option<&Setting> {
        self.settings.find(key)
    }

    /// The settings after this key, or from the first one on, as many as fit.
    pub fn settings(&self, after: Option<&SettingKey>, bounds: PageBounds) -> SettingsPage {
        self.settings.page(after, bounds)
    }

    /// Requests remembered for those who ask again.
    pub fn remembered_requests(&self) -> usize {
        self.requests.len()
    }

    /// Every row of the state, as a snapshot holds them: by table, then by key.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.settings.rows().chain(self.requests.rows()).chain(self.announcements.rows())
    }

    /// Takes in a row of the storage or of a snapshot.
    ///
    /// # Errors
    /// [`RowError`] if the row is damaged or of a version that this release does not read.
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

#[cfg(test)]
mod tests;

//! The replicated state machine: what must not be lost, and how commands change it.
//!
//! Pure: no I/O, no clock, no randomness. Every node applies the same commands in the same order and comes to the same
//! state, so whatever a command needs to know of the outside (time, who asks) travels in the command.
//! [`Catalog::apply`] decides and returns what changed as [`Row`]s; the storage writes those and nothing else.
//!
//! Formats are versioned and pinned by golden files: commands ([`Command`]) and rows ([`Row`]).

mod command;
mod requests;
mod rows;
mod settings;

pub use command::{Action, Actor, Authority, Command, CommandError, MAX_IDEMPOTENCY_KEY_CHARS, RequestKey};
pub use requests::{KEEP_CLIENT_KEYS_MS, KEEP_MINTED_KEYS_MS};
pub use rows::{Row, RowError, Table};
pub use settings::{
    MAX_NOTE_BYTES, MAX_SETTINGS, PageBounds, Setting, SettingKey, SettingKeyError, SettingValue,
    SettingValueError, SettingsPage,
};

use serde::{Deserialize, Serialize};

use requests::Requests;
use settings::Settings;

/// The state that every node of the cluster agrees on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    settings: Settings,
    requests: Requests,
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
}

impl Catalog {
    /// Carries out the command at `index` of the log. Returns what came of it and the rows to write.
    ///
    /// A command whose key was applied before does nothing and has the first one's outcome.
    pub fn apply(&mut self, command: &Command, index: u64) -> (Outcome, Vec<Row>) {
        let mut rows = self.requests.forget_old(command.proposed_at_ms);
        if let Some(outcome) = self.requests.replay(&command.request) {
            return (outcome, rows);
        }
        if let Err(refusal) = self.requests.check_room() {
            let request_id = command.request.request_id.clone();
            return (Outcome::Refused { refusal, request_id }, rows);
        }
        let outcome = self.carry_out(command, index, &mut rows);
        rows.push(self.requests.remember(&command.request, command.proposed_at_ms, outcome.clone()));
        (outcome, rows)
    }

    fn carry_out(&mut self, command: &Command, index: u64, rows: &mut Vec<Row>) -> Outcome {
        let request_id = command.request.request_id.clone();
        let done = match &command.action {
            Action::PutSetting { key, value, if_version } => {
                let entry = settings::Put { key, value, if_version: *if_version, index };
                self.settings.put(&entry, &command.actor, command.proposed_at_ms).map(|(setting, row)| {
                    rows.push(row);
                    Outcome::SettingPut { setting, request_id: request_id.clone() }
                })
            }
            Action::DeleteSetting { key, if_version } => {
                self.settings.delete(key, *if_version).map(|(setting, row)| {
                    rows.push(row);
                    Outcome::SettingDeleted { setting, request_id: request_id.clone() }
                })
            }
        };
        done.unwrap_or_else(|refusal| Outcome::Refused { refusal, request_id })
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
        self.settings.rows().chain(self.requests.rows())
    }

    /// Takes in a row of the storage or of a snapshot.
    ///
    /// # Errors
    /// [`RowError`] if the row is damaged or of a version that this release does not know.
    pub fn restore(&mut self, row: &Row) -> Result<(), RowError> {
        match row.table {
            Table::Settings => self.settings.restore(row),
            Table::Requests => self.requests.restore(row),
        }
    }
}

#[cfg(test)]
mod tests;

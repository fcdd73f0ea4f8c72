//! Outcomes of commands.

use serde::{Deserialize, Serialize};

use super::setting::{Setting, SettingKey};
use crate::format::FormatVersion;
use crate::ids::RaftId;

/// Outcome of applying a command, the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// No command in the entry (a new leader's first entry, a membership).
    Nothing,
    /// Setting written. Below version 3 only.
    SettingPut {
        /// The setting with author, time and previous value.
        setting: Box<Setting>,
        /// Id of the request.
        request_id: String,
    },
    /// Setting deleted. Below version 3 only.
    SettingDeleted {
        /// The setting before the deletion.
        setting: Box<Setting>,
        /// Id of the request.
        request_id: String,
    },
    /// Setting written or deleted. From version 3 on.
    Changed {
        /// Log index of the change: the version of a written setting.
        version: u64,
        /// Answer to the request as sent, an [`api::settings::Change`] in JSON: every repetition gets the
        /// same bytes.
        answer: Box<str>,
    },
    /// Announcement of a node recorded.
    Announced,
    /// Version activated: the cluster writes at least the requested version.
    Activated {
        /// Activated version.
        version: FormatVersion,
    },
    /// Command refused, without any change.
    Refused {
        /// Cause of the refusal.
        refusal: Refusal,
        /// Id of the refused request.
        request_id: String,
    },
}

impl Outcome {
    /// Returns the outcome of a change of a setting by the entry at `version`.
    pub(super) fn changed(
        key: &SettingKey,
        version: u64,
        previous_version: Option<u64>,
        request_id: String,
    ) -> Self {
        let answer = api::settings::Change { key: key.to_string(), version, previous_version, request_id };
        let answer = serde_json::to_string(&answer).expect("texts and numbers").into();
        Self::Changed { version, answer }
    }
}

/// Cause of refusing a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// Idempotency key reused for a different request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many remembered idempotency keys.
    #[error("too many idempotency keys remembered (limit {max}), none of them expired; retry later")]
    TooManyKeys {
        /// Limit on remembered keys.
        max: u64,
    },
    /// Deduplication table without room for a key.
    #[error(
        "no room for another idempotency key (limits.idempotency_bytes: {max_bytes} bytes); keys are kept for 24 h; retry later"
    )]
    TableFull {
        /// Limit on the table, in bytes.
        max_bytes: u64,
    },
    /// Originator's share of the deduplication table without room for a key.
    #[error(
        "no room for another idempotency key of this caller: one authority at one address has {max_bytes} bytes, an eighth of \
         limits.idempotency_bytes; keys are kept for 24 h; retry later"
    )]
    ShareFull {
        /// Limit on the share, in bytes.
        max_bytes: u64,
    },
    /// Unknown setting.
    #[error("no setting `{key}`")]
    NoSuchSetting {
        /// Key of the setting.
        key: SettingKey,
    },
    /// Current version different from the version required by the caller.
    #[error("the setting is at version {actual}, not {expected}")]
    VersionMismatch {
        /// Version required by the caller.
        expected: u64,
        /// Current version; 0 if the setting does not exist.
        actual: u64,
    },
    /// Too many settings.
    #[error("too many settings (limit {max}); delete one first")]
    TooManySettings {
        /// Limit on settings.
        max: u64,
    },
    /// Action of a version above the activated version.
    #[error("the action requires format version {needed}; the cluster has activated version {activated}")]
    NotActivated {
        /// Version of the action.
        needed: FormatVersion,
        /// Activated version.
        activated: FormatVersion,
    },
    /// Version to activate not announced by all members.
    #[error("format version {version} is not covered by the announcements of {nodes:?}")]
    NotCovered {
        /// Version to activate.
        version: FormatVersion,
        /// Members without a covering announcement.
        nodes: Vec<RaftId>,
    },
}
